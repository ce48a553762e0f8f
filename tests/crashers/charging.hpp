// The nouns of a charging station, as far as the crashes need them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "keep.hpp"

namespace charging {

struct MeterReading {
    int connector = 0;
    double energy_wh = 0.0;
    double power_w = 0.0;
};

struct Session {
    std::uint64_t id = 0;
    std::uint64_t started_at = 0;
    std::int32_t connector = 0;
    std::int32_t transaction = 0;
    double energy_wh = 0.0;

    // Inlined everywhere: with a null session the fault is in a frame that is no real call.
    INLINED void book_energy(double value) {
        energy_wh = value;
    }
};
static_assert(offsetof(Session, energy_wh) == 0x18, "the demo crash writes at offset 0x18");

struct PowerMeter {
    std::int32_t serial = 0;
    std::int32_t phases = 3;
    std::int64_t energy_wh = 0;
};

struct Contactor {
    std::int32_t closed = 0;
};

class Connector {
public:
    virtual ~Connector() = default;
    virtual int current_limit() const = 0;
};

class DcConnector : public Connector {
public:
    int current_limit() const override {
        return 125;
    }
};

// Sessions by connector; a connector without a car has none, and find() says so with a null.
class SessionLedger {
public:
    REAL_FRAME Session* find(int connector) {
        const auto found = sessions_.find(connector);
        return found == sessions_.end() ? nullptr : found->second.get();
    }

    void open(int connector) {
        sessions_[connector] = std::make_unique<Session>();
    }

private:
    std::map<int, std::unique_ptr<Session>> sessions_;
};

} // namespace charging
