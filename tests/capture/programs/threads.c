/* Crashes of programs with threads.  threads CASE */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

#define TOGETHER 8
#define MANY 300

static pthread_barrier_t barrier;
static pthread_key_t key;

static void crash(void) {
    *(volatile int *)0x18 = 1;
}

static void must(int error) {
    if (error != 0) {
        fprintf(stderr, "threads: %s\n", strerror(error));
        exit(70);
    }
}

static pthread_t begin(void *(*body)(void *), const pthread_attr_t *with) {
    pthread_t made;
    must(pthread_create(&made, with, body, NULL));
    return made;
}

static void *crash_together(void *unused) {
    pthread_barrier_wait(&barrier);
    crash();
    return unused;
}

static void *sleep_for_ever(void *unused) {
    pthread_barrier_wait(&barrier);
    for (;;) {
        pause();
    }
    return unused;
}

/* Eight threads touch a null pointer in the same moment, the main thread joins the first. */
static void together(void) {
    pthread_t made[TOGETHER];
    must(pthread_barrier_init(&barrier, NULL, TOGETHER));
    for (int i = 0; i < TOGETHER; ++i) {
        made[i] = begin(crash_together, NULL);
    }
    pthread_join(made[0], NULL);
}

static void many(void) {
    pthread_attr_t small;
    must(pthread_attr_init(&small));
    must(pthread_attr_setstacksize(&small, 64 * 1024));
    must(pthread_barrier_init(&barrier, NULL, MANY));
    for (int i = 0; i < MANY - 1; ++i) {
        begin(sleep_for_ever, &small);
    }
    pthread_barrier_wait(&barrier);
    crash();
}

/* -- threads that come and go */

static void *returns(void *unused) {
    return unused;
}

static void *exits(void *unused) {
    (void)unused;
    pthread_exit((void *)42);
}

static void *is_cancelled(void *unused) {
    for (;;) {
        pause();
    }
    return unused;
}

static long mappings(void) {
    long lines = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    for (int letter = 0; maps != NULL && (letter = fgetc(maps)) != EOF;) {
        lines += letter == '\n';
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return lines;
}

static void one_round(void) {
    void *result = NULL;
    must(pthread_join(begin(returns, NULL), &result));
    must(result != NULL);
    must(pthread_join(begin(exits, NULL), &result));
    must(result != (void *)42);
    pthread_t cancelled = begin(is_cancelled, NULL);
    must(pthread_cancel(cancelled));
    must(pthread_join(cancelled, &result));
    must(result != PTHREAD_CANCELED);
    must(pthread_detach(begin(returns, NULL)));
}

static void churn(void) {
    for (int i = 0; i < 20; ++i) {
        one_round();
    }
    const long before = mappings();
    for (int i = 0; i < 300; ++i) {
        one_round();
    }
    /* a detached thread may not have gone yet, each with a stack and a guard */
    printf("%ld mappings more\n", mappings() - before);
    fflush(stdout);
    crash();
}

static void *makes_threads(void *unused) {
    for (;;) {
        pthread_t made;
        if (pthread_create(&made, NULL, returns, NULL) == 0) {
            pthread_join(made, NULL);
        }
    }
    return unused;
}

/* The crash comes while other threads start and end threads of their own. */
static void storm(void) {
    for (int i = 0; i < 4; ++i) {
        begin(makes_threads, NULL);
    }
    usleep(20000);
    crash();
}

/* -- places where a thread has little, or nothing any more */

static void *crash_alone(void *unused) {
    crash();
    return unused;
}

static int crash_as_c11(void *unused) {
    (void)unused;
    crash();
    return 0;
}

static void with_small_stack(void) {
    pthread_attr_t small;
    must(pthread_attr_init(&small));
    must(pthread_attr_setstacksize(&small, (size_t)sysconf(_SC_THREAD_STACK_MIN)));
    pthread_join(begin(crash_alone, &small), NULL);
}

static void c11(void) {
    thrd_t made;
    if (thrd_create(&made, crash_as_c11, NULL) == thrd_success) {
        thrd_join(made, NULL);
    }
}

static void on_thread_end(void *unused) {
    (void)unused;
    crash();
}

static void *sets_key(void *unused) {
    must(pthread_setspecific(key, &key));
    return unused;
}

/* In the destructor of thread-specific data, when other such data may be gone already. */
static void in_destructor(void) {
    must(pthread_key_create(&key, on_thread_end));
    pthread_join(begin(sets_key, NULL), NULL);
}

static void *outlives(void *unused) {
    usleep(20000);
    crash();
    return unused;
}

/* The main thread is gone, the process lives on in another one. */
static void without_main(void) {
    begin(outlives, NULL);
    pthread_exit(NULL);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"together", together},         {"many", many},
        {"churn", churn},               {"storm", storm},
        {"small-stack", with_small_stack}, {"c11", c11},
        {"destructor", in_destructor},  {"without-main", without_main},
    };
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; ++i) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
        }
    }
    fprintf(stderr, "threads: no such case, or it did not crash\n");
    return 70;
}
