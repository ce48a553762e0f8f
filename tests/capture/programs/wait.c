/* Waits for a signal, or crashes at once: what is done to it from outside is the test.
 *
 *   wait [NAME [crash]]   NAME is what the process calls itself; hex bytes behind `0x`
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void call_itself(const char *name) {
    char decoded[64] = {0};
    if (strncmp(name, "0x", 2) != 0) {
        prctl(PR_SET_NAME, name);
        return;
    }
    for (size_t at = 0; name[2 + 2 * at] != '\0' && at + 1 < sizeof decoded; ++at) {
        unsigned int byte = 0;
        sscanf(name + 2 + 2 * at, "%2x", &byte);
        decoded[at] = (char)byte;
    }
    prctl(PR_SET_NAME, decoded);
}

int main(int argc, char **argv) {
    if (argc > 1 && argv[1][0] != '\0') {
        call_itself(argv[1]);
    }
    if (argc > 2 && strcmp(argv[2], "crash") == 0) {
        *(volatile int *)0x18 = 1;
    }
    if (argc > 2 && strcmp(argv[2], "abort") == 0) {
        abort();
    }
    if (write(STDOUT_FILENO, "waiting for a signal\n", 21) != 21) {
        return 70;
    }
    for (;;) {
        pause();
    }
}
