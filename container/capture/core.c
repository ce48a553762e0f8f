/* The layout of a core.
 *
 * The segments lie in the file in the order in which they are worth having: notes, the stack that
 * crashed, the other stacks, then the rest from small to large. They are written in that order, so
 * a full disk cuts off what matters least, and every reader sees from the size of the file what
 * is missing. The program headers are in the order of addresses, as ELF wants it. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "writer.h"

static uint64_t rounded_up(uint64_t number, uint64_t unit)
{
    return (number + unit - 1) / unit * unit;
}

/* With more segments than e_phnum can hold, section header 0 has their number (elf(5)). */
static bool many_segments(const struct regions *regions)
{
    return regions->count + 1 >= PN_XNUM;
}

static uint64_t notes_position(const struct regions *regions)
{
    return sizeof(Elf64_Ehdr) + (regions->count + 1) * sizeof(Elf64_Phdr) +
           (many_segments(regions) ? sizeof(Elf64_Shdr) : 0);
}

static int by_worth(const void *left, const void *right)
{
    const struct region *a = *(const struct region *const *)left;
    const struct region *b = *(const struct region *const *)right;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return a->start < b->start ? -1 : a->start > b->start;
}

/* Give each region its position; returns the regions with contents, in the order to write. */
static struct region **lay_out(struct regions *regions, uint64_t notes_end, size_t *count,
                               uint64_t *end)
{
    struct region **ordered = calloc(regions->count, sizeof *ordered);
    size_t used = 0;
    if (!ordered)
        abort();
    for (size_t i = 0; i < regions->count; i++)
        if (regions->list[i].size)
            ordered[used++] = &regions->list[i];
    qsort(ordered, used, sizeof *ordered, by_worth);
    uint64_t position = rounded_up(notes_end, regions->page);
    for (size_t i = 0; i < used; i++) {
        ordered[i]->position = position;
        position += ordered[i]->size;
    }
    for (size_t i = 0; i < regions->count; i++)
        if (!regions->list[i].size)
            regions->list[i].position = position;
    *count = used;
    *end = position;
    return ordered;
}

static void put_file_header(const struct regions *regions, struct sink *sink)
{
    bool many = many_segments(regions);
    Elf64_Ehdr header = {
        .e_type = ET_CORE,
        .e_machine = machine_elf,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof header,
        .e_ehsize = sizeof header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = (uint16_t)(many ? PN_XNUM : regions->count + 1),
    };
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    if (many) {
        header.e_shoff = notes_position(regions) - sizeof(Elf64_Shdr);
        header.e_shentsize = sizeof(Elf64_Shdr);
        header.e_shnum = 1;
    }
    sink_put(sink, &header, sizeof header);
}

static bool write_headers(const struct regions *regions, uint64_t notes_end, struct sink *sink)
{
    uint64_t notes = notes_position(regions);
    sink_open(sink, sink->file, 0);
    put_file_header(regions, sink);
    Elf64_Phdr note = {
        .p_type = PT_NOTE, .p_offset = notes, .p_filesz = notes_end - notes, .p_align = 4};
    sink_put(sink, &note, sizeof note);
    for (size_t i = 0; i < regions->count; i++) {
        const struct region *region = &regions->list[i];
        Elf64_Phdr load = {.p_type = PT_LOAD,
                           .p_flags = region->flags,
                           .p_offset = region->position,
                           .p_vaddr = region->start,
                           .p_filesz = region->size,
                           .p_memsz = region->end - region->start,
                           .p_align = regions->page};
        sink_put(sink, &load, sizeof load);
    }
    if (many_segments(regions)) {
        Elf64_Shdr section = {.sh_size = 1, .sh_info = (uint32_t)(regions->count + 1)};
        sink_put(sink, &section, sizeof section);
    }
    return sink_flush(sink);
}

/* An upper bound of what the core takes on disk. */
uint64_t core_estimate(const struct source *source)
{
    const struct regions *regions = &source->regions;
    const uint64_t notes_per_thread = 4096;
    uint64_t sum = notes_position(regions) + regions->files * 24 + regions->names_size +
                   source->threads.count * notes_per_thread + 16 * regions->page;
    for (size_t i = 0; i < regions->count; i++)
        sum += regions->list[i].touched;
    return sum;
}

/* Write the memory; returns why it stopped early, 0 if it did not. */
static int write_memory(struct crash *crash, struct region **ordered, size_t count,
                        struct copy *copy)
{
    char path[64];
    bool good = true;
    snprintf(path, sizeof path, "/proc/%d/pagemap", crash->tid);
    copy->pagemap = open(path, O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; good && i < count; i++)
        good = copy_region(copy, ordered[i]);
    if (copy->pagemap >= 0)
        close(copy->pagemap);
    /* The file may end with a hole. */
    int error = good ? 0 : copy->error ? copy->error : -1;
    if (ftruncate(copy->file, (off_t)copy->end) && good)
        error = errno;
    return error;
}

/* Record how much the core lacks of what its headers promise; its segments begin at a position. */
static void tell_truncated(struct crash *crash, const struct copy *copy, uint64_t segments,
                           int error)
{
    struct stat status;
    uint64_t size = fstat(copy->file, &status) ? copy->end : (uint64_t)status.st_size;
    crash->truncated = true;
    crash->missing_bytes = crash->bytes - (size > segments ? size : segments);
    crash->bytes = size;
    crash->error[0] = '\0';
    fail(crash, copy->what ? copy->what : "writing the core", error > 0 ? error : 0);
}

void write_core(struct crash *crash, struct source *source, int file, uint64_t budget)
{
    static struct sink sink;
    struct regions *regions = &source->regions;
    size_t count;
    sink_open(&sink, file, notes_position(regions));
    if (!write_notes(crash, &source->threads, regions, source->context, &sink)) {
        fail(crash, "the notes of the core", sink.error);
        return;
    }
    uint64_t notes_end = sink.position;
    struct region **ordered = lay_out(regions, notes_end, &count, &crash->bytes);
    if (!write_headers(regions, notes_end, &sink)) {
        fail(crash, "the headers of the core", sink.error);
        return;
    }
    struct copy copy = {.tid = crash->tid,
                        .memory = source->memory,
                        .file = file,
                        .page = regions->page,
                        .budget = budget > notes_end ? budget - notes_end : 0,
                        .end = notes_end};
    crash->written = true;
    int error = write_memory(crash, ordered, count, &copy);
    if (error)
        tell_truncated(crash, &copy, rounded_up(notes_end, regions->page), error);
}
