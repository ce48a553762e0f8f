#include "modes.hpp"

#include <cstdio>
#include <cstdlib>

namespace crash {

std::vector<Mode> all_modes() {
    std::vector<Mode> modes;
    for (const auto* table : {&memory_modes, &jump_modes, &stack_modes, &abort_modes, &assert_modes,
                              &heap_modes, &exception_modes, &thrown_modes, &instruction_modes,
                              &signal_modes, &deadlock_modes}) {
        modes.insert(modes.end(), table->begin(), table->end());
    }
    return modes;
}

Mode find_mode(const std::string& name) {
    for (const Mode& mode : all_modes()) {
        if (name == mode.name) {
            return mode;
        }
    }
    std::fprintf(stderr, "no crash mode is called '%s'; --list-modes shows them\n", name.c_str());
    std::exit(64);
}

} // namespace crash
