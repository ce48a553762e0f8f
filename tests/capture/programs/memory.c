/* Memory of every kind, and a crash.  memory CASE
 *
 * Prints `NAME ADDRESS` for each place that the test reads in the core.
 */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define GIGABYTE (1UL << 30)

static const char relro[] = "constant";
const char *const pointer_to_constant = relro; /* in .data.rel.ro: written once, then read-only */

static void crash(void) {
    *(volatile int *)0x18 = 1;
}

static void tell(const char *name, const void *where) {
    printf("%s %#lx\n", name, (unsigned long)(uintptr_t)where);
    fflush(stdout);
}

static char *map(size_t bytes, int protection, int flags, int file) {
    char *made = mmap(NULL, bytes, protection, flags, file, 0);
    if (made == MAP_FAILED) {
        perror("mmap");
        exit(70);
    }
    return made;
}

static char *private_pages(size_t bytes) {
    return map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

/* Neighbours differ in their rights, so that the kernel cannot join them. */
static void mappings(void) {
    enum { COUNT = 20000 };
    char *made = private_pages(COUNT * PAGE);
    for (size_t i = 0; i < COUNT; i += 2) {
        memcpy(made + i * PAGE, &i, sizeof i);
        mprotect(made + i * PAGE, PAGE, PROT_READ);
    }
    tell("first", made);
    tell("last", made + (COUNT - 2) * PAGE);
}

static void sparse(void) {
    char *made = private_pages(64 * GIGABYTE);
    static const unsigned long at[] = {0, 17 * GIGABYTE + 5 * PAGE, 64 * GIGABYTE - PAGE};
    static const char *const names[] = {"low", "middle", "high"};
    for (int i = 0; i < 3; ++i) {
        strcpy(made + at[i], names[i]);
        tell(names[i], made + at[i]);
    }
}

static void advice(void) {
    char *hidden = private_pages(4 * PAGE);
    char *shown = private_pages(4 * PAGE);
    char *locked_out = private_pages(4 * PAGE);
    strcpy(hidden, "hidden");
    strcpy(shown, "shown");
    strcpy(locked_out, "locked out");
    madvise(hidden, 4 * PAGE, MADV_DONTDUMP);
    madvise(shown, 4 * PAGE, MADV_DONTDUMP);
    madvise(shown, 4 * PAGE, MADV_DODUMP);
    mprotect(locked_out, 4 * PAGE, PROT_NONE);
    tell("hidden", hidden);
    tell("shown", shown);
    tell("locked-out", locked_out);
    tell("relro", &pointer_to_constant);
}

static void shared(void) {
    char name[] = "sharedXXXXXX";
    const int file = mkstemp(name);
    if (file < 0 || ftruncate(file, 2 * PAGE) != 0) {
        perror(name);
        exit(70);
    }
    char *anonymous = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
    char *of_file = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file);
    char *changed = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file);
    const int unnamed = memfd_create("unnamed", MFD_CLOEXEC);
    if (unnamed < 0 || ftruncate(unnamed, PAGE) != 0) {
        exit(70);
    }
    char *of_memory = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, unnamed);
    strcpy(anonymous, "anonymous");
    strcpy(of_file, "of file");
    strcpy(changed + PAGE, "changed");
    strcpy(of_memory, "of memory");
    tell("anonymous", anonymous);
    tell("of-file", of_file);
    tell("changed", changed + PAGE);
    tell("of-memory", of_memory);
}

/* -- crashes with a lock held that a careless handler would want too */

static void *rests(void *unused) {
    pause();
    return unused;
}

/* A freed block's link points to nowhere: malloc itself faults, with the lock of its arena. */
static void in_malloc(void) {
    pthread_t other;
    pthread_create(&other, NULL, rests, NULL); /* without threads malloc takes no locks */
    uintptr_t *volatile block = malloc(0x500);
    void *volatile behind = malloc(0x20);
    free(block);
    block[1] = 0x41414000;
    behind = malloc(0x900);
    (void)behind;
}

static int crash_in_callback(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)info;
    (void)size;
    (void)unused;
    crash();
    return 0;
}

static void in_linker(void) {
    dl_iterate_phdr(crash_in_callback, NULL);
}

static void in_stdio(void) {
    flockfile(stdout);
    flockfile(stderr);
    crash();
}

/* Pages that no compression and no skipping of zeros makes smaller. */
static void large(void) {
    enum { BYTES = 96 << 20 };
    char *made = private_pages(BYTES);
    for (size_t at = 0; at < BYTES; at += sizeof at) {
        const size_t noise = at * 0x9e3779b97f4a7c15UL;
        memcpy(made + at, &noise, sizeof noise);
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"mappings", mappings}, {"sparse", sparse},       {"advice", advice}, {"shared", shared},
        {"malloc", in_malloc},  {"linker", in_linker},    {"stdio", in_stdio}, {"large", large},
    };
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; ++i) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            crash();
        }
    }
    fprintf(stderr, "memory: no such case\n");
    return 70;
}
