// One EVerest-like module: idle threads, a name as EVerest gives it, and a crash on demand.
//
//   argv[0] is "<module id>:<Type>", the options are those of EVerest's manager.
//   CRASH_MODE     the mode to crash with (see --list-modes); none: the module just runs
//   CRASH_MODULE   only the module with this id crashes
//   CRASH_ON_TERM  the module with this id aborts instead of ending when it is asked to end
//   CRASH_FILE     a module that gets SIGUSR1 crashes with the mode that is the first word here
//   READY_FD       where the module writes its id when it runs (set by the manager)
//   GO_FD          the module goes on when this is closed (set by the manager)
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "chain.hpp"
#include "keep.hpp"
#include "log.hpp"
#include "modes.hpp"
#include "waits.hpp"

namespace {

using everest_log::Level;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

// The value after `--name`; EVerest passes every option as two words.
std::string option(int argc, char** argv, const char* name) {
    for (int at = 1; at + 1 < argc; ++at) {
        if (std::strcmp(argv[at], name) == 0) {
            return argv[at + 1];
        }
    }
    return "";
}

int list_modes() {
    for (const crash::Mode& mode : crash::all_modes()) {
        const bool on_main = mode.where == crash::Where::main_thread;
        std::printf("%s %s\n", mode.name, on_main ? "main" : "worker");
    }
    return 0;
}

// Tells the manager that this module runs, and waits until all the others do.
void meet_the_others(const std::string& id) {
    const std::string ready = environment("READY_FD");
    const std::string go = environment("GO_FD");
    if (ready.empty() || go.empty()) {
        return;
    }
    const std::string line = id + "\n";
    const int ready_fd = std::atoi(ready.c_str());
    if (write(ready_fd, line.data(), line.size()) < 0) {
        std::perror("READY_FD");
    }
    close(ready_fd);
    char unused = 0;
    while (read(std::atoi(go.c_str()), &unused, 1) > 0) {
    }
}

sigset_t request_to_crash() {
    sigset_t request;
    sigemptyset(&request);
    sigaddset(&request, SIGUSR1);
    return request;
}

// Runs until somebody asks for a crash, and returns the mode. Without CRASH_FILE nobody can.
std::string await_request() {
    const std::string path = environment("CRASH_FILE");
    std::string mode;
    while (path.empty()) {
        pause();
    }
    while (mode.empty()) {
        const sigset_t request = request_to_crash();
        int unused = 0;
        sigwait(&request, &unused);
        std::ifstream(path) >> mode;
    }
    return mode;
}

// Crashes on the thread that the mode names. A worker waits until the main thread sleeps in
// join(), so that its stack is the same every time.
int crash_with(const crash::Mode& mode) {
    if (mode.where == crash::Where::main_thread) {
        chain::charge_until(mode.run);
    } else {
        const pid_t main_thread = getpid();
        std::thread state_machine([&mode, main_thread] {
            waits::await_asleep({main_thread});
            chain::charge_until(mode.run);
        });
        state_machine.join();
    }
    std::fprintf(stderr, "mode %s did not crash\n", mode.name);
    return 70;
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--list-modes") == 0) {
        return list_modes();
    }
    const std::string id = option(argc, argv, "--module");
    std::string mode = environment("CRASH_MODE");
    const std::string victim = environment("CRASH_MODULE");
    if (!id.empty() && environment("CRASH_ON_TERM") == id) {
        std::signal(SIGTERM, [](int) { std::abort(); });
    }

    if (!environment("CRASH_FILE").empty()) {
        // No thread may take the signal away from the main thread's sigwait.
        const sigset_t request = request_to_crash();
        pthread_sigmask(SIG_BLOCK, &request, nullptr);
    }

    // As in EVerest, the name is set when threads already run: they keep the old one.
    auto& roster = *new waits::Roster;
    waits::start_station_threads(roster);
    prctl(PR_SET_NAME, argv[0]);
    roster.await_asleep();
    meet_the_others(id);

    everest_log::write(Level::info, argv[0], "Session 4711 started on connector 1");
    everest_log::write(Level::info, argv[0], "DC power supply set: 400.00V/20.00A");
    if (mode.empty() || (!victim.empty() && victim != id)) {
        mode = await_request();
    }
    return crash_with(crash::find_mode(mode));
}
