/* Loaded into every process: reads the configuration and takes over the fatal signals. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "preload.h"

struct config config;

/* Find the next definition of a function. dlsym takes the loader's lock, which a handler may not
 * wait for, so all are looked up when the library is loaded, and only what other libraries do
 * before that looks for itself. It gives no function pointer in C; POSIX wants this way out. */
void find_next(const char *name, void *pointer)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(pointer, &found, sizeof found);
}

/* Copy a setting, or its default when it is not set or too long to be one. */
static void read_setting(char *target, size_t size, const char *name, const char *otherwise)
{
    const char *value = secure_getenv(name);
    if (!value || !*value || strlen(value) >= size)
        value = otherwise;
    memcpy(target, value, strlen(value) + 1);
}

/* A path that does not fit is not replaced: the core would be sought in the wrong place. */
static void read_path(char *target, const char *name, const char *otherwise)
{
    const char *value = secure_getenv(name);
    if (value && strlen(value) >= PATH_SIZE)
        otherwise = "(path too long)";
    read_setting(target, PATH_SIZE, name, otherwise);
}

static void read_config(void)
{
    read_path(config.directory, "EVDIAG_CORE_DIR", DEFAULT_DIRECTORY);
    read_path(config.writer, "EVDIAG_CORE_WRITER", DEFAULT_WRITER);
    read_setting(config.cores_max, NUMBER_SIZE, "EVDIAG_CORES_MAX", DEFAULT_CORES_MAX);
    read_setting(config.bytes_max, NUMBER_SIZE, "EVDIAG_CORES_MAX_BYTES", DEFAULT_BYTES_MAX);
    read_setting(config.seconds, NUMBER_SIZE, "EVDIAG_CAPTURE_SECONDS", DEFAULT_SECONDS);
    unsigned long seconds = strtoul(config.seconds, NULL, 10);
    if (seconds < 1 || seconds > 3600) {
        memcpy(config.seconds, DEFAULT_SECONDS, sizeof DEFAULT_SECONDS);
        seconds = strtoul(DEFAULT_SECONDS, NULL, 10);
    }
    /* core-writer ends by itself before this, unless it is something else that hangs. */
    config.deadline = (unsigned)seconds + 2 * GRACE_SECONDS;
}

/* 101 is the first priority that is not reserved (GCC manual, "constructor"). */
__attribute__((constructor(101))) static void start_capture(void)
{
    find_signal_functions();
    find_thread_functions();
    const char *capture = secure_getenv("EVDIAG_CAPTURE");
    if (capture && strcmp(capture, "off") == 0)
        return;
    read_config();
    if (!prepare_stacks())
        return;
    config.enabled = true;
    arm_default_signals();
}
