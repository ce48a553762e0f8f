"""The other checks of doctor, the test crash, and the verdict."""

from pathlib import Path

import msgspec
import pytest

from evdiag.analyze import checks
from evdiag.analyze.checks import CHECKS, GROUPS, diagnose
from evdiag.model.doctor import Debugger, Facts, Problem, ServiceFacts
from tests.support import doctor_facts as d
from tests.support.doctor_facts import by_kernel, check, crash, facts, folder, inside, process

Row = tuple[str, Facts, str, str, str, str]


def engine(**changes: object) -> Facts:
    return facts(engine=msgspec.structs.replace(d.ENGINE, **changes))


def image(**changes: object) -> Facts:
    return facts(image=msgspec.structs.replace(d.IMAGE, **changes))


def debug(**changes: object) -> Facts:
    return facts(inside=inside(debug=(msgspec.structs.replace(d.INSIDE.debug[0], **changes),)))


def host(**changes: object) -> Facts:
    return facts(host=msgspec.structs.replace(d.HOST, **changes))


def crashed(*results: object) -> Facts:
    return facts(crashes=results)


OTHERS: list[Row] = [
    ("engine", facts(), "engine", "ok", "Docker Engine 28.2.2, kernel 6.1.0, cgroups 2", ""),
    ("rootless", engine(rootless=True, endpoint="unix:///run/user/1000/docker.sock", kernel="",
                        cgroup_version=""),
     "engine", "ok", "rootless, at unix:///run/user/1000/docker.sock", ""),
    ("podman", engine(kind="podman"), "engine", "info", "evdiag is not tested with podman", ""),
    ("desktop", engine(kind="desktop"), "engine", "info",
     "Docker Desktop 28.2.2, kernel 6.1.0, cgroups 2: containers run in a virtual machine", ""),
    ("wsl", engine(kernel="6.6.87-microsoft-standard-WSL2"), "engine", "ok", "in WSL", ""),
    ("kind", engine(kind="other"), "engine", "ok", "other 28.2.2", ""),
    ("down", facts(engine=None, inside=None, problem=Problem(
        kind="engine", message="nothing answers", advice="Start it.")), "engine", "fail",
     "nothing answers", "Start it."),
    ("gone", facts(problem=Problem(kind="engine", message="gone", advice="Look.")), "engine",
     "fail", "gone", "Look."),
    ("unknown", facts(engine=None), "engine", "skip", "", ""),
    ("no-clock", facts(skew=None), "engine-clock", "skip", "", ""),
    ("ahead", facts(skew=70.4), "engine-clock", "warn", "70 s ahead of this machine's", "NTP"),
    ("behind", facts(skew=-3.0), "engine-clock", "warn", "3 s behind this machine's", "NTP"),
    ("memory", facts(), "engine-memory", "ok", "16.0 GB, 8 processors", ""),
    ("small", engine(memory=1 << 30), "engine-memory", "warn", "little for a charger", "Resources"),
    ("no-memory", engine(memory=None), "engine-memory", "skip", "", ""),
    # image and container
    ("image", facts(), "image", "ok", "evdiag/everest (amd64)", ""),
    ("no-image", facts(image=None, problem=Problem(
        kind="image", message="no such image", advice="Build it.")), "image", "fail",
     "no such image", "Build it."),
    ("image-unknown", facts(image=None), "image", "skip", "", ""),
    ("foreign", image(labels={}), "image", "fail", "is no image of a charger", "evdiag build"),
    ("emulated", image(architecture="arm64"), "image", "warn",
     "is for arm64, the engine's machine is amd64", "--platform linux/amd64"),
    ("no-architecture", image(architecture=""), "image", "ok", "of unknown architecture", ""),
    ("container", facts(), "container", "ok", "everest, running", ""),
    ("no-container", facts(container=None, inside=None, problem=Problem(
        kind="container", message="there is no container called x", advice="Others: y")),
     "container", "fail", "there is no container called x", "Others: y"),
    ("container-unknown", facts(container=None), "container", "skip", "", ""),
    ("no-python", facts(inside=d.InsideFacts(error="exec: python3: not found")), "container",
     "fail", "nothing can be found out in everest: exec: python3", "--name"),
    ("made", facts(throw_away=True), "container", "info",
     "no charger runs: a container of the image was made for the checks", ""),
    ("instead", facts(throw_away=True, stopped="everest is exited"), "container", "info",
     "everest is exited: a container", ""),
    ("debug", facts(), "debug-data", "ok", "build-id, debug information, index: 1 executables", ""),
    ("no-debug-facts", facts(inside=inside(debug=())), "debug-data", "skip", "", ""),
    ("no-build-id", debug(build_id=""), "debug-data", "warn", "no build-id in manager",
     "-Wl,--build-id"),
    ("stripped", debug(debug_info=False, symbols=False), "debug-data", "warn",
     "no debug information in manager: stacks have addresses only", "-g"),
    ("no-lines", debug(debug_info=False), "debug-data", "warn",
     "stacks have no files and lines", "-g"),
    ("no-index", debug(index=False), "debug-data", "info",
     "no index in manager: gdb starts slowly", ""),
    ("debuggers", facts(), "debuggers", "ok", "gdb 13.1 with Python, eu-stack", ""),
    ("no-gdb", facts(inside=inside(gdb=None, eu_stack="")), "debuggers", "info",
     "no gdb in the image:", ""),
    ("plain-gdb", facts(inside=inside(gdb=Debugger(path="/g", python=False))), "debuggers", "info",
     "gdb without Python, eu-stack", ""),
    ("some-gdb", facts(inside=inside(gdb=Debugger(path="/g", version="9"))), "debuggers", "ok",
     "gdb 9, eu-stack", ""),
    # services and sandbox
    ("services", facts(), "services", "ok", "everest run", ""),
    ("supervisord", facts(inside=inside(services_error="/run/s: refused")), "services", "fail",
     "supervisord does not answer: /run/s: refused", "evdiag logs --name everest"),
    ("no-services", facts(inside=inside(services=())), "services", "skip", "", ""),
    ("fatal", facts(inside=inside(services=(ServiceFacts(
        name="nodered", state="FATAL", detail="Exited too quickly"),))), "services", "warn",
     "nodered is FATAL (Exited too quickly)", "supervisorctl restart nodered"),
    ("just-started", facts(inside=inside(services=(ServiceFacts(
        name="nodered", state="STARTING", detail=""),))), "services", "info", "just started", ""),
    ("no-manager", facts(inside=inside(manager=None)), "services", "warn", "no manager", "logs"),
    ("sandbox", facts(), "sandbox", "ok", "seccomp filter, no capabilities", ""),
    ("locked", facts(inside=inside(manager=process(
        no_new_privileges=True, seccomp=0, capabilities=3)),
        engine=msgspec.structs.replace(d.ENGINE, security=("seccomp", "apparmor"))), "sandbox",
     "ok", "no seccomp filter, no new privileges, 2 capabilities, apparmor", ""),
    ("sandbox-init", facts(engine=None, inside=inside(manager=None)), "sandbox", "ok",
     "seccomp filter", ""),
    ("sandbox-unknown", facts(inside=inside(manager=process(seccomp=None))), "sandbox", "skip",
     "", ""),
    ("privileged-unknown", facts(inside=inside(debug=())), "privileged", "skip", "", ""),
    ("nobody-to-dump", facts(inside=inside(manager=None, modules=())), "dumpable", "skip", "", ""),
    ("no-init", facts(inside=inside(init=None, manager=None, modules=())), "core-limit", "skip",
     "", ""),
    ("init-only", facts(inside=inside(manager=None, modules=())), "core-limit", "ok",
     "(supervisord)", ""),
    ("limits-unknown", facts(inside=inside(manager=process(core_hard=None))), "core-limit", "ok",
     "hard not known", ""),
    ("no-pattern", facts(inside=inside(core_pattern="")), "core-name-free", "skip", "", ""),
    ("no-pipe-limit", facts(inside=inside(core_pipe_limit=None)), "core-pipe-limit", "skip",
     "", ""),
    ("no-size", facts(inside=inside(folder=folder(free=None))), "cores-space", "skip", "", ""),
    ("no-file-system", facts(inside=inside(folder=folder(file_system=""))), "cores-kept", "skip",
     "", ""),
    # memory and network
    ("memory", facts(), "memory", "ok", "no limit (cgroups 2)", ""),
    ("limit", facts(inside=inside(memory_limit=4 << 30)), "memory", "ok",
     "300 MB of 4.0 GB are in use", ""),
    ("nearly-full", facts(inside=inside(memory_limit=310 << 20)), "memory", "warn",
     "the kernel soon kills a process", "docker update --memory 2g --memory-swap 2g everest"),
    ("little", facts(inside=inside(memory_limit=400 << 20, memory_used=None)), "memory", "warn",
     "0 bytes of 400 MB are in use (cgroups 2): little for EVerest", "docker update"),
    ("no-cgroup", facts(inside=inside(cgroup_version=None)), "memory", "skip", "", ""),
    ("oom", facts(inside=inside(oom_kills=1)), "oom-kills", "warn", "killed a process of", "stats"),
    ("ooms", facts(inside=inside(oom_kills=3)), "oom-kills", "warn", "killed 3 processes", "stats"),
    ("oom-unknown", facts(inside=inside(oom_kills=None)), "oom-kills", "skip", "", ""),
    ("ipv6", facts(), "ipv6", "ok", "so cars can charge", ""),
    ("ipv6-absent", facts(inside=inside(ipv6="absent")), "ipv6", "fail", "kernel has no IPv6",
     "modprobe ipv6"),
    ("ipv6-off", facts(inside=inside(ipv6="disabled")), "ipv6", "warn",
     "IPv6 is turned off in the container: no car can charge with DC", "disable_ipv6=0"),
    ("ipv6-odd", facts(inside=inside(ipv6="maybe")), "ipv6", "warn",
     "IPv6 does not work", "sysctl"),
    ("ipv6-made", facts(throw_away=True), "ipv6", "skip", "", ""),
    # this machine
    ("host", facts(), "host-cores", "ok", "become files (`core`)", ""),
    ("host-unknown", host(pattern=None), "host-cores", "skip", "", ""),
    ("host-socket", host(pattern=d.read_core_pattern("@/s")), "host-cores", "info",
     "socket /s", ""),
    ("host-apport", host(pattern=d.read_core_pattern(d.APPORT), handler_exists=True),
     "host-cores", "info", "go to apport; apport drops crashes of containers", ""),
    ("host-own", host(pattern=d.read_core_pattern("|/opt/keep")), "host-cores", "info",
     "go to keep", ""),
    ("host-nobody", host(pattern=d.read_core_pattern("| ")), "host-cores", "info",
     "go to a program", ""),
    ("host-missing", host(pattern=d.read_core_pattern("|/no %p"), handler_exists=False),
     "host-cores", "warn", "piped to /no, which is not there: they are lost", "core_pattern"),
    ("gdb", facts(), "host-gdb", "ok", "gdb 13.1 (/usr/bin/gdb) with Python", ""),
    ("no-host-gdb", host(gdb=None), "host-gdb", "info", "no gdb on PATH", ""),
    ("gdb-plain", host(gdb=Debugger(path="/g", python=False)), "host-gdb", "warn",
     "gdb (/g) has no Python", "evdiag[gdb]"),
    ("gdb-unknown", host(gdb=Debugger(path="/g")), "host-gdb", "ok", "gdb (/g)", ""),
    ("no-system", facts(host=d.HostFacts()), "host-gdb", "skip", "", ""),
    ("mac", host(system="Darwin"), "host-yama", "skip", "", ""),
    ("attach", facts(), "host-yama", "ok", "may attach", ""),
    ("yama-1", host(ptrace_scope=1), "host-yama", "info", "but their own children", ""),
    ("yama-2", host(ptrace_scope=2), "host-yama", "info", "processes; cores are", ""),
    # the test crash
    ("whole", crashed(crash()), "crash-segv", "ok",
     f"complete core in 22 ms, 5.0 MB, by the image's own capture: {d.CORE}", ""),
    ("abort", crashed(crash(), crash(6, writer="kernel", milliseconds=None)), "crash-abrt", "ok",
     f"complete core, 5.0 MB, by the kernel: {d.CORE}", ""),
    ("not-tried", crashed(d.CrashResult(error="/x: Permission denied")), "crash-abrt", "fail",
     "nothing was crashed: /x: Permission denied", "mode 1777"),
    ("would-overwrite", crashed(d.CrashResult(error="the next core would overwrite /c/core")),
     "crash-segv", "fail", "would overwrite /c/core", "Copy that core away"),
    ("other-signal", crashed(crash()), "crash-abrt", "skip", "", ""),
    ("empty", crashed(crash(size=0, missing=None)), "crash-segv", "fail",
     "but it is empty", "df -h"),
    ("no-elf", crashed(crash(missing=None, writer="?")), "crash-segv", "fail",
     "by somebody: " + d.CORE + ", but it is no core", "df -h"),
    ("cut", crashed(crash(missing=3 << 20)), "crash-segv", "fail",
     "but it is cut off, 3.0 MB are missing", "df -h"),
    ("cut-said", crashed(crash(missing=9, said=("File too large",))), "crash-segv", "fail",
     "9 bytes are missing", "ulimit -f"),
    ("survived", crashed(crash(died_of=9)), "crash-segv", "warn",
     "but the process ended otherwise (SIGKILL)", "signals"),
    ("survived-all", crashed(crash(died_of=None)), "crash-segv", "warn", "(no signal)", "signals"),
    ("slow", crashed(crash(milliseconds=4000.0)), "crash-segv", "warn", "that is slow", "disk"),
    ("nothing-said", crashed(crash(path="", died_of=None)), "crash-segv", "fail",
     "the test process did not die of SIGSEGV: without a word", "checks above"),
    ("not-started", crashed(crash(path="", died_of=None, said=("a", "not started: x"))),
     "crash-segv", "fail", "did not die of SIGSEGV: not started: x", "checks above"),
    ("refused", crashed(crash(path="", waited=1.04, said=(
        "evdiag capture: no core of 33 evdiag-doctor (signal 11): /x: Permission denied", "b"))),
     "crash-segv", "fail",
     "no core came of SIGSEGV in 1.0 s: the capture says: /x: Permission denied", "mode 1777"),
    ("refused-oddly", crashed(crash(path="", said=("no core of it",))), "crash-segv", "fail",
     "the capture says: no core of it", "checks above"),
    ("lost", facts(inside=by_kernel(d.APPORT), crashes=(crash(path="", dumped=True, waited=1.0),)),
     "crash-segv", "fail",
     'no core came of SIGSEGV in 1.0 s, though the kernel says "core dumped". Most likely because '
     "of: core_pattern", "--capture preload"),
    ("lost-limits", facts(inside=by_kernel("core", manager=process(core_soft=0)), crashes=(
        crash(path=""),)), "crash-segv", "fail", "because of: Core limit, then core_pattern",
     "--ulimit core=-1"),
    ("lost-capture", facts(inside=inside(modules=(process(preload=""),)), crashes=(
        crash(path=""),)), "crash-segv", "fail", "because of: Capture", "LD_PRELOAD"),
    ("lost-somehow", crashed(crash(path="")), "crash-segv", "fail", "no other check says why",
     "dmesg"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "check_id", "state", "reason", "fix"),
    [row[1:] for row in OTHERS],
    ids=[f"{row[2]}-{row[0]}" for row in OTHERS],
)
def test_what_a_check_says(given: Facts, check_id: str, state: str, reason: str, fix: str) -> None:
    found = check(given, check_id)

    assert (found.state, reason in found.reason) == (state, True), found.reason
    assert fix in found.fix if fix else not found.fix, found.fix


def test_advice_fits_the_charger() -> None:
    off = by_kernel(d.APPORT)
    other = msgspec.structs.replace(d.CONTAINER, name="second")

    assert check(facts(inside=off), "core-pattern").fix.startswith("`evdiag run --replace --cap")
    named = check(facts(inside=off, container=other), "core-pattern").fix
    assert named.startswith("`evdiag run --replace --name second --capture preload`")
    made = check(facts(inside=off, container=other, throw_away=True), "core-pattern").fix
    assert made.startswith("`evdiag run --capture preload`")


def test_many_names_are_cut_short() -> None:
    many = tuple(process(name=f"m{n}:M", dumpable=False) for n in (1, 1, 2, 3, 4, 5, 6))

    assert check(facts(inside=inside(modules=many)), "dumpable").reason.startswith(
        "m1:M, m2:M, m3:M, m4:M and 2 more: asked not to be dumped"
    )


BOTH = (crash(), crash(6))


@pytest.mark.parametrize(
    ("given", "state", "verdict"),
    [
        (facts(crashes=BOTH), "ok", "cores will be captured: a test crash proved it"),
        (facts(crashes=(crash(path=""), crash(6, path=""))), "fail",
         "cores will NOT be captured: 2 checks fail"),
        (facts(crashes=(crash(), crash(6, path=""))), "fail",
         "cores of SIGABRT will NOT be captured: 1 check fails"),
        (facts(crashes=BOTH, inside=inside(ipv6="absent")), "fail",
         "the test crash left its core, but 1 check fails: IPv6"),
        (facts(inside=by_kernel(d.WSL, manager=process(filter=0), ipv6="absent")), "fail",
         "2 checks fail: core_pattern, IPv6"),
        (d.Facts(), "skip",
         "whether cores are captured is not known: there was nothing to look at"),
        (d.Facts(problem=Problem(kind="engine", message="down", advice="Start it")), "fail",
         "whether cores are captured is not known: 1 check fails: Engine"),
        (facts(inside=d.InsideFacts(error="no python3")), "fail",
         "whether cores are captured is not known: 1 check fails: Container"),
    ],
)  # fmt: skip
def test_the_verdict(given: Facts, state: str, verdict: str) -> None:
    found = diagnose(given)

    assert (found.state, found.verdict) == (state, verdict)


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        (facts(), "the charger everest"),
        (facts(throw_away=True), "a container made of evdiag/everest"),
        (facts(throw_away=True, image=None), "a container made of evdiag/everest"),
        (d.Facts(), ""),
    ],
)
def test_the_subject(given: Facts, subject: str) -> None:
    assert diagnose(given).subject == subject


def test_without_facts_all_is_skipped() -> None:
    assert {one.state for one in diagnose(d.Facts()).checks} == {"skip"}


def test_an_empty_inside_is_no_trouble() -> None:
    found = diagnose(facts(inside=d.InsideFacts(), container=None))

    assert not any(one.failed for one in found.checks)


def test_every_file_of_checks_is_listed() -> None:
    folder = Path(checks.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    listed = {group.rules[0].look.__module__.rpartition(".")[2] for group in GROUPS}

    assert files == listed
    assert len({rule.id for rule in CHECKS}) == len(CHECKS)
    assert len({rule.title for rule in CHECKS}) == len(CHECKS)
    assert all(len(rule.title) <= 15 and rule.explanation for rule in CHECKS)
