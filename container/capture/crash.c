/* The handler of the fatal signals: has a core written, then lets the process die as it would have
 * died without us.
 *
 * It runs with a heap, locks and stacks in any state: system calls only, no malloc, no locks. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "capture.h"
#include "preload.h"

/* The process and thread that captures, 0 if none does. The process belongs to it because memory
 * is inherited by fork and shared by vfork: an entry of another process says nothing. */
static _Atomic uint64_t owner;

static uint64_t process_of(uint64_t entry)
{
    return entry >> 32;
}

bool crash_in_progress(void)
{
    uint64_t entry = atomic_load(&owner);
    return entry && process_of(entry) == (uint64_t)syscall(SYS_getpid);
}

/* Become the thread that captures. False if another one is, or if this one was already. */
static bool claim(uint64_t me)
{
    uint64_t entry = atomic_load(&owner);
    while (!entry || process_of(entry) != process_of(me))
        if (atomic_compare_exchange_weak(&owner, &entry, me))
            return true;
    return false;
}

/* Block everything, also what the C library keeps for itself: a cancellation that is acted on
 * here would unwind the thread out of the handler. */
static void block_signals(void)
{
    uint64_t all = ~UINT64_C(0);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
}

/* Another thread has crashed first, and ends the process when its core is written. */
static void await_the_end(void)
{
    struct timespec end, now, step = {.tv_nsec = 100000000};
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)config.deadline + 2 * GRACE_SECONDS; /* longer than that one waits */
    do {
        struct timespec rest = step;
        syscall(SYS_ppoll, NULL, 0, &rest, NULL, 0);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
}

/* There is a complete core: the kernel shall not write a second one. */
static void forbid_kernel_core(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
}

/* Arrange for the signal to kill the process as soon as the handler returns.
 *
 * It is sent anew with the same siginfo instead of waiting for the instruction to fault again: a
 * breakpoint or a forbidden system call does not, nor does an access that another thread has made
 * valid since. The kernel delivers it before an instruction runs, so its own core, if it writes
 * one, has the registers of the crash. */
static void die(int sig, const siginfo_t *info, void *context)
{
    struct sigaction action;
    siginfo_t copy = *info;
    pid_t pid = (pid_t)syscall(SYS_getpid);
    pid_t tid = (pid_t)syscall(SYS_gettid);
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    real_sigaction()(sig, &action, NULL);
    if (pid == 1 && (sig == SIGTRAP || sig == SIGSYS) && info->si_code > 0)
        __builtin_trap(); /* see ignored_by_init: and these two would not happen again */
    if (syscall(SYS_rt_tgsigqueueinfo, pid, tid, sig, &copy))
        syscall(SYS_tgkill, pid, tid, sig);
    /* Only this signal may come through. The mask in force until now may even block it, if
     * sigsuspend let it in. The kernel's mask has 64 bits; what follows it is something else. */
    uint64_t others = ~(UINT64_C(1) << (sig - 1));
    memcpy(&((ucontext_t *)context)->uc_sigmask, &others, sizeof others);
}

/* PID 1 of a container is not killed by signals that are sent to it (pid_namespaces(7)): only by
 * a fault of its own. */
static bool ignored_by_init(const siginfo_t *info)
{
    bool own = info->si_code == SI_TKILL && info->si_pid == 1; /* abort() goes on to a fault */
    return syscall(SYS_getpid) == 1 && info->si_code <= 0 && !own;
}

void handle_crash(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    block_signals();
    uint64_t tid = (uint64_t)syscall(SYS_gettid);
    uint64_t me = (uint64_t)syscall(SYS_getpid) << 32 | tid;
    if (ignored_by_init(info)) {
        errno = saved;
        return;
    }
    if (claim(me)) {
        if (write_core((int)tid, info, context))
            forbid_kernel_core();
    } else if (atomic_load(&owner) != me) {
        await_the_end();
    }
    die(sig, info, context);
    errno = saved;
}
