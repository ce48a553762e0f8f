#include "chargebridge.hpp"

#include <utility>

#include "keep.hpp"

namespace bridge {

namespace {

// The one place that calls out of the library again; in an anonymous namespace, because such
// names are a trap for tools that cut C++ names at brackets.
template <typename Function>
REAL_FRAME int guarded_call(const Function& function, const Message& message) {
    const int answer = function(message);
    keep(answer);
    return answer;
}

} // namespace

void MessageBus::subscribe(const std::string& topic, Handler handler) {
    handlers_[topic].push_back(std::move(handler));
}

REAL_FRAME int MessageBus::deliver(const Handler& handler, const Message& message) {
    const int answer = guarded_call(handler, message);
    keep(answer);
    return answer;
}

REAL_FRAME int MessageBus::publish(const Message& message) {
    int sum = 0;
    for (const Handler& handler : handlers_[message.topic]) {
        sum += deliver(handler, message);
    }
    return sum;
}

extern "C" REAL_FRAME int chargebridge_each_phase(int phases,
                                                  int (*visit)(int phase, void* context),
                                                  void* context) {
    int sum = 0;
    for (int phase = 1; phase <= phases; ++phase) {
        sum += visit(phase, context);
    }
    return sum;
}

} // namespace bridge
