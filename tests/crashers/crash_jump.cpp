// Calls and returns to addresses where no code is.
#include <cstdint>
#include <cstring>
#include <vector>

#include "keep.hpp"
#include "modes.hpp"

namespace charging {

namespace {

using Callback = void (*)();

Callback callback_at(std::uintptr_t address) {
    return reinterpret_cast<Callback>(opaque(address));
}

REAL_FRAME void invoke_callback(Callback callback) {
    callback();
    keep_frame();
}

void call_null() {
    invoke_callback(callback_at(0));
    keep_frame();
}

void call_low() {
    invoke_callback(callback_at(0x1234));
    keep_frame();
}

void call_high() {
    invoke_callback(callback_at(0x6b6b6b6b6000));
    keep_frame();
}

void call_kernel() {
    invoke_callback(callback_at(0xffff800012345000));
    keep_frame();
}

// The heap is not executable, whatever stands in it.
void call_heap() {
    std::vector<std::uint8_t> firmware(256, 0xc3);
    keep(firmware);
    invoke_callback(callback_at(reinterpret_cast<std::uintptr_t>(firmware.data())));
    keep_frame();
}

// Nor is the stack.
void call_stack() {
    std::uint8_t firmware[64];
    std::memset(firmware, 0xc3, sizeof firmware);
    keep(firmware);
    invoke_callback(callback_at(reinterpret_cast<std::uintptr_t>(firmware)));
    keep_frame();
}

// Overwrites what a buffer overflow in this frame would: the saved frame pointer and the
// return address above it. Nothing notices before the function returns.
NO_CANARY REAL_FRAME void decode_frame(std::uintptr_t return_address) {
    auto* record = static_cast<volatile std::uintptr_t*>(__builtin_frame_address(0));
    record[0] = 0x4141414141414141;
    record[1] = return_address;
}

void return_unmapped() {
    decode_frame(opaque<std::uintptr_t>(0x6b6b6b6b6000));
    keep_frame();
}

#if defined(__x86_64__)
// To an address that x86-64 does not take for one, the call and the return themselves fault.
void call_noncanonical() {
    invoke_callback(callback_at(0x4141414141414141));
    keep_frame();
}

void return_noncanonical() {
    decode_frame(opaque<std::uintptr_t>(0x4242424242424242));
    keep_frame();
}
#endif

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> jump_modes{
    {"call-null", Where::worker_thread, charging::call_null},
    {"call-unmapped-low", Where::worker_thread, charging::call_low},
    {"call-unmapped-high", Where::main_thread, charging::call_high},
    {"call-kernel-address", Where::worker_thread, charging::call_kernel},
    {"call-heap", Where::worker_thread, charging::call_heap},
    {"call-stack", Where::worker_thread, charging::call_stack},
    {"return-unmapped", Where::worker_thread, charging::return_unmapped},
#if defined(__x86_64__)
    {"call-noncanonical", Where::worker_thread, charging::call_noncanonical},
    {"return-noncanonical", Where::worker_thread, charging::return_noncanonical},
#endif
};

} // namespace crash
