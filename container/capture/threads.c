/* Stopping all threads of the crashed process, the crashing one first. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "writer.h"

/* One bit for every thread id that can be (PID_MAX_LIMIT of Linux is 2^22): no search however many
 * threads there are. Pages of it that are not used take no memory. */
enum { TID_LIMIT = 1 << 22 };
static unsigned char known[TID_LIMIT / 8];

/* A thread that does not stop in this time hangs in the kernel, or waits for a vfork. */
static const double STOP_MS = 2000;

static bool add_known(pid_t tid)
{
    if (tid <= 0 || tid >= TID_LIMIT)
        return false;
    unsigned char bit = (unsigned char)(1u << (tid % 8));
    if (known[tid / 8] & bit)
        return false;
    known[tid / 8] |= bit;
    return true;
}

/* Take hold of a thread. It fails for threads that are ending: they are left out. */
static bool seize(struct threads *threads, pid_t tid)
{
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
        return false;
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    threads->list =
        grown(threads->list, threads->count, &threads->capacity, sizeof *threads->list);
    threads->list[threads->count++] = (struct thread){.tid = tid};
    return true;
}

/* Wait until the threads from a number on have stopped, or the time is up. */
static void await_stops(struct threads *threads, size_t from, double end)
{
    struct timespec pause = {.tv_nsec = 50000};
    for (size_t i = from; i < threads->count; i++) {
        struct thread *thread = &threads->list[i];
        for (;;) {
            int status;
            pid_t got = waitpid(thread->tid, &status, __WALL | WNOHANG);
            if (got == thread->tid) {
                thread->stopped = WIFSTOPPED(status);
                thread->gone = !thread->stopped;
                break;
            }
            if (got < 0 && errno != EINTR) {
                thread->gone = true;
                break;
            }
            if (milliseconds() > end)
                break;
            nanosleep(&pause, NULL);
        }
    }
}

/* Seize threads that are not known yet. */
static void seize_new(struct threads *threads, DIR *tasks)
{
    struct dirent *entry;
    rewinddir(tasks);
    while ((entry = readdir(tasks))) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (add_known(tid))
            seize(threads, tid);
    }
}

/* Say why the kernel does not let us trace the process, as far as it can be known. */
static void explain(struct crash *crash, int error)
{
    size_t size;
    char *status = read_proc(crash->tid, "status", 8192, &size);
    char *field = status ? strstr(status, "\nTracerPid:") : NULL;
    long tracer = field ? strtol(field + strlen("\nTracerPid:"), NULL, 10) : 0;
    free(status);
    if (tracer > 0)
        snprintf(crash->error, sizeof crash->error,
                 "process %ld, a debugger or tracer, is attached already", tracer);
    else if (error == EPERM)
        fail(crash, "ptrace is not permitted (seccomp profile, AppArmor, Yama or capabilities)", 0);
    else
        fail(crash, "ptrace", error);
}

/* Stop all threads; those that are started meanwhile are found by looking again. */
bool stop_threads(struct crash *crash, struct threads *threads)
{
    char path[64];
    double begin = milliseconds();
    size_t before, stuck = 0;
    add_known(crash->tid);
    if (!seize(threads, crash->tid)) {
        explain(crash, errno);
        return false;
    }
    snprintf(path, sizeof path, "/proc/%d/task", crash->tid);
    DIR *tasks = opendir(path);
    await_stops(threads, 0, begin + STOP_MS);
    do {
        before = threads->count;
        if (tasks)
            seize_new(threads, tasks);
        await_stops(threads, before, begin + STOP_MS);
    } while (threads->count > before && milliseconds() < begin + STOP_MS);
    if (tasks)
        closedir(tasks);
    crash->stop_ms = milliseconds() - begin;
    crash->threads = 0;
    for (size_t i = 0; i < threads->count; i++) {
        crash->threads += !threads->list[i].gone;
        stuck += !threads->list[i].gone && !threads->list[i].stopped;
    }
    if (!threads->list[0].stopped) {
        fail(crash, "the crashed thread has gone", 0);
        return false;
    }
    if (stuck)
        snprintf(crash->error, sizeof crash->error,
                 "%zu of %zu threads did not stop: their registers are missing", stuck,
                 crash->threads);
    return true;
}
