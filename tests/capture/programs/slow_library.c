/* A library whose constructor does not come to an end. */
#include <unistd.h>

__attribute__((constructor)) static void stay(void) {
    if (write(100, "", 1) == 1) {
        for (;;) {
            pause();
        }
    }
}
