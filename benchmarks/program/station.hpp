// A charging station that does nothing but wait and crash: material for evdiag's benchmarks.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#define STATION_NOINLINE __attribute__((noinline))
#define STATION_INLINE inline __attribute__((always_inline))

namespace station {

struct MeterSample {
    std::string measurand;
    double value{};
    std::chrono::system_clock::time_point taken;
};

struct Transaction {
    std::string id;
    std::optional<std::string> token;
    int connector{};
    std::vector<MeterSample> samples;
};

struct Configuration {
    std::map<std::string, std::variant<bool, int, std::string>> values;
    std::unordered_map<int, std::vector<std::string>> profiles;
};

// What every thread works with. The locks are held by main, so that whoever wants them waits.
struct Context {
    std::string name = "evse_manager_1";
    std::shared_ptr<Configuration> configuration = std::make_shared<Configuration>();
    std::map<std::string, Transaction> transactions;
    std::vector<std::shared_ptr<void>> kept;
    std::mutex mutex;
    std::condition_variable changed;
    bool ready = false;
    std::mutex held;
    std::shared_mutex shared_held;
};

// Counts the threads that have only their last, blocking call before them.
void arrive();
int arrived();

// Blocks for ever in one of `wait_kinds` ways, below a chain of about `depth` calls.
constexpr int wait_kinds = 12;
void wait_below(Context& context, int kind, int depth);

// Handles a message in a chain of some thirty calls that ends in a write through a null pointer.
int crash_below(Context& context, const Transaction& transaction);

}  // namespace station
