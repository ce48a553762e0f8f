// The ways in which an idle thread of such a program waits.
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <deque>
#include <list>
#include <stdexcept>
#include <thread>

#include "station.hpp"

namespace station {

namespace {

std::atomic<int> arrivals{0};

void check(bool good, const char* what) {
    if (!good) {
        throw std::runtime_error(what);
    }
}

std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    check(pipe(ends.data()) == 0, "pipe");
    return ends;
}

void wait_for_change(Context& context) {
    std::unique_lock<std::mutex> lock(context.mutex);
    arrive();
    context.changed.wait(lock, [&context] { return context.ready; });
}

void wait_for_change_or_time(Context& context) {
    std::unique_lock<std::mutex> lock(context.mutex);
    arrive();
    context.changed.wait_for(lock, std::chrono::hours(10), [&context] { return context.ready; });
}

void wait_in_poll(Context&) {
    pollfd wanted{make_pipe()[0], POLLIN, 0};
    arrive();
    poll(&wanted, 1, -1);
}

void wait_in_epoll(Context&) {
    const int set = epoll_create1(0);
    check(set >= 0, "epoll_create1");
    std::array<epoll_event, 4> events{};
    arrive();
    epoll_wait(set, events.data(), static_cast<int>(events.size()), -1);
}

void wait_for_semaphore(Context&) {
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    arrive();
    sem_wait(&semaphore);
}

void wait_for_peer(Context&) {
    std::array<int, 2> ends{};
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0, "socketpair");
    std::array<char, 64> buffer{};
    arrive();
    check(recv(ends[0], buffer.data(), buffer.size(), 0) >= 0, "recv");
}

void wait_for_promise(Context&) {
    std::promise<std::variant<int, std::string>> promise;
    auto answer = promise.get_future();
    arrive();
    answer.get();
}

void wait_asleep(Context&) {
    arrive();
    std::this_thread::sleep_for(std::chrono::hours(10));
}

void wait_for_lock(Context& context) {
    arrive();
    std::lock_guard<std::mutex> lock(context.held);
}

void wait_for_shared_lock(Context& context) {
    arrive();
    std::shared_lock<std::shared_mutex> lock(context.shared_held);
}

void wait_in_read(Context&) {
    const auto ends = make_pipe();
    char byte = 0;
    arrive();
    check(read(ends[0], &byte, 1) >= 0, "read");
}

void wait_for_signal(Context&) {
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
    int number = 0;
    arrive();
    sigwait(&wanted, &number);
}

void wait_by_kind(Context& context, int kind) {
    using Wait = void (*)(Context&);
    static const std::array<Wait, wait_kinds> waits{
        wait_for_change, wait_for_change_or_time, wait_in_poll,  wait_in_epoll,
        wait_for_semaphore, wait_for_peer,        wait_for_promise, wait_asleep,
        wait_for_lock,   wait_for_shared_lock,    wait_in_read,  wait_for_signal,
    };
    waits.at(static_cast<std::size_t>(kind))(context);
}

// One more call with a copy of the queue, as handlers that pass work on do it.
template <class Queue>
void pass_on(Context& context, Queue queue, int kind, int depth, std::vector<std::string> trail) {
    trail.push_back("step " + std::to_string(depth));
    queue.push_back(typename Queue::value_type{});
    const std::optional<std::string> status = "waiting";
    const std::map<int, std::string> labels{{depth, *status}};
    if (depth > 0) {
        pass_on(context, queue, kind, depth - 1, trail);
    } else {
        wait_by_kind(context, kind);
    }
}

}  // namespace

void arrive() {
    ++arrivals;
}

int arrived() {
    return arrivals;
}

void wait_below(Context& context, int kind, int depth) {
    if (depth % 3 == 0) {
        pass_on(context, std::deque<int>{1, 2, 3}, kind, depth, {});
    } else if (depth % 3 == 1) {
        pass_on(context, std::vector<Transaction>(2), kind, depth, {});
    } else {
        const std::function<void(std::list<std::string>)> receive =
            [&context, kind, depth](const std::list<std::string>& queue) {
                pass_on(context, queue, kind, depth - 2, {});
            };
        receive({"BootNotification", "StatusNotification"});
    }
}

}  // namespace station
