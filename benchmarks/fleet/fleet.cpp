// fleet KIND SEED THREADS: one of very many chargers, which crashes in one of five ways.
//
// The innermost functions of a crash are the same every time. What differs is everything that must
// not matter: how the function was reached, how many threads wait, what is on the heap, where all
// of it lies, and the build (BUILD is 1 or 2: other lines, other addresses).
#include <pthread.h>

#include <cassert>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "station.hpp"

namespace fleet {

using station::Context;
using station::Transaction;

namespace {

volatile int sink;

#if BUILD == 2
// What a later version has more than an earlier one.
STATION_NOINLINE int count_samples(const Context& context) {
    int samples = 0;
    for (const auto& entry : context.transactions) {
        samples += static_cast<int>(entry.second.samples.size());
    }
    sink = samples;
    return samples;
}
#endif

struct Session {
    int connector{};
    double energy{};
    std::string id;
};

// ---- five defects, each with the function that it is in and two that lead to it

STATION_NOINLINE void book_energy(Session* session, double energy) {
    session->energy = energy;
    sink = session->connector;
}

STATION_NOINLINE int on_meter_value(Context& context, const Transaction& transaction) {
    // No session is open on this connector.
    Session* session = context.configuration->profiles.count(9000) > 0 ? new Session : nullptr;
    book_energy(session, 12.5);
    return transaction.connector + 1;
}

STATION_NOINLINE void check_power_limit(int power, int limit) {
    assert(power <= limit && "power limit exceeded");
    sink = power;
}

STATION_NOINLINE int on_schedule(Context& context, const Transaction& transaction) {
    check_power_limit(static_cast<int>(context.name.size()) + 22000, 11000);
    return transaction.connector + 2;
}

STATION_NOINLINE const Transaction& transaction_of(Context& context, const std::string& id) {
    const Transaction& found = context.transactions.at(id);
    sink = found.connector;
    return found;
}

STATION_NOINLINE int on_stop(Context& context, const Transaction& transaction) {
    const Transaction& found = transaction_of(context, transaction.id + " that never began");
    return found.connector + 3;
}

STATION_NOINLINE void release_buffer(char* buffer) {
    std::free(buffer);
    sink = 4;
}

STATION_NOINLINE int on_certificate(Context& context, const Transaction& transaction) {
    char* buffer = static_cast<char*>(std::malloc(64));
    std::memset(buffer, static_cast<int>(context.name.size()), 64);
    char* volatile kept = buffer;
    release_buffer(kept);
    release_buffer(kept);
    return transaction.connector + 4;
}

STATION_NOINLINE int parse_element(const char* text, int depth) {
    char copy[96];
    std::strncpy(copy, text, sizeof copy - 1);
    copy[sizeof copy - 1] = '\0';
    sink = copy[0];
    // The closing bracket is never found.
    const int below = depth < 0 ? 0 : parse_element(copy, depth + 1);
    return below + copy[1];
}

STATION_NOINLINE int on_message(Context& context, const Transaction& transaction) {
    return parse_element(context.name.c_str(), transaction.connector) + 5;
}

using Handler = int (*)(Context&, const Transaction&);
constexpr Handler handlers[] = {on_meter_value, on_schedule, on_stop, on_certificate, on_message};

STATION_NOINLINE int handle(Context& context, const Transaction& transaction, int kind) {
#if BUILD == 2
    count_samples(context);
#endif
    const int result = handlers[kind](context, transaction);
    sink = result;
    return result + 1;
}

// ---- how a message gets to its handler: in another way each time

STATION_NOINLINE int from_web_socket(Context& context, int kind, int depth);
STATION_NOINLINE int from_timer(Context& context, int kind, int depth);
STATION_NOINLINE int from_queue(Context& context, int kind, int depth);

int on_the_way(Context& context, int kind, int depth) {
    if (depth <= 0) {
        return handle(context, context.transactions.begin()->second, kind);
    }
    switch (depth % 3) {
    case 0:
        return from_web_socket(context, kind, depth / 3) + 1;
    case 1:
        return from_timer(context, kind, depth / 3) + 1;
    default:
        return from_queue(context, kind, depth / 3) + 1;
    }
}

int from_web_socket(Context& context, int kind, int depth) {
    const std::string frame(static_cast<std::size_t>(depth + 1), 'x');
    const int result = on_the_way(context, kind, depth);
    return result + static_cast<int>(frame.size());
}

int from_timer(Context& context, int kind, int depth) {
    const std::function<int()> callback = [&] { return on_the_way(context, kind, depth) + 1; };
    return callback() + 1;
}

int from_queue(Context& context, int kind, int depth) {
    std::vector<int> queue{depth};
    int result = 0;
    for (const int entry : queue) {
        result += on_the_way(context, kind, entry);
    }
    return result + static_cast<int>(queue.size());
}

void fill(Context& context, unsigned seed) {
    for (unsigned i = 0; i < 20 + seed % 50; ++i) {
        const std::string id = "transaction " + std::to_string(i * seed);
        context.transactions[id] = {id, "token", 1, std::vector<station::MeterSample>(seed % 9)};
        context.configuration->values["key " + std::to_string(i)] = static_cast<int>(i * seed);
    }
}

struct Order {
    Context* context;
    int kind;
    int depth;
    int result;
};

void* crash(void* argument) {
    auto* order = static_cast<Order*>(argument);
    order->result = on_the_way(*order->context, order->kind, order->depth);
    return nullptr;
}

}  // namespace

int run(int kind, unsigned seed, int threads) {
    static Context context;
    fill(context, seed);
    const std::lock_guard<std::mutex> held(context.held);
    const std::lock_guard<std::shared_mutex> shared_held(context.shared_held);
    std::vector<std::thread> waiting;
    for (int i = 0; i < threads; ++i) {
        const int way = static_cast<int>(seed + static_cast<unsigned>(i)) % station::wait_kinds;
        waiting.emplace_back([way, i] { station::wait_below(context, way, 1 + i % 4); });
    }
    while (station::arrived() < threads) {
        std::this_thread::yield();
    }
    // The stack that overflows is of another size each time.
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (64 + 4 * (seed % 16)) * 1024);
    Order order{&context, kind, static_cast<int>(seed % 80), 0};
    pthread_t thread{};
    pthread_create(&thread, &attributes, crash, &order);
    pthread_join(thread, nullptr);
    return order.result;
}

}  // namespace fleet

int main(int argc, char** argv) {
    if (argc != 4) {
        return 2;
    }
    const auto number = [argv](int at) { return std::atoi(argv[at]); };
    return fleet::run(number(1), static_cast<unsigned>(number(2)), number(3));
}
