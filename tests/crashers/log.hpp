// Log lines as EVerest writes them: colour codes always, process name padded or cut to 15.
#pragma once

#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string>

namespace everest_log {

enum class Level { info, warning, critical };

inline const char* name_of(Level level) {
    switch (level) {
    case Level::info:
        return "\x1b[1;37mINFO\x1b[0m";
    case Level::warning:
        return "\x1b[1;33mWARN\x1b[0m";
    case Level::critical:
        return "\x1b[1;35mCRIT\x1b[0m";
    }
    return "";
}

inline std::string timestamp() {
    timeval now{};
    gettimeofday(&now, nullptr);
    tm parts{};
    localtime_r(&now.tv_sec, &parts);
    char seconds[32];
    std::strftime(seconds, sizeof seconds, "%Y-%m-%d %H:%M:%S", &parts);
    char text[48];
    std::snprintf(text, sizeof text, "%s.%06ld", seconds, static_cast<long>(now.tv_usec));
    return text;
}

// One write(2) per line: lines of several processes on one stream do not mix.
// `function` is filled from WARN up only; file and line stay empty, as in the shipped setting.
inline void write(Level level, const std::string& process, const std::string& message,
                  const char* function = "") {
    char head[128];
    std::snprintf(head, sizeof head, "%s [%s] \x1b[1;32m%-15.15s\x1b[0m \x1b[1;36m",
                  timestamp().c_str(), name_of(level), process.c_str());
    const std::string line = head + std::string(function) +
                             "\x1b[0m \x1b[1;30m:\x1b[0m\x1b[1;32m\x1b[0m: " + message + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) {
        // Nobody reads the log: that must not change how the process ends.
    }
}

} // namespace everest_log
