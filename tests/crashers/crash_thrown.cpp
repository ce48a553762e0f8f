// Uncaught exceptions of every kind: where the text is, and whether there is one.
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "foreign_exceptions.hpp"
#include "keep.hpp"
#include "modes.hpp"

namespace charging {

// The text is in a member, and in front of it is another one.
class ProtocolError : public std::exception {
public:
    ProtocolError(int number, const std::string& text) : code(number), text_(text) {
    }
    const char* what() const noexcept override {
        return text_.what();
    }

    const int code;

private:
    std::runtime_error text_;
};

// The text is in a string, too long to be kept in the object itself.
class DeviceError : public std::exception {
public:
    explicit DeviceError(std::string text) : text_(std::move(text)) {
    }
    const char* what() const noexcept override {
        return text_.c_str();
    }

private:
    std::string text_;
};

// Short enough for the object itself.
class PinError : public std::exception {
public:
    const char* what() const noexcept override {
        return text_.c_str();
    }

private:
    std::string text_ = "pin 4 is low";
};

// No std::exception at all.
struct Refusal {
    int code;
    std::string reason;
};

enum class StopReason { local, remote, emergency };

namespace {

REAL_FRAME void reject_frame(int code) {
    throw ProtocolError(code, "V2G frame with code " + std::to_string(code) + " is not allowed");
}

REAL_FRAME void open_device(const std::string& path) {
    throw DeviceError("cannot open " + path);
}

REAL_FRAME void read_pin() {
    throw PinError();
}

REAL_FRAME void refuse_token(int code) {
    throw Refusal{code, "token 4711 is on the list of lost cards"};
}

REAL_FRAME void connect_modem(int error) {
    throw std::system_error(error, std::generic_category(), "cannot connect to the modem");
}

REAL_FRAME int limit_of(const std::optional<int>& limit) {
    return limit.value();
}

REAL_FRAME char* reserve_log(std::size_t size) {
    auto* log = new char[size];
    keep(log);
    return log;
}

REAL_FRAME void complain(const char* text) {
    throw text;
}

REAL_FRAME void stop_now(StopReason reason) {
    throw reason;
}

REAL_FRAME void connect_csms(const std::string& host) {
    boost::throw_exception(std::runtime_error("no route to " + host), "connect_csms",
                           "crash_thrown.cpp", 7);
}

REAL_FRAME void read_config(const std::string& key) {
    throw nlohmann::detail::out_of_range::create(403, "key '" + key + "' not found");
}

void throw_member() {
    reject_frame(opaque(17));
    keep_frame();
}

void throw_string_member() {
    open_device("/dev/charger-modem");
    keep_frame();
}

void throw_short_string() {
    read_pin();
    keep_frame();
}

void throw_plain() {
    refuse_token(opaque(403));
    keep_frame();
}

void throw_system_error() {
    connect_modem(opaque(111)); // ECONNREFUSED
    keep_frame();
}

void throw_bad_optional() {
    const std::optional<int> limit;
    keep(limit);
    keep(limit_of(limit));
}

// No machine has that much memory.
void throw_bad_alloc() {
    keep(reserve_log(opaque(std::size_t{1} << 60)));
}

void throw_pointer() {
    complain(opaque("the station is closed"));
    keep_frame();
}

void throw_enum() {
    stop_now(opaque(StopReason::emergency));
    keep_frame();
}

void throw_boost() {
    connect_csms("csms.example.com");
    keep_frame();
}

void throw_json() {
    read_config("connector");
    keep_frame();
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> thrown_modes{
    {"throw-user-member", Where::worker_thread, charging::throw_member},
    {"throw-user-string", Where::worker_thread, charging::throw_string_member},
    {"throw-user-short", Where::worker_thread, charging::throw_short_string},
    {"throw-user-plain", Where::worker_thread, charging::throw_plain},
    {"throw-system-error", Where::worker_thread, charging::throw_system_error},
    {"throw-bad-optional", Where::worker_thread, charging::throw_bad_optional},
    {"throw-bad-alloc", Where::worker_thread, charging::throw_bad_alloc},
    {"throw-pointer", Where::worker_thread, charging::throw_pointer},
    {"throw-enum", Where::worker_thread, charging::throw_enum},
    {"throw-boost", Where::worker_thread, charging::throw_boost},
    {"throw-json", Where::worker_thread, charging::throw_json},
};

} // namespace crash
