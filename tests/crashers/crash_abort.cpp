// What ends in abort(): by hand, by assert, by glibc's fortified functions and by its heap.

// Fortified functions need optimisation; at -O0 the checking functions are called by hand.
#if defined(__OPTIMIZE__)
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 2
#endif

#include <cassert>
#include <cstdlib>
#include <cstring>

#include "charging.hpp"
#include "keep.hpp"
#include "modes.hpp"

namespace charging {

namespace {

REAL_FRAME void reject_config() {
    std::abort();
}

REAL_FRAME void check_power_limit(const MeterReading& reading, double limit_w) {
    assert(reading.power_w <= limit_w && "power limit exceeded");
    keep_frame();
}

REAL_FRAME void copy_certificate(const char* pem, std::size_t length) {
    char certificate[32];
#if defined(__OPTIMIZE__)
    std::memcpy(certificate, pem, length);
#else
    __builtin___memcpy_chk(certificate, pem, length, sizeof certificate);
#endif
    keep(certificate);
}

REAL_FRAME void copy_station_name(const char* text) {
    char name[16];
#if defined(__OPTIMIZE__)
    std::strcpy(name, text);
#else
    __builtin___strcpy_chk(name, text, sizeof name);
#endif
    keep(name);
}

REAL_FRAME void release_buffer(void* buffer) {
    std::free(buffer);
    keep_frame();
}

char* buffer_of(std::size_t size) {
    auto* buffer = static_cast<char*>(opaque(std::malloc(size)));
    std::memset(buffer, 'm', size);
    return opaque(buffer);
}

void abort_call() {
    reject_config();
    keep_frame();
}

void failed_assert() {
    check_power_limit(MeterReading{1, 0.0, 22080.0}, opaque(11.0e3));
    keep_frame();
}

void fortify_memcpy() {
    static const char pem[] = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgICMDkwCgYIKoZI";
    copy_certificate(opaque(&pem[0]), opaque(sizeof pem));
    keep_frame();
}

void fortify_strcpy() {
    copy_station_name(opaque("evse_manager_of_the_second_connector"));
    keep_frame();
}

void bad_free() {
    release_buffer(opaque(buffer_of(64) + 8));
    keep_frame();
}

void double_free() {
    char* buffer = buffer_of(24);
    release_buffer(buffer);
    release_buffer(opaque(buffer));
    keep_frame();
}

// Too large for the thread's cache: glibc finds it in another way and says so in other words.
// A second buffer keeps the first one away from the end of the heap.
void double_free_large() {
    char* buffer = buffer_of(4000);
    keep(buffer_of(4000));
    release_buffer(buffer);
    release_buffer(opaque(buffer));
    keep_frame();
}

// Writes over the size of the next block; glibc notices when that block is given back.
void heap_overflow() {
    char* log = buffer_of(4000);
    char* next = buffer_of(4000);
    std::memset(opaque(log), 'x', opaque<std::size_t>(4016));
    release_buffer(next);
    keep_frame();
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> abort_modes{
    {"abort", Where::worker_thread, charging::abort_call},
    {"assert", Where::worker_thread, charging::failed_assert},
    {"fortify-memcpy", Where::worker_thread, charging::fortify_memcpy},
    {"fortify-strcpy", Where::main_thread, charging::fortify_strcpy},
    {"bad-free", Where::worker_thread, charging::bad_free},
    {"double-free", Where::worker_thread, charging::double_free},
    {"double-free-large", Where::main_thread, charging::double_free_large},
    {"heap-overflow", Where::worker_thread, charging::heap_overflow},
};

} // namespace crash
