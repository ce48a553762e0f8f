/* Copying memory into the core: pages that hold only zeros become holes. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "writer.h"

/* Copied at once. Page sizes are 4, 16 or 64 KB. */
enum { CHUNK = 1024 * 1024, WINDOW = 16384 };
static char buffer[CHUNK];

static bool stop(struct copy *copy, const char *what, int error)
{
    copy->what = what;
    copy->error = error;
    return false;
}

static bool is_zero(const char *page, size_t size)
{
    return page[0] == 0 && memcmp(page, page + 1, size - 1) == 0;
}

/* Write bytes that lie at a position of the core. */
static bool put(struct copy *copy, const char *from, size_t size, uint64_t position)
{
    bool enough = size <= copy->budget;
    copy->end = position; /* what lies before is complete, with holes for zeros */
    if (!enough)
        size = copy->budget / copy->page * copy->page;
    while (size) {
        ssize_t written = pwrite(copy->file, from, size, (off_t)position);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return stop(copy, "writing the core", written ? errno : ENOSPC);
        from += written;
        size -= (size_t)written;
        position += (uint64_t)written;
        copy->budget -= (uint64_t)written;
        copy->end = position;
    }
    return enough || stop(copy, "EVDIAG_CORES_MAX_BYTES is reached", 0);
}

/* Write what is in the buffer, page by page and run by run, without the zeros. */
static bool put_pages(struct copy *copy, size_t size, uint64_t position)
{
    size_t at = 0;
    while (at < size) {
        size_t run = at;
        while (run < size) {
            size_t part = size - run < copy->page ? size - run : copy->page;
            if (is_zero(buffer + run, part))
                break;
            run += part;
        }
        if (run > at && !put(copy, buffer + at, run - at, position + at))
            return false;
        at = run;
        while (at < size) {
            size_t part = size - at < copy->page ? size - at : copy->page;
            if (!is_zero(buffer + at, part))
                break;
            at += part;
        }
    }
    return true;
}

/* How many bytes from here on have never been touched, and after those how many have; both up to
 * a limit. proc(5): bits 62 and 63 of an entry of pagemap mean swapped and present. A window of
 * entries is kept: address space that is only reserved may be a million times larger than that. */
static void look_ahead(struct copy *copy, uint64_t address, uint64_t limit, uint64_t *empty,
                       uint64_t *full)
{
    static uint64_t entries[WINDOW];
    size_t first = (size_t)((address - copy->window) / copy->page);
    if (address < copy->window || first >= copy->window_pages) {
        size_t pages = limit / copy->page < WINDOW ? (size_t)(limit / copy->page) : WINDOW;
        ssize_t got = pread(copy->pagemap, entries, pages * sizeof *entries,
                            (off_t)(address / copy->page * sizeof *entries));
        copy->window = address;
        copy->window_pages = got > 0 ? (size_t)got / sizeof *entries : 0;
        first = 0;
    }
    size_t i = first;
    while (i < copy->window_pages && !(entries[i] >> 62))
        i++;
    *empty = (i - first) * copy->page;
    while (i < copy->window_pages && (entries[i] >> 62))
        i++;
    *full = copy->window_pages ? (i - first) * copy->page - *empty : limit;
}

/* Read memory. process_vm_readv is twice as fast, but only /proc/PID/mem gets at pages that the
 * process itself may not read now. */
static ssize_t read_memory(const struct copy *copy, uint64_t address, size_t size)
{
    struct iovec local = {buffer, size};
    struct iovec remote = {(void *)(uintptr_t)address, size};
    ssize_t got = process_vm_readv(copy->tid, &local, 1, &remote, 1, 0);
    return got > 0 ? got : pread(copy->memory, buffer, size, (off_t)address);
}

bool copy_region(struct copy *copy, const struct region *region)
{
    uint64_t done = 0;
    while (done < region->size) {
        uint64_t size = region->size - done;
        if (time_is_up())
            return stop(copy, "it took too long (EVDIAG_CAPTURE_SECONDS)", 0);
        if (copy->pagemap >= 0 && region->anonymous) {
            uint64_t empty;
            look_ahead(copy, region->start + done, size, &empty, &size);
            done += empty;
            if (!size)
                continue;
        }
        size = size < CHUNK ? size : CHUNK;
        ssize_t got = read_memory(copy, region->start + done, size);
        /* The memory is gone: somebody has killed the process. */
        if (got == 0)
            return stop(copy, "the process was killed meanwhile", 0);
        if (got < 0) {
            /* A page that cannot be read, as beyond the end of a mapped file. */
            done += copy->page;
            continue;
        }
        if (!put_pages(copy, (size_t)got, region->position + done))
            return false;
        done += (uint64_t)got;
    }
    /* Holes at the end belong to what the core has. */
    copy->end = region->position + region->size;
    return true;
}
