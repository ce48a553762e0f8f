/* A stack for the signal handler in every thread: where a stack has overflowed, the handler cannot
 * run on it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <threads.h>
#include <unistd.h>

#include "preload.h"

/* 64 KB of address space; pages that are not touched cost nothing. The kernel's frame takes 3 KB
 * with AVX-512 and 11 KB with AMX, our handler takes 3 KB. */
enum { STACK_SIZE = 64 * 1024 };

/* At the lower end of the mapping, above the guard page. */
struct stack {
    union {
        void *(*posix)(void *);
        int (*c11)(void *);
    } start;
    void *argument;
};

static size_t page;
static size_t size;
static pthread_key_t key;

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
typedef int thrd_function(thrd_t *, thrd_start_t, void *);

static struct {
    create_function *pthread_create;
    thrd_function *thrd_create;
} real;

void find_thread_functions(void)
{
    find_next("pthread_create", &real.pthread_create);
    find_next("thrd_create", &real.thrd_create);
}

static void *base_of(struct stack *stack)
{
    return (char *)stack - page;
}

/* Map a stack with a guard page below it; null when there is no memory. */
static struct stack *new_stack(void)
{
    char *base = mmap(NULL, page + size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    if (mprotect(base, page, PROT_NONE)) {
        munmap(base, page + size);
        return NULL;
    }
    return (struct stack *)(void *)(base + page);
}

/* Called when a thread ends, however it ends. */
static void free_stack(void *argument)
{
    struct stack *stack = argument;
    stack_t none = {.ss_flags = SS_DISABLE};
    stack_t used;
    if (sigaltstack(NULL, &used))
        return;
    /* A thread may end in a handler that runs on this stack: then it has to stay. */
    uintptr_t here = (uintptr_t)&used;
    if (here >= (uintptr_t)stack && here < (uintptr_t)stack + size)
        return;
    /* The thread may have set a stack of its own in the meantime. */
    if (used.ss_sp == stack && sigaltstack(&none, NULL))
        return;
    munmap(base_of(stack), page + size);
}

/* Give the calling thread its stack. Kept out of the functions below so that their last call can
 * be a jump: a frame of ours at the end of every backtrace would be in everybody's way. */
__attribute__((noinline)) static void use_stack(struct stack *stack)
{
    stack_t ours = {.ss_sp = stack, .ss_size = size};
    if (sigaltstack(&ours, NULL) || pthread_setspecific(key, stack)) {
        stack_t none = {.ss_flags = SS_DISABLE};
        sigaltstack(&none, NULL);
    }
}

static void *run_posix(void *argument)
{
    struct stack *stack = argument;
    void *(*start)(void *) = stack->start.posix;
    argument = stack->argument;
    use_stack(stack);
    return start(argument);
}

static int run_c11(void *argument)
{
    struct stack *stack = argument;
    int (*start)(void *) = stack->start.c11;
    argument = stack->argument;
    use_stack(stack);
    return start(argument);
}

EXPORTED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                            void *(*start)(void *), void *argument)
{
    if (!real.pthread_create)
        find_thread_functions();
    struct stack *stack = config.enabled ? new_stack() : NULL;
    if (!stack)
        return real.pthread_create(thread, attributes, start, argument);
    stack->start.posix = start;
    stack->argument = argument;
    int error = real.pthread_create(thread, attributes, run_posix, stack);
    if (error)
        munmap(base_of(stack), page + size);
    return error;
}

EXPORTED int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
    if (!real.thrd_create)
        find_thread_functions();
    struct stack *stack = config.enabled ? new_stack() : NULL;
    if (!stack)
        return real.thrd_create(thread, start, argument);
    stack->start.c11 = start;
    stack->argument = argument;
    int error = real.thrd_create(thread, run_c11, stack);
    if (error != thrd_success)
        munmap(base_of(stack), page + size);
    return error;
}

/* Give the main thread a stack too, unless it has one already. */
bool prepare_stacks(void)
{
    stack_t used;
    page = (size_t)sysconf(_SC_PAGESIZE);
    size = STACK_SIZE + (size_t)getauxval(AT_MINSIGSTKSZ);
    size = (size + page - 1) / page * page;
    if (pthread_key_create(&key, free_stack))
        return false;
    struct stack *stack = NULL;
    if (sigaltstack(NULL, &used) == 0 && (used.ss_flags & SS_DISABLE))
        stack = new_stack();
    if (stack) {
        stack_t ours = {.ss_sp = stack, .ss_size = size};
        sigaltstack(&ours, NULL);
    }
    return true;
}
