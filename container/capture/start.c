/* Starting core-writer from the handler, and waiting for it, but not for ever. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "preload.h"

/* One thread captures at a time, so all of this may be static: stacks are short. */
static char helper_stack[16 * 1024] __attribute__((aligned(16)));
static char writer_stack[16 * 1024] __attribute__((aligned(16)));
static struct line numbers[ARG_COUNT];
static char *arguments[ARG_COUNT + 1];
static char *environment[] = {NULL};
static int child_error;

/* How the helper ends, if not like core-writer. */
enum { WAS_KILLED = 100, TOOK_TOO_LONG, EXEC_FAILED };

static void set_number(enum writer_argument which, uint64_t number, unsigned base)
{
    numbers[which].length = 0;
    add_number(&numbers[which], number, base, 1);
    arguments[which] = numbers[which].text;
}

static void set_siginfo(const siginfo_t *info)
{
    const unsigned char *bytes = (const unsigned char *)info;
    numbers[ARG_SIGINFO].length = 0;
    for (size_t i = 0; i < sizeof *info; i++)
        add_number(&numbers[ARG_SIGINFO], bytes[i], 16, 2);
    arguments[ARG_SIGINFO] = numbers[ARG_SIGINFO].text;
}

static void set_arguments(int tid, const siginfo_t *info, const void *context)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    arguments[ARG_WRITER] = config.writer;
    arguments[ARG_DIRECTORY] = config.directory;
    set_number(ARG_PID, (uint64_t)syscall(SYS_getpid), 10);
    set_number(ARG_TID, (uint64_t)tid, 10);
    set_siginfo(info);
    set_number(ARG_UCONTEXT, (uint64_t)(uintptr_t)context, 16);
    set_number(ARG_TIME, (uint64_t)now.tv_sec, 10);
    add_text(&numbers[ARG_TIME], ".");
    add_number(&numbers[ARG_TIME], (uint64_t)now.tv_nsec, 10, 9);
    set_number(ARG_DUMPABLE, (uint64_t)prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 10);
    arguments[ARG_CORES_MAX] = config.cores_max;
    arguments[ARG_BYTES_MAX] = config.bytes_max;
    arguments[ARG_SECONDS] = config.seconds;
}

/* Becomes core-writer. It shares the memory of the helper, which stands still meanwhile. Signals
 * stay blocked until core-writer lets them in: a handler of the program must not run here. */
static int run_writer(void *unused)
{
    (void)unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    syscall(SYS_execve, config.writer, arguments, environment);
    child_error = errno;
    syscall(SYS_exit_group, EXEC_FAILED);
    return EXEC_FAILED;
}

/* Wait until a child has ended. False if it has not within so many seconds. errno is not looked
 * at: the helper and the crashed thread share it, as they share all their memory. */
static bool await_child(pid_t child, unsigned seconds, int *status)
{
    struct timespec now, end;
    /* Without a descriptor (the process may have used up all) it is asked every millisecond. */
    int handle = (int)syscall(SYS_pidfd_open, child, 0);
    bool ended = false;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds;
    for (;;) {
        /* __WALL: a child that does not send SIGCHLD is not seen otherwise (wait(2)). */
        ended = syscall(SYS_wait4, child, status, __WALL | WNOHANG, NULL) != 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (ended || now.tv_sec > end.tv_sec)
            break;
        struct pollfd event = {.fd = handle, .events = POLLIN};
        struct timespec step = {.tv_nsec = handle < 0 ? 1000000 : 200000000};
        syscall(SYS_ppoll, &event, handle < 0 ? 0 : 1, &step, NULL, 0);
    }
    if (handle >= 0)
        syscall(SYS_close, handle);
    return ended;
}

/* Stands between the program and core-writer: execve makes every process one that sends SIGCHLD
 * when it ends (fs/exec.c of Linux), whatever clone was told. The program would see it, or, if it
 * ignores SIGCHLD, its status would be lost. The helper executes nothing, so it is never seen;
 * it shares the memory, but not the table of signal handlers. */
static int run_helper(void *unused)
{
    (void)unused;
    struct sigaction action;
    int status = EXEC_FAILED << 8;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    real_sigaction()(SIGCHLD, &action, NULL);
    pid_t writer = clone(run_writer, writer_stack + sizeof writer_stack,
                         CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    if (writer < 0) {
        child_error = errno;
    } else if (!await_child(writer, config.deadline, &status)) {
        syscall(SYS_kill, writer, SIGKILL);
        status = TOOK_TOO_LONG << 8;
    }
    syscall(SYS_exit_group, WIFEXITED(status) ? WEXITSTATUS(status) : WAS_KILLED);
    return 0;
}

static const char *error_text(int error)
{
    switch (error) {
    case ENOENT:
        return "No such file or directory";
    case EACCES:
        return "Permission denied";
    case EPERM:
        return "Operation not permitted";
    case ENOEXEC:
        return "Exec format error";
    case EAGAIN:
        return "Resource temporarily unavailable (too many processes)";
    case ENOMEM:
        return "Cannot allocate memory";
    default:
        return NULL;
    }
}

/* The name of the process, with what might disturb a terminal replaced. */
static void add_name(struct line *line)
{
    char name[17] = "";
    int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/comm", O_RDONLY | O_CLOEXEC, 0);
    long count = file < 0 ? 0 : syscall(SYS_read, file, name, sizeof name - 1);
    if (file >= 0)
        syscall(SYS_close, file);
    if (count <= 0)
        prctl(PR_GET_NAME, name, 0, 0, 0);
    for (char *at = name; *at; at++) {
        if (*at == '\n')
            *at = '\0';
        else if ((unsigned char)*at <= ' ' || *at == 127 || *at == '/')
            *at = '_';
        if (!*at)
            break;
    }
    add_text(line, name);
}

/* Say why core-writer has not been able to say anything itself. */
static void complain(int sig, int error, const char *problem)
{
    static struct line line;
    line.length = 0;
    add_text(&line, "evdiag capture: no core of ");
    add_number(&line, (uint64_t)syscall(SYS_getpid), 10, 1);
    add_text(&line, " ");
    add_name(&line);
    add_text(&line, " (signal ");
    add_number(&line, (uint64_t)sig, 10, 1);
    add_text(&line, "): ");
    add_text(&line, config.writer);
    add_text(&line, ": ");
    if (problem) {
        add_text(&line, problem);
    } else if (error_text(error)) {
        add_text(&line, error_text(error));
    } else {
        add_text(&line, "error ");
        add_number(&line, (uint64_t)error, 10, 1);
    }
    say(&line);
}

/* True if core-writer has written everything; else say why, if it has not done so itself. */
static bool judge(int sig, int result)
{
    switch (result) {
    case WROTE_ALL:
        return true;
    case WROTE_PART:
    case WROTE_NOTHING:
        break;
    case EXEC_FAILED:
        complain(sig, child_error, NULL);
        break;
    case TOOK_TOO_LONG:
        complain(sig, 0, "took too long and was stopped");
        break;
    case WAS_KILLED:
        complain(sig, 0, "was killed");
        break;
    default:
        complain(sig, 0, "is not evdiag's core-writer, or was called wrongly");
    }
    return false;
}

/* Have a core written. True if it is complete. */
bool write_core(int tid, const siginfo_t *info, const void *context)
{
    int status = WAS_KILLED << 8;
    child_error = 0;
    set_arguments(tid, info, context);
    /* Yama lets only ancestors trace a process, and this is a descendant of it (prctl(2)). */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    /* Not fork: that calls handlers of the program, takes malloc's locks and copies the page
     * tables. Exit signal 0: the program must not see a child that it did not start. Not
     * CLONE_VFORK: a thread that waits for that cannot be stopped with ptrace. */
    pid_t helper = clone(run_helper, helper_stack + sizeof helper_stack, CLONE_VM, NULL);
    if (helper < 0) {
        complain(info->si_signo, errno, NULL);
        return false;
    }
    if (!await_child(helper, config.deadline + GRACE_SECONDS, &status)) {
        syscall(SYS_kill, helper, SIGKILL); /* takes core-writer with it */
        await_child(helper, 1, &status);
        status = TOOK_TOO_LONG << 8;
    }
    prctl(PR_SET_PTRACER, 0, 0, 0, 0);
    return judge(info->si_signo, WIFEXITED(status) ? WEXITSTATUS(status) : WAS_KILLED);
}
