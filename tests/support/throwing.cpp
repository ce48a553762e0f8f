// Ways in which exceptions end a program, and ways in which it ends while some are alive.
#include <any>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>

#define REAL_FRAME __attribute__((noinline))

namespace json { // as nlohmann's exceptions are made

struct exception : std::exception {
    exception(int number, const char* text) : id(number), message(text) {
    }
    const char* what() const noexcept override {
        return message.what();
    }
    const int id;

private:
    std::runtime_error message;
};

struct type_error : exception {
    using exception::exception;
};

} // namespace json

namespace wrapped { // as boost's are made

struct clone_base {
    virtual ~clone_base() = default;
};

struct exception {
    virtual ~exception() = default;
    const char* file = "x.cpp";
};

template <typename E> struct wrapexcept : clone_base, E, exception {
    explicit wrapexcept(const E& e) : E(e) {
    }
};

} // namespace wrapped

namespace own {

struct Text : std::exception {
    explicit Text(std::string text) : message(std::move(text)) {
    }
    const char* what() const noexcept override {
        return message.c_str();
    }
    int code = 4;
    std::string message;
};

struct Literal : std::exception {
    const char* what() const noexcept override {
        return "always the same";
    }
};

struct Virtual : virtual std::runtime_error {
    Virtual() : std::runtime_error("of a virtual base") {
    }
    int more = 1;
};

enum class Fault { contactor = 7 };

} // namespace own

namespace {

using Mode = void (*)();

void nested() {
    try {
        try {
            throw 42;
        } catch (...) {
            std::throw_with_nested(std::runtime_error("middle"));
        }
    } catch (...) {
        std::throw_with_nested(std::logic_error("outermost"));
    }
}

void rethrown() {
    try {
        throw std::runtime_error("thrown again");
    } catch (const std::exception&) {
        throw;
    }
}

void by_pointer() {
    std::exception_ptr kept;
    try {
        throw std::runtime_error("through a pointer");
    } catch (...) {
        kept = std::current_exception();
    }
    std::rethrow_exception(kept);
}

void in_catch() {
    try {
        throw std::runtime_error("merely handled");
    } catch (const std::exception&) {
        std::abort();
    }
}

void terminate_in_catch() {
    try {
        throw std::runtime_error("merely handled");
    } catch (const std::exception&) {
        std::terminate();
    }
}

void noexcept_part() noexcept {
    throw std::runtime_error("from a noexcept function");
}

void own_handler() {
    std::set_terminate([] { std::abort(); });
    throw std::runtime_error("own handler");
}

void joinable() {
    std::thread other([] { std::this_thread::sleep_for(std::chrono::seconds(99)); });
}

void streams() {
    std::ifstream file;
    file.exceptions(std::ios::failbit);
    file.open("/nonexistent");
}

const std::map<std::string, Mode> modes{
    {"json", [] { throw json::type_error(302, "type must be string, but is null"); }},
    {"wrapped",
     [] { throw wrapped::wrapexcept<std::out_of_range>(std::out_of_range("too far")); }},
    {"text", [] { throw own::Text("a text that is too long for the object itself"); }},
    {"short", [] { throw own::Text("short"); }},
    {"literal", [] { throw own::Literal(); }},
    {"virtual", [] { throw own::Virtual(); }},
    {"enum", [] { throw own::Fault::contactor; }},
    {"characters", [] { throw "some characters"; }},
    {"pointer", [] { throw new std::runtime_error("by its address"); }},
    {"double", [] { throw 2.5; }},
    {"system",
     [] {
         throw std::system_error(std::make_error_code(std::errc::permission_denied), "open port");
     }},
    {"files", [] { std::filesystem::directory_iterator all("/nonexistent"); }},
    {"streams", streams},
    {"cast", [] { std::any_cast<int>(std::any("x")); }},
    {"optional", [] { std::cout << std::optional<int>().value(); }},
    {"variant", [] { std::cout << std::get<int>(std::variant<int, char>('x')); }},
    {"nested", nested},
    {"rethrown", rethrown},
    {"by-pointer", by_pointer},
    {"noexcept", noexcept_part},
    {"own-handler", own_handler},
    {"in-catch", in_catch},
    {"terminate-in-catch", terminate_in_catch},
    {"terminate", [] { std::terminate(); }},
    {"rethrow-nothing", [] { throw; }},
    {"joinable", joinable},
};

std::exception_ptr kept;

} // namespace

REAL_FRAME void run_mode(const std::string& name) {
    modes.at(name)();
    asm volatile("");
}

int main(int, char** argv) {
    try {
        throw std::runtime_error("kept from before");
    } catch (...) {
        kept = std::current_exception();
    }
    run_mode(argv[1]);
    return 0;
}
