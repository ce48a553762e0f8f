/* The parts of core-writer. */
#ifndef EVDIAG_WRITER_H
#define EVDIAG_WRITER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include "machine.h"

#define WRITER_NAME "evdiag core-writer 1"

enum { COMM_SIZE = 16, NAME_SIZE = 128, ERROR_SIZE = 256 };

/* The crash, and what has become of it. */
struct crash {
    /* from the command line */
    const char *directory;
    pid_t pid;
    pid_t tid;
    siginfo_t info;
    uint64_t ucontext;
    struct timespec time;
    int dumpable;
    uint64_t cores_max;
    uint64_t bytes_max;
    unsigned seconds;
    /* from /proc */
    char comm[COMM_SIZE];
    char thread[COMM_SIZE];
    char safe_comm[COMM_SIZE]; /* fit for a file name and a terminal */
    char executable[4096 + 16];
    char *arguments; /* as in /proc/PID/cmdline */
    size_t arguments_size;
    struct timespec started;
    pid_t parent, group, session;
    size_t threads;
    /* the result */
    char name[NAME_SIZE]; /* of the core */
    bool written;
    bool truncated;
    uint64_t bytes;
    uint64_t bytes_on_disk;
    uint64_t missing_bytes;
    double stop_ms;
    double write_ms;
    char error[ERROR_SIZE]; /* empty if all went well */
};

/* util.c */
double milliseconds(void);
bool time_is_up(void);
void set_time_limit(unsigned seconds);
void fail(struct crash *crash, const char *what, int error);
void *grown(void *list, size_t count, size_t *capacity, size_t item);
void say_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* setup.c */
void prepare_process(void);
bool read_arguments(int argc, char **argv, struct crash *crash);

/* process.c */
void read_process(struct crash *crash);
char *read_proc(pid_t tid, const char *name, size_t limit, size_t *size);

/* threads.c */
struct thread {
    pid_t tid;
    bool stopped;
    bool gone;
};
struct threads {
    struct thread *list;
    size_t count;
    size_t capacity;
};
bool stop_threads(struct crash *crash, struct threads *threads);

/* regions.c */
enum region_order { STACK_OF_CRASH, STACK, OTHER };
struct region {
    uint64_t start;
    uint64_t end;
    uint64_t file_offset; /* where the mapping starts in its file, in bytes */
    uint64_t size;        /* how much of it goes into the core */
    uint64_t touched;     /* an upper bound of what that takes on disk */
    uint64_t position;    /* in the core */
    uint32_t flags;       /* PF_R, PF_W, PF_X */
    uint32_t name;        /* in regions.names, 0 without a file */
    enum region_order order;
    uint64_t stack_pointer; /* if it is a stack */
    bool anonymous; /* private, without a file: a page that is not mapped is zero */
};
struct regions {
    struct region *list;
    size_t count;
    size_t capacity;
    char *names;
    size_t names_size;
    size_t names_capacity;
    size_t files;
    uint64_t page;
};
bool read_regions(struct crash *crash, int memory, struct regions *regions);

/* stacks.c */
void find_stacks(const struct crash *crash, const struct threads *threads,
                 const struct machine_context *context, struct regions *regions);

/* sink.c: buffered output at a position of a file */
struct sink {
    int file;
    uint64_t position;
    size_t used;
    int error;
    char buffer[65536];
};
void sink_open(struct sink *sink, int file, uint64_t position);
void sink_put(struct sink *sink, const void *data, size_t size);
bool sink_flush(struct sink *sink);

/* notes.c */
bool read_registers(pid_t tid, const struct machine_context *context,
                    struct user_regs_struct *registers);
bool write_notes(const struct crash *crash, const struct threads *threads,
                 const struct regions *regions, const struct machine_context *context,
                 struct sink *sink);

/* core.c */
struct source {
    int memory; /* /proc/PID/mem */
    struct threads threads;
    struct regions regions;
    const struct machine_context *context; /* null when it cannot be read */
};
void write_core(struct crash *crash, struct source *source, int file, uint64_t budget);
uint64_t core_estimate(const struct source *source);

/* memory.c */
struct copy {
    pid_t tid;
    int memory;
    int pagemap;
    int file;
    uint64_t page;
    uint64_t budget; /* bytes that may still be written */
    uint64_t end;    /* of what the file has so far, holes included */
    uint64_t window; /* address of the first entry of pagemap that is known */
    size_t window_pages;
    const char *what;
    int error; /* why it stopped early; 0 if it has not */
};
bool copy_region(struct copy *copy, const struct region *region);

/* files.c */
struct output {
    int directory;
    int file; /* the core; -1 if there is none */
    char part[NAME_SIZE + 8];
    int sidecar; /* the .json, with space on the disk for what it will hold */
    char sidecar_part[NAME_SIZE + 16];
};
bool open_directory(struct crash *crash, struct output *output);
void lock_directory(const struct output *output);
uint64_t sidecar_size(const struct crash *crash);
bool create_files(struct crash *crash, struct output *output);
bool keep_core(struct crash *crash, struct output *output);
void discard_core(struct output *output);
int move_part(int directory, const char *part, const char *name);

/* keep.c */
struct removed {
    char **names;
    size_t count;
    size_t capacity;
};
uint64_t make_room(const struct crash *crash, int directory, uint64_t estimate,
                   struct removed *removed);
bool is_core_name(const char *name, bool sidecar, uint64_t *time);

/* sidecar.c */
int write_sidecar(const struct crash *crash, struct output *output,
                  const struct removed *removed);

#endif
