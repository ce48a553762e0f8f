// libchargebridge: the message bus between the parts of a module, in a library of its own so
// that a stack crosses from the executable into a library and back.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bridge {

struct Message {
    std::string topic;
    std::string payload;
    int connector = 0;
};

using Handler = std::function<int(const Message&)>;

class MessageBus {
public:
    void subscribe(const std::string& topic, Handler handler);

    // Calls every handler of the topic and returns the sum of what they answered.
    int publish(const Message& message);

private:
    int deliver(const Handler& handler, const Message& message);

    std::map<std::string, std::vector<Handler>> handlers_;
};

// A C interface as the drivers of power meters have it: calls `visit` for every phase.
extern "C" int chargebridge_each_phase(int phases, int (*visit)(int phase, void* context),
                                       void* context);

} // namespace bridge
