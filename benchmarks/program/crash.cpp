// The crash. This unit is built with -O2: many of its frames are inlined.
#include <algorithm>
#include <numeric>

#include "station.hpp"

namespace station {

namespace {

volatile int sink;

struct Connector {
    int number;
    int state;
    std::string label;
};

STATION_NOINLINE Connector* find_connector(const Context& context, int number) {
    // No such connector is configured: the mistake that the crash below is about.
    return context.configuration->profiles.count(number) > 0 ? new Connector{number, 0, ""} : nullptr;
}

STATION_INLINE void set_state(Connector* connector, int state) {
    connector->state = state;
}

STATION_NOINLINE int start_charging(Context& context, const Transaction& transaction) {
    Connector* connector = find_connector(context, 1000 + transaction.connector);
    const std::string label = context.name + "/" + transaction.id;
    set_state(connector, 42);
    sink = connector->state;
    return static_cast<int>(label.size());
}

template <int Stage>
STATION_NOINLINE int handle(Context& context, const Transaction& transaction, int depth);

// Each stage goes on in the way of its kind; results are used, so that no call is a tail call.
template <int Stage>
STATION_INLINE int through_function(Context& context, const Transaction& transaction, int depth) {
    const std::function<int(int)> next = [&](int value) {
        return handle<Stage - 1>(context, transaction, value + 1) + 1;
    };
    return next(depth) + 1;
}

template <int Stage>
STATION_INLINE int through_variant(Context& context, const Transaction& transaction, int depth) {
    std::variant<int, std::string, Transaction> message = transaction;
    if (depth < 0) {
        message = std::to_string(depth);
    }
    return std::visit(
               [&](const auto& content) -> int {
                   using Content = std::decay_t<decltype(content)>;
                   if constexpr (std::is_same_v<Content, Transaction>) {
                       return handle<Stage - 1>(context, content, depth + 1) + 1;
                   } else {
                       return depth;
                   }
               },
               message) +
           1;
}

template <int Stage>
STATION_INLINE int through_algorithm(Context& context, const Transaction& transaction, int depth) {
    const std::vector<int> steps{depth, depth + 1};
    int result = 0;
    std::for_each(steps.begin(), steps.end(), [&](int step) {
        result += handle<Stage - 1>(context, transaction, step + 1);
    });
    return result + static_cast<int>(steps.size());
}

template <int Stage>
STATION_INLINE int through_future(Context& context, const Transaction& transaction, int depth) {
    std::future<int> answer = std::async(std::launch::deferred, [&] {
        return handle<Stage - 1>(context, transaction, depth + 1) + 1;
    });
    return answer.get() + 1;
}

template <int Stage>
int handle(Context& context, const Transaction& transaction, int depth) {
    const std::string stage = "stage " + std::to_string(Stage);
    context.configuration->values[stage] = depth;
    int result = 0;
    if constexpr (Stage == 0) {
        result = start_charging(context, transaction);
    } else if constexpr (Stage % 4 == 0) {
        result = through_future<Stage>(context, transaction, depth);
    } else if constexpr (Stage % 4 == 1) {
        result = through_function<Stage>(context, transaction, depth);
    } else if constexpr (Stage % 4 == 2) {
        result = through_variant<Stage>(context, transaction, depth);
    } else {
        result = through_algorithm<Stage>(context, transaction, depth);
    }
    sink = result;
    return result + static_cast<int>(stage.size());
}

}  // namespace

int crash_below(Context& context, const Transaction& transaction) {
    const int result = handle<7>(context, transaction, 0);
    sink = result;
    return result + 1;
}

}  // namespace station
