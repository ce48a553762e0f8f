"""Which system calls a thread may sleep in: their numbers, and what the sleep means in words."""

from evdiag.model.machine import AARCH64, X86_64

FUTEX = "futex"
RESTART = "restart_syscall"
"""Continues a call that a stop has interrupted; which one, the kernel alone knows."""

SLEEPS = {
    FUTEX: "waiting on a futex",
    "futex_wait": "waiting on a futex",
    "futex_waitv": "waiting on several futexes",
    "epoll_wait": "waiting for events (epoll)",
    "epoll_pwait": "waiting for events (epoll)",
    "epoll_pwait2": "waiting for events (epoll)",
    "poll": "waiting for events (poll)",
    "ppoll": "waiting for events (poll)",
    "select": "waiting for events (select)",
    "pselect6": "waiting for events (select)",
    "io_getevents": "waiting for events (aio)",
    "io_pgetevents": "waiting for events (aio)",
    "io_uring_enter": "waiting for events (io_uring)",
    "nanosleep": "sleeping",
    "clock_nanosleep": "sleeping",
    "read": "reading",
    "readv": "reading",
    "pread64": "reading",
    "preadv": "reading",
    "preadv2": "reading",
    "write": "writing",
    "writev": "writing",
    "pwrite64": "writing",
    "pwritev": "writing",
    "pwritev2": "writing",
    "sendfile": "writing",
    "splice": "writing",
    "fsync": "writing",
    "fdatasync": "writing",
    "accept": "accepting a connection",
    "accept4": "accepting a connection",
    "connect": "connecting",
    "recvfrom": "receiving",
    "recvmsg": "receiving",
    "recvmmsg": "receiving",
    "sendto": "sending",
    "sendmsg": "sending",
    "sendmmsg": "sending",
    "wait4": "waiting for a child process",
    "waitid": "waiting for a child process",
    "pause": "waiting for a signal",
    "rt_sigsuspend": "waiting for a signal",
    "rt_sigtimedwait": "waiting for a signal",
    "flock": "waiting for a file lock",
    "semop": "waiting for a semaphore",
    "semtimedop": "waiting for a semaphore",
    "mq_timedreceive": "receiving",
    "mq_timedsend": "sending",
    "msgrcv": "receiving",
    "msgsnd": "sending",
    "ioctl": "in ioctl",
    "fcntl": "in fcntl",
    "open": "opening a file",
    "openat": "opening a file",
    "vfork": "waiting for a child process",
    RESTART: "in an interrupted system call",
}
"""What a thread does that sleeps in a system call, by the call's name."""

_NUMBERS: dict[str, str] = {
    X86_64.name: """
        0 read, 1 write, 2 open, 7 poll, 16 ioctl, 17 pread64, 18 pwrite64, 19 readv, 20 writev,
        23 select, 34 pause, 35 nanosleep, 40 sendfile, 42 connect, 43 accept, 44 sendto,
        45 recvfrom, 46 sendmsg, 47 recvmsg, 58 vfork, 61 wait4, 65 semop, 69 msgsnd, 70 msgrcv,
        72 fcntl, 73 flock, 74 fsync, 75 fdatasync, 128 rt_sigtimedwait, 130 rt_sigsuspend,
        202 futex, 208 io_getevents, 219 restart_syscall, 220 semtimedop, 230 clock_nanosleep,
        232 epoll_wait, 242 mq_timedsend, 243 mq_timedreceive, 247 waitid, 257 openat,
        270 pselect6, 271 ppoll, 275 splice, 281 epoll_pwait, 288 accept4, 295 preadv, 296 pwritev,
        299 recvmmsg, 307 sendmmsg, 327 preadv2, 328 pwritev2, 333 io_pgetevents,
        426 io_uring_enter, 441 epoll_pwait2, 449 futex_waitv, 455 futex_wait
    """,
    AARCH64.name: """
        4 io_getevents, 22 epoll_pwait, 25 fcntl, 29 ioctl, 32 flock, 56 openat, 63 read, 64 write,
        65 readv, 66 writev, 67 pread64, 68 pwrite64, 69 preadv, 70 pwritev, 71 sendfile,
        72 pselect6, 73 ppoll, 76 splice, 82 fsync, 83 fdatasync, 95 waitid, 98 futex,
        101 nanosleep, 115 clock_nanosleep, 128 restart_syscall, 133 rt_sigsuspend,
        137 rt_sigtimedwait, 182 mq_timedsend, 183 mq_timedreceive, 188 msgrcv, 189 msgsnd,
        192 semtimedop, 193 semop, 202 accept, 203 connect, 206 sendto, 207 recvfrom, 211 sendmsg,
        212 recvmsg, 242 accept4, 243 recvmmsg, 260 wait4, 269 sendmmsg, 286 preadv2, 287 pwritev2,
        292 io_pgetevents, 426 io_uring_enter, 441 epoll_pwait2, 449 futex_waitv, 455 futex_wait
    """,
}
"""From arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux."""


def _table(text: str) -> dict[int, str]:
    rows = (row.split() for row in text.split(","))
    return {int(number): name for number, name in rows}


NAMES: dict[str, dict[int, str]] = {machine: _table(text) for machine, text in _NUMBERS.items()}
"""The names of the calls of each machine by their numbers."""


def doing(name: str | None, number: int) -> str:
    """What a thread does that sleeps in this call, in words."""
    return SLEEPS.get(name or "", f"in system call {number}")
