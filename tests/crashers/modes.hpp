// The crash modes: one row each, grouped in one table per source file.
#pragma once

#include <string>
#include <vector>

namespace crash {

enum class Where { main_thread, worker_thread };

struct Mode {
    const char* name;
    Where where;
    void (*run)();
};

extern const std::vector<Mode> memory_modes;
extern const std::vector<Mode> jump_modes;
extern const std::vector<Mode> stack_modes;
extern const std::vector<Mode> abort_modes;
extern const std::vector<Mode> assert_modes;
extern const std::vector<Mode> heap_modes;
extern const std::vector<Mode> exception_modes;
extern const std::vector<Mode> thrown_modes;
extern const std::vector<Mode> instruction_modes;
extern const std::vector<Mode> signal_modes;
extern const std::vector<Mode> deadlock_modes;

// All modes in the order of the tables above.
std::vector<Mode> all_modes();

// The mode of that name; ends the program with a message when there is none.
Mode find_mode(const std::string& name);

} // namespace crash
