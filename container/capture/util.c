/* Time, errors, lists, and the line on stderr. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

static double limit;

double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

void set_time_limit(unsigned seconds)
{
    limit = milliseconds() + 1e3 * seconds;
}

bool time_is_up(void)
{
    return milliseconds() > limit;
}

/* Record why something failed; the first reason is the one that counts. */
void fail(struct crash *crash, const char *what, int error)
{
    if (crash->error[0])
        return;
    snprintf(crash->error, sizeof crash->error, "%s%s%s", what, error ? ": " : "",
             error ? strerror(error) : "");
}

/* Make a list longer when it is full. Without memory there is no core at all. */
void *grown(void *list, size_t count, size_t *capacity, size_t item)
{
    if (count < *capacity)
        return list;
    *capacity = *capacity ? *capacity * 2 : 64;
    list = reallocarray(list, *capacity, item);
    if (!list)
        abort();
    return list;
}

/* Write a line to stderr in one piece, unless nobody takes it. */
void say_line(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t size = (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
    line[size++] = '\n';
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 100) == 1 && (out.revents & POLLOUT) && write(STDERR_FILENO, line, size) < 0)
        return;
}
