/* The stacks of the threads. The part next to the stack pointer is what a backtrace needs first, so
 * it becomes a segment of its own: a stack that has overflowed would fill a small disk alone. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "writer.h"

/* How much of a stack, from its pointer on, comes before everything else. */
enum { NEAR_OF_CRASH = 1024 * 1024, NEAR = 256 * 1024 };

/* The mapping that a stack pointer is in, or the next one above it with contents: a stack that
 * has overflowed has its pointer in the guard page, or below it. */
static struct region *region_of_stack(struct regions *regions, uint64_t stack_pointer)
{
    const uint64_t overflow = 1024 * 1024;
    size_t low = 0, high = regions->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (regions->list[middle].end <= stack_pointer)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < regions->count && !regions->list[low].size &&
           regions->list[low].start <= stack_pointer + overflow)
        low++;
    if (low == regions->count || regions->list[low].start > stack_pointer + overflow)
        return NULL;
    return &regions->list[low];
}

static void mark_stacks(const struct crash *crash, const struct threads *threads,
                        const struct machine_context *context, struct regions *regions)
{
    for (size_t i = 0; i < threads->count; i++) {
        const struct thread *thread = &threads->list[i];
        bool crashed = thread->tid == crash->tid;
        struct user_regs_struct registers;
        if (!thread->stopped ||
            !read_registers(thread->tid, crashed ? context : NULL, &registers))
            continue;
        uint64_t pointer = machine_stack_pointer(&registers);
        struct region *region = region_of_stack(regions, pointer);
        if (region && region->order == OTHER) {
            region->order = crashed ? STACK_OF_CRASH : STACK;
            region->stack_pointer = pointer;
        }
    }
}

static void add_part(struct regions *regions, const struct region *whole, uint64_t start,
                     uint64_t end, enum region_order order)
{
    if (start >= end)
        return;
    regions->list =
        grown(regions->list, regions->count, &regions->capacity, sizeof *regions->list);
    struct region *part = &regions->list[regions->count++];
    *part = *whole;
    part->start = start;
    part->end = end;
    part->order = order;
    if (part->size > end - start)
        part->size = end - start;
    if (part->touched > part->size)
        part->touched = part->size;
}

static void split(struct regions *regions, const struct region *whole)
{
    uint64_t near = whole->order == STACK_OF_CRASH ? NEAR_OF_CRASH : NEAR;
    bool complete = whole->size == whole->end - whole->start;
    if (whole->order == OTHER || !whole->anonymous || !complete || whole->size <= near) {
        add_part(regions, whole, whole->start, whole->end, whole->order);
        return;
    }
    /* One page more: functions use some bytes below the pointer (the red zone of the ABI). */
    uint64_t low = whole->stack_pointer / regions->page * regions->page - regions->page;
    if (low < whole->start)
        low = whole->start;
    uint64_t high = whole->end - low > near ? low + near : whole->end;
    add_part(regions, whole, whole->start, low, OTHER);
    add_part(regions, whole, low, high, whole->order);
    add_part(regions, whole, high, whole->end, OTHER);
}

void find_stacks(const struct crash *crash, const struct threads *threads,
                 const struct machine_context *context, struct regions *regions)
{
    struct region *list = regions->list;
    size_t count = regions->count;
    mark_stacks(crash, threads, context, regions);
    regions->list = NULL;
    regions->count = regions->capacity = 0;
    for (size_t i = 0; i < count; i++)
        split(regions, &list[i]);
    free(list);
}
