// Templates that the generated message units instantiate once per message type.
// The point is their debug information: the usual containers, closures and visitors of such code.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <future>
#include <iterator>
#include <list>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>
#include <tuple>

#include "station.hpp"

namespace station {

template <class... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

template <class Message>
class Handler {
public:
    using Status = typename Message::Status;
    using Item = std::variant<std::monostate, Message, std::string, std::shared_ptr<Message>>;

    int handle(const Message& message) {
        if (!well_formed(message)) {
            return 0;
        }
        remember(message);
        return observe(message) + sum_of_inbox() + sorted_ids();
    }

private:
    static bool well_formed(const Message& message) {
        static const std::regex pattern("[A-Za-z]+-[0-9]+");
        return std::regex_match(message.id, pattern);
    }

    void remember(const Message& message) {
        auto shared = std::make_shared<Message>(message);
        by_id_[message.id] = shared;
        by_status_.emplace(message.status, message);
        history_.push_back(message);
        inbox_.emplace_back(message);
        inbox_.emplace_back(shared);
        inbox_.emplace_back(message.id);
        last_ = message;
        observers_["count"] = [this](const Message& seen) {
            return static_cast<int>(by_id_.count(seen.id) + by_status_.count(seen.status));
        };
        observers_["known"] = [shared](const Message& seen) { return shared->id == seen.id; };
    }

    int observe(const Message& message) {
        return std::accumulate(
            observers_.begin(), observers_.end(), 0,
            [&message](int sum, const auto& entry) { return sum + entry.second(message); });
    }

    int sum_of_inbox() {
        int sum = 0;
        for (const Item& item : inbox_) {
            sum += std::visit(
                Overloaded{
                    [](std::monostate) { return 0; },
                    [](const Message& message) { return static_cast<int>(message.id.size()); },
                    [](const std::string& text) { return static_cast<int>(text.size()); },
                    [](const std::shared_ptr<Message>& message) {
                        return static_cast<int>(message.use_count());
                    },
                },
                item);
        }
        return sum;
    }

    int sorted_ids() {
        std::vector<std::unique_ptr<Message>> copies;
        std::transform(history_.begin(), history_.end(), std::back_inserter(copies),
                       [](const Message& message) { return std::make_unique<Message>(message); });
        std::sort(copies.begin(), copies.end(),
                  [](const auto& left, const auto& right) { return left->id < right->id; });
        std::set<std::tuple<Status, std::string>> ids;
        for (const auto& copy : copies) {
            ids.emplace(copy->status, copy->id);
        }
        return static_cast<int>(ids.size());
    }

    // Filled elsewhere in a real program. Their types alone are much of its debug information.
    std::unordered_map<std::string, std::list<Message>> by_token_;
    std::map<Status, std::unordered_map<int, Message>> by_connector_;
    std::set<std::shared_ptr<Message>> pending_;
    std::unordered_multimap<std::string, std::unique_ptr<Message>> drafts_;
    std::vector<std::pair<Status, std::optional<Message>>> changes_;
    std::map<std::pair<int, std::string>, std::tuple<Status, Message, std::string>> reports_;
    std::deque<std::function<std::optional<Message>(const Message&)>> filters_;
    std::shared_future<Message> answer_;

    std::optional<Message> last_;
    std::deque<Message> history_;
    std::list<Item> inbox_;
    std::multimap<Status, Message> by_status_;
    std::unordered_map<std::string, std::shared_ptr<Message>> by_id_;
    std::map<std::string, std::function<int(const Message&)>> observers_;
};

// Makes one message, handles it and keeps the handler: a piece of the program's heap.
template <class Message>
int exercise(Context& context) {
    auto handler = std::make_shared<Handler<Message>>();
    int result = 0;
    for (int i = 0; i < 4; ++i) {
        Message message;
        message.id = "message-" + std::to_string(i);
        result += handler->handle(message);
    }
    context.kept.push_back(handler);
    return result;
}

}  // namespace station
