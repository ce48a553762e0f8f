// station HEAP_MB RESERVE_MB: starts the waiting threads, and crashes when all of them wait.
#include <dirent.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include "station.hpp"
#include "units.hpp"

namespace station {

namespace {

constexpr int waiting_threads = 24;
constexpr std::size_t megabyte = 1024 * 1024;

void fill(Context& context, std::size_t heap_mb) {
    for (int i = 0; i < 200; ++i) {
        context.configuration->values["key " + std::to_string(i)] = i;
    }
    for (int i = 0; i < 50; ++i) {
        const std::string id = "transaction " + std::to_string(i);
        context.transactions[id] = {id, "token", i % 4, std::vector<MeterSample>(20)};
    }
    auto ballast = std::make_shared<std::vector<std::uint32_t>>(heap_mb * megabyte / 4);
    std::uint32_t number = 12345;
    for (auto& word : *ballast) {
        word = number = number * 1664525 + 1013904223;
    }
    context.kept.push_back(ballast);
}

// Address space of which one page in 64 MB is used: the core has the size, the disk has not.
void reserve(std::size_t megabytes) {
    if (megabytes == 0) {
        return;
    }
    const std::size_t size = megabytes * megabyte;
    void* start = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED || madvise(start, size, MADV_NOHUGEPAGE) != 0) {
        std::abort();
    }
    for (std::size_t at = 0; at < size; at += 64 * megabyte) {
        static_cast<char*>(start)[at] = 1;
    }
}

bool is_asleep(const std::string& thread) {
    std::ifstream file("/proc/self/task/" + thread + "/stat");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto name_end = text.rfind(')');
    return name_end != std::string::npos && text.compare(name_end, 4, ") S ") == 0;
}

bool all_others_are_asleep() {
    const std::string self = std::to_string(syscall(SYS_gettid));
    DIR* tasks = opendir("/proc/self/task");
    bool asleep = tasks != nullptr;
    while (dirent* entry = asleep ? readdir(tasks) : nullptr) {
        const std::string name = entry->d_name;
        asleep = name[0] == '.' || name == self || is_asleep(name);
    }
    if (tasks != nullptr) {
        closedir(tasks);
    }
    return asleep;
}

// Every thread, main too, says so right before its last call, and the kernel says that it sleeps.
void wait_until_all_wait() {
    while (arrived() < waiting_threads + 1 || !all_others_are_asleep()) {
        std::this_thread::yield();
    }
}

int run(std::size_t heap_mb, std::size_t reserve_mb) {
    static Context context;
    fill(context, heap_mb);
    reserve(reserve_mb);
    int result = exercise_all(context);
    const std::lock_guard<std::mutex> held(context.held);
    const std::lock_guard<std::shared_mutex> shared_held(context.shared_held);
    std::vector<std::thread> threads;
    for (int i = 0; i < waiting_threads; ++i) {
        threads.emplace_back([i] { wait_below(context, i % wait_kinds, 2 + i % 7); });
    }
    std::thread crasher([&result] {
        wait_until_all_wait();
        result += crash_below(context, context.transactions.begin()->second);
    });
    arrive();
    crasher.join();
    return result;
}

}  // namespace

}  // namespace station

int main(int argc, char** argv) {
    const auto argument = [argc, argv](int at) {
        return at < argc ? std::strtoul(argv[at], nullptr, 10) : 0;
    };
    return station::run(argument(1), argument(2));
}
