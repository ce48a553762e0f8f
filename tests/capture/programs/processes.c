/* Parents and children.  processes CASE
 *
 * A parent prints `child: <wait status as it came>` for every child that waitpid(-1) gives it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void crash(void) {
    *(volatile int *)0x18 = 1;
}

static void say(const char *text) {
    if (write(STDOUT_FILENO, text, strlen(text)) < 0) {
        _exit(70);
    }
}

static void await_all(void) {
    int status = 0;
    while (waitpid(-1, &status, 0) > 0 || errno == EINTR) {
        printf("child: %#x\n", (unsigned)status);
        fflush(stdout);
    }
}

static void must_not_run(int number) {
    (void)number;
    say("SIGCHLD\n");
}

/* -- fork without exec */

static void forks(void) {
    if (fork() == 0) {
        crash();
    }
    await_all();
    crash();
}

static void *forks_in_thread(void *unused) {
    if (fork() == 0) {
        abort();
    }
    await_all();
    return unused;
}

static void forks_beside_threads(void) {
    pthread_t made;
    pthread_create(&made, NULL, forks_in_thread, NULL);
    pthread_join(made, NULL);
    exit(0);
}

/* Twenty children crash at once: names and the limit of cores are a matter of all of them. */
static void crowd(void) {
    for (int i = 0; i < 20; ++i) {
        if (fork() == 0) {
            crash();
        }
    }
    await_all();
    exit(0);
}

/* -- vfork and spawn */

static void vforks(void) {
    const pid_t child = vfork();
    if (child == 0) {
        execl("/bin/false", "false", (char *)NULL);
        _exit(70);
    }
    await_all();
    char *words[] = {"true", NULL};
    pid_t spawned = 0;
    if (posix_spawn(&spawned, "/bin/true", NULL, NULL, words, environ) != 0) {
        exit(70);
    }
    await_all();
    exit(0);
}

/* A child of vfork shares the memory of its parent, also while it crashes. */
static void vfork_crashes(void) {
    if (vfork() == 0) {
        crash();
        _exit(70);
    }
    await_all();
    crash();
}

static void executes(void) {
    execl("/proc/self/exe", "processes", "crash", (char *)NULL);
    exit(70);
}

/* -- strangers */

static void *waits_for_anybody(void *unused) {
    for (;;) {
        if (waitpid(-1, NULL, WNOHANG) > 0) {
            say("stranger\n");
        }
    }
    return unused;
}

/* While one thread crashes, another asks for children all the time; there are none. */
static void strangers(void) {
    pthread_t made;
    signal(SIGCHLD, must_not_run);
    pthread_create(&made, NULL, waits_for_anybody, NULL);
    usleep(5000);
    crash();
}

/* The kernel then keeps no status of a child for anybody. */
static void ignores(void) {
    signal(SIGCHLD, SIG_IGN);
    crash();
}

static void keeps_no_status(void) {
    struct sigaction wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.sa_handler = must_not_run;
    wanted.sa_flags = SA_NOCLDWAIT;
    sigaction(SIGCHLD, &wanted, NULL);
    crash();
}

/* The parent counts children and signals about them; the child crashes. */
static void counts(void) {
    signal(SIGCHLD, must_not_run);
    if (fork() == 0) {
        crash();
    }
    await_all();
    exit(0);
}

/* -- nothing left */

static void uses_all_descriptors(void) {
    while (dup(STDIN_FILENO) >= 0) {
    }
    crash();
}

/* Nobody reads what is written to stderr, and there is no room for more. */
static void has_a_full_pipe(void) {
    int ends[2];
    char page[4096];
    memset(page, ' ', sizeof page);
    if (pipe2(ends, O_NONBLOCK) != 0 || dup2(ends[1], STDERR_FILENO) < 0) {
        exit(70);
    }
    while (write(STDERR_FILENO, page, sizeof page) > 0) {
    }
    fcntl(STDERR_FILENO, F_SETFL, 0);
    crash();
}

/* The other end of stderr is gone: whoever writes to it gets SIGPIPE. */
static void has_a_broken_pipe(void) {
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0) {
        exit(70);
    }
    close(ends[0]);
    close(ends[1]);
    crash();
}

static void has_no_descriptor_at_all(void) {
    for (int i = 0; i < 1024; ++i) {
        close(i);
    }
    crash();
}

static void keeps_no_rights_for_others(void) {
    umask(0777);
    crash();
}

/* -- rights */

static void not_dumpable(void) {
    prctl(PR_SET_DUMPABLE, 0);
    crash();
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"fork", forks},           {"fork-thread", forks_beside_threads},
        {"crowd", crowd},          {"vfork", vforks},
        {"vfork-crash", vfork_crashes}, {"exec", executes},
        {"strangers", strangers},  {"counts", counts},
        {"ignores", ignores}, {"no-status", keeps_no_status}, {"not-dumpable", not_dumpable}, {"crash", crash},
        {"abort", abort},
        {"descriptors", uses_all_descriptors},
        {"full-pipe", has_a_full_pipe},
        {"broken-pipe", has_a_broken_pipe},
        {"closed", has_no_descriptor_at_all},
        {"umask", keeps_no_rights_for_others},
    };
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; ++i) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
        }
    }
    fprintf(stderr, "processes: no such case, or it did not end\n");
    return 70;
}
