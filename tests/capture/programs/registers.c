/* Known values in registers of every kind, and a fault.  x86-64 with AVX2.
 *
 * The other thread sleeps in a system call: what a kernel notes of such a one is compared too.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int sleeper;

static void *sleep_for_ever(void *unused) {
    sleeper = (int)syscall(SYS_gettid);
    for (;;) {
        pause();
    }
    return unused;
}

/* proc(5): the number of the system call that a thread sleeps in, or the word `running`. */
static int sleeps(void) {
    char path[64];
    char text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", sleeper);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(text, sizeof text, file) == NULL) {
            text[0] = '\0';
        }
        fclose(file);
    }
    return atoi(text) == SYS_pause;
}

#define TEN "0x4024000000000000"

int main(void) {
    pthread_t made;
    pthread_create(&made, NULL, sleep_for_ever, NULL);
    while (!sleeps()) {
        sched_yield();
    }
    __asm__ volatile("vzeroall\n\t"
                     "movabs $" TEN ", %%rax\n\t"
                     "vmovq %%rax, %%xmm5\n\t"
                     "vbroadcastsd %%xmm5, %%ymm5\n\t"
                     "vpcmpeqd %%ymm15, %%ymm15, %%ymm15\n\t"
                     "fninit\n\t"
                     "fldpi\n\t"
                     "movl $0x1234, %%ebx\n\t"
                     "movl $0x5678, %%r12d\n\t"
                     "std\n\t"
                     "movl $1, 0x18" ::
                         : "rax", "rbx", "r12", "memory");
    return 70;
}
