/* The first and only program of the emulated machine: lets one program crash and writes its core
 * to /dev/vda. It ends with the line `core of N bytes`, or with one that begins with `failed:`.
 *
 * /job holds the words of the crash, each with a NUL at its end: the value of CRASH_MODE, the
 * executable, argv[0], argv[1] ...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORDS = 64, STACK_BYTES = 512 * 1024, DISK_SECONDS = 10 };

static void power_off(void) {
    sync();
    reboot(RB_POWER_OFF);
    for (;;) pause();
}

static void need(int ok, const char *what) {
    if (!ok) {
        printf("\nfailed: %s: %s\n", what, strerror(errno));
        power_off();
    }
}

static void use_console(void) {
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; console >= 0 && fd < 3; ++fd) dup2(console, fd);
    if (console > 2) close(console);
    setvbuf(stdout, 0, _IOLBF, 0);
}

/* What a disk needs. One that uses another can only be loaded after it, and which uses which is not
 * the same in every kernel: so all are tried as often as there are drivers. */
static void load_drivers(void) {
    const char *drivers[] = {"virtio", "virtio_ring", "virtio_mmio", "virtio_blk"};
    const size_t count = sizeof drivers / sizeof *drivers;
    for (size_t at = 0; at < count * count; ++at) {
        char path[64];
        snprintf(path, sizeof path, "/drivers/%s.ko", drivers[at % count]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        need(fd >= 0, path);
        syscall(SYS_finit_module, fd, "", 0);
        close(fd);
    }
}

static int open_disk(void) {
    for (int tick = 0; tick < DISK_SECONDS * 100; ++tick) {
        int disk = open("/dev/vda", O_RDWR | O_CLOEXEC);
        if (disk >= 0) return disk;
        usleep(10000);
    }
    need(0, "/dev/vda");
    return -1;
}

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

static void bring_out(const char *path, int disk) {
    static char buffer[64 * 1024];
    struct stat facts;
    int core = open(path, O_RDONLY | O_CLOEXEC);
    need(core >= 0 && fstat(core, &facts) == 0, path);
    for (ssize_t got; (got = read(core, buffer, sizeof buffer)) > 0;)
        need(write(disk, buffer, (size_t)got) == got, "write to /dev/vda");
    need(fsync(disk) == 0, "fsync of /dev/vda");
    printf("\ncore of %lld bytes\n", (long long)facts.st_size);
}

int main(void) {
    char *words[MOST_WORDS] = {0};
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, 0);
    mount("devtmpfs", "/dev", "devtmpfs", 0, 0);
    use_console();
    load_drivers();
    int disk = open_disk(), status = 0;
    name_cores();
    read_job(words);
    pid_t pid = fork();
    if (pid == 0) become(words);
    need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
    printf("\nwait status %#x\n", (unsigned)status);
    bring_out("/core", disk);
    power_off();
}
