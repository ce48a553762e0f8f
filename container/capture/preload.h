/* The parts of capture.so. */
#ifndef EVDIAG_PRELOAD_H
#define EVDIAG_PRELOAD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

enum { PATH_SIZE = 1024, NUMBER_SIZE = 24 };

/* Filled when the library is loaded, only read afterwards: a handler cannot ask the environment. */
struct config {
    bool enabled;
    char directory[PATH_SIZE];
    char writer[PATH_SIZE];
    char cores_max[NUMBER_SIZE];
    char bytes_max[NUMBER_SIZE];
    char seconds[NUMBER_SIZE];
    unsigned deadline; /* seconds; how long a crashed process waits for core-writer */
};
extern struct config config;

/* preload.c */
void find_next(const char *name, void *pointer);

/* signals.c */
typedef int sigaction_function(int, const struct sigaction *, struct sigaction *);
sigaction_function *real_sigaction(void);
void find_signal_functions(void);
void arm_default_signals(void);

/* altstack.c */
void find_thread_functions(void);
bool prepare_stacks(void);

/* crash.c */
void handle_crash(int sig, siginfo_t *info, void *context);
bool crash_in_progress(void);

/* start.c */
bool write_core(int tid, const siginfo_t *info, const void *context);

/* line.c: text without anything that takes a lock */
struct line {
    size_t length;
    char text[2048];
};
void add_text(struct line *line, const char *text);
void add_number(struct line *line, uint64_t number, unsigned base, unsigned digits);
void say(struct line *line);

#endif
