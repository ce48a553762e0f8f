"""A program that dies with many exceptions alive, of all kinds of types, in a failed assertion."""

import subprocess
from pathlib import Path

OTHER = """
#include <stdexcept>
namespace {
struct Hidden { char elsewhere[64]; };
}
void other() {
    try { throw Hidden{}; } catch (const Hidden& e) { if (e.elsewhere[0] == 'x') throw; }
}
"""

MAIN = r"""
#include <cassert>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <vector>
#include <stdexcept>

void other();

namespace everest {
inline namespace v2 {
enum class Fault { None, Contactor = 7 };
struct Base { virtual ~Base() = default; int base_number = 11; };
struct Shared { int shared_number = 12; };
struct Coded : std::runtime_error, Base, virtual Shared {
    explicit Coded(const std::string& text) : std::runtime_error(text) {}
    static int count;
    int connector = 3;
    const int& by_reference = connector;
    union { int as_number = 5; float as_float; };
    std::string password = "hunter22";
    std::string name = "EVSE 1";
    std::map<std::string, int> phases{{"L1", 6}, {"L2", 7}};
};
int Coded::count = 1;
template <typename T, unsigned N> struct Limit : std::logic_error {
    Limit() : std::logic_error("limit") {}
    T limit = 22; T also[N] = {};
};
}
struct Session { int energy = 4711; std::vector<int> samples{1, 2, 3}; };
}

namespace {
struct Hidden { int here = 47; };
struct Huge { int a0 = 0, a1 = 1, a2 = 2, a3 = 3, a4 = 4, a5 = 5, a6 = 6, a7 = 7, a8 = 8, a9 = 9,
    b0 = 10, b1 = 11, b2 = 12, b3 = 13, b4 = 14, b5 = 15, b6 = 16, b7 = 17, b8 = 18; };
const int most = 2;
}
int opened = 9;

struct Station {
    std::unique_ptr<everest::Session> session{new everest::Session};
    std::shared_ptr<everest::Session> kept{new everest::Session};
    everest::Session* null = nullptr;
    std::string secret_key = "0123456789";
    int limit = 6;

    [[gnu::noinline]] void check(const everest::Session& seen, bool closed) {
        assert(EXPRESSION);
        asm volatile("" : : "r"(&seen), "r"(this) : "memory");
    }
};

template <typename Thrown, typename Next> [[gnu::noinline]] void nest(Thrown thrown, Next next) {
    try { throw thrown; } catch (...) { next(); }
}

int main() {
    other();
    Station station;
    everest::Session seen;
    nest(everest::Coded("charging failed"), [&] {
    nest(everest::Limit<double, 3>(), [&] {
    nest(everest::Fault::Contactor, [&] {
    nest(Hidden{}, [&] {
    nest(Huge{}, [&] {
    nest(std::string("a text"), [&] {
    nest(std::system_error(std::make_error_code(std::errc::io_error), "serial port"), [&] {
        station.check(seen, true);
    }); }); }); }); }); }); });
}
"""

EXPRESSION = """
    session->energy <= limit && kept->samples.size() > 9 && null == nullptr &&
    this->limit != most && closed && "limit, \\"or most\\"" && secret_key == "x" &&
    seen.energy == opened
"""


def build(folder: Path, *options: str) -> Path:
    """The program. Raises FileNotFoundError if there is no compiler."""
    (folder / "main.cpp").write_text(MAIN.replace("EXPRESSION", EXPRESSION))
    (folder / "other.cpp").write_text(OTHER)
    program = folder / "thrown"
    subprocess.run(
        ["g++", "-g", *options, "other.cpp", "main.cpp", "-o", program], cwd=folder, check=True
    )
    return program
