/* What differs between processors: the registers in a signal frame and in a core. */
#ifndef EVDIAG_MACHINE_H
#define EVDIAG_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* The registers of the crash, from the frame that the kernel has put on the handler's stack. */
struct machine_context;

/* A set of registers: the type of its note is also its name for PTRACE_GETREGSET. */
struct machine_regset {
    uint32_t type;
    const char *owner;
};

extern const uint16_t machine_elf;
extern const struct machine_regset machine_regsets[]; /* ends with type 0 */

/* Null when the frame cannot be read. */
const struct machine_context *machine_read_context(int memory, uint64_t address);
/* Change registers as ptrace gives them, those of the handler, into those of the crash. */
void machine_set_registers(const struct machine_context *context, struct user_regs_struct *regs);
/* The same with another set. False: it cannot be known, and must be left out. */
bool machine_set_regset(const struct machine_context *context, uint32_t type, void *data,
                        size_t size);
uint64_t machine_stack_pointer(const struct user_regs_struct *regs);
uint64_t machine_blocked(const struct machine_context *context);

#endif
