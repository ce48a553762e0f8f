// Assertions and checks: in templates, in the C++ library, and inside libc itself.

// Vectors check their indexes, in this file only.
#define _GLIBCXX_ASSERTIONS

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <vector>

#include "charging.hpp"
#include "keep.hpp"
#include "modes.hpp"

namespace charging {

// In the message this function's text has a colon and a blank, as the message has between its
// parts. Not in an anonymous namespace, which the two compilers write in different ways.
template <typename Reading>
class LimitCheck {
public:
    explicit LimitCheck(const Reading& reading) : reading_(reading) {
    }

    template <typename Unit>
    REAL_FRAME auto check(Unit limit) const
        -> std::enable_if_t<(sizeof(Unit) == 8 ? true : false), bool> {
        assert(reading_.energy_wh < limit && "more energy: than the limit");
        keep_frame();
        return true;
    }

private:
    const Reading& reading_;
};

namespace {

// Two in one function: they must not be taken for the same crash.
REAL_FRAME void check_reading(const MeterReading& reading) {
    assert(reading.connector > 0);
    assert(reading.energy_wh >= 0.0 && "a meter runs forward");
    keep_frame();
}

// A type of its own: of a function that another file has too, the linker takes either one.
struct Phase {
    int limit_a = 0;
};

REAL_FRAME int limit_of(std::size_t number) {
    static const std::vector<Phase> phases(2);
    return phases[number].limit_a;
}

// The checking function by hand: <cstdio> calls it with one of the two compilers only.
REAL_FRAME void print_station_name(const char* text, std::size_t size) {
    char name[16];
    __builtin___snprintf_chk(name, size, 1, sizeof name, "%s", text);
    keep(name);
}

REAL_FRAME void await_token(sem_t* tokens) {
    sem_wait(tokens);
    keep_frame();
}

REAL_FRAME void lock_meter(pthread_mutex_t* meter) {
    pthread_mutex_lock(meter);
    keep_frame();
}

void assert_template() {
    const MeterReading reading{1, 9000.0, 0.0};
    keep(LimitCheck<MeterReading>(reading).check(opaque(8000L)));
}

void assert_first() {
    check_reading(MeterReading{0, 10.0, 8000.0});
    keep_frame();
}

void assert_second() {
    check_reading(MeterReading{1, -10.0, 8000.0});
    keep_frame();
}

void library_assert() {
    keep(limit_of(opaque<std::size_t>(3)));
}

void fortify_snprintf() {
    print_station_name(opaque("evse_manager"), opaque<std::size_t>(64));
    keep_frame();
}

// Lets every wait for a lock fail in this thread, with an error that no lock knows: what a
// container does whose rules are older than its libc.
void forbid_futexes() {
    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{sizeof rules / sizeof rules[0], rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        std::perror("cannot install a seccomp filter");
        std::exit(70);
    }
}

void libc_fatal() {
    sem_t tokens;
    sem_init(&tokens, 0, 0);
    forbid_futexes();
    await_token(&tokens);
    keep(tokens);
}

// A lock that nobody holds, but has an owner: something has written over it.
void libc_assert() {
    pthread_mutex_t meter = PTHREAD_MUTEX_INITIALIZER;
    meter.__data.__owner = 4711;
    lock_meter(opaque(&meter));
    keep(meter);
}

} // namespace

} // namespace charging

namespace crash {

const std::vector<Mode> assert_modes{
    {"assert-template", Where::worker_thread, charging::assert_template},
    {"assert-first", Where::worker_thread, charging::assert_first},
    {"assert-second", Where::worker_thread, charging::assert_second},
    {"glibcxx-assert", Where::worker_thread, charging::library_assert},
    {"fortify-snprintf", Where::worker_thread, charging::fortify_snprintf},
    {"libc-assert", Where::worker_thread, charging::libc_assert},
    {"libc-fatal", Where::worker_thread, charging::libc_fatal},
};

} // namespace crash
