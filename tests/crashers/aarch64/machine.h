/* What every program needs that is the first one of the emulated machine: a console, the drivers of
 * its disk, an end. */
#ifndef MACHINE_H
#define MACHINE_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DISK_SECONDS = 10 };

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

/* /proc, /dev, the console and the drivers. */
static void start_machine(void) {
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, 0);
    mount("devtmpfs", "/dev", "devtmpfs", 0, 0);
    use_console();
    load_drivers();
}

/* Write a file to the disk, behind what is there already; returns its size. */
static long long bring_out(const char *path, int disk) {
    static char buffer[64 * 1024];
    struct stat facts;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    need(file >= 0 && fstat(file, &facts) == 0, path);
    for (ssize_t got; (got = read(file, buffer, sizeof buffer)) > 0;)
        need(write(disk, buffer, (size_t)got) == got, "write to /dev/vda");
    close(file);
    need(fsync(disk) == 0, "fsync of /dev/vda");
    return facts.st_size;
}

#endif
