#include "waits.hpp"

#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "keep.hpp"

namespace waits {

namespace {

// What /proc says about one thread: asleep or not, and how often it has given up the processor.
struct Nap {
    bool asleep = false;
    long switches = -1;

    bool operator==(const Nap& other) const {
        return asleep && other.asleep && switches == other.switches;
    }
};

Nap read_nap(pid_t tid) {
    const std::string path = "/proc/self/task/" + std::to_string(tid) + "/status";
    Nap nap;
    std::FILE* file = std::fopen(path.c_str(), "re");
    if (file == nullptr) {
        return nap;
    }
    char line[256];
    while (std::fgets(line, sizeof line, file) != nullptr) {
        if (std::strncmp(line, "State:\tS", 8) == 0) {
            nap.asleep = true;
        }
        std::sscanf(line, "voluntary_ctxt_switches: %ld", &nap.switches);
    }
    std::fclose(file);
    return nap;
}

std::vector<Nap> read_naps(const std::vector<pid_t>& tids) {
    std::vector<Nap> naps;
    for (const pid_t tid : tids) {
        naps.push_back(read_nap(tid));
    }
    return naps;
}

} // namespace

pid_t own_tid() {
    return static_cast<pid_t>(syscall(SYS_gettid));
}

// Asleep for good: two looks in a row find every thread asleep and none has run in between.
// A thread that only waits for a lock on its way fails that: its holder runs, and then it does.
void await_asleep(const std::vector<pid_t>& tids) {
    std::vector<Nap> before = read_naps(tids);
    for (;;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::vector<Nap> now = read_naps(tids);
        if (now == before) {
            return;
        }
        before = std::move(now);
    }
}

REAL_FRAME void wait_for_signal() {
    std::puts("waiting for a signal");
    std::fflush(stdout);
    for (;;) {
        pause();
    }
}

void Roster::start(std::function<void()> body) {
    ++started_;
    std::thread([this, body = std::move(body)] {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            tids_.push_back(own_tid());
        }
        body();
    }).detach();
}

void Roster::await_asleep() {
    for (;;) {
        std::vector<pid_t> tids;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            tids = tids_;
        }
        if (tids.size() == started_) {
            return waits::await_asleep(tids);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

namespace {

// The usual queue of a module's worker threads: nobody ever puts anything in.
template <typename Job>
class JobQueue {
public:
    REAL_FRAME Job take() {
        std::unique_lock<std::mutex> lock(mutex_);
        filled_.wait(lock, [this] { return !jobs_.empty(); });
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        return job;
    }

private:
    std::mutex mutex_;
    std::condition_variable filled_;
    std::deque<Job> jobs_;
};

// Everything the threads wait on. Made once and never destroyed: they wait until the crash.
struct Station {
    JobQueue<std::function<void()>> jobs;
    std::mutex config_mutex;
    std::condition_variable config_changed;
    std::mutex relay_mutex;
    std::promise<std::string> certificate;
    std::promise<void> relay_held;
    sem_t tokens{};
    int contactor_state = 0;
    int mqtt_pipe[2] = {-1, -1};
    int slac_sockets[2] = {-1, -1};
};

REAL_FRAME void run_jobs(Station& station) {
    for (;;) {
        station.jobs.take()();
    }
}

REAL_FRAME void watch_config(Station& station) {
    std::unique_lock<std::mutex> lock(station.config_mutex);
    station.config_changed.wait(lock);
    keep_frame();
}

REAL_FRAME void await_contactor(Station& station) {
    syscall(SYS_futex, &station.contactor_state, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    keep_frame();
}

REAL_FRAME void read_mqtt(Station& station) {
    pollfd broker{station.mqtt_pipe[0], POLLIN, 0};
    keep(poll(&broker, 1, -1));
}

REAL_FRAME void serve_websocket() {
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    epoll_event events[4];
    keep(epoll_wait(poller, events, 4, -1));
}

REAL_FRAME void send_heartbeats() {
    for (;;) {
        std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

REAL_FRAME void await_token(Station& station) {
    sem_wait(&station.tokens);
    keep_frame();
}

REAL_FRAME void receive_slac(Station& station) {
    char packet[64];
    keep(recv(station.slac_sockets[0], packet, sizeof packet, 0));
}

REAL_FRAME void await_certificate(Station& station) {
    keep(station.certificate.get_future().get());
}

// Keeps the lock that switch_relay waits for: a wait with an owner, but no deadlock.
REAL_FRAME void hold_relay(Station& station) {
    const std::lock_guard<std::mutex> lock(station.relay_mutex);
    station.relay_held.set_value();
    send_heartbeats();
}

REAL_FRAME void switch_relay(Station& station) {
    station.relay_held.get_future().wait();
    const std::lock_guard<std::mutex> lock(station.relay_mutex);
    keep_frame();
}

} // namespace

void start_station_threads(Roster& roster) {
    auto& station = *new Station;
    sem_init(&station.tokens, 0, 0);
    if (pipe(station.mqtt_pipe) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, station.slac_sockets) != 0) {
        std::perror("cannot make what the threads wait on");
        std::exit(70);
    }
    for (int worker = 0; worker < 4; ++worker) {
        roster.start([&station] { run_jobs(station); });
    }
    roster.start([&station] { watch_config(station); });
    roster.start([&station] { await_contactor(station); });
    roster.start([&station] { read_mqtt(station); });
    roster.start([] { serve_websocket(); });
    roster.start([] { send_heartbeats(); });
    roster.start([&station] { await_token(station); });
    roster.start([&station] { receive_slac(station); });
    roster.start([&station] { await_certificate(station); });
    roster.start([&station] { hold_relay(station); });
    roster.start([&station] { switch_relay(station); });
}

} // namespace waits
