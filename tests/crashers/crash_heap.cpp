// What glibc's heap says when it finds itself damaged: one mode for each of its messages.
//
// Blocks are large where the thread's cache must not keep them (it ends at 1032 bytes). Who frees
// is not who did the damage; that is what makes these crashes hard to read.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "keep.hpp"
#include "modes.hpp"

namespace charging {

namespace {

constexpr std::size_t large = 4000;
// So large that no freed block has room for it: it is cut from the end of the heap.
constexpr std::size_t from_the_end = 60000;
// The blocks of one size that a thread's cache keeps.
constexpr int cached_blocks = 7;

REAL_FRAME void release_buffer(void* buffer) {
    std::free(buffer);
    keep_frame();
}

REAL_FRAME char* grow_buffer(char* buffer, std::size_t size) {
    auto* grown = static_cast<char*>(std::realloc(buffer, size));
    keep(grown);
    return grown;
}

REAL_FRAME char* take_buffer(std::size_t size) {
    auto* buffer = static_cast<char*>(std::malloc(size));
    keep(buffer);
    return buffer;
}

char* buffer_of(std::size_t size) {
    char* buffer = opaque(take_buffer(size));
    std::memset(buffer, 'm', size);
    return opaque(buffer);
}

// Puts a number into a block's words, of which word -1 is its size and those behind the block
// are the next one's.
void overwrite(char* buffer, std::ptrdiff_t word, std::size_t value) {
    opaque(reinterpret_cast<std::size_t*>(buffer))[word] = value;
    keep_frame();
}

std::ptrdiff_t words(std::size_t bytes) {
    return static_cast<std::ptrdiff_t>(bytes / sizeof(std::size_t));
}

// Fills this thread's cache for a size, so that the next block freed goes somewhere else.
void fill_cache(std::size_t size) {
    std::vector<char*> blocks;
    for (int count = 0; count < cached_blocks; ++count) {
        blocks.push_back(buffer_of(size));
    }
    for (char* block : blocks) {
        std::free(block);
    }
}

// An 'y' in every byte of the next block's size: odd, so its predecessor counts as in use.
void overflow_next_size() {
    char* log = buffer_of(large);
    keep(buffer_of(large));
    std::memset(opaque(log), 'y', opaque(large + 16));
    release_buffer(log);
    keep_frame();
}

void overflow_next_size_small() {
    fill_cache(56);
    char* log = buffer_of(56);
    keep(buffer_of(56));
    fill_cache(56);
    std::memset(opaque(log), 'y', opaque<std::size_t>(56 + 8));
    release_buffer(log);
    keep_frame();
}

// A freed block is written to: its last word holds its size while it is free.
void overwritten_free_size() {
    char* log = buffer_of(large);
    char* freed = buffer_of(large);
    keep(buffer_of(large));
    release_buffer(freed);
    overwrite(freed, words(large), 0x1230);
    release_buffer(log);
    keep_frame();
}

// The same, noticed from the other side: by the block behind the freed one.
void overwritten_free_size_behind() {
    char* freed = buffer_of(large);
    char* next = buffer_of(large);
    keep(buffer_of(large));
    release_buffer(freed);
    overwrite(freed, words(large), 0x100);
    release_buffer(next);
    keep_frame();
}

// Behind the last block stands the size of all that is still free.
void overflow_top_size() {
    char* log = buffer_of(from_the_end);
    std::memset(opaque(log), 'y', opaque(from_the_end + 16));
    keep(take_buffer(from_the_end));
}

// The same with a size too small instead of too large: an assertion inside malloc.
void overflow_top_size_small() {
    char* log = buffer_of(from_the_end);
    overwrite(log, words(from_the_end) + 1, 0x101);
    keep(take_buffer(from_the_end));
}

void overflow_freed_size() {
    char* log = buffer_of(large);
    char* freed = buffer_of(large);
    keep(buffer_of(large));
    release_buffer(freed);
    std::memset(opaque(log), 'y', opaque(large + 16));
    keep(take_buffer(large - 1000));
}

// A flag of a freed object is set. The word it is in now leads to the next free block.
void use_after_free_flag() {
    constexpr std::size_t size = 776;
    char* other = buffer_of(size);
    char* session = buffer_of(size);
    release_buffer(other);
    release_buffer(session);
    *opaque(session) ^= 8;
    keep(take_buffer(size));
    keep(take_buffer(size));
}

void double_free_small() {
    fill_cache(40);
    char* buffer = buffer_of(40);
    fill_cache(40);
    release_buffer(buffer);
    release_buffer(opaque(buffer));
    keep_frame();
}

// The last block of the heap becomes one with the free memory behind it. In the main thread: a
// thread's own heap is not found again from there.
void double_free_last() {
    keep(buffer_of(from_the_end));
    char* last = buffer_of(from_the_end);
    release_buffer(last);
    release_buffer(opaque(last));
    keep_frame();
}

// A write in front of a block makes it reach beyond the end of the heap.
void underflow_size() {
    char* buffer = buffer_of(large);
    overwrite(buffer, -1, 0x4000001);
    release_buffer(buffer);
    keep_frame();
}

// A pointer into a block, where a number looks like the size of a mapping of its own.
void bad_free_mapped() {
    char* buffer = buffer_of(large);
    overwrite(buffer, 0, 0x120);
    overwrite(buffer, 1, 0x1232);
    release_buffer(opaque(buffer + 16));
    keep_frame();
}

void bad_realloc() {
    char* buffer = buffer_of(large);
    std::memset(buffer, 0, large);
    keep(grow_buffer(opaque(buffer + 8), 2 * large));
}

void overflow_realloc() {
    char* log = buffer_of(large);
    keep(buffer_of(large));
    std::memset(opaque(log), 'y', opaque(large + 16));
    keep(grow_buffer(log, 2 * large));
}

// A small block that was freed is only looked at again when a large one is asked for.
void overflow_consolidate() {
    fill_cache(72);
    char* log = buffer_of(72);
    char* freed = buffer_of(72);
    keep(buffer_of(72));
    fill_cache(72);
    release_buffer(freed);
    overwrite(log, words(72), 0x31);
    keep(take_buffer(large));
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> heap_modes{
    {"heap-next-size", Where::worker_thread, charging::overflow_next_size},
    {"heap-next-size-small", Where::worker_thread, charging::overflow_next_size_small},
    {"heap-free-size", Where::worker_thread, charging::overwritten_free_size},
    {"heap-free-size-behind", Where::worker_thread, charging::overwritten_free_size_behind},
    {"heap-top-size", Where::worker_thread, charging::overflow_top_size},
    {"heap-top-assert", Where::main_thread, charging::overflow_top_size_small},
    {"heap-unsorted-size", Where::worker_thread, charging::overflow_freed_size},
    {"heap-tcache-unaligned", Where::worker_thread, charging::use_after_free_flag},
    {"heap-consolidate", Where::worker_thread, charging::overflow_consolidate},
    {"double-free-small", Where::worker_thread, charging::double_free_small},
    {"double-free-last", Where::main_thread, charging::double_free_last},
    {"double-free-out", Where::main_thread, charging::underflow_size},
    {"bad-free-mapped", Where::worker_thread, charging::bad_free_mapped},
    {"bad-realloc", Where::worker_thread, charging::bad_realloc},
    {"heap-realloc-size", Where::worker_thread, charging::overflow_realloc},
};

} // namespace crash
