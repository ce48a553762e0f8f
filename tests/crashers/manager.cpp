// The process manager of the tree: starts every module as EVerest's manager does, and when one
// dies logs what EVerest's manager logs, ends the others and exits with 1.
//
//   manager --prefix P [--config F] [--check] [--run-dir D] [--log-style head|2026.02]
//
// --config is the file that EVerest's manager would read: it has to be there, that is all. With
// --check the manager says whether it is, as EVerest's does, and starts nothing.
//
// With --run-dir every module gets a working directory of its own, D/<module id>, so that two
// cores called `core` do not overwrite each other (EVerest itself has one directory for all),
// and D/pids tells which process was which module.
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "log.hpp"

namespace {

using everest_log::Level;
using Clock = std::chrono::steady_clock;

struct ModuleSpec {
    const char* id;
    const char* type;
    bool python;
};

// Two EnergyNodes: processes of one executable that only argv[0] tells apart.
constexpr ModuleSpec charger[] = {
    {"grid_connection", "EnergyNode", false}, {"evse_energy_sink", "EnergyNode", false},
    {"evse_manager", "EvseManager", false},   {"iso15118_charger", "EvseV2G", false},
    {"ocpp", "OCPP201", false},               {"iso15118_car", "PyEvSim", true},
};

struct Options {
    std::string prefix;
    std::string config;
    bool check = false;
    std::string run_dir;
    bool old_log_style = false;
};

struct Child {
    std::string id;
    pid_t pid = -1;
    bool running = true;
    int status = 0;
};

volatile std::sig_atomic_t asked_to_end = 0;

void say(const std::string& text, Level level = Level::info, const char* function = "") {
    everest_log::write(level, "manager", text, function);
}

[[noreturn]] void give_up(const std::string& what) {
    std::fprintf(stderr, "manager: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(70);
}

std::string decoded(int status) {
    return WIFSIGNALED(status) ? "signal=" + std::to_string(WTERMSIG(status))
                               : "exit_code=" + std::to_string(WEXITSTATUS(status));
}

std::string elapsed_since(Clock::time_point start) {
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
    return std::to_string(spent.count());
}

class Manager {
public:
    explicit Manager(Options options) : options_(std::move(options)), start_(Clock::now()) {
    }

    int run() {
        if (pipe(ready_) != 0 || pipe(go_) != 0) {
            give_up("pipe");
        }
        start_modules();
        await_modules();
        close(go_[1]);
        return supervise();
    }

private:
    void start_modules() {
        say("Starting " + std::to_string(std::size(charger)) + " modules");
        for (const ModuleSpec& module : charger) {
            const pid_t pid = fork();
            if (pid < 0) {
                give_up("fork");
            }
            if (pid == 0) {
                become(module);
            }
            children_.push_back(Child{module.id, pid});
        }
        close(ready_[1]);
        close(go_[0]);
        note_pids();
    }

    // In the child: takes over the process for a module; does not return.
    [[noreturn]] void become(const ModuleSpec& module) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        close(ready_[0]);
        close(go_[1]);
        enter_own_directory(module.id);
        setenv("READY_FD", std::to_string(ready_[1]).c_str(), 1);
        setenv("GO_FD", std::to_string(go_[0]).c_str(), 1);
        const std::string directory = options_.prefix + "/libexec/everest/modules/" + module.type;
        if (module.python) {
            exec_python_module(module, directory + "/module.py");
        }
        exec_cpp_module(module, directory + "/" + module.type);
    }

    void enter_own_directory(const std::string& id) const {
        if (options_.run_dir.empty()) {
            return;
        }
        const std::string directory = options_.run_dir + "/" + id;
        mkdir(directory.c_str(), 0700);
        if (chdir(directory.c_str()) != 0) {
            give_up(directory);
        }
    }

    [[noreturn]] static void exec_program(const char* file, std::vector<std::string> words) {
        std::vector<char*> argv;
        for (std::string& word : words) {
            argv.push_back(word.data());
        }
        argv.push_back(nullptr);
        execvp(file, argv.data());
        give_up(file);
    }

    [[noreturn]] void exec_cpp_module(const ModuleSpec& module, const std::string& path) const {
        const std::string printable_name = std::string(module.id) + ":" + module.type;
        exec_program(path.c_str(),
                     {printable_name, "--prefix", options_.prefix, "--module", module.id,
                      "--log_config", options_.prefix + "/etc/everest/default_logging.cfg",
                      "--mqtt_everest_prefix", "everest/", "--mqtt_external_prefix", "",
                      "--mqtt_broker_host", "127.0.0.1", "--mqtt_broker_port", "1883"});
    }

    // The id of a Python module stands in its environment only.
    [[noreturn]] void exec_python_module(const ModuleSpec& module, const std::string& path) const {
        setenv("EV_MODULE", module.id, 1);
        setenv("EV_PREFIX", options_.prefix.c_str(), 1);
        setenv("EV_MQTT_EVEREST_PREFIX", "everest/", 1);
        setenv("EV_MQTT_EXTERNAL_PREFIX", "", 1);
        setenv("EV_MQTT_BROKER_HOST", "127.0.0.1", 1);
        setenv("EV_MQTT_BROKER_PORT", "1883", 1);
        exec_program("python3", {"python3", path});
    }

    void note_pids() const {
        if (options_.run_dir.empty()) {
            return;
        }
        std::FILE* file = std::fopen((options_.run_dir + "/pids").c_str(), "we");
        if (file == nullptr) {
            give_up(options_.run_dir + "/pids");
        }
        for (const Child& child : children_) {
            std::fprintf(file, "%s %d\n", child.id.c_str(), static_cast<int>(child.pid));
        }
        std::fclose(file);
    }

    // Every module writes its id when it runs, or closes its end by dying.
    void await_modules() {
        std::string line;
        char letter = 0;
        std::size_t running = 0;
        while (running < children_.size() && read(ready_[0], &letter, 1) == 1) {
            if (letter != '\n') {
                line += letter;
                continue;
            }
            say("Module " + line + " initialized [" + elapsed_since(start_) + "ms]");
            line.clear();
            ++running;
        }
        if (running == children_.size()) {
            say("\x1b[1;32m🚙🚙🚙 All modules are initialized. EVerest up and running [" +
                elapsed_since(start_) + "ms] 🚙🚙🚙\x1b[0m");
        }
    }

    Child* await_death() {
        int status = 0;
        const pid_t pid = waitpid(-1, &status, 0);
        for (Child& child : children_) {
            if (child.pid == pid) {
                child.running = false;
                child.status = status;
                return &child;
            }
        }
        return nullptr;
    }

    int supervise() {
        Child* dead = nullptr;
        while (dead == nullptr && asked_to_end == 0) {
            dead = await_death();
        }
        if (dead == nullptr) {
            end_all();
            say("👋👋👋 EVerest manager is exiting [" + elapsed_since(start_) + "ms] 👋👋👋");
            return 0;
        }
        options_.old_log_style ? handle_death_2026_02(*dead) : handle_death(*dead);
        return 1;
    }

    void handle_death(const Child& dead) {
        const Clock::time_point since = Clock::now();
        transition("Running", "ShutdownRequested");
        say("Module " + dead.id + " exited unexpectedly, terminating remaining modules...",
            Level::critical, "void Manager::handle_initiate_graceful_shutdown(const std::string&)");
        transition("ShutdownRequested", "CrashShutdownInProgress");
        transition("CrashShutdownInProgress", "ForceTerminating");
        say("Terminating modules (graceful shutdown not enabled)...");
        std::string unclean = "  " + dead.id + " (" + decoded(dead.status) + ")";
        for (const Child* child : end_all()) {
            unclean += " " + child->id + " (" + decoded(child->status) + ")";
            say("Module " + child->id + " (pid " + std::to_string(child->pid) + ") shutdown [" +
                elapsed_since(since) + "ms] with status: " + decoded(child->status));
        }
        transition("ForceTerminating", "ShutdownFinalizing");
        const char* function = "std::optional<int> Manager::handle_finish_crash_recovery()";
        say("Crash recovery shutdown completed in " + elapsed_since(since) +
                " ms. Modules that did not shut down cleanly:" + unclean,
            Level::warning, function);
        say("Unexpected module exit; manager is exiting.", Level::critical, function);
        transition("ShutdownFinalizing", "Exiting");
    }

    void handle_death_2026_02(const Child& dead) {
        const char* function = "int boot(const boost::program_options::variables_map&)";
        say("Module " + dead.id + " (pid: " + std::to_string(dead.pid) + ") exited with status: " +
                std::to_string(dead.status) + ". Terminating all modules.",
            Level::critical, function);
        end_all();
        say("Exiting manager.", Level::critical, function);
    }

    // Sends SIGTERM to what still runs and returns it in the order in which it ended.
    std::vector<const Child*> end_all() {
        std::size_t left = 0;
        for (const Child& child : children_) {
            if (child.running) {
                ++left;
                kill(child.pid, SIGTERM);
                say("SIGTERM of child: " + child.id + " (pid: " + std::to_string(child.pid) +
                    ") succeeded.");
            }
        }
        std::vector<const Child*> ended;
        while (ended.size() < left) {
            if (const Child* child = await_death()) {
                ended.push_back(child);
            }
        }
        return ended;
    }

    static void transition(const char* from, const char* to) {
        say(std::string("Manager state transition: ") + from + " -> " + to);
    }

    Options options_;
    Clock::time_point start_;
    std::vector<Child> children_;
    int ready_[2] = {-1, -1};
    int go_[2] = {-1, -1};
};

Options parse(int argc, char** argv) {
    Options options;
    for (int at = 1; at < argc; ++at) {
        const std::string name = argv[at];
        if (name == "--check") {
            options.check = true;
            continue;
        }
        const char* value = at + 1 < argc ? argv[++at] : "";
        if (name == "--prefix") {
            options.prefix = value;
        } else if (name == "--config") {
            options.config = value;
        } else if (name == "--run-dir") {
            options.run_dir = value;
        } else if (name == "--log-style") {
            options.old_log_style = std::strcmp(value, "2026.02") == 0;
        }
    }
    if (options.prefix.empty()) {
        std::fprintf(stderr, "usage: manager --prefix P [--config F] [--check] [--run-dir D] "
                             "[--log-style head|2026.02]\n");
        std::exit(64);
    }
    return options;
}

// Ends the program where there is no configuration, or where nothing but that was asked.
void check_config(const Options& options) {
    if (!options.config.empty() && access(options.config.c_str(), R_OK) != 0) {
        say("Config is invalid: Failed to load and parse configuration: " + options.config,
            Level::critical, "int boot(const boost::program_options::variables_map&)");
        std::exit(1);
    }
    if (options.check) {
        say("Config is valid, terminating as requested");
        std::exit(0);
    }
}

} // namespace

int main(int argc, char** argv) {
    // No SA_RESTART: the signal has to end waitpid.
    struct sigaction end {};
    end.sa_handler = [](int) { asked_to_end = 1; };
    sigaction(SIGTERM, &end, nullptr);
    Options options = parse(argc, argv);
    check_config(options);
    return Manager(std::move(options)).run();
}
