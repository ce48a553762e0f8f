/* The first and only program of the emulated machine: lets one program crash and writes its core
 * to /dev/vda. It ends with the line `core of N bytes`, or with one that begins with `failed:`.
 *
 * /job holds the words of the crash, each with a NUL at its end: the value of CRASH_MODE, the
 * executable, argv[0], argv[1] ...
 */
#include "machine.h"

#include <sys/resource.h>
#include <sys/wait.h>

enum { MOST_WORDS = 64, STACK_BYTES = 512 * 1024 };

static void name_cores(void) {
    int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC);
    need(fd >= 0 && write(fd, "/core", 5) == 5, "core_pattern");
    close(fd);
}

static void read_job(char **words) {
    static char text[4096];
    FILE *file = fopen("/job", "re");
    need(file != 0, "/job");
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    int count = 0;
    for (size_t at = 0; at < size && count < MOST_WORDS - 1; at += strlen(text + at) + 1)
        words[count++] = text + at;
    need(count > 2, "the words of /job");
}

static void become(char **words) {
    char mode[256], *environment[] = {"PATH=/usr/bin:/bin", "MALLOC_ARENA_MAX=1", mode, 0};
    snprintf(mode, sizeof mode, "CRASH_MODE=%s", words[0]);
    struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY}, stack = {STACK_BYTES, STACK_BYTES};
    setrlimit(RLIMIT_CORE, &core);
    setrlimit(RLIMIT_STACK, &stack); /* threads get as much: the core stays small */
    execve(words[1], words + 2, environment);
    perror(words[1]);
    _exit(127);
}

int main(void) {
    char *words[MOST_WORDS] = {0};
    start_machine();
    int disk = open_disk(), status = 0;
    name_cores();
    read_job(words);
    pid_t pid = fork();
    if (pid == 0) become(words);
    need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
    printf("\nwait status %#x\n", (unsigned)status);
    printf("\ncore of %lld bytes\n", bring_out("/core", disk));
    power_off();
}
