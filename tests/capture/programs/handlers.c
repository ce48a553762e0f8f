/* What programs do with handlers of their own.  handlers CASE
 *
 * Everything that is printed has to be the same with and without the capture layer.
 */
#define _GNU_SOURCE
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static const int fatal[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGQUIT};
enum { FATAL = sizeof fatal / sizeof *fatal };

static sigjmp_buf back;
static struct sigaction before;

static void crash(void) {
    *(volatile int *)0x18 = 1;
}

static void say(const char *text) {
    if (write(STDOUT_FILENO, text, strlen(text)) < 0) {
        _exit(70);
    }
}

/* -- asking and setting */

static void own(int number) {
    (void)number;
}

static void own_with_facts(int number, siginfo_t *facts, void *context) {
    (void)number;
    (void)facts;
    (void)context;
}

static const char *name_of(sighandler_t handler) {
    if (handler == SIG_DFL) {
        return "default";
    }
    if (handler == SIG_IGN) {
        return "ignored";
    }
    if (handler == SIG_ERR) {
        return "error";
    }
    if (handler == own || (void *)handler == (void *)own_with_facts) {
        return "own";
    }
    return "a stranger's";
}

/* Set by libc in every action that it hands to the kernel (asm/signal.h); not the program's. */
#define LIBC_FLAGS 0x04000000

static void describe(const char *title, int number, const struct sigaction *action) {
    unsigned long mask = 0;
    if (action->sa_handler == SIG_DFL) {
        printf("%s %d: default\n", title, number); /* flags and mask mean nothing then */
        return;
    }
    for (int i = 1; i < 64; ++i) {
        mask |= sigismember(&action->sa_mask, i) == 1 ? 1UL << i : 0;
    }
    printf("%s %d: %s flags %#x mask %#lx\n", title, number, name_of(action->sa_handler),
           (unsigned)action->sa_flags & ~LIBC_FLAGS, mask);
}

static void ask(const char *title) {
    for (int i = 0; i < FATAL; ++i) {
        struct sigaction found;
        memset(&found, 0x5a, sizeof found);
        if (sigaction(fatal[i], NULL, &found) != 0) {
            printf("%s %d: %s\n", title, fatal[i], strerror(errno));
            continue;
        }
        describe(title, fatal[i], &found);
    }
    fflush(stdout);
}

static void set(void (*handler)(int), int flags) {
    for (int i = 0; i < FATAL; ++i) {
        struct sigaction wanted, old;
        memset(&wanted, 0, sizeof wanted);
        wanted.sa_handler = handler;
        wanted.sa_flags = flags;
        sigaddset(&wanted.sa_mask, SIGUSR1);
        sigaction(fatal[i], &wanted, &old);
        describe("was", fatal[i], &old);
    }
}

/* What signal() and its older kin return, and leave behind. */
static void set_simply(const char *title, sighandler_t (*call)(int, sighandler_t)) {
    sighandler_t const wanted[] = {own, SIG_IGN, own, SIG_DFL, SIG_DFL};
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; ++k) {
        for (int i = 0; i < FATAL; ++i) {
            printf("%s %d: was %s\n", title, fatal[i], name_of(call(fatal[i], wanted[k])));
        }
        ask(title);
    }
}

static void query(void) {
    ask("start");
    set(own, SA_RESTART | SA_NODEFER);
    ask("own");
    set((void (*)(int))(void *)own_with_facts, SA_SIGINFO | SA_RESETHAND);
    ask("facts");
    set(SIG_IGN, 0);
    ask("ignored");
    set(SIG_DFL, 0);
    ask("default");
    set(SIG_DFL, 0);
    set_simply("signal", signal);
    set_simply("ssignal", ssignal);
    set_simply("sysv_signal", sysv_signal);
    set_simply("sigset", sigset);
    errno = 0;
    printf("SIGKILL: %d %s\n", sigaction(SIGKILL, &before, NULL), strerror(errno));
    errno = 0;
    printf("no signal: %d %s\n", sigaction(-1, NULL, &before), strerror(errno));
    errno = 0;
    printf("signal 0: %s %s\n", name_of(signal(0, own)), strerror(errno));
    errno = 0;
    printf("signal 99: %s %s\n", name_of(signal(99, SIG_DFL)), strerror(errno));
    exit(0);
}

static void query_children(void) {
    if (fork() == 0) {
        ask("child");
        execl("/proc/self/exe", "handlers", "ask", (char *)NULL);
    }
    wait(NULL);
    exit(0);
}

static void ask_only(void) {
    ask("now");
    exit(0);
}

static void alternate_stack(void) {
    stack_t found;
    memset(&found, 0x5a, sizeof found);
    printf("%d", sigaltstack(NULL, &found));
    printf(" flags %d\n", found.ss_flags);
    exit(0);
}

/* -- handlers that do something */

static void resets_and_raises(int number) {
    say("own handler\n");
    signal(number, SIG_DFL);
    raise(number);
}

static void resets_and_returns(int number) {
    say("own handler\n");
    signal(number, SIG_DFL);
}

static void exits(int number) {
    (void)number;
    say("own handler\n");
    _exit(3);
}

static void jumps(int number) {
    siglongjmp(back, number);
}

static void only_says(int number) {
    (void)number;
    say("own handler\n");
}

/* What a handler does that respects the one before it. */
static void chains(int number, siginfo_t *facts, void *context) {
    say("own handler\n");
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, facts, context);
    } else if (before.sa_handler == SIG_DFL) {
        sigaction(number, &before, NULL);
    } else if (before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    }
}

static void install(int number, void (*handler)(int), int flags) {
    struct sigaction wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.sa_handler = handler;
    wanted.sa_flags = flags;
    sigaction(number, &wanted, &before);
}

static void reset_raise(void) {
    install(SIGSEGV, resets_and_raises, 0);
    crash();
}

static void reset_return(void) {
    install(SIGSEGV, resets_and_returns, 0);
    crash();
}

static void reset_hand(void) {
    install(SIGSEGV, only_says, (int)SA_RESETHAND);
    crash();
}

static void exit_in_handler(void) {
    install(SIGSEGV, exits, 0);
    crash();
}

static void jump_out(void) {
    install(SIGSEGV, jumps, 0);
    for (volatile int i = 0; i < 3; ++i) {
        if (sigsetjmp(back, 1) == 0) {
            crash();
        }
    }
    say("went on\n");
    exit(0);
}

static void chain(void) {
    install(SIGSEGV, (void (*)(int))(void *)chains, SA_SIGINFO);
    crash();
}

/* Abort's own handler returns: abort sets the default and raises again. */
static void abort_returns(void) {
    install(SIGABRT, only_says, 0);
    abort();
}

static void abort_ignored(void) {
    signal(SIGABRT, SIG_IGN);
    abort();
}

static void quit_ignored(void) {
    signal(SIGQUIT, SIG_IGN);
    raise(SIGQUIT);
    say("went on\n");
    exit(0);
}

/* -- blocked signals */

static void block(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* A fault cannot wait: the kernel kills without asking any handler. */
static void blocked_fault(void) {
    block(SIGSEGV);
    crash();
}

static void blocked_abort(void) {
    block(SIGABRT);
    abort();
}

/* The signal waits until it is let through. */
static void blocked_raise(void) {
    sigset_t set;
    block(SIGFPE);
    raise(SIGFPE);
    say("still there\n");
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

/* -- alternate stacks of the program's own */

static void take_stack(size_t bytes) {
    stack_t mine;
    memset(&mine, 0, sizeof mine);
    mine.ss_sp = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mine.ss_size = bytes;
    sigaltstack(&mine, NULL);
}

static void needs_room(int number) {
    volatile char room[48 * 1024];
    for (size_t at = 0; at < sizeof room; at += 512) {
        room[at] = (char)number;
    }
    say("own handler\n");
}

/* A handler on "the alternate stack, if there is one", and there is none. */
static void roomy_handler(void) {
    install(SIGUSR1, needs_room, SA_ONSTACK);
    raise(SIGUSR1);
    exit(0);
}

static int recurse(volatile int depth) {
    volatile char room[512];
    room[0] = (char)depth;
    return depth < 0 ? 0 : recurse(depth + 1) + room[0];
}

static void overflow_on_own_stack(void) {
    take_stack(16384);
    recurse(0);
}

/* 8192 bytes are what SIGSTKSZ used to be: most programs have that much. */
static void own_stack_of_8192(void) {
    take_stack(8192);
    crash();
}

static void no_stack(void) {
    stack_t none;
    memset(&none, 0, sizeof none);
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, NULL);
    crash();
}

static void *recurse_on_own_stack(void *unused) {
    take_stack(16384);
    recurse(0);
    return unused;
}

static void thread_overflows_on_own_stack(void) {
    pthread_t made;
    pthread_create(&made, NULL, recurse_on_own_stack, NULL);
    pthread_join(made, NULL);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"query", query},
        {"query-children", query_children},
        {"ask", ask_only},
        {"alternate-stack", alternate_stack},
        {"reset-raise", reset_raise},
        {"reset-return", reset_return},
        {"reset-hand", reset_hand},
        {"exit", exit_in_handler},
        {"jump", jump_out},
        {"chain", chain},
        {"abort-returns", abort_returns},
        {"abort-ignored", abort_ignored},
        {"quit-ignored", quit_ignored},
        {"blocked-fault", blocked_fault},
        {"blocked-abort", blocked_abort},
        {"blocked-raise", blocked_raise},
        {"own-stack", overflow_on_own_stack},
        {"own-stack-8192", own_stack_of_8192},
        {"no-stack", no_stack},
        {"roomy", roomy_handler},
        {"thread-own-stack", thread_overflows_on_own_stack},
    };
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; ++i) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
        }
    }
    fprintf(stderr, "handlers: no such case, or it did not end\n");
    return 70;
}
