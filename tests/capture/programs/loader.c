/* Crashes while another thread holds the loader's lock, as one in dlopen() does.  loader LIBRARY
 *
 * The program's own handler resets the signal: the first call of signal() in its life.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int ready[2];

static void on_fault(int number) {
    signal(number, SIG_DFL);
}

static void *load(void *library) {
    if (dlopen(library, RTLD_NOW) == NULL) {
        fprintf(stderr, "loader: %s\n", dlerror());
    }
    return NULL;
}

int main(int argc, char **argv) {
    struct sigaction own;
    pthread_t loading;
    char told = 0;
    memset(&own, 0, sizeof own);
    own.sa_handler = on_fault;
    sigaction(SIGSEGV, &own, NULL);
    /* The library's constructor writes to descriptor 100, and stays. */
    if (argc < 2 || pipe(ready) != 0 || dup2(ready[1], 100) < 0) {
        return 70;
    }
    pthread_create(&loading, NULL, load, argv[1]);
    if (read(ready[0], &told, 1) != 1) {
        return 70;
    }
    *(volatile int *)0x18 = 1;
    return 70;
}
