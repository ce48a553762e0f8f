// Signals that somebody sends, and crashes inside signal handlers.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "charging.hpp"
#include "keep.hpp"
#include "modes.hpp"
#include "waits.hpp"

namespace charging {

namespace {

REAL_FRAME void request_restart() {
    kill(getpid(), SIGSEGV);
    keep_frame();
}

REAL_FRAME void fail_self_check() {
    raise(SIGILL);
    keep_frame();
}

void install(int number, void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(number, &action, nullptr);
}

REAL_FRAME void on_diagnostics_request(int) {
    opaque(static_cast<Contactor*>(nullptr))->closed = 1;
    keep_frame();
}

void log_fault() {
    static const char text[] = "fault handler: writing the crash log\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        _exit(70);
    }
}

// What many home-made crash handlers do: restore the default and raise again. The second
// signal is blocked until the handler returns, so the core shows the faulting instruction
// without any handler on the stack, but a signal that the process has sent to itself.
REAL_FRAME void on_fault_raise(int number) {
    log_fault();
    install(number, SIG_DFL, 0);
    raise(number);
    keep_frame();
}

// What others do: abort. The core is that of the abort; the fault is below the trampoline.
REAL_FRAME void on_fault_abort(int) {
    log_fault();
    std::abort();
}

REAL_FRAME void request_diagnostics() {
    raise(SIGUSR1);
    keep_frame();
}

REAL_FRAME void open_contactor(Contactor* contactor) {
    contactor->closed = 0;
}

void crash_in_handler() {
    install(SIGUSR1, on_diagnostics_request, 0);
    request_diagnostics();
    keep_frame();
}

void handler_raises_again() {
    install(SIGSEGV, on_fault_raise, 0);
    open_contactor(opaque(static_cast<Contactor*>(nullptr)));
    keep_frame();
}

// The handler has a stack of its own: unwinding has to change stacks.
void handler_aborts() {
    const std::size_t size = 64 * 1024;
    stack_t own{};
    own.ss_sp = new char[size];
    own.ss_size = size;
    sigaltstack(&own, nullptr);
    install(SIGSEGV, on_fault_abort, SA_ONSTACK);
    open_contactor(opaque(static_cast<Contactor*>(nullptr)));
    keep_frame();
}

void wait_only() {
    waits::wait_for_signal();
    keep_frame();
}

void kill_self() {
    request_restart();
    keep_frame();
}

void raise_ill() {
    fail_self_check();
    keep_frame();
}

} // namespace

} // namespace charging

namespace crash {

// Signals for the whole process are taken by its main thread.
const std::vector<Mode> signal_modes{
    {"kill-self", Where::main_thread, charging::kill_self},
    {"raise-ill", Where::worker_thread, charging::raise_ill},
    {"crash-in-handler", Where::worker_thread, charging::crash_in_handler},
    {"handler-reraise", Where::worker_thread, charging::handler_raises_again},
    {"handler-abort", Where::worker_thread, charging::handler_aborts},
    {"sent-quit", Where::main_thread, charging::wait_only},
    {"sent-segv", Where::main_thread, charging::wait_only},
    {"sent-abort", Where::main_thread, charging::wait_only},
    {"snapshot", Where::main_thread, charging::wait_only},
};

} // namespace crash
