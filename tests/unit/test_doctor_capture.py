"""What doctor says of each way in which cores get lost: the kernel's pattern, limits, folders."""

import pytest

from evdiag.analyze.checks import diagnose
from evdiag.model.charger import Mount
from evdiag.model.doctor import Facts, LeftCore
from tests.support import doctor_facts as d
from tests.support.doctor_facts import (
    APPORT,
    SYSTEMD,
    WSL,
    by_kernel,
    check,
    facts,
    folder,
    inside,
    process,
)

PRELOAD = "`evdiag run --replace --capture preload`"
Row = tuple[str, Facts, str, str, str, str]

KERNEL: list[Row] = [
    ("relative", facts(inside=by_kernel("core")), "core-pattern", "warn",
     "`core`: a file in the working directory of the process, /tmp/everest-logs. The name holds no "
     "process id, so the next crash overwrites the core", "sysctl -w kernel.core_uses_pid=1"),
    ("uses-pid", facts(inside=by_kernel("core", core_uses_pid=1)), "core-pattern", "ok",
     "`core`: a file in the working directory", ""),
    ("left-by-another", facts(inside=by_kernel("core", left_core=LeftCore(
        path="/tmp/everest-logs/core", uid=0, size=9000))), "core-name-free", "fail",
     "/tmp/everest-logs/core belongs to user 0: the kernel leaves it as it is and writes no core "
     "of EVerest's user 1000, without a word", "docker exec everest rm /tmp/everest-logs/core"),
    ("left-by-itself", facts(inside=by_kernel("core", left_core=LeftCore(
        path="/tmp/everest-logs/core", uid=1000, size=9000))), "core-name-free", "warn",
     "/tmp/everest-logs/core (8.8 KB) is an older core: the next crash overwrites it",
     "docker cp everest:/tmp/everest-logs/core ."),
    ("apport", facts(inside=by_kernel(APPORT)), "core-pattern", "fail",
     'the kernel pipes cores to apport on the host, none in the container, though logs may say '
     '"core dumped"; apport drops crashes of containers, and says so in /var/log/apport.log of the '
     "host", PRELOAD),
    ("systemd", facts(inside=by_kernel(SYSTEMD)), "core-pattern", "fail",
     "coredumpctl dump PID -o core", "--set-core-pattern"),
    ("wsl", facts(inside=by_kernel(WSL)), "core-pattern", "fail",
     "%TEMP%\\wsl-crashes", PRELOAD),
    ("another-handler", facts(inside=by_kernel("|/opt/keep %P")), "core-pattern", "fail",
     "look where keep puts cores on the host", PRELOAD),
    ("nameless-handler", facts(inside=by_kernel("| ")), "core-pattern", "fail",
     "pipes cores to a program on the host", PRELOAD),
    ("handler-missing", facts(
        inside=by_kernel("|/bin/gone %P"),
        host=d.HostFacts(system="Linux", pattern=d.read_core_pattern("|/bin/gone %P"),
                         handler_exists=False)), "core-pattern", "fail",
     "the kernel pipes cores to /bin/gone, which this machine does not have: they are lost",
     PRELOAD),
    ("socket", facts(inside=by_kernel("@/run/cores.sock")), "core-pattern", "fail",
     "the kernel sends cores to the socket /run/cores.sock on the host: none in the container",
     PRELOAD),
    ("absolute", facts(inside=by_kernel("/cores/core.%e.%p", pattern_folder=folder(path="/cores"))),
     "core-pattern", "ok", "`/cores/core.%e.%p`: a file in the container", ""),
    ("absolute-fixed", facts(inside=by_kernel("/cores/core", pattern_folder=folder(path="/cores"))),
     "core-pattern", "warn", "the next crash overwrites the core", PRELOAD),
    ("absolute-missing", facts(inside=by_kernel(
        "/cores/core.%p", pattern_folder=d.FolderFacts(path="/cores"))), "core-pattern", "fail",
     "the kernel writes cores to /cores in the container, which is not there",
     "install -d -m 1777 /cores"),
    ("absolute-unwritable", facts(inside=by_kernel("/cores/core.%p", pattern_folder=folder(
        path="/cores", writable=False, error="Permission denied"))), "core-pattern", "fail",
     "where EVerest's user cannot write: Permission denied", "chmod 1777 /cores"),
    ("absolute-by-name", facts(inside=by_kernel("/cores/%h/core.%p")), "core-pattern", "ok",
     "a file in the container", ""),
    ("waits", facts(inside=by_kernel(APPORT, core_pipe_limit=4)), "core-pipe-limit", "ok",
     "4: the crashed process waits for the program", ""),
    ("does-not-wait", facts(inside=by_kernel(APPORT)), "core-pipe-limit", "info",
     "may find the process gone", ""),
    # limits
    ("soft-0", facts(inside=by_kernel("core", manager=process(core_soft=0))), "core-limit", "fail",
     "soft 0 bytes, hard unlimited (manager): no core, though the process may raise its limit",
     "--ulimit core=-1"),
    ("hard-0", facts(inside=by_kernel("core", manager=process(core_soft=0, core_hard=0))),
     "core-limit", "fail",
     "soft 0 bytes, hard 0 bytes (manager): no core, and nothing in the container can raise that",
     "--ulimit core=-1"),
    ("rootless-0", facts(
        inside=by_kernel("core", manager=process(core_soft=0, core_hard=0)),
        engine=d.EngineFacts(endpoint="", rootless=True)), "core-limit", "fail",
     "nothing in the container can raise that", "set LimitCORE=infinity"),
    ("too-small", facts(inside=by_kernel("core", manager=process(core_soft=100000))), "core-limit",
     "fail", "soft 97.7 KB, hard unlimited (manager): every core is cut off", "--ulimit core=-1"),
    ("small", facts(inside=by_kernel("core", manager=process(core_soft=20 << 20))), "core-limit",
     "warn", "less than the largest process has in memory (60.0 MB)", "--ulimit core=-1"),
    ("large", facts(inside=by_kernel("core", manager=process(core_soft=99 << 20))), "core-limit",
     "ok", "soft 99.0 MB", ""),
    ("unlimited", facts(inside=by_kernel("core")), "core-limit", "ok", "soft unlimited", ""),
    ("piped", facts(inside=by_kernel(APPORT, manager=process(core_soft=0))), "core-limit", "ok",
     "it does not bind what the kernel gives to the host", ""),
    ("another-folder", facts(inside=by_kernel(
        "/cores/core.%p", folder=folder(writable=False, error="Permission denied"),
        pattern_folder=folder(path="/cores"))), "cores-folder", "warn",
     "the kernel writes to /cores", "chmod 1777 /tmp/everest-logs"),
    ("not-loaded", facts(inside=inside(manager=process(preload=""))), "capture", "warn",
     "the image's own capture is not loaded into the manager", "evdiag run --replace"),
    ("off", facts(inside=by_kernel("core")), "capture", "info",
     "EVDIAG_CAPTURE=off: cores are left to the kernel", ""),
    ("yama-kernel", facts(inside=by_kernel("core", ptrace_scope=2)), "ptrace", "info",
     "the kernel's cores do not need that", ""),
]  # fmt: skip

EITHER: list[Row] = [
    ("missing", facts(inside=inside(folder=d.FolderFacts(path=d.CORES))), "cores-folder", "fail",
     "/tmp/everest-logs is not there", "docker exec everest install -d -m 1777 /tmp/everest-logs"),
    ("unwritable", facts(inside=inside(folder=folder(
        mode=0o755, writable=False, error="Permission denied"))), "cores-folder", "fail",
     "/tmp/everest-logs (0755, user 0): EVerest's user cannot write there: Permission denied",
     "docker exec everest chmod 1777 /tmp/everest-logs"),
    ("bind", facts(
        inside=inside(folder=folder(mode=0o755, writable=False, error="Permission denied",
                                    mounted=True)),
        container=d.ContainerFacts(id="1", name="everest", mounts=(
            Mount(kind="volume", target="/data", source="other"),
            Mount(kind="bind", target=d.CORES + "/", source="/srv/cores")))), "cores-folder",
     "fail", "It is /srv/cores of the host", "`chmod 1777 /srv/cores` on the host"),
    ("read-only-root", facts(inside=inside(folder=folder(
        writable=False, error="Read-only file system", read_only=True))), "cores-folder", "fail",
     "as the root of the container is read-only", "--cores DIR"),
    ("read-only-mount", facts(inside=inside(folder=folder(
        writable=False, error="Read-only file system", read_only=True, mounted=True))),
     "cores-folder", "fail", "cannot write there: Read-only file system", "--tmpfs"),
    ("full", facts(inside=inside(folder=folder(
        writable=False, error="No space left on device", mode=None))), "cores-folder", "fail",
     "/tmp/everest-logs: EVerest's user cannot write there: No space left", "Make room there."),
    ("tmpfs-full", facts(inside=inside(folder=folder(
        file_system="tmpfs", total=5 << 20, free=0))), "cores-space", "fail",
     "0 bytes of 5.0 MB are free on a tmpfs: every core is cut off or empty, and reported as "
     "dumped",
     "--tmpfs /tmp/everest-logs:mode=1777,size=2g"),
    ("little-room", facts(inside=inside(folder=folder(free=100 << 20))), "cores-space", "warn",
     "100 MB of 100 GB are free on its disk (overlay): the core of the largest process may take "
     "256 MB", "Make room there"),
    ("inodes", facts(inside=inside(folder=folder(inodes=0))), "cores-space", "fail",
     "it has no inodes left", "Make room there"),
    ("uncounted", facts(inside=inside(folder=folder(inodes=None))), "cores-space", "ok",
     "50.0 GB of 100 GB", ""),
    ("tmpfs", facts(inside=inside(folder=folder(file_system="tmpfs"))), "cores-kept", "warn",
     "gone when the container stops", "--cores DIR"),
    ("rm", facts(auto_remove=True), "cores-kept", "warn", "started with --rm", "evdiag run"),
    ("volume", facts(container=d.ContainerFacts(id="1", name="everest", mounts=(
        Mount(kind="volume", target=d.CORES, source="kept"),))), "cores-kept", "ok",
     "they lie outside of the container (volume kept)", ""),
    ("stays", facts(), "cores-kept", "ok", "until the container is removed, not when it stops", ""),
    ("throw-away", facts(throw_away=True), "cores-kept", "ok",
     "until the container is removed", ""),
    ("none-kept", facts(inside=inside(settings={"EVDIAG_CORES_MAX": "0"})), "cores-number", "fail",
     "EVDIAG_CORES_MAX is 0: no core is kept", "-e EVDIAG_CORES_MAX="),
    ("no-bytes", facts(inside=inside(settings={"EVDIAG_CORES_MAX_BYTES": "0"})), "cores-number",
     "fail", "EVDIAG_CORES_MAX_BYTES is 0", "-e EVDIAG_CORES_MAX_BYTES="),
    ("few-bytes", facts(inside=inside(settings={"EVDIAG_CORES_MAX_BYTES": "50000000"})),
     "cores-number", "warn",
     "EVDIAG_CORES_MAX_BYTES is 47.7 MB, and the largest process has 90.0 MB",
     "EVDIAG_CORES_MAX_BYTES=2147483648"),
    ("own-number", facts(inside=inside(settings={
        "EVDIAG_CORES_MAX": "3", "EVDIAG_CORES_MAX_BYTES": "300000000"})), "cores-number", "ok",
     "the last 3, at most 286 MB", ""),
    ("no-number", facts(inside=inside(settings={"EVDIAG_CORES_MAX": "all"})), "cores-number", "ok",
     "the last 10, at most 2.0 GB, and the first of a series", ""),
    ("fsize", facts(inside=inside(manager=process(file_hard=4096))), "file-limit", "fail",
     "4.0 KB (manager): every core is cut off", "--ulimit fsize"),
    ("fsize-large", facts(inside=inside(manager=process(file_hard=1 << 30))), "file-limit", "info",
     "1.0 GB (manager): a larger core is cut off", ""),
    ("fsize-huge", facts(inside=inside(manager=process(file_hard=1 << 62))), "file-limit", "ok",
     "unlimited", ""),
    ("no-stacks", facts(inside=inside(manager=process(filter=0))), "coredump-filter", "warn",
     "0x00 (manager): neither stacks nor heap are in a core", "0x33"),
    ("no-headers", facts(inside=inside(manager=process(filter=0x23))), "coredump-filter", "warn",
     "0x23 (manager): a core does not say of which builds", "0x33"),
    ("undumpable", facts(inside=inside(modules=(process(name="evse:Evse", dumpable=False),))),
     "dumpable", "fail", "evse:Evse: asked not to be dumped", "prctl(PR_SET_DUMPABLE, 1)"),
    ("setuid", facts(inside=inside(privileged=("/opt/everest/x/EvseV2G",))), "privileged", "warn",
     "EvseV2G: setuid bit or capabilities, so the image's capture is not loaded into it; nor does "
     "the kernel dump it (fs.suid_dumpable is 0)", "setcap -r /opt/everest/x/EvseV2G"),
    ("setuid-dumped", facts(inside=inside(privileged=("/x/Y",), suid_dumpable=2)), "privileged",
     "warn", "fs.suid_dumpable is 2, so the kernel may write a core", "chmod ug-s /x/Y"),
]  # fmt: skip

PRELOADED: list[Row] = [
    ("apport", facts(inside=inside(core_pattern=APPORT)), "core-pattern", "info",
     "the host pipes cores to apport; the image's own capture does not depend on it", ""),
    ("wsl", facts(inside=inside(core_pattern=WSL)), "core-pattern", "info",
     "every crash leaves another dump in %TEMP%\\wsl-crashes on Windows", ""),
    ("nameless", facts(inside=inside(core_pattern="| ")), "core-pattern", "info",
     "the host pipes cores to a program; the image's own capture does not depend on it", ""),
    ("socket", facts(inside=inside(core_pattern="@/run/s")), "core-pattern", "info",
     "the host sends cores to the socket /run/s; the image's own capture does not depend on it",
     ""),
    ("relative", facts(), "core-pattern", "ok",
     "`core`; the image's own capture does not depend on it", ""),
    ("left", facts(inside=inside(left_core=LeftCore(path="/x/core"))), "core-name-free", "ok",
     "nothing is in its way", ""),
    ("limit", facts(inside=inside(manager=process(core_soft=0, core_hard=0))), "core-limit", "ok",
     "soft 0 bytes, hard 0 bytes (manager); the image's own capture is not bound by it", ""),
    ("no-limit", facts(), "core-limit", "ok", "soft unlimited, hard unlimited (manager)", ""),
    ("library-missing", facts(inside=inside(library_exists=False)), "capture", "fail",
     "/usr/local/lib/evdiag/capture.so is not in the container", "evdiag build"),
    ("writer-missing", facts(inside=inside(writer_exists=False, settings={
        "EVDIAG_CORE_WRITER": "/mine"})), "capture", "fail", "/mine is not in the container",
     "evdiag build"),
    ("child-without", facts(inside=inside(modules=(process(name="a:A", preload=""),
                                                   process(name="b:B", preload=None)))),
     "capture", "warn", "it is not loaded into a:A: the kernel has to write their cores",
     "LD_PRELOAD"),
    ("all-loaded", facts(), "capture", "ok",
     "the image's own capture, in the manager and 1 processes of it", ""),
    ("not-yet", facts(inside=inside(manager=None, modules=())), "capture", "ok",
     "the image's own capture, as soon as EVerest starts", ""),
    ("unreadable", facts(inside=inside(manager=process(preload=None))), "capture", "ok",
     "the image's own capture", ""),
    ("yama-1", facts(inside=inside(ptrace_scope=1)), "ptrace", "ok", "yama.ptrace_scope is 1", ""),
    ("yama-2", facts(inside=inside(ptrace_scope=2, core_pattern=APPORT)), "ptrace", "fail",
     "the capture cannot write cores", "sysctl -w kernel.yama.ptrace_scope=1"),
    ("yama-2-file", facts(inside=inside(ptrace_scope=2)), "ptrace", "warn",
     "the capture gives up and leaves the core to the kernel", "kernel.yama.ptrace_scope=1"),
    ("yama-2-may", facts(inside=inside(ptrace_scope=2, manager=process(capabilities=1 << 19))),
     "ptrace", "ok", "EVerest has CAP_SYS_PTRACE", ""),
    ("yama-3", facts(inside=inside(ptrace_scope=3, manager=process(capabilities=1 << 19))),
     "ptrace", "warn", "yama.ptrace_scope is 3", "/etc/sysctl.d"),
    ("yama-none", facts(), "ptrace", "ok", "no Yama", ""),
]  # fmt: skip

ROWS = {
    f"{kind}-{row[0]}": row
    for kind, rows in (("kernel", KERNEL), ("either", EITHER), ("preload", PRELOADED))
    for row in rows
}


@pytest.mark.parametrize(
    ("given", "check_id", "state", "reason", "fix"),
    [row[1:] for row in ROWS.values()],
    ids=list(ROWS),
)
def test_what_a_check_says(given: Facts, check_id: str, state: str, reason: str, fix: str) -> None:
    found = check(given, check_id)

    assert (found.state, reason in found.reason) == (state, True), found.reason
    assert fix in found.fix if fix else not found.fix, found.fix


def test_nothing_speaks_against_a_healthy_charger() -> None:
    found = diagnose(facts())

    assert {one.state for one in found.checks} == {"ok", "skip"}
    assert [one.id for one in found.checks if one.state == "skip"] == ["crash-segv", "crash-abrt"]
    assert found.state == "warn"
    assert found.verdict.endswith("no test crash was made")
    assert found.subject == "the charger everest"


def test_everything_that_fails_has_a_fix() -> None:
    for _, given, *_ in ROWS.values():
        assert all(one.fix for one in diagnose(given).checks if one.failed)
