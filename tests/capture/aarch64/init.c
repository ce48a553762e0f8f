/* The first and only program of the emulated machine: lets programs crash, each twice, and writes
 * what they leave to /dev/vda, one file behind the other. The console says which:
 *
 *     file kernel/0 SIZE STATUS        the core that the kernel wrote of the first job
 *     file capture/0/NAME SIZE STATUS  every file that the capture layer wrote of it
 *
 * STATUS is what wait() said of the process. /jobs holds words, each with a NUL at its end, and the
 * word "\n" after each job: the value of CRASH_MODE, the executable, argv[0], argv[1] ...
 */
#include "machine.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { MOST_WORDS = 64, STACK_BYTES = 512 * 1024, CRASH_SECONDS = 20 };

static char text[64 * 1024];

static void read_jobs(void) {
    FILE *file = fopen("/jobs", "re");
    need(file != 0, "/jobs");
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    need(size > 2, "the words of /jobs");
}

/* The words of one job; returns where the next one begins. */
static char *next_job(char *at, char **words) {
    int count = 0;
    for (; strcmp(at, "\n"); at += strlen(at) + 1)
        if (count < MOST_WORDS - 1) words[count++] = at;
    words[count] = 0;
    return at + 2;
}

static void become(char **words, int captured) {
    char mode[256];
    char *environment[] = {"PATH=/usr/bin:/bin", "MALLOC_ARENA_MAX=1", mode, 0, 0, 0, 0};
    snprintf(mode, sizeof mode, "CRASH_MODE=%s", words[0]);
    if (captured) {
        environment[3] = "LD_PRELOAD=/capture/capture.so";
        environment[4] = "EVDIAG_CORE_WRITER=/capture/core-writer";
        environment[5] = "EVDIAG_CORE_DIR=/cores";
    }
    struct rlimit core = {captured ? 0 : RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit stack = {STACK_BYTES, STACK_BYTES}; /* threads get as much */
    setrlimit(RLIMIT_CORE, &core);
    setrlimit(RLIMIT_STACK, &stack);
    alarm(CRASH_SECONDS); /* ends one that does not crash */
    execve(words[1], words + 2, environment);
    perror(words[1]);
    _exit(127);
}

static int run(char **words, int captured) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) become(words, captured);
    need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
    return status;
}

static void bring_out_all(int job, int status, int disk) {
    DIR *folder = opendir("/cores");
    need(folder != 0, "/cores");
    for (struct dirent *entry; (entry = readdir(folder)) != 0;) {
        char path[512];
        snprintf(path, sizeof path, "/cores/%s", entry->d_name);
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        printf("\nfile capture/%d/%s %lld %d\n", job, entry->d_name, bring_out(path, disk), status);
        unlink(path);
    }
    closedir(folder);
}

int main(void) {
    start_machine();
    int disk = open_disk(), job = 0;
    mkdir("/cores", 01777);
    read_jobs();
    char *words[MOST_WORDS];
    for (char *at = text; *at; ++job) {
        at = next_job(at, words);
        int pattern = open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC);
        need(pattern >= 0 && write(pattern, "/core", 5) == 5, "core_pattern");
        close(pattern);
        int status = run(words, 0);
        if (access("/core", F_OK) == 0) /* not every mode crashes on every processor */
            printf("\nfile kernel/%d %lld %d\n", job, bring_out("/core", disk), status);
        unlink("/core");
        bring_out_all(job, run(words, 1), disk);
    }
    printf("\ndone with %d jobs\n", job);
    power_off();
}
