/* core-writer: writes the core of a process whose handler has started it and waits.
 *
 * It is a program of its own, static and with a heap of its own, because nothing in the crashed
 * process can be trusted, and because a process cannot stop its own threads. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "writer.h"

/* Find room for the core, and write it. */
static void write_into(struct crash *crash, struct source *source, struct output *output,
                       struct removed *removed)
{
    uint64_t budget = make_room(crash, output->directory, core_estimate(source), removed);
    if (!create_files(crash, output))
        return;
    write_core(crash, source, output->file, budget);
    if (!crash->written)
        discard_core(output);
    else if (!keep_core(crash, output))
        crash->written = false;
}

/* Stop the process, then have its core written. */
static void capture(struct crash *crash, struct output *output, struct removed *removed)
{
    static struct source source;
    char path[64];
    if (!stop_threads(crash, &source.threads))
        return;
    double begin = milliseconds();
    lock_directory(output);
    snprintf(path, sizeof path, "/proc/%d/mem", crash->tid);
    source.memory = open(path, O_RDONLY | O_CLOEXEC);
    if (source.memory < 0) {
        fail(crash, "/proc/PID/mem", errno);
    } else if (read_regions(crash, source.memory, &source.regions)) {
        source.context = machine_read_context(source.memory, crash->ucontext);
        find_stacks(crash, &source.threads, source.context, &source.regions);
        write_into(crash, &source, output, removed);
    }
    crash->write_ms = milliseconds() - begin;
}

/* There is no core: prepare for the .json that says why. */
static void prepare_sidecar(struct crash *crash, struct output *output, struct removed *removed)
{
    char error[ERROR_SIZE];
    memcpy(error, crash->error, sizeof error);
    crash->bytes = crash->bytes_on_disk = crash->missing_bytes = 0;
    crash->truncated = false;
    if (output->sidecar >= 0)
        return;
    make_room(crash, output->directory, 0, removed);
    if (create_files(crash, output))
        discard_core(output);
    memcpy(crash->error, error, sizeof error);
}

static void report(const struct crash *crash)
{
    if (!crash->written) {
        say_line("evdiag capture: no core of %d %s (signal %d): %s", crash->pid, crash->safe_comm,
                 crash->info.si_signo, crash->error);
        return;
    }
    say_line("evdiag capture: %s pid %d tid %d died of signal %d: %s (%zu threads, %.1f MB on "
             "disk, %.0f ms%s%s%s)",
             crash->safe_comm, crash->pid, crash->tid, crash->info.si_signo, crash->name,
             crash->threads, (double)crash->bytes_on_disk / 1e6, crash->stop_ms + crash->write_ms,
             crash->error[0] ? "; " : "", crash->truncated ? "truncated: " : "", crash->error);
}

int main(int argc, char **argv)
{
    static struct crash crash;
    struct output output;
    struct removed removed = {0};
    prepare_process();
    if (!read_arguments(argc, argv, &crash)) {
        say_line("evdiag core-writer is started by capture.so in a process that crashes");
        return 2;
    }
    read_process(&crash);
    if (!open_directory(&crash, &output)) {
        report(&crash);
        return WROTE_NOTHING;
    }
    if (crash.dumpable != 1)
        fail(&crash, "the process has asked not to be dumped (PR_SET_DUMPABLE)", 0);
    else if (crash.cores_max == 0)
        fail(&crash, "EVDIAG_CORES_MAX is 0", 0);
    else
        capture(&crash, &output, &removed);
    if (!crash.written)
        prepare_sidecar(&crash, &output, &removed);
    int error = write_sidecar(&crash, &output, &removed);
    if (error)
        say_line("evdiag capture: %s.json: %s", crash.name, strerror(error));
    report(&crash);
    if (!crash.written)
        return WROTE_NOTHING;
    return crash.truncated ? WROTE_PART : WROTE_ALL;
}
