// Threads that wait for each other for ever, with every kind of lock of the C++ library.
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "keep.hpp"
#include "modes.hpp"
#include "waits.hpp"

namespace charging {

namespace {

// Lets threads go on when all of them have come.
class Meeting {
public:
    explicit Meeting(int expected) : expected_(expected) {
    }

    void join() {
        std::unique_lock<std::mutex> lock(mutex_);
        ++present_;
        all_present_.notify_all();
        all_present_.wait(lock, [this] { return present_ == expected_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable all_present_;
    int expected_;
    int present_ = 0;
};

// A lock with a time limit that is not reached, as EVerest's own scoped lock has one.
class TimedLock {
public:
    explicit TimedLock(std::timed_mutex& mutex) :
        mutex_(mutex), owns_(mutex.try_lock_for(std::chrono::hours(1))) {
    }
    ~TimedLock() {
        if (owns_) {
            mutex_.unlock();
        }
    }
    TimedLock(const TimedLock&) = delete;
    TimedLock& operator=(const TimedLock&) = delete;

private:
    std::timed_mutex& mutex_;
    bool owns_;
};

// Two locks, taken in different order by two threads.
template <typename Mutex, typename Lock = std::lock_guard<Mutex>>
class TransferOrder {
public:
    REAL_FRAME void lock_session_then_meter() {
        const Lock session(session_);
        both_.join();
        const Lock meter(meter_);
        keep_frame();
    }

    REAL_FRAME void lock_meter_then_session() {
        const Lock meter(meter_);
        both_.join();
        const Lock session(session_);
        keep_frame();
    }

private:
    Mutex session_;
    Mutex meter_;
    Meeting both_{2};
};

// Three locks, and every thread wants the one that the next thread holds.
class PowerPath {
public:
    REAL_FRAME void close_relay() {
        const std::lock_guard<std::mutex> relay(relay_);
        all_.join();
        const std::lock_guard<std::mutex> supply(supply_);
        keep_frame();
    }

    REAL_FRAME void start_supply() {
        const std::lock_guard<std::mutex> supply(supply_);
        all_.join();
        const std::lock_guard<std::mutex> meter(meter_);
        keep_frame();
    }

    REAL_FRAME void read_meter() {
        const std::lock_guard<std::mutex> meter(meter_);
        all_.join();
        const std::lock_guard<std::mutex> relay(relay_);
        keep_frame();
    }

private:
    std::mutex relay_;
    std::mutex supply_;
    std::mutex meter_;
    Meeting all_{3};
};

// Waits for the end of a thread that waits for a lock held here.
class MeterThread {
public:
    REAL_FRAME void restart() {
        const std::lock_guard<std::mutex> session(session_);
        std::thread poller([this] {
            poller_ = waits::own_tid();
            poll();
        });
        poller.join();
        keep_frame();
    }

    REAL_FRAME void poll() {
        const std::lock_guard<std::mutex> session(session_);
        keep_frame();
    }

    void await_poller() {
        while (poller_ == 0) {
            std::this_thread::yield();
        }
        waits::await_asleep({poller_});
    }

private:
    std::mutex session_;
    std::atomic<pid_t> poller_{0};
};

template <typename Mutex, typename Lock = std::lock_guard<Mutex>>
void transfer() {
    static TransferOrder<Mutex, Lock> order;
    static waits::Roster roster;
    roster.start([] { order.lock_session_then_meter(); });
    roster.start([] { order.lock_meter_then_session(); });
    roster.await_asleep();
    waits::wait_for_signal();
    keep_frame();
}

void deadlock() {
    transfer<std::mutex>();
    keep_frame();
}

void deadlock_timed() {
    transfer<std::timed_mutex, TimedLock>();
    keep_frame();
}

void deadlock_recursive() {
    transfer<std::recursive_mutex>();
    keep_frame();
}

void deadlock_shared() {
    transfer<std::shared_mutex>();
    keep_frame();
}

void deadlock_three() {
    static PowerPath path;
    static waits::Roster roster;
    roster.start([] { path.close_relay(); });
    roster.start([] { path.start_supply(); });
    roster.start([] { path.read_meter(); });
    roster.await_asleep();
    waits::wait_for_signal();
    keep_frame();
}

void deadlock_join() {
    static MeterThread meter;
    static waits::Roster roster;
    roster.start([] { meter.restart(); });
    meter.await_poller();
    roster.await_asleep();
    waits::wait_for_signal();
    keep_frame();
}

} // namespace

} // namespace charging

namespace crash {

// Signals for the whole process are taken by its main thread.
const std::vector<Mode> deadlock_modes{
    {"deadlock", Where::main_thread, charging::deadlock},
    {"deadlock-timed", Where::main_thread, charging::deadlock_timed},
    {"deadlock-recursive", Where::main_thread, charging::deadlock_recursive},
    {"deadlock-shared", Where::main_thread, charging::deadlock_shared},
    {"deadlock-three", Where::main_thread, charging::deadlock_three},
    {"deadlock-join", Where::main_thread, charging::deadlock_join},
};

} // namespace crash
