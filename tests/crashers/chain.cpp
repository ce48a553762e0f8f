// A stack as real modules have it: templates, lambdas, std::function, inlined helpers, a
// shared library in the middle, a C callback and a libc function that calls back.
#include "chain.hpp"

#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "chargebridge.hpp"
#include "charging.hpp"
#include "keep.hpp"

namespace chain {

namespace {

using charging::MeterReading;

// The stages a meter reading passes; each calls the next one through a lambda.
struct Validate {
    template <typename Next>
    static REAL_FRAME int apply(MeterReading& reading, const Next& next) {
        reading.power_w = reading.power_w < 0.0 ? 0.0 : reading.power_w;
        const int answer = next(reading);
        keep(answer);
        return answer;
    }
};

struct Integrate {
    template <typename Next>
    static REAL_FRAME int apply(MeterReading& reading, const Next& next) {
        reading.energy_wh += reading.power_w / 3600.0;
        const int answer = next(reading);
        keep(answer);
        return answer;
    }
};

// Bills once per session; std::call_once puts libc's pthread_once in the middle of the stack.
struct Bill {
    template <typename Next>
    static REAL_FRAME int apply(MeterReading& reading, const Next& next) {
        std::once_flag billed;
        int answer = 0;
        std::call_once(billed, [&] { answer = next(reading); });
        return answer;
    }
};

template <typename... Stages>
struct Pipeline;

template <typename Stage, typename... Rest>
struct Pipeline<Stage, Rest...> {
    template <typename Last>
    static INLINED int run(MeterReading& reading, const Last& last) {
        return Stage::apply(reading, [&last](MeterReading& passed) {
            return Pipeline<Rest...>::run(passed, last);
        });
    }
};

template <>
struct Pipeline<> {
    template <typename Last>
    static INLINED int run(MeterReading& reading, const Last& last) {
        return last(reading);
    }
};

struct PhaseVisit {
    MeterReading* reading;
    const std::function<int(MeterReading&)>* work;
};

extern "C" int visit_phase(int phase, void* context) {
    const auto* visit = static_cast<PhaseVisit*>(context);
    visit->reading->connector = phase;
    const int answer = (*visit->work)(*visit->reading);
    keep(answer);
    return answer;
}

template <typename ConnectorType>
class EvseManager {
public:
    explicit EvseManager(void (*crash)()) : crash_(crash) {
        bus_.subscribe("powermeter", [this](const bridge::Message& message) {
            return on_powermeter(message);
        });
    }

    REAL_FRAME int run_state_machine() {
        const bridge::Message message{"powermeter", "{\"power_W\":{\"total\":8000}}", 1};
        const int answer = bus_.publish(message);
        keep(answer);
        return answer;
    }

private:
    REAL_FRAME int on_powermeter(const bridge::Message& message) {
        MeterReading reading{message.connector, 0.0, 8000.0};
        const std::function<int(MeterReading&)> work = [this](MeterReading& each) {
            return Pipeline<Validate, Integrate, Bill>::run(
                each, [this](MeterReading& billed) { return update_session(billed); });
        };
        PhaseVisit visit{&reading, &work};
        const int answer = bridge::chargebridge_each_phase(3, visit_phase, &visit);
        keep(answer);
        return answer;
    }

    INLINED int update_session(MeterReading& reading) {
        crash_();
        keep(reading);
        return connector_.current_limit();
    }

    void (*crash_)();
    ConnectorType connector_;
    bridge::MessageBus bus_;
};

} // namespace

REAL_FRAME void charge_until(void (*crash)()) {
    EvseManager<charging::DcConnector> manager(crash);
    keep(manager.run_state_machine());
}

} // namespace chain
