"""The fallback for C++ names, against names whose readable form the ABI or compilers define."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.parse import mangled
from evdiag.parse.mangled import readable_name

NAMES = {
    # examples of the Itanium C++ ABI, section 5.1
    "_Z1fv": "f",
    "_Z3foo5Hello5WorldS0_S_": "foo",
    "_ZN6System5Sound4beepEv": "System::Sound::beep",
    "_ZN5Arena5levelE": "Arena::level",
    "_ZN5StackIiiE5levelE": "Stack<...>::level",
    "_Z1fI1XEvPVN1AIT_E1TE": "f<...>",
    "_ZngILi42EEvN1AIXplT_Li2EEE1TE": "operator-<...>",
    "_Z4makeI7FactoryiET_IT0_Ev": "make<...>",
    "_ZN1N1TIiiE2mfES0_IddE": "N::T<...>::mf",
    "_Z5firstI3DuoEvT_": "first<...>",
    "_ZlsRSoRKSs": "operator<<",
    "_ZZN1N1fEiE1p": "N::f::p",
    "_ZZN1N1fEiEs": "N::f::string literal",
    "_ZZ1giENKUlvE_clEv": "g::{lambda}::operator()",
    "_Z4algoIZ1giEUlvE0_EiT_": "algo<...>",
    "_ZZN1S1fEiiEd0_NKUlvE0_clEv": "S::f::{lambda}::operator()",
    "_ZNK1SIiE1xMUlvE_clEv": "S<...>::x::{lambda}::operator()",
    "_ZNSt3_In4wardE": "std::_In::ward",
    "_ZSt5state": "std::state",
    "_ZNKR1A1hEv": "A::h",
    "_Z3fooILPKc0EEvv": "foo<...>",
    # scopes
    "_ZN12_GLOBAL__N_13runEv": "(anonymous namespace)::run",
    "_ZNSt10filesystem7__cxx114path7_M_readB5cxx11Ev": "std::filesystem::__cxx11::path::_M_read",
    "_ZL8internalv": "internal",
    "_ZL3foo_2v": "foo",
    "_ZZL3foo_2vE4var1_0": "foo::var1",
    "_ZZ3foovE8localVar__10_": "foo::localVar",
    "_ZZ3foovE8localVar_10": "foo::localVar",
    "_ZZZ3BBdI3FooEvvENK3Fob3FabEvENK3Gob3GabEv": "BBd<...>::Fob::Fab::Gob::Gab",
    "_ZN1AF6friendEv": "A::friend",
    "_ZNH1A4selfES_": "A::self",
    "_ZDC1a1bE": "[a, b]",
    "_Z7Gr\u00fc\u00dfev": "Gr\u00fc\u00dfe",
    # what compilers put behind names
    "_Z2coi.resume": "co",
    "_ZL8ToolName.0": "ToolName",
    # constructors, destructors and operators
    "_ZN3FooC1Ev": "Foo::Foo",
    "_ZN3FooIiED0Ev": "Foo<...>::~Foo",
    "_ZNSsC1Ev": "std::basic_string<...>::basic_string",
    "_ZNSdD0Ev": "std::basic_iostream<...>::~basic_iostream",
    "_ZNSaIcEC2Ev": "std::allocator<...>::allocator",
    "_ZNSt8ios_base7failureB5cxx11C1ERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE": (
        "std::ios_base::failure::failure"
    ),
    "_ZN1DCI11BEi": "D::D",
    "_ZNSt6vectorIiSaIiEEixEm": "std::vector<...>::operator[]",
    "_ZN3FooaSERKS_": "Foo::operator=",
    "_ZNK3FooeqERKS_": "Foo::operator==",
    "_ZNK3FoossERKS_": "Foo::operator<=>",
    "_ZN3FooptEv": "Foo::operator->",
    "_ZN3FoonwEm": "Foo::operator new",
    "_ZdaPv": "operator delete[]",
    "_ZNK4coro7awaiterawEv": "coro::awaiter::operator co_await",
    "_Zli3_kwy": 'operator"" _kw',
    "_ZNK3FoocvbEv": "Foo::operator <cast>",
    "_ZN1AcvT_I1CEEv": "A::operator <cast><...>",
    "_ZN1AcvT_IiEI1CEEv": "A::operator <cast><...>",
    "_ZN3vecIiEcvS_IT_EIdEEv": "vec<...>::operator <cast><...>",
    "_ZStltI9file_pathSsEbRKSt4pairIT_T0_ES6_": "std::operator< <...>",
    "_ZStlsISt11char_traitsIcEERSt13basic_ostreamIcT_ES5_PKc": "std::operator<< <...>",
    # data of classes, and thunks
    "_ZTV3Foo": "vtable for Foo",
    "_ZTTNSt7__cxx1119basic_ostringstreamIcSt11char_traitsIcESaIcEEE": (
        "VTT for std::__cxx11::basic_ostringstream<...>"
    ),
    "_ZTIN1N1AE": "typeinfo for N::A",
    "_ZTSSo": "typeinfo name for std::ostream",
    "_ZGVZ4mainE1x": "guard variable for main::x",
    "_ZTH3tls": "thread-local initialization routine for tls",
    "_ZTWN1N3tlsE": "thread-local wrapper routine for N::tls",
    "_ZThn8_N3DerD1Ev": "non-virtual thunk to Der::~Der",
    "_ZTv0_n24_N3DerD0Ev": "virtual thunk to Der::~Der",
    "_ZTchn8_h16_N3Der5cloneEv": "covariant return thunk to Der::clone",
    "_ZGTtNKSt11logic_error4whatEv": "transaction clone for std::logic_error::what",
    # types
    "_Z1fM1AKFvvEPS0_RA3_iDv4_fDnDpDF16_u6__bf16CfVKi": "f",
    "_Z3kooPA28_A30_iA_lAszT__c": "koo",
    "_Z1fU8__strongP1AU3AS1KiU7regparmILi3EEFvvE": "f",
    "_ZN1A1fIvJiELb0EEEvPDOT1_EFT_DpT0_EPDwiEFvvEPDxFvvOE": "A::f<...>",
    "_Z1fSsB3fooS_Ts1ATe1B": "f",
    "_Z1fTL0__": "f",
    "_Z1fPKNSt6vectorIiSaIiEE8iteratorES0_IcSaIcEE": "f",
    "_ZNDtfp_E4typeEv": None,
    "_ZNT_4typeEv": None,
    "_ZTIPKc": None,
    # template arguments
    "_ZN1KIXadL_ZN1S1mEiEEE1fEv": "K<...>::f",
    "_ZN3LocILZ1gvE1E1EE2goEv": "Loc<...>::go",
    "_ZN3FooC1ERKNS_1TINS_2pdELZNS_5namesEELZNS_4ENUMEEEE": "Foo::Foo",
    "_Z1fIIPiPfPdEEvDpT_": "f<...>",
    "_Z1fIJidEEvDpT_": "f<...>",
    "_Z1fITnDaLi3ETtTyTpTnT_E1xEvv": "f<...>",
    "_Z1fILCf00000000_80000000ELA5_KcELb1ELDnELN1N1EEn1EEvv": "f<...>",
    "_Z1fIiQ4testIT_EEvS0_Q5test2IS0_E": "f<...>",
    "_Z1fUa9enable_ifIXtrEEi": "f",
    "_ZZ4mainENKUlTyTnmTtTyETtTpTyE1AIT_EE_clIiLm3ESaEEDaS0_": "main::{lambda}::operator()<...>",
    "_Z1fINS_Ut0_EEvv": "f<...>",
    "_ZUb_": "{block}",
    # expressions
    "_Z3addIidEDTplfp_fp0_ET_T0_": "add<...>",
    "_ZN1A1fIiEEDTcldtdtdefpT1b1fIT_EEEv": "A::f<...>",
    "_Z1fI1AEDTclonplfp_fp_EET_": "f<...>",
    "_Z6check3IiEvP6helperIXsznwadL_Z1iE_T_piLi1EEEE": "check3<...>",
    "_Z6check4IiEvP6helperIXszna_A1_T_EEE": "check4<...>",
    "_Z2f1IiEDTnw_T_ilEES0_": "f1<...>",
    "_Z1gILi1EEvR1AIXT_EER1BIXscbT_EE": "g<...>",
    "_Z12binary_rightIJLi1ELi2ELi3EEEv1AIXfRplT_Li42EEE": "binary_right<...>",
    "_Z1fIiEDTcvT__EET_": "f<...>",
    "_Z1fIiEv1AIXcvT_Li5EEE": "f<...>",
    "_Z1fIiEv1AIXtl1Adi1xLi1Edxix1aLi0ELi2EEEE": "f<...>",
    "_Z1fIiEv1AIXsP1BLi0EEEE": "f<...>",
    "_Z1fIiEv1AIXsr1BIT_EE5valueEE": "f<...>",
    "_Z2f5IiEN2enIXsrN1N1AIT_E2InIS3_EE1vEE4typeES3_S4_": "f5<...>",
    "_Z1fIiEv1AIXsrNT_1BE1vEE": "f<...>",
    "_Z1fIiEv1AIXsrT_dnS0_EE": "f<...>",
    "_Z1fIiEv1AIXcldtfp_dn1BIiEEEE": "f<...>",
    "_Z1fIiEv1AIXu7is_sameT_iEEE": "f<...>",
    "_Z1fIiEvT_QrqXplfp_Li1ENR4testIiETNT_1xEQ5otherE": "f<...>",
    "_Z1fIiEvT_QrQS0__Xcl1gfp_EE": "f<...>",
    # one compiler means A::foo by this, another one B::foo
    "_ZZ1fIXsrNT_1aE1vEEv1A1BENS2_3fooE": None,
}

LONG = (
    "_ZZNSt9once_flag18_Prepare_executionC4IZSt9call_onceIZN5chain12_GLOBAL__N_14Bill5applyIZNS4_8"
    "PipelineIJS5_EE3runIZZNS4_11EvseManagerIN8charging11DcConnectorEE13on_powermeterERKN6bridge7Me"
    "ssageEENKUlRNSB_12MeterReadingEE_clESJ_EUlSJ_E_EEiSJ_RKT_EUlSJ_E_EEiSJ_SO_EUlvE_JEEvRS_OSM_DpO"
    "T0_EUlvE_EERSM_ENUlvE_4_FUNEv"
)
"""One that the run-time library of GCC 12 cannot read."""

BROKEN = (
    *("", "f", "_Z", "main", "_ZZ", "_ZN", "_ZNE", "_ZNStE", "_ZNS_E", "_ZN1aS_E", "_ZT", "_ZTX1A"),
    *("_Z0f", "_Z9f", "_Z01f", "_Z99999999f", "_Z1f?", "_ZSt", "_ZS_", "_ZSz", "_ZSA", "_ZNSA"),
    *("_Zxx", "_ZC1Ev", "_ZN1aC9Ev", "_ZN1aIiEIiEEv", "_ZN1aI", "_Z1fIi", "_Z1fF", "_Z1fA3i"),
    *("_Z1fUx", "_Z1fUl", "_Z1fv ", "_Z1fv.", "_Z1f_", "_Z1fT", "_Z1fS9_", "_Z1fSZZZZZ_"),
    *("_ZThn8_", "_ZUx_", "_ZDC1a", "_Z1fIL1AxEEvv", "_Z1fILZ1gvE1E?EEvv", "_Z1fITtTxEEvv"),
    *("_ZZ1fvEZ1gvE1x", "_Z1fDTfp_", "_ZcvT_I", "_ZN1a\ud800E", "_Z1\u0660", "_ZZ1fE"),
    *("_Z1fIXrqEEvv?", "_Z1fIXsr?", "_Z1fDq"),
)


@pytest.mark.parametrize("name", NAMES)
def test_readable_form(name: str) -> None:
    assert readable_name(name) == NAMES[name]


def test_what_the_run_time_library_gives_up_on() -> None:
    expected = "std::once_flag::_Prepare_execution::_Prepare_execution<...>::{lambda}::_FUN"
    assert readable_name(LONG) == expected


@pytest.mark.parametrize("name", BROKEN)
def test_no_name_without_sense(name: str) -> None:
    assert readable_name(name) is None


def test_names_have_limits() -> None:
    assert readable_name("_Z1f" + "i" * (mangled.MAX_LENGTH - 4)) == "f"
    assert readable_name("_Z1f" + "i" * (mangled.MAX_LENGTH - 3)) is None
    long = "a" * 8_000
    assert readable_name(f"_ZN8000{long}C1Ev") == f"{long}::{long}"
    assert readable_name(f"_ZN8000{long}C1C1Ev") is None  # three times the class


def test_depth_has_a_limit() -> None:
    def nested(depth: int) -> str:
        return "_Z1f" + "3fooI" * depth + "i" + "E" * depth

    assert readable_name(nested(50)) == "f"
    assert readable_name(nested(100)) is None
    assert readable_name("_Z1f" + "P" * 10_000 + "i") == "f"


def test_a_caller_that_came_deep() -> None:
    def called(depth: int) -> str | None:
        if depth:
            return called(depth - 1)
        return readable_name("_Z1f" + "3fooI" * 50 + "i" + "E" * 50)

    assert called(10) == "f"
    with pytest.raises(RecursionError):
        called(1_000)
    assert called(700) is None


@pytest.mark.parametrize(
    "name",
    [
        "_ZN" + "1a" * 8_000 + "E",
        "_Z1fI" + "i" * 16_000 + "Ev",
        "_Z1fI" + "LZ1aE" * 3_000 + "EvcvsrT_",
        "_Z1fI" + "XcvT_LZ1aEE" * 400 + "XsrT_1aE" * 1_400 + "?",
        "_ZN1a" + "cvT_IiE" * 2_000 + "E",
        "_ZN8000" + "a" * 8_000 + "C1IiE" * 1_600 + "E",
        "_Z" + "9" * 16_000,
        "_ZS" + "Z" * 16_000 + "_",
        "_Z1fI" + "Tp" * 8_000,
    ],
)
def test_names_made_to_be_slow(name: str) -> None:
    before = time.monotonic()
    readable_name(name)
    assert time.monotonic() - before < 5


@given(st.text())
def test_any_text(text: str) -> None:
    for name in (text, f"_Z{text}"):
        assert isinstance(readable_name(name), str | None)


@given(st.text(alphabet="_ABCDEFGHIJKLMNOPQRSTUVXZabcdefilmnoprstuvwxyz0123456789", max_size=80))
def test_any_letters_of_names(text: str) -> None:
    assert isinstance(readable_name(f"_Z{text}"), str | None)


@given(
    st.sampled_from([*NAMES, LONG]),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["", *"ENSTILZJXKPRObivFU_0123C"]))),
)
def test_names_with_mistakes(name: str, mistakes: list[tuple[int, str]]) -> None:
    for place, letter in mistakes:
        at = place % len(name)
        name = name[:at] + letter + name[at + 1 :] or "_"
    assert isinstance(readable_name(name), str | None)


WITHOUT_PLACE = re.compile(r"_Z[TG]|.*(\.|_10$)|.*[^!-~]")
"""Data and thunks, and what may stand at the end of a symbol only."""


@pytest.mark.parametrize(
    "name", [name for name in NAMES if NAMES[name] and not WITHOUT_PLACE.match(name)]
)
def test_a_name_within_others(name: str) -> None:
    """As the function around a local one, and as an argument."""
    assert readable_name(f"_Z{name[1:]}E3barv") == f"{NAMES[name]}::bar"
    assert readable_name(f"_Z3barIXadL{name}EEEvv") == "bar<...>"
