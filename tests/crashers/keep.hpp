// What keeps a deliberate crash alive in an optimised build.
#pragma once

#include <cstdint>

// A function that must be a frame of its own: not inlined, not cloned, not guessed about.
#if defined(__clang__)
#define REAL_FRAME __attribute__((noinline))
#else
#define REAL_FRAME __attribute__((noipa))
#endif

// A function that must be an inlined frame, at -O0 too.
#define INLINED __attribute__((always_inline)) inline

// A function without a stack canary, so that a smashed return address is really used.
#if defined(__has_attribute)
#if __has_attribute(no_stack_protector)
#define NO_CANARY __attribute__((no_stack_protector))
#endif
#endif
#ifndef NO_CANARY
#define NO_CANARY __attribute__((optimize("no-stack-protector")))
#endif

// A function whose rarely used code stays with the rest. Put elsewhere, code that the compiler
// has added by itself has no line.
#if defined(__clang__)
#define IN_ONE_PIECE
#else
#define IN_ONE_PIECE __attribute__((optimize("no-reorder-blocks-and-partition")))
#endif

// Gives back `value`, but the compiler no longer knows it: a null pointer stays a pointer to
// load from instead of becoming undefined behaviour that is optimised away.
template <typename T>
INLINED T opaque(T value) {
    asm volatile("" : "+r"(value) : : "memory");
    return value;
}

// Uses `value`, so that the code which made it has to stay.
template <typename T>
INLINED void keep(const T& value) {
    asm volatile("" : : "r"(&value) : "memory");
}

// Stands behind a call that must not become a jump, which would lose the caller's frame.
INLINED void keep_frame() {
    asm volatile("" : : : "memory");
}
