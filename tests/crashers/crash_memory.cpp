// Reads and writes through bad pointers.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "charging.hpp"
#include "keep.hpp"
#include "modes.hpp"

namespace charging {

namespace {

// A valid address of the user half that nothing is ever mapped at.
constexpr std::uintptr_t wild = 0x414141414000;

constexpr int current_limits[] = {16, 32, 63, 125};

template <typename T>
T* pointer_to(std::uintptr_t address) {
    return reinterpret_cast<T*>(opaque(address));
}

REAL_FRAME std::int64_t read_energy(const PowerMeter* meter) {
    return meter->energy_wh;
}

REAL_FRAME void close_contactor(Contactor* contactor) {
    contactor->closed = 1;
}

REAL_FRAME int read_limit(const int* limit) {
    return *limit;
}

REAL_FRAME void write_limit(int* limit, int value) {
    *limit = value;
}

REAL_FRAME int ask_connector(const Connector* connector) {
    const int limit = connector->current_limit();
    keep(limit);
    return limit;
}

// The template, the lambda and the inlined member function on top of the demo crash.
template <typename Ledger>
class EnergyBooking {
public:
    explicit EnergyBooking(Ledger& ledger) : ledger_(ledger) {
    }

    REAL_FRAME void book(const MeterReading& reading) {
        with_session(reading.connector,
                     [&reading](Session* session) { session->book_energy(reading.energy_wh); });
        keep_frame();
    }

private:
    template <typename Action>
    REAL_FRAME void with_session(int connector, const Action& action) {
        action(opaque(ledger_.find(connector)));
        keep_frame();
    }

    Ledger& ledger_;
};

void null_read() {
    keep(read_energy(pointer_to<PowerMeter>(0)));
}

void null_write() {
    close_contactor(pointer_to<Contactor>(0));
    keep_frame();
}

void null_member_write() {
    SessionLedger ledger;
    ledger.open(1);
    EnergyBooking<SessionLedger> booking(ledger);
    booking.book(MeterReading{2, 1250.0, 8000.0});
    keep_frame();
}

void null_virtual_call() {
    keep(ask_connector(pointer_to<Connector>(0)));
}

void wild_read() {
    keep(read_limit(pointer_to<int>(wild)));
}

void wild_write() {
    write_limit(pointer_to<int>(wild), 32);
    keep_frame();
}

#if defined(__x86_64__)
// No valid address at all: its upper bits are neither all zero nor all one. The processor then
// gives no fault address. Other machines have no such notion.
constexpr std::uintptr_t noncanonical = 0x4141414141414141;

void noncanonical_read() {
    keep(read_limit(pointer_to<int>(noncanonical)));
}

void noncanonical_write() {
    write_limit(pointer_to<int>(noncanonical), 32);
    keep_frame();
}
#endif

void write_readonly() {
    write_limit(const_cast<int*>(opaque(&current_limits[1])), 32);
    keep_frame();
}

// A name with what tools trip over: a bracket and a blank for parsers of /proc, an escape
// sequence for terminals.
void renamed() {
    prctl(PR_SET_NAME, "evse) R 1\x1b[7m");
    close_contactor(pointer_to<Contactor>(0));
    keep_frame();
}

// A mapped file that somebody else has made shorter in the meantime.
void bus_error() {
    const int file = open("meter-values.bin", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const long page = sysconf(_SC_PAGESIZE);
    if (file < 0 || ftruncate(file, 2 * page) != 0) {
        std::perror("meter-values.bin");
        std::exit(70);
    }
    const auto size = static_cast<std::size_t>(2 * page);
    void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED || ftruncate(file, 0) != 0) {
        std::perror("meter-values.bin");
        std::exit(70);
    }
    keep(read_limit(opaque(static_cast<int*>(mapped) + 4)));
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> memory_modes{
    {"null-read", Where::worker_thread, charging::null_read},
    {"null-write", Where::worker_thread, charging::null_write},
    {"null-member-write", Where::worker_thread, charging::null_member_write},
    {"null-virtual-call", Where::worker_thread, charging::null_virtual_call},
    {"wild-read", Where::worker_thread, charging::wild_read},
    {"wild-write", Where::main_thread, charging::wild_write},
#if defined(__x86_64__)
    {"noncanonical-read", Where::main_thread, charging::noncanonical_read},
    {"noncanonical-write", Where::worker_thread, charging::noncanonical_write},
#endif
    {"write-readonly", Where::worker_thread, charging::write_readonly},
    {"renamed", Where::main_thread, charging::renamed},
    {"bus-error", Where::worker_thread, charging::bus_error},
};

} // namespace crash
