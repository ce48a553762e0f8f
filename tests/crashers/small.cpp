// A small program for the matrix of compilers and debug formats: four threads in waits and a
// crash below templates, a lambda and an inlined function. No exceptions, no iostreams, so
// that it can be built without unwind tables too.
//
//   small null-write|abort|signal-handler|recursion
#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include "keep.hpp"

namespace small {

struct Reading {
    int connector;
    int phase;
    long energy_wh;
};

struct Threads {
    std::mutex mutex;
    std::condition_variable never;
    int started = 0;
    pid_t tids[4] = {};

    void note_own() {
        const std::lock_guard<std::mutex> lock(mutex);
        tids[started++] = static_cast<pid_t>(syscall(SYS_gettid));
    }
};

// How often a sleeping thread has given up the processor; -1 when it does not sleep.
long naps_of(pid_t tid) {
    char text[64];
    std::snprintf(text, sizeof text, "/proc/self/task/%d/status", static_cast<int>(tid));
    std::FILE* file = std::fopen(text, "re");
    bool asleep = false;
    long naps = -1;
    while (file != nullptr && std::fgets(text, sizeof text, file) != nullptr) {
        asleep = asleep || std::strncmp(text, "State:\tS", 8) == 0;
        std::sscanf(text, "voluntary_ctxt_switches: %ld", &naps);
    }
    if (file != nullptr) {
        std::fclose(file);
    }
    return asleep ? naps : -1;
}

// Returns when all threads sleep and none has run between two looks.
void await_asleep(Threads& threads) {
    long before[4] = {-1, -1, -1, -1};
    for (bool steady = false; !steady;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const std::lock_guard<std::mutex> lock(threads.mutex);
        steady = threads.started == 4;
        for (int at = 0; at < threads.started; ++at) {
            const long now = naps_of(threads.tids[at]);
            steady = steady && now >= 0 && now == before[at];
            before[at] = now;
        }
    }
}

REAL_FRAME void wait_for_work(Threads& threads) {
    std::unique_lock<std::mutex> lock(threads.mutex);
    threads.never.wait(lock, [] { return false; });
}

REAL_FRAME void wait_for_packet() {
    keep(poll(nullptr, 0, -1));
}

REAL_FRAME void wait_for_time() {
    std::this_thread::sleep_for(std::chrono::hours(1));
    keep_frame();
}

void start(Threads& threads, void (*wait)(Threads&)) {
    std::thread([&threads, wait] {
        threads.note_own();
        wait(threads);
    }).detach();
}

void start_all(Threads& threads) {
    start(threads, wait_for_work);
    start(threads, wait_for_work);
    start(threads, [](Threads&) { wait_for_packet(); });
    start(threads, [](Threads&) { wait_for_time(); });
    await_asleep(threads);
}

INLINED void store_energy(Reading* reading, long energy_wh) {
    reading->energy_wh = energy_wh;
}

template <typename Value>
REAL_FRAME void bill(const Value& energy_wh) {
    const auto store = [energy_wh](Reading* reading) { store_energy(reading, energy_wh); };
    store(opaque(static_cast<Reading*>(nullptr)));
    keep_frame();
}

REAL_FRAME int recurse(int depth, int limit) {
    if (depth == limit) {
        return 0;
    }
    volatile char element[160];
    element[0] = static_cast<char>(depth);
    const int sum = recurse(depth + 1, limit) + element[0];
    keep(sum);
    return sum;
}

REAL_FRAME void on_alarm(int) {
    bill(opaque(4711L));
    keep_frame();
}

REAL_FRAME void run_mode(const char* mode) {
    if (std::strcmp(mode, "null-write") == 0) {
        bill(opaque(4711L));
    } else if (std::strcmp(mode, "abort") == 0) {
        std::abort();
    } else if (std::strcmp(mode, "signal-handler") == 0) {
        std::signal(SIGALRM, on_alarm);
        std::raise(SIGALRM);
    } else if (std::strcmp(mode, "recursion") == 0) {
        keep(recurse(0, opaque(INT_MAX)));
    }
    keep_frame();
}

template <int Depth>
struct Stage {
    static REAL_FRAME void pass(const std::function<void()>& last) {
        const std::function<void()> next = [&last] { Stage<Depth - 1>::pass(last); };
        next();
        keep_frame();
    }
};

template <>
struct Stage<0> {
    static REAL_FRAME void pass(const std::function<void()>& last) {
        last();
        keep_frame();
    }
};

} // namespace small

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: small null-write|abort|signal-handler|recursion\n");
        return 64;
    }
    static small::Threads threads;
    small::start_all(threads);
    small::Stage<3>::pass([mode = argv[1]] { small::run_mode(mode); });
    std::fprintf(stderr, "mode %s did not crash\n", argv[1]);
    return 70;
}
