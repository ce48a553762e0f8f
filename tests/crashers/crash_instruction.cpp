// Instructions and system calls that the processor or the kernel refuses.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cfenv>
#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "keep.hpp"
#include "modes.hpp"

namespace charging {

namespace {

// aarch64 divides by zero without a trap, so these modes exist on x86-64 only.
#if defined(__x86_64__)
REAL_FRAME int average_power(int total_w, int samples) {
    return total_w / samples;
}

REAL_FRAME double average_current(double total_a, double samples) {
    return total_a / samples;
}

void int_div_zero() {
    keep(average_power(opaque(8000), opaque(0)));
}

// The quotient does not fit: the same trap as for a zero, with a divisor that is none.
void int_div_overflow() {
    keep(average_power(opaque(INT_MIN), opaque(-1)));
}

void float_div_zero() {
    feenableexcept(FE_DIVBYZERO);
    double samples = 0.0;
    keep(samples);
    keep(average_current(20.0, samples));
}
#endif

REAL_FRAME void unreachable_state() {
#if defined(__aarch64__)
    // __builtin_trap is a breakpoint there, hence SIGTRAP.
    asm volatile("udf #0");
#else
    __builtin_trap();
#endif
}

REAL_FRAME void debug_break() {
#if defined(__aarch64__)
    asm volatile("brk #0");
#else
    asm volatile("int3");
#endif
}

REAL_FRAME int open_slac_socket() {
    const int slac = socket(AF_UNIX, SOCK_RAW, 0);
    keep(slac);
    return slac;
}

// Forbids socket() from now on for this thread.
void forbid_sockets(unsigned int action) {
    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{sizeof rules / sizeof rules[0], rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        std::perror("cannot install a seccomp filter");
        std::exit(70);
    }
}

void illegal_instruction() {
    unreachable_state();
    keep_frame();
}

void trap() {
    debug_break();
    keep_frame();
}

void seccomp_trap() {
    forbid_sockets(SECCOMP_RET_TRAP);
    keep(open_slac_socket());
}

void seccomp_kill() {
    forbid_sockets(SECCOMP_RET_KILL_PROCESS);
    keep(open_slac_socket());
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> instruction_modes{
#if defined(__x86_64__)
    {"int-div-zero", Where::worker_thread, charging::int_div_zero},
    {"int-div-overflow", Where::worker_thread, charging::int_div_overflow},
    {"float-div-zero", Where::worker_thread, charging::float_div_zero},
#endif
    {"builtin-trap", Where::worker_thread, charging::illegal_instruction},
    {"breakpoint", Where::worker_thread, charging::trap},
    {"seccomp-trap", Where::worker_thread, charging::seccomp_trap},
    {"seccomp-kill", Where::worker_thread, charging::seccomp_kill},
};

} // namespace crash
