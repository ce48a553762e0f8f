/* The default action of the fatal signals becomes ours, and the program cannot tell.
 *
 * Whoever asks for SIG_DFL gets our handler; whoever looks at the action sees SIG_DFL. A handler
 * of the program's own stays what it is. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "preload.h"

/* Those whose default action is a core dump (signal(7)) and that mean a crash; SIGXCPU and
 * SIGXFSZ are limits that somebody has set. */
static const int fatal[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGQUIT};
enum { FATAL_COUNT = sizeof fatal / sizeof *fatal };

typedef sighandler_t signal_function(int, sighandler_t);

/* Actions of the program with SA_RESETHAND, by signal: see handle_once. */
static struct sigaction once[NSIG];

static bool is_fatal(int sig)
{
    for (int i = 0; i < FATAL_COUNT; i++)
        if (fatal[i] == sig)
            return true;
    return false;
}

/* The functions that ours stand in front of. */
static struct {
    sigaction_function *sigaction;
    signal_function *signal, *bsd_signal, *ssignal, *sigset;
} real;

void find_signal_functions(void)
{
    find_next("sigaction", &real.sigaction);
    find_next("signal", &real.signal);
    find_next("bsd_signal", &real.bsd_signal);
    find_next("ssignal", &real.ssignal);
    find_next("sigset", &real.sigset);
}

sigaction_function *real_sigaction(void)
{
    if (!real.sigaction)
        find_signal_functions();
    return real.sigaction;
}

static bool is_default(const struct sigaction *action)
{
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
}

static bool is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == handle_crash;
}

static struct sigaction our_action(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handle_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    return action;
}

/* Stands in for a handler that is to be called once: the kernel would go back to its own default
 * action, and a program that prints its stack and raises the signal again would leave no core. */
static void handle_once(int sig, siginfo_t *info, void *context)
{
    struct sigaction theirs = once[sig];
    struct sigaction ours = our_action();
    real_sigaction()(sig, &ours, NULL);
    if (theirs.sa_flags & SA_SIGINFO)
        theirs.sa_sigaction(sig, info, context);
    else
        theirs.sa_handler(sig);
}

static bool is_once(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == handle_once;
}

/* What to install when the program asks for an action. */
static struct sigaction translated(int sig, const struct sigaction *wanted)
{
    if (is_default(wanted) && !crash_in_progress())
        return our_action();
    struct sigaction action = *wanted;
    bool called = (wanted->sa_flags & SA_SIGINFO) ||
                  (wanted->sa_handler != SIG_DFL && wanted->sa_handler != SIG_IGN);
    if (called && (wanted->sa_flags & (int)SA_RESETHAND)) {
        once[sig] = *wanted;
        action.sa_sigaction = handle_once;
        action.sa_flags = (wanted->sa_flags & ~(int)SA_RESETHAND) | SA_SIGINFO;
    }
    return action;
}

EXPORTED int sigaction(int sig, const struct sigaction *wanted, struct sigaction *previous)
{
    if (!config.enabled || !is_fatal(sig))
        return real_sigaction()(sig, wanted, previous);
    struct sigaction action, found, former = once[sig];
    if (wanted)
        action = translated(sig, wanted);
    if (real_sigaction()(sig, wanted ? &action : NULL, &found))
        return -1;
    if (is_ours(&found)) {
        memset(&found, 0, sizeof found);
        found.sa_handler = SIG_DFL;
    } else if (is_once(&found)) {
        found = former;
    }
    if (previous)
        *previous = found;
    return 0;
}

/* Call one of the older functions, then put ours back where it has set the default action. */
static sighandler_t call_real(signal_function **function, int sig, sighandler_t handler)
{
    struct sigaction before = {0};
    if (!*function)
        find_signal_functions();
    if (!*function) {
        errno = ENOSYS;
        return SIG_ERR;
    }
    if (!config.enabled || !is_fatal(sig))
        return (*function)(sig, handler);
    real_sigaction()(sig, NULL, &before);
    sighandler_t previous = (*function)(sig, handler);
    if (previous == SIG_ERR)
        return previous;
    if (handler == SIG_DFL && !crash_in_progress()) {
        struct sigaction ours = our_action();
        real_sigaction()(sig, &ours, NULL);
    }
    if (is_ours(&before))
        return SIG_DFL;
    return is_once(&before) ? once[sig].sa_handler : previous;
}

/* Declared in <signal.h> only for the standards that had them. */
sighandler_t bsd_signal(int sig, sighandler_t handler);
sighandler_t ssignal(int sig, sighandler_t handler);

EXPORTED sighandler_t signal(int sig, sighandler_t handler)
{
    return call_real(&real.signal, sig, handler);
}

EXPORTED sighandler_t bsd_signal(int sig, sighandler_t handler)
{
    return call_real(&real.bsd_signal, sig, handler);
}

EXPORTED sighandler_t ssignal(int sig, sighandler_t handler)
{
    return call_real(&real.ssignal, sig, handler);
}

/* SIG_HOLD as a result says that the signal was blocked; call_real does not tell. */
EXPORTED sighandler_t sigset(int sig, sighandler_t handler)
{
    sigset_t blocked;
    bool held = sigprocmask(SIG_SETMASK, NULL, &blocked) == 0 && sigismember(&blocked, sig) == 1;
    sighandler_t previous = call_real(&real.sigset, sig, handler);
    return held && previous != SIG_ERR ? SIG_HOLD : previous;
}

/* System V's signal(): the handler is called once, and not blocked meanwhile (signal(2)). */
EXPORTED sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
    struct sigaction action, previous;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = (int)SA_RESETHAND | SA_NODEFER;
    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    return sigaction(sig, &action, &previous) ? SIG_ERR : previous.sa_handler;
}

EXPORTED sighandler_t sysv_signal(int sig, sighandler_t handler)
{
    return __sysv_signal(sig, handler);
}

void arm_default_signals(void)
{
    struct sigaction ours = our_action();
    for (int i = 0; i < FATAL_COUNT; i++) {
        struct sigaction found;
        if (real_sigaction()(fatal[i], NULL, &found) == 0 && is_default(&found))
            real_sigaction()(fatal[i], &ours, NULL);
    }
}
