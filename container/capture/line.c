/* Lines of text, built and written with nothing but system calls. */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "preload.h"

void add_text(struct line *line, const char *text)
{
    while (*text && line->length < sizeof line->text - 1)
        line->text[line->length++] = *text++;
    line->text[line->length] = '\0';
}

/* Add a number with at least so many digits. */
void add_number(struct line *line, uint64_t number, unsigned base, unsigned digits)
{
    char reversed[65];
    char text[66];
    unsigned count = 0;
    do {
        reversed[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number || count < digits);
    for (unsigned i = 0; i < count; i++)
        text[i] = reversed[count - 1 - i];
    text[count] = '\0';
    add_text(line, text);
}

/* Write the line to stderr, unless nobody takes it: a crash must not wait for a full pipe. */
void say(struct line *line)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    struct timespec none = {0};
    add_text(line, "\n");
    line->text[line->length - 1] = '\n';
    if (syscall(SYS_ppoll, &out, 1, &none, NULL, 0) == 1 && (out.revents & POLLOUT))
        syscall(SYS_write, STDERR_FILENO, line->text, line->length);
}
