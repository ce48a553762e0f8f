/* What /proc knows about the crashed process. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "utf8.h"
#include "writer.h"

/* More of a command line than this is cut off. */
enum { ARGUMENTS_LIMIT = 128 * 1024 };

/* Everything is read by the crashing thread's id, as the main thread may have ended: its own
 * directory in /proc is empty then. /proc/TID exists for every thread, though it is not listed. */
static int open_proc(pid_t tid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Read a file of a thread, ended with a zero byte. Null when it cannot be read. */
char *read_proc(pid_t tid, const char *name, size_t limit, size_t *size)
{
    int file = open_proc(tid, name);
    if (file < 0)
        return NULL;
    char *text = malloc(limit + 1);
    size_t used = 0;
    ssize_t got = 0;
    while (text && used < limit && (got = read(file, text + used, limit - used)) > 0)
        used += (size_t)got;
    close(file);
    if (text)
        text[used] = '\0';
    *size = used;
    return text;
}

static void read_comm(pid_t tid, char *comm)
{
    size_t size;
    char *text = read_proc(tid, "comm", COMM_SIZE, &size);
    if (text)
        text[strcspn(text, "\n")] = '\0';
    snprintf(comm, COMM_SIZE, "%s", text ? text : "");
    free(text);
}

/* Replace what has a meaning in a path or on a terminal. */
static void make_safe(const char *comm, char *safe)
{
    size_t at = 0;
    while (comm[at]) {
        const unsigned char *text = (const unsigned char *)comm + at;
        size_t length = utf8_length(text);
        /* Two bytes 0xc2 0x80 to 0xc2 0x9f are control characters too. */
        bool control = text[0] <= ' ' || text[0] == 127 || (text[0] == 0xc2 && text[1] < 0xa0);
        bool replaced = !length || control || text[0] == '/';
        length = length ? length : 1;
        memset(safe + at, '_', length);
        if (!replaced)
            memcpy(safe + at, text, length);
        at += length;
    }
    safe[at] = '\0';
    if (!at)
        memcpy(safe, "_", 2);
}

/* proc(5): the fields after the name, which may contain anything, spaces and parentheses too. */
static void read_stat(struct crash *crash)
{
    size_t size;
    unsigned long long start = 0;
    int parent = 0, group = 0, session = 0;
    long threads = 0;
    char *text = read_proc(crash->tid, "stat", 4096, &size);
    char *fields = text ? strrchr(text, ')') : NULL;
    if (fields && sscanf(fields, ") %*c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                                 "%*d %ld %*d %llu",
                         &parent, &group, &session, &threads, &start) == 5) {
        crash->parent = parent;
        crash->group = group;
        crash->session = session;
        crash->threads = (size_t)threads;
    }
    free(text);
    /* The start is given in ticks since the machine was booted. */
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long long ticks = sysconf(_SC_CLK_TCK);
    long long age = (long long)boot.tv_sec * 1000 + boot.tv_nsec / 1000000 -
                    (long long)start * 1000 / (ticks > 0 ? ticks : 100);
    long long started = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 - age;
    crash->started.tv_sec = start ? (time_t)(started / 1000) : 0;
    crash->started.tv_nsec = start ? (long)(started % 1000) * 1000000 : 0;
}

void read_process(struct crash *crash)
{
    char path[64];
    read_comm(crash->pid, crash->comm);
    read_comm(crash->tid, crash->thread);
    make_safe(crash->comm, crash->safe_comm);
    snprintf(path, sizeof path, "/proc/%d/exe", crash->tid);
    ssize_t length = readlink(path, crash->executable, sizeof crash->executable - 1);
    crash->executable[length > 0 ? length : 0] = '\0';
    crash->arguments =
        read_proc(crash->tid, "cmdline", ARGUMENTS_LIMIT, &crash->arguments_size);
    read_stat(crash);
}
