/* Built with AddressSanitizer, which has handlers and wrappers of its own.  sanitized CASE */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *writes_behind_the_end(void *unused) {
    char *volatile block = malloc(10);
    block[10] = 1;
    free(block);
    return unused;
}

int main(int argc, char **argv) {
    pthread_t made;
    if (argc > 1 && strcmp(argv[1], "overflow") == 0) {
        pthread_create(&made, NULL, writes_behind_the_end, NULL);
        pthread_join(made, NULL);
    } else if (argc > 1 && strcmp(argv[1], "null") == 0) {
        *(volatile int *)0x18 = 1;
    }
    puts("lived");
    return 0;
}
