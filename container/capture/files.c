/* The files of a core in a directory that others may write to as well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "writer.h"

/* Cores are written one after the other; after this time it is done all the same, because whoever
 * holds the lock may do so on purpose. */
static const double LOCK_MS = 5000;

bool open_directory(struct crash *crash, struct output *output)
{
    output->file = output->sidecar = output->directory = -1;
    if (crash->directory[0] != '/') {
        snprintf(crash->error, sizeof crash->error, "%.180s: not an absolute path",
                 crash->directory);
        return false;
    }
    output->directory = open(crash->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (output->directory < 0 || faccessat(output->directory, ".", W_OK | X_OK, AT_EACCESS)) {
        snprintf(crash->error, sizeof crash->error, "%.180s: %s", crash->directory,
                 strerror(errno));
        return false;
    }
    return true;
}

/* The lock is one on the directory itself: there is no lock file that somebody could own. */
void lock_directory(const struct output *output)
{
    double end = milliseconds() + LOCK_MS;
    struct timespec pause = {.tv_nsec = 2000000};
    while (flock(output->directory, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK &&
           milliseconds() < end)
        nanosleep(&pause, NULL);
}

/* Create a file that did not exist; it is locked as a sign that its writer lives. */
static int create_part(int directory, const char *part)
{
    int file =
        openat(directory, part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return -1;
    flock(file, LOCK_EX | LOCK_NB);
    fchmod(file, 0600); /* whatever the umask of the process is */
    return file;
}

/* Give a finished file its name, which must be free. */
int move_part(int directory, const char *part, const char *name)
{
    if (renameat2(directory, part, directory, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EPERM)
        return -1;
    /* A file system or a seccomp profile that does not know it. */
    if (linkat(directory, part, directory, name, 0))
        return -1;
    return unlinkat(directory, part, 0);
}

static bool exists(int directory, const char *name)
{
    struct stat status;
    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Name the core as if the crash were so many seconds later. False if the name is taken. */
static bool choose_name(struct crash *crash, const struct output *output, int later)
{
    char sidecar[NAME_SIZE + 8];
    snprintf(crash->name, sizeof crash->name, "core.%s.%d.%lld", crash->safe_comm, crash->pid,
             (long long)crash->time.tv_sec + later);
    snprintf(sidecar, sizeof sidecar, "%s.json", crash->name);
    return !exists(output->directory, crash->name) && !exists(output->directory, sidecar);
}

/* More than enough for a .json. */
uint64_t sidecar_size(const struct crash *crash)
{
    return 16 * 1024 + 2 * crash->arguments_size;
}

/* The core may fill the disk: what the .json needs is set aside before. */
static void create_sidecar(const struct crash *crash, struct output *output)
{
    const off_t least = 4096;
    snprintf(output->sidecar_part, sizeof output->sidecar_part, ".%s.json.part", crash->name);
    output->sidecar = create_part(output->directory, output->sidecar_part);
    if (output->sidecar >= 0 &&
        posix_fallocate(output->sidecar, 0, (off_t)sidecar_size(crash)))
        posix_fallocate(output->sidecar, 0, least);
}

/* Choose a name and create the files. Containers that share the directory have the same process
 * ids: a name that is taken is tried again as if a second later. */
bool create_files(struct crash *crash, struct output *output)
{
    for (int later = 0; later < 100; later++) {
        if (!choose_name(crash, output, later))
            continue;
        snprintf(output->part, sizeof output->part, ".%s.part", crash->name);
        output->file = create_part(output->directory, output->part);
        if (output->file >= 0) {
            create_sidecar(crash, output);
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    snprintf(crash->error, sizeof crash->error, "%.180s: %s", crash->directory, strerror(errno));
    return false;
}

void discard_core(struct output *output)
{
    if (output->file < 0)
        return;
    unlinkat(output->directory, output->part, 0);
    close(output->file);
    output->file = -1;
}

/* Give the core its name; somebody may have taken it meanwhile. */
bool keep_core(struct crash *crash, struct output *output)
{
    struct stat status;
    int later = 0;
    if (fstat(output->file, &status) == 0)
        crash->bytes_on_disk = (uint64_t)status.st_blocks * 512;
    while (move_part(output->directory, output->part, crash->name)) {
        if (errno != EEXIST || later == 100) {
            fail(crash, crash->name, errno);
            discard_core(output);
            return false;
        }
        choose_name(crash, output, ++later);
    }
    close(output->file);
    output->file = -1;
    return true;
}
