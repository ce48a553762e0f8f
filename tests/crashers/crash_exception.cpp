// Everything that ends in std::terminate.
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "keep.hpp"
#include "modes.hpp"
#include "waits.hpp"

namespace types {

// An exception of the program's own, with more to tell than what().
struct EnergyLimitExceeded : std::runtime_error {
    EnergyLimitExceeded(const std::string& text, int on_connector, double of_kw) :
        std::runtime_error(text), connector(on_connector), limit_kw(of_kw) {
    }
    int connector;
    double limit_kw;
};

} // namespace types

namespace charging {

// Calls a virtual function from the constructor, when the derived class is not there yet. Not
// in an anonymous namespace: there the compiler sees all derived classes and calls the only one.
class ChargePoint {
public:
    ChargePoint() {
        announce();
        keep_frame();
    }
    virtual ~ChargePoint() = default;
    virtual int connectors() const = 0;

    REAL_FRAME void announce() const {
        keep(opaque(this)->connectors());
    }
};

class DcChargePoint : public ChargePoint {
public:
    int connectors() const override {
        return 2;
    }
};

namespace {

REAL_FRAME void enforce_limit(int connector, double limit_kw) {
    throw types::EnergyLimitExceeded(
        "connector " + std::to_string(connector) + " exceeds its energy limit", connector,
        limit_kw);
}

REAL_FRAME void stop_charging(int connector) noexcept {
    enforce_limit(connector, 11.0);
    keep_frame();
}

REAL_FRAME void reject_token(int reason) {
    throw reason;
}

REAL_FRAME void reject_message(const std::string& reason) {
    throw reason;
}

REAL_FRAME int transaction_of(const std::map<std::string, int>& transactions) {
    return transactions.at("connector-2");
}

REAL_FRAME int limit_of_phase(const std::vector<int>& limits, std::size_t phase) {
    return limits.at(phase);
}

// Tells of the failure and passes it on: what is thrown is older than the throw.
REAL_FRAME void supervise_charging(int connector) {
    try {
        enforce_limit(connector, 16.0);
    } catch (const std::exception& error) {
        keep(error);
        throw;
    }
}

REAL_FRAME void read_meter(int connector) {
    throw std::runtime_error("meter of connector " + std::to_string(connector) +
                             " does not answer");
}

REAL_FRAME void start_session(int connector) {
    try {
        read_meter(connector);
    } catch (...) {
        std::throw_with_nested(std::runtime_error("session on connector " +
                                                  std::to_string(connector) + " cannot start"));
    }
}

REAL_FRAME void end_session() {
    std::terminate();
}

REAL_FRAME void pass_on() {
    throw;
}

// Opens the contactor whatever happens, and fails: a destructor must not throw.
class ContactorGuard {
public:
    explicit ContactorGuard(int connector) : connector_(connector) {
    }
    REAL_FRAME ~ContactorGuard() {
        read_meter(connector_);
        keep_frame();
    }

private:
    int connector_;
};

IN_ONE_PIECE REAL_FRAME void charge_guarded(int connector) {
    const ContactorGuard guard(connector);
    enforce_limit(connector, 43.0);
    keep(guard);
}

// Has no text to tell, so that the end of the program fails too.
class WithoutText : public std::exception {
public:
    REAL_FRAME const char* what() const noexcept override {
        throw_text();
        return "";
    }

private:
    REAL_FRAME static void throw_text() {
        throw std::string("no text for this failure");
    }
};

REAL_FRAME void fail_without_text() {
    throw WithoutText();
}

// Ends while the thread still runs: ~thread() has no other way than std::terminate.
REAL_FRAME void restart_meter_thread() {
    std::atomic<pid_t> tid{0};
    const std::thread meter([&tid] {
        tid = waits::own_tid();
        pause();
    });
    while (tid == 0) {
        std::this_thread::yield();
    }
    waits::await_asleep({tid});
    keep(meter);
}

void throw_own_type() {
    enforce_limit(opaque(2), 22.0);
    keep_frame();
}

void throw_in_noexcept() {
    stop_charging(opaque(1));
    keep_frame();
}

void throw_int() {
    reject_token(opaque(17));
    keep_frame();
}

void throw_string() {
    reject_message("message 4711 is not for this station");
    keep_frame();
}

void map_at() {
    const std::map<std::string, int> transactions{{"connector-1", 4711}};
    keep(transaction_of(transactions));
}

void vector_at() {
    const std::vector<int> limits{16, 32};
    keep(limit_of_phase(limits, opaque<std::size_t>(9)));
}

// An exception that was caught and is still kept when another one ends the program: a search
// through memory finds both.
void throw_after_caught() {
    std::exception_ptr kept;
    try {
        reject_message("an older exception, already dealt with");
    } catch (...) {
        kept = std::current_exception();
    }
    enforce_limit(opaque(3), 50.0);
    keep(kept);
}

void throw_rethrown() {
    supervise_charging(opaque(2));
    keep_frame();
}

void throw_nested() {
    start_session(opaque(1));
    keep_frame();
}

// The first exception is on its way to this handler when the destructor throws the second one.
void throw_in_destructor() {
    try {
        charge_guarded(opaque(2));
    } catch (const std::exception& error) {
        keep(error);
    }
}

void terminate_explicit() {
    end_session();
    keep_frame();
}

void rethrow_nothing() {
    pass_on();
    keep_frame();
}

void terminate_recursive() {
    fail_without_text();
    keep_frame();
}

void joinable_thread() {
    restart_meter_thread();
    keep_frame();
}

void pure_virtual() {
    const DcChargePoint station;
    keep(station);
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> exception_modes{
    {"throw-main", Where::main_thread, charging::throw_own_type},
    {"throw-thread", Where::worker_thread, charging::throw_own_type},
    {"throw-noexcept", Where::worker_thread, charging::throw_in_noexcept},
    {"throw-int", Where::worker_thread, charging::throw_int},
    {"throw-string", Where::worker_thread, charging::throw_string},
    {"throw-after-caught", Where::worker_thread, charging::throw_after_caught},
    {"map-at", Where::worker_thread, charging::map_at},
    {"vector-at", Where::worker_thread, charging::vector_at},
    {"throw-rethrown", Where::worker_thread, charging::throw_rethrown},
    {"throw-nested", Where::worker_thread, charging::throw_nested},
    {"throw-in-destructor", Where::worker_thread, charging::throw_in_destructor},
    {"terminate-explicit", Where::worker_thread, charging::terminate_explicit},
    {"rethrow-nothing", Where::worker_thread, charging::rethrow_nothing},
    {"terminate-recursive", Where::worker_thread, charging::terminate_recursive},
    {"joinable-thread", Where::worker_thread, charging::joinable_thread},
    {"pure-virtual", Where::worker_thread, charging::pure_virtual},
};

} // namespace crash
