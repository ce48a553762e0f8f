// Exceptions laid out as those of two libraries that many programs use, under the libraries' own
// names. The libraries themselves are not needed.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "keep.hpp"

// As boost/throw_exception.hpp has it: three base classes with virtual functions. An object's
// std::exception is behind its first word, and its last members are where it was thrown.
namespace boost {

namespace exception_detail {

class clone_base {
public:
    virtual const clone_base* clone() const = 0;
    virtual void rethrow() const = 0;
    virtual ~clone_base() noexcept = default;
};

struct error_info_container;

} // namespace exception_detail

class exception {
public:
    exception(const char* function, const char* file, int line) :
        throw_function_(function), throw_file_(file), throw_line_(line) {
    }
    virtual ~exception() noexcept = 0;

protected:
    exception_detail::error_info_container* data_ = nullptr;
    const char* throw_function_;
    const char* throw_file_;
    int throw_line_;
    int throw_column_ = -1;
};

inline exception::~exception() noexcept = default;

template <typename E>
struct wrapexcept : exception_detail::clone_base, E, exception {
    wrapexcept(const E& error, const char* function, const char* file, int line) :
        E(error), exception(function, file, line) {
    }
    const exception_detail::clone_base* clone() const override {
        return new wrapexcept(*this);
    }
    void rethrow() const override {
        throw *this;
    }
};

template <typename E>
[[noreturn]] REAL_FRAME void throw_exception(const E& error, const char* function,
                                             const char* file, int line) {
    throw wrapexcept<E>(error, function, file, line);
}

} // namespace boost

// As nlohmann/json.hpp has it: the text is in a member, not in the base class.
namespace nlohmann {
inline namespace json_abi_v3_11_3 {
namespace detail {

class exception : public std::exception {
public:
    const char* what() const noexcept override {
        return m.what();
    }

    const int id;

protected:
    exception(int number, const char* text) : id(number), m(text) {
    }

private:
    std::runtime_error m;
};

class out_of_range : public exception {
public:
    static out_of_range create(int number, const std::string& text) {
        const std::string whole =
            "[json.exception.out_of_range." + std::to_string(number) + "] " + text;
        return {number, whole.c_str()};
    }

private:
    out_of_range(int number, const char* text) : exception(number, text) {
    }
};

} // namespace detail
} // namespace json_abi_v3_11_3
} // namespace nlohmann
