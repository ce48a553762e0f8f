/* Traces a process, as a debugger does, and passes its signals on.  hold PID */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

int main(int argc, char **argv) {
    const pid_t pid = argc > 1 ? atoi(argv[1]) : 0;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) {
        fprintf(stderr, "hold: %s\n", strerror(errno));
        return 70;
    }
    puts("attached");
    fflush(stdout);
    int status = 0;
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
        ptrace(PTRACE_CONT, pid, 0, (long)WSTOPSIG(status));
    }
    return 0;
}
