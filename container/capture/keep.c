/* How many cores are kept, and which ones go.
 *
 * The oldest goes first, but not the first of the series of crashes that goes on: what follows it
 * is often its consequence. README.md has the rules in full. */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "writer.h"

enum {
    SERIES_SECONDS = 600,  /* crashes closer to each other than this belong together */
    SIDECARS_MAX = 100,    /* of crashes without a core */
    ENTRIES_MAX = 100000   /* more files than this are not looked at */
};

struct entry {
    char *name;
    uint64_t time;
    struct timespec modified;
    uint64_t bytes; /* on disk */
    bool core;      /* else a .json alone */
    bool fixed;     /* being written by another one */
};

struct entries {
    struct entry *list;
    size_t count;
    size_t capacity;
    uint64_t cores;
    uint64_t bytes;
    uint64_t sidecars;
};

/* Step back over digits; null unless there are some, with a dot before them. */
static const char *number_before(const char *start, const char *end)
{
    const char *at = end;
    while (at > start && isdigit((unsigned char)at[-1]))
        at--;
    return at < end && end - at <= 18 && at > start && at[-1] == '.' ? at : NULL;
}

/* core.<comm>.<pid>.<time>, with .json at its end or without. */
bool is_core_name(const char *name, bool sidecar, uint64_t *time)
{
    const char *end = name + strlen(name);
    if (strncmp(name, "core.", 5))
        return false;
    if (sidecar) {
        if (end - name < 5 || strcmp(end - 5, ".json"))
            return false;
        end -= 5;
    }
    const char *seconds = number_before(name, end);
    const char *pid = seconds ? number_before(name, seconds - 1) : NULL;
    if (!pid || pid - 1 <= name + 5)
        return false;
    *time = strtoull(seconds, NULL, 10);
    return true;
}

/* A regular file that this process may remove: nobody else's can use up what we may keep. */
static bool is_our_file(int directory, const char *name, struct stat *status)
{
    return fstatat(directory, name, status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status->st_mode) && (geteuid() == 0 || status->st_uid == geteuid());
}

/* Remove the unfinished file of a writer that has died. True if it is still being written. */
static bool is_being_written(int directory, const char *name)
{
    struct stat status;
    if (!is_our_file(directory, name, &status))
        return false;
    int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return false;
    bool alive = flock(file, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
    if (!alive)
        unlinkat(directory, name, 0);
    close(file);
    return alive;
}

static bool is_part_name(const char *name)
{
    size_t length = strlen(name);
    return strncmp(name, ".core.", 6) == 0 && length > 11 && !strcmp(name + length - 5, ".part");
}

static void add_entry(struct entries *entries, struct entry entry, const char *name)
{
    entry.name = strdup(name);
    if (!entry.name)
        abort();
    entries->list =
        grown(entries->list, entries->count, &entries->capacity, sizeof *entries->list);
    entries->list[entries->count++] = entry;
    entries->cores += entry.core;
    entries->sidecars += !entry.core;
    entries->bytes += entry.bytes;
}

static void consider(struct entries *entries, int directory, const char *name)
{
    struct stat status, other;
    struct entry entry = {0};
    char json[300];
    if (is_part_name(name)) {
        entry.core = entry.fixed = is_being_written(directory, name);
        if (!entry.core || !is_our_file(directory, name, &status))
            return;
    } else if (is_core_name(name, false, &entry.time)) {
        entry.core = true;
        if (!is_our_file(directory, name, &status))
            return;
        snprintf(json, sizeof json, "%s.json", name);
        if (is_our_file(directory, json, &other))
            entry.bytes = (uint64_t)other.st_blocks * 512;
    } else if (is_core_name(name, true, &entry.time)) {
        snprintf(json, sizeof json, "%.*s", (int)strlen(name) - 5, name);
        if (!is_our_file(directory, name, &status) || is_our_file(directory, json, &other))
            return;
    } else {
        return;
    }
    entry.bytes += (uint64_t)status.st_blocks * 512;
    entry.modified = status.st_mtim;
    add_entry(entries, entry, name);
}

static int by_time(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->modified.tv_sec != b->modified.tv_sec)
        return a->modified.tv_sec < b->modified.tv_sec ? -1 : 1;
    return (a->modified.tv_nsec > b->modified.tv_nsec) -
           (a->modified.tv_nsec < b->modified.tv_nsec);
}

static void read_entries(struct entries *entries, int directory)
{
    int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = again < 0 ? NULL : fdopendir(again);
    struct dirent *file;
    while (stream && entries->count < ENTRIES_MAX && (file = readdir(stream)))
        consider(entries, directory, file->d_name);
    if (stream)
        closedir(stream);
    if (entries->count)
        qsort(entries->list, entries->count, sizeof *entries->list, by_time);
}

/* The first core of the series that a crash at this time continues; null if it starts one. */
static struct entry *first_of_series(const struct entries *entries, uint64_t time)
{
    struct entry *first = NULL;
    for (size_t i = entries->count; i-- > 0;) {
        struct entry *entry = &entries->list[i];
        if (!entry->core || entry->fixed)
            continue;
        if (entry->time + SERIES_SECONDS < time)
            break;
        first = entry;
        time = entry->time;
    }
    return first;
}

static void remove_entry(struct entries *entries, struct entry *entry, int directory,
                         struct removed *removed)
{
    char json[300];
    if (unlinkat(directory, entry->name, 0))
        return;
    entries->bytes -= entry->bytes;
    if (!entry->core) {
        entries->sidecars--;
        return;
    }
    entries->cores--;
    snprintf(json, sizeof json, "%s.json", entry->name);
    unlinkat(directory, json, 0);
    removed->names =
        grown(removed->names, removed->count, &removed->capacity, sizeof *removed->names);
    removed->names[removed->count++] = entry->name;
}

/* Remove what has to go for one more core of this size. Returns the bytes that it may have. */
uint64_t make_room(const struct crash *crash, int directory, uint64_t estimate,
                   struct removed *removed)
{
    struct entries entries = {0};
    read_entries(&entries, directory);
    const uint64_t most = crash->bytes_max;
    /* A core that cannot fit anyway does not push out all the others. */
    estimate += sidecar_size(crash);
    if (estimate > most)
        estimate = most / 2;
    struct entry *first = first_of_series(&entries, (uint64_t)crash->time.tv_sec);
    /* With room for one only, that is the newest; and half of the bytes are for what is new. */
    if (first && (crash->cores_max < 2 || first->bytes > most / 2))
        first = NULL;
    for (size_t i = 0; i < entries.count; i++) {
        struct entry *entry = &entries.list[i];
        bool full = entries.cores >= crash->cores_max ||
                    entries.bytes > most || estimate > most - entries.bytes;
        if (entry->fixed || entry == first)
            continue;
        if (entry->core ? full : entries.sidecars >= SIDECARS_MAX)
            remove_entry(&entries, entry, directory, removed);
    }
    free(entries.list);
    entries.bytes += sidecar_size(crash);
    return entries.bytes < most ? most - entries.bytes : 0;
}
