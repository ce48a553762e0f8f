// Threads in the usual waits of a charging module, and the proof that they are in them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <vector>

namespace waits {

// The kernel's id of the calling thread, which is its LWP in a core.
pid_t own_tid();

// Returns when every one of the threads sleeps for good (see the source for how that is known).
void await_asleep(const std::vector<pid_t>& tids);

// Says that the process is ready and waits. Who watches it sends a signal when it has read that.
[[noreturn]] void wait_for_signal();

// Starts threads and remembers their ids.
class Roster {
public:
    void start(std::function<void()> body);

    // Returns when all started threads sleep for good.
    void await_asleep();

private:
    std::mutex mutex_;
    std::vector<pid_t> tids_;
    std::size_t started_ = 0;
};

// Starts one thread for every kind of wait, and four equal workers on one queue.
void start_station_threads(Roster& roster);

} // namespace waits
