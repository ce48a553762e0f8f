/* Runs a program without some system calls: they fail with EPERM.  filter CALL... -- PROGRAM WORD...
 *
 * A stand-in for the seccomp profile of a container engine.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int number_of(const char *name) {
    static const struct {
        const char *name;
        int number;
    } calls[] = {
        {"ptrace", SYS_ptrace},
        {"process_vm_readv", SYS_process_vm_readv},
        {"pidfd_open", SYS_pidfd_open},
        {"kcmp", SYS_kcmp},
        {"clone", SYS_clone},
        {"rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo},
        {"setrlimit", SYS_setrlimit},
        {"renameat2", SYS_renameat2},
        {"flock", SYS_flock},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) {
        if (strcmp(name, calls[i].name) == 0) {
            return calls[i].number;
        }
    }
    return -1;
}

/* The filters of a process add up: one for each call. */
static int forbid(int number) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof steps / sizeof *steps, .filter = steps};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
    int at = 1;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (; at < argc && strcmp(argv[at], "--") != 0; ++at) {
        const int number = number_of(argv[at]);
        if (number < 0 || forbid(number) != 0) {
            fprintf(stderr, "filter: cannot forbid %s\n", argv[at]);
            return 70;
        }
    }
    if (at + 1 < argc) {
        execvp(argv[at + 1], argv + at + 1);
    }
    perror("filter");
    return 70;
}
