/* Buffered output at a position of a file. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

void sink_open(struct sink *sink, int file, uint64_t position)
{
    sink->file = file;
    sink->position = position;
    sink->used = 0;
    sink->error = 0;
}

bool sink_flush(struct sink *sink)
{
    size_t done = 0;
    while (!sink->error && done < sink->used) {
        ssize_t put = pwrite(sink->file, sink->buffer + done, sink->used - done,
                             (off_t)(sink->position + done));
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            sink->error = put ? errno : ENOSPC;
    }
    sink->position += done;
    sink->used = 0;
    return !sink->error;
}

void sink_put(struct sink *sink, const void *data, size_t size)
{
    const char *from = data;
    while (size && !sink->error) {
        size_t part = sizeof sink->buffer - sink->used;
        part = part < size ? part : size;
        memcpy(sink->buffer + sink->used, from, part);
        sink->used += part;
        from += part;
        size -= part;
        if (sink->used == sizeof sink->buffer)
            sink_flush(sink);
    }
}
