"""Readable names, with and without a C++ run-time library."""

import pytest

from evdiag.adapters.demangle import Demangler, load_demangler

LAMBDA = "_ZZNSt9once_flag18_Prepare_executionC4IZvE_EvENUlvE_4_FUNEv"


@pytest.mark.parametrize(
    ("mangled", "readable"),
    [
        ("_ZN4Evse5startEi", "Evse::start(int)"),
        ("_ZN4Evse5startEi.cold", "Evse::start(int)"),
        ("_ZN4Evse5startEi.isra.0", "Evse::start(int)"),
        ("_ZN4Evse5startEi [clone .constprop.1]", "Evse::start(int)"),
        ("main.cold", "main"),
        ("main", "main"),
        ("__libc_start_main_alias_2", "__libc_start_main"),
        ("operator()", "operator()"),
        ("_Znonsense", "_Znonsense"),
        ("_Z" + "9" * 20_000, "_Z" + "9" * 20_000),
    ],
)
def test_names(mangled: str, readable: str) -> None:
    demangle = Demangler(load_demangler())
    assert demangle(mangled) == readable
    assert demangle(mangled) == readable  # from memory


def test_without_a_runtime_library_names_come_without_parameters() -> None:
    assert load_demangler(("libnothing.so.0",)) is None
    demangle = Demangler(None)
    assert demangle("_ZN4Evse5startEi") == "Evse::start"
    assert demangle("_ZN4Evse5startIiEEvT_") == "Evse::start<...>"
    assert demangle("_Znonsense") == "_Znonsense"
