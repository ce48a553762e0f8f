// Reads and writes through bad pointers.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "charging.hpp"
#include "keep.hpp"
#include "modes.hpp"

namespace charging {

// The user's functions may be called like libc's: what they are is said by where they are.
REAL_FRAME void raise(Contactor* contactor) {
    contactor->closed = 1;
}

REAL_FRAME void log(Contactor* contactor) {
    raise(contactor);
    keep_frame();
}

REAL_FRAME void abort_session(Contactor* contactor) {
    log(contactor);
    keep_frame();
}

struct Assertion {
    Contactor* contactor;

    REAL_FRAME void check() const {
        abort_session(contactor);
        keep_frame();
    }
};

// Large, so that no other object's memory is mistaken for it.
class DcFastConnector : public Connector {
public:
    int current_limit() const override {
        return 500;
    }

    char firmware[488] = {};
};

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

struct Schedule {
    double limits_kw[1024];
};

REAL_FRAME double limit_of_hour(const Schedule* schedule, std::size_t hour) {
    const double limit_kw = schedule->limits_kw[hour];
    keep(limit_kw);
    return limit_kw;
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

// Far from the null pointer itself, but still in the first pages.
void near_null() {
    keep(limit_of_hour(pointer_to<Schedule>(0), opaque<std::size_t>(1000)));
}

// A virtual call on an object that was deleted: instead of its table, the object's first word is
// what the thread's cache of freed memory has written there.
void use_after_free() {
    auto* connector = opaque(new DcFastConnector);
    delete connector;
    keep(ask_connector(opaque(connector)));
}

void user_names() {
    const Assertion assertion{pointer_to<Contactor>(0)};
    assertion.check();
    keep_frame();
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

struct Slot {
    PowerMeter* meter;
    Contactor* contactor;
};

// What allocators for finding bugs leave in memory that is given back.
REAL_FRAME void release_slot(Slot* slot) {
    std::memset(slot, 0xab, sizeof *slot);
    keep_frame();
}

void poison_pointer() {
    Slot slot{pointer_to<PowerMeter>(0), pointer_to<Contactor>(0)};
    release_slot(opaque(&slot));
    keep(read_energy(slot.meter));
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
    {"near-null", Where::worker_thread, charging::near_null},
    {"user-names", Where::worker_thread, charging::user_names},
    {"use-after-free", Where::worker_thread, charging::use_after_free},
    {"wild-read", Where::worker_thread, charging::wild_read},
    {"wild-write", Where::main_thread, charging::wild_write},
#if defined(__x86_64__)
    {"noncanonical-read", Where::main_thread, charging::noncanonical_read},
    {"noncanonical-write", Where::worker_thread, charging::noncanonical_write},
    {"poison-pointer", Where::worker_thread, charging::poison_pointer},
#endif
    {"write-readonly", Where::worker_thread, charging::write_readonly},
    {"renamed", Where::main_thread, charging::renamed},
    {"bus-error", Where::worker_thread, charging::bus_error},
};

} // namespace crash
