/* Which parts of the memory go into the core: vma_dump_size() of the kernel (fs/coredump.c),
 * decided with what /proc/PID/smaps says. */
#define _GNU_SOURCE
#include <ctype.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

/* Bits of /proc/PID/coredump_filter (core(5)). */
enum {
    ANONYMOUS_PRIVATE = 1 << 0,
    ANONYMOUS_SHARED = 1 << 1,
    FILE_PRIVATE = 1 << 2,
    FILE_SHARED = 1 << 3,
    ELF_HEADERS = 1 << 4,
    HUGE_PRIVATE = 1 << 5,
    HUGE_SHARED = 1 << 6,
    DEFAULT_FILTER = ANONYMOUS_PRIVATE | ANONYMOUS_SHARED | ELF_HEADERS | HUGE_PRIVATE
};

/* The names of mapped files go into one note; beyond this they are left out. */
enum { NAMES_LIMIT = 16 * 1024 * 1024 };

/* What smaps says about a mapping beside its first line. */
struct details {
    bool shared;
    bool file;
    bool deleted;
    bool always; /* the vdso: no file has it */
    uint64_t resident;
    uint64_t anonymous; /* pages of its own, also in a mapping of a file */
    uint64_t swapped;
    bool dont_dump; /* VM_DONTDUMP, VM_IO */
    bool huge;
};

static bool has_elf_magic(int memory, uint64_t address)
{
    char magic[SELFMAG];
    return pread(memory, magic, SELFMAG, (off_t)address) == SELFMAG &&
           memcmp(magic, ELFMAG, SELFMAG) == 0;
}

/* How many bytes of a mapping to dump, from its start. */
static uint64_t dumped(const struct region *region, const struct details *is, unsigned filter,
                       int memory, uint64_t page)
{
    uint64_t whole = region->end - region->start;
    if (is->always)
        return whole;
    if (is->dont_dump)
        return 0;
    if (is->huge)
        return filter & (is->shared ? HUGE_SHARED : HUGE_PRIVATE) ? whole : 0;
    if (is->shared)
        return filter & (is->deleted ? ANONYMOUS_SHARED : FILE_SHARED) ? whole : 0;
    /* Whatever the mapping allows now: pages that were written and then made read-only, like the
     * dynamic section of a library (RELRO), are what debuggers find the libraries with. */
    if ((is->anonymous || is->swapped) && (filter & ANONYMOUS_PRIVATE))
        return whole;
    if (!is->file)
        return 0;
    if (filter & FILE_PRIVATE)
        return whole;
    /* The first page of an ELF file has its build-id. */
    if ((filter & ELF_HEADERS) && !region->file_offset && (region->flags & PF_R) &&
        has_elf_magic(memory, region->start))
        return page < whole ? page : whole;
    return 0;
}

static void finish(struct regions *regions, const struct details *is, unsigned filter, int memory)
{
    if (!regions->count)
        return;
    struct region *region = &regions->list[regions->count - 1];
    region->size = dumped(region, is, filter, memory, regions->page);
    region->touched = is->file && !is->shared ? region->size : is->resident + is->swapped;
    if (region->touched > region->size)
        region->touched = region->size;
    region->anonymous = !is->file && !is->shared && !is->always && !is->huge;
}

/* Keep a file's name, in which the kernel has written a newline as \012. */
static uint32_t add_name(struct regions *regions, const char *name)
{
    size_t length = strlen(name);
    if (!regions->names_size)
        regions->names_size = 1;
    if (regions->names_size + length + 1 > NAMES_LIMIT)
        return 0;
    while (!regions->names || regions->names_size + length + 1 > regions->names_capacity)
        regions->names = grown(regions->names, regions->names_capacity, &regions->names_capacity,
                               sizeof *regions->names);
    uint32_t start = (uint32_t)regions->names_size;
    for (size_t i = 0; i < length; i++) {
        bool newline = strncmp(name + i, "\\012", 4) == 0;
        regions->names[regions->names_size++] = newline ? '\n' : name[i];
        i += newline ? 3 : 0;
    }
    regions->names[regions->names_size++] = '\0';
    regions->files++;
    return start;
}

/* Begin a mapping with its first line: "start-end perm offset device inode   name". */
static bool begin(struct regions *regions, char *line, struct details *is)
{
    unsigned long long start, end, offset;
    unsigned long inode;
    char allowed[5];
    int at = 0;
    if (sscanf(line, "%llx-%llx %4s %llx %*x:%*x %lu %n", &start, &end, allowed, &offset, &inode,
               &at) != 5)
        return false;
    char *name = line + at;
    *is = (struct details){0};
    is->file = inode || name[0] == '/';
    is->shared = allowed[3] == 's';
    size_t length = strlen(name);
    is->deleted = length > 10 && strcmp(name + length - 10, " (deleted)") == 0;
    is->always = strcmp(name, "[vdso]") == 0;
    regions->list =
        grown(regions->list, regions->count, &regions->capacity, sizeof *regions->list);
    regions->list[regions->count++] = (struct region){
        .start = start,
        .end = end,
        .file_offset = offset,
        .flags = (allowed[0] == 'r' ? PF_R : 0u) | (allowed[1] == 'w' ? PF_W : 0u) |
                 (allowed[2] == 'x' ? PF_X : 0u),
        .order = OTHER,
        .name = is->file ? add_name(regions, name) : 0,
    };
    return true;
}

static void read_flags(const char *line, struct details *is)
{
    char flags[256];
    snprintf(flags, sizeof flags, "%s ", line);
    is->dont_dump = strstr(flags, " dd ") || strstr(flags, " io ");
    is->huge = strstr(flags, " ht ");
}

static void read_detail(const char *line, struct details *is)
{
    char name[32];
    unsigned long long kilobytes;
    if (strncmp(line, "VmFlags:", 8) == 0) {
        read_flags(line + 8, is);
    } else if (sscanf(line, "%31[A-Za-z]: %llu kB", name, &kilobytes) == 2) {
        if (strcmp(name, "Rss") == 0)
            is->resident = kilobytes * 1024;
        else if (strcmp(name, "Anonymous") == 0)
            is->anonymous = kilobytes * 1024;
        else if (strcmp(name, "Swap") == 0)
            is->swapped = kilobytes * 1024;
    }
}

static unsigned read_filter(pid_t tid)
{
    size_t size;
    char *text = read_proc(tid, "coredump_filter", 32, &size);
    unsigned filter = text && size ? (unsigned)strtoul(text, NULL, 16) : DEFAULT_FILTER;
    free(text);
    return filter;
}

bool read_regions(struct crash *crash, int memory, struct regions *regions)
{
    char path[64];
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    bool wanted = false;
    struct details is = {0};
    unsigned filter = read_filter(crash->tid);
    regions->page = (uint64_t)sysconf(_SC_PAGESIZE);
    snprintf(path, sizeof path, "/proc/%d/smaps", crash->tid);
    FILE *file = fopen(path, "re");
    while (file && (length = getline(&line, &capacity, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (isupper((unsigned char)line[0])) {
            if (wanted)
                read_detail(line, &is);
            continue;
        }
        if (wanted)
            finish(regions, &is, filter, memory);
        /* Not memory of the process: a page of the kernel. */
        wanted = !strstr(line, "[vsyscall]") && begin(regions, line, &is);
    }
    if (wanted)
        finish(regions, &is, filter, memory);
    free(line);
    if (file)
        fclose(file);
    if (!regions->count)
        fail(crash, "/proc/PID/smaps cannot be read", 0);
    return regions->count > 0;
}
