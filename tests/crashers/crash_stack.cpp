// Recursion without end and a smashed stack.
#include <pthread.h>

#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "keep.hpp"
#include "modes.hpp"

#if !defined(__x86_64__)
extern "C" std::uintptr_t __stack_chk_guard;
#endif

namespace charging {

namespace {

// The limit is never reached, but the compiler cannot know that.
int depth_limit() {
    return opaque(INT_MAX);
}

// A frame of some 200 bytes, so that a stack holds thousands of them.
REAL_FRAME int parse_element(int depth, int limit) {
    if (depth == limit) {
        return 0;
    }
    volatile char element[160];
    element[0] = static_cast<char>(depth);
    const int parsed = parse_element(depth + 1, limit) + element[0];
    keep(parsed);
    return parsed;
}

int parse_group(int depth, int limit);

REAL_FRAME int parse_item(int depth, int limit) {
    volatile char item[200];
    item[0] = static_cast<char>(depth);
    const int parsed = parse_group(depth + 1, limit) + item[0];
    keep(parsed);
    return parsed;
}

REAL_FRAME int parse_list(int depth, int limit) {
    volatile char list[120];
    list[0] = static_cast<char>(depth);
    const int parsed = parse_item(depth + 1, limit) + list[0];
    keep(parsed);
    return parsed;
}

REAL_FRAME int parse_group(int depth, int limit) {
    if (depth == limit) {
        return 0;
    }
    volatile char group[80];
    group[0] = static_cast<char>(depth);
    const int parsed = parse_list(depth + 1, limit) + group[0];
    keep(parsed);
    return parsed;
}

// Writes past a buffer, over the canary, the saved registers and the return address.
REAL_FRAME void copy_id_tag(const char* tag, std::size_t length) {
    char id_tag[16];
    volatile char* to = id_tag;
    for (std::size_t at = 0; at < length; ++at) {
        to[at] = tag[at % 8];
    }
    keep(id_tag);
}

void recursion() {
    keep(parse_element(0, depth_limit()));
}

void mutual_recursion() {
    keep(parse_group(0, depth_limit()));
}

// A thread with less stack than usual, as for the callbacks of a C library.
void recursion_small() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    pthread_t parser;
    const auto parse = [](void*) -> void* {
        keep(parse_element(0, depth_limit()));
        return nullptr;
    };
    if (pthread_create(&parser, &attributes, parse, nullptr) != 0) {
        std::perror("cannot start a thread with a small stack");
        std::exit(70);
    }
    pthread_join(parser, nullptr);
    keep(parser);
}

std::uintptr_t canary() {
#if defined(__x86_64__)
    std::uintptr_t value = 0;
    asm("mov %%fs:0x28, %0" : "=r"(value));
    return value;
#else
    return __stack_chk_guard;
#endif
}

// One character too many: the canary is gone, and nothing else. How far it is from the buffer is
// the compiler's choice, so it is looked for.
REAL_FRAME void copy_serial_number(std::uintptr_t guard) {
    char number[24];
    std::memset(number, 'N', sizeof number);
    char* end = opaque(&number[0]) + sizeof number;
    while (*reinterpret_cast<volatile std::uintptr_t*>(end) != guard) {
        end += sizeof guard;
    }
    *static_cast<volatile char*>(end) = 'N';
    keep(number);
}

void stack_smash_canary() {
    copy_serial_number(canary());
    keep_frame();
}

void stack_smash() {
    copy_id_tag("DEADBEEF", opaque<std::size_t>(64));
    keep_frame();
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> stack_modes{
    {"recursion-main", Where::main_thread, charging::recursion},
    {"recursion-thread", Where::worker_thread, charging::recursion},
    {"recursion-mutual", Where::worker_thread, charging::mutual_recursion},
    {"recursion-small", Where::worker_thread, charging::recursion_small},
    {"stack-smash-canary", Where::worker_thread, charging::stack_smash_canary},
    {"stack-smash", Where::worker_thread, charging::stack_smash},
};

} // namespace crash
