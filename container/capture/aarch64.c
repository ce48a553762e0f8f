/* aarch64: arch/arm64/include/uapi/asm/sigcontext.h of Linux describes the frame. */
#define _GNU_SOURCE
#include <elf.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "machine.h"

#ifndef NT_ARM_PAC_ENABLED_KEYS
#define NT_ARM_PAC_ENABLED_KEYS 0x40a
#endif
#ifndef NT_ARM_TAGGED_ADDR_CTRL
#define NT_ARM_TAGGED_ADDR_CTRL 0x409
#endif

/* A record of the frame: magic, size, then what belongs to it. */
struct record {
    uint32_t magic;
    uint32_t size;
};
#define FPSIMD_RECORD 0x46508001u /* fpsr, fpcr, 32 vector registers */
enum { VECTORS = 32 * 16 };

struct machine_context {
    ucontext_t frame;
    size_t size; /* how much of the frame has been read */
};

const uint16_t machine_elf = EM_AARCH64;
const struct machine_regset machine_regsets[] = {
    {NT_FPREGSET, "CORE"},
    {NT_ARM_TLS, "LINUX"},
    {NT_ARM_HW_BREAK, "LINUX"},
    {NT_ARM_HW_WATCH, "LINUX"},
    {NT_ARM_SYSTEM_CALL, "LINUX"},
    {NT_ARM_SVE, "LINUX"},
    {NT_ARM_PAC_MASK, "LINUX"},
    {NT_ARM_PAC_ENABLED_KEYS, "LINUX"},
    {NT_ARM_TAGGED_ADDR_CTRL, "LINUX"},
    {0, NULL},
};

const struct machine_context *machine_read_context(int memory, uint64_t address)
{
    static struct machine_context context;
    const size_t least = offsetof(ucontext_t, uc_mcontext.__reserved);
    if (!address)
        return NULL;
    /* The records may end, and the stack with them, before the 4 KB that are reserved. */
    ssize_t got = pread(memory, &context.frame, sizeof context.frame, (off_t)address);
    if (got < (ssize_t)least)
        return NULL;
    context.size = (size_t)got;
    return &context;
}

void machine_set_registers(const struct machine_context *context, struct user_regs_struct *regs)
{
    const mcontext_t *from = &context->frame.uc_mcontext;
    for (size_t i = 0; i < 31; i++)
        regs->regs[i] = from->regs[i];
    regs->sp = from->sp;
    regs->pc = from->pc;
    regs->pstate = from->pstate;
}

/* Copy the vector registers into struct user_fpsimd_state, where they come first. */
static bool set_fpsimd(const struct machine_context *context, unsigned char *to, size_t size)
{
    const unsigned char *frame = (const unsigned char *)&context->frame;
    size_t at = offsetof(ucontext_t, uc_mcontext.__reserved);
    struct record record;
    while (at + sizeof record <= context->size) {
        memcpy(&record, frame + at, sizeof record);
        if (!record.magic || record.size < sizeof record || record.size > context->size - at)
            return false;
        if (record.magic == FPSIMD_RECORD) {
            const unsigned char *from = frame + at + sizeof record;
            if (record.size < sizeof record + 8 + VECTORS || size < VECTORS + 8)
                return false;
            memcpy(to, from + 8, VECTORS);
            memcpy(to + VECTORS, from, 8);
            return true;
        }
        at += record.size;
    }
    return false;
}

bool machine_set_regset(const struct machine_context *context, uint32_t type, void *data,
                        size_t size)
{
    int32_t no_call = -1;
    switch (type) {
    case NT_FPREGSET:
        return set_fpsimd(context, data, size);
    case NT_ARM_SVE:
        return false; /* the handler's; NT_FPREGSET has the lower 128 bits of the crash's */
    case NT_ARM_SYSTEM_CALL:
        if (size >= sizeof no_call)
            memcpy(data, &no_call, sizeof no_call);
        return true;
    default:
        return true; /* the handler has not changed the others */
    }
}

uint64_t machine_stack_pointer(const struct user_regs_struct *regs)
{
    return regs->sp;
}

uint64_t machine_blocked(const struct machine_context *context)
{
    uint64_t mask;
    memcpy(&mask, &context->frame.uc_sigmask, sizeof mask);
    return mask;
}
