/* What the crashed process hands down is undone: descriptors, signals, limits. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture.h"
#include "writer.h"

/* Descriptors 0 to 2 are open afterwards, and no others: a core must not become "stderr". */
static void set_up_descriptors(void)
{
    if (syscall(SYS_close_range, 3u, ~0u, 0u)) {
        /* Kernels before 5.9 */
        long count = sysconf(_SC_OPEN_MAX);
        for (int i = 3; i < count && i < 65536; i++)
            close(i);
    }
    for (int i = 0; i < 3; i++) {
        if (fcntl(i, F_GETFD) >= 0)
            continue;
        if (open("/dev/null", O_RDWR) < 0 && open("/", O_RDONLY) < 0)
            _exit(WROTE_NOTHING);
    }
}

/* Nothing that is sent to the process group may end the dump halfway: whoever stops a service
 * has a deadline of its own, and SIGKILL. Writing to a closed pipe or beyond a limit is an error
 * to be handled. */
static void set_up_signals(void)
{
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE, SIGALRM,
                                  SIGXFSZ, SIGTSTP, SIGTTOU, SIGUSR1, SIGUSR2};
    sigset_t none;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_up_limits(void)
{
    static const int limits[] = {RLIMIT_FSIZE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_CPU, RLIMIT_NOFILE};
    struct rlimit limit;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (getrlimit((__rlimit_resource_t)limits[i], &limit))
            continue;
        limit.rlim_cur = limit.rlim_max;
        setrlimit((__rlimit_resource_t)limits[i], &limit);
    }
    limit.rlim_cur = limit.rlim_max = 0; /* a crash of our own leaves no core */
    setrlimit(RLIMIT_CORE, &limit);
}

void prepare_process(void)
{
    set_up_descriptors();
    set_up_signals();
    set_up_limits();
    if (chdir("/"))
        return;
}

/* End this process for certain: it holds the crashed one, which waits. A timer may send SIGKILL,
 * which works even if this process has been stopped. */
static void set_last_resort(unsigned seconds)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec after = {.it_value.tv_sec = (time_t)seconds};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
        timer_settime(timer, 0, &after, NULL);
}

static bool read_number(const char *text, unsigned base, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, (int)base);
    if (errno || end == text || *end || *text == '-')
        return false;
    *number = value;
    return true;
}

static bool read_siginfo(const char *text, siginfo_t *info)
{
    unsigned char *bytes = (unsigned char *)info;
    if (strlen(text) != 2 * sizeof *info)
        return false;
    for (size_t i = 0; i < sizeof *info; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        uint64_t value;
        if (!read_number(pair, 16, &value))
            return false;
        bytes[i] = (unsigned char)value;
    }
    return true;
}

/* A limit that cannot be read is replaced, and that is said: the core matters more. */
static uint64_t read_limit(const char *name, const char *text, const char *otherwise)
{
    uint64_t number = 0;
    if (read_number(text, 10, &number))
        return number;
    say_line("evdiag capture: %s is not a number, %s is used", name, otherwise);
    read_number(otherwise, 10, &number);
    return number;
}

static bool read_time(const char *text, struct timespec *time)
{
    long long seconds;
    long nanoseconds;
    if (sscanf(text, "%lld.%ld", &seconds, &nanoseconds) != 2)
        return false;
    time->tv_sec = (time_t)seconds;
    time->tv_nsec = nanoseconds;
    return true;
}

bool read_arguments(int argc, char **argv, struct crash *crash)
{
    uint64_t pid, tid, dumpable, seconds;
    if (argc != ARG_COUNT || !read_number(argv[ARG_PID], 10, &pid) ||
        !read_number(argv[ARG_TID], 10, &tid) || !read_siginfo(argv[ARG_SIGINFO], &crash->info) ||
        !read_number(argv[ARG_UCONTEXT], 16, &crash->ucontext) ||
        !read_time(argv[ARG_TIME], &crash->time) ||
        !read_number(argv[ARG_DUMPABLE], 10, &dumpable))
        return false;
    crash->directory = argv[ARG_DIRECTORY];
    crash->pid = (pid_t)pid;
    crash->tid = (pid_t)tid;
    crash->dumpable = (int)dumpable;
    crash->cores_max = read_limit("EVDIAG_CORES_MAX", argv[ARG_CORES_MAX], DEFAULT_CORES_MAX);
    crash->bytes_max = read_limit("EVDIAG_CORES_MAX_BYTES", argv[ARG_BYTES_MAX], DEFAULT_BYTES_MAX);
    seconds = read_limit("EVDIAG_CAPTURE_SECONDS", argv[ARG_SECONDS], DEFAULT_SECONDS);
    crash->seconds = (unsigned)seconds;
    set_time_limit(crash->seconds);
    set_last_resort(crash->seconds + GRACE_SECONDS);
    return true;
}
