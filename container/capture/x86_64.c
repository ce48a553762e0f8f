/* x86-64: arch/x86/include/uapi/asm/sigcontext.h of Linux describes the frame. */
#define _GNU_SOURCE
#include <elf.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "machine.h"

/* Offsets and sizes of the XSAVE area (Intel's manual, volume 1, chapter 13; sigcontext.h). */
enum {
    FXSAVE_REGISTERS = 416, /* what the processor uses of the first 512 bytes */
    SOFTWARE_BYTES = 464,   /* struct _fpx_sw_bytes: magic, size, features, XSAVE size */
    XSAVE_HEADER = 512,
    XSAVE_LIMIT = 64 * 1024
};
#define FP_XSTATE_MAGIC1 0x46505853u

struct machine_context {
    ucontext_t frame;
    size_t fp_size; /* 0, 512, or the size of the XSAVE area */
    unsigned char fp[XSAVE_LIMIT];
};

const uint16_t machine_elf = EM_X86_64;
const struct machine_regset machine_regsets[] = {
    {NT_FPREGSET, "CORE"},
    {NT_X86_XSTATE, "LINUX"},
    {0, NULL},
};

static void read_fp(struct machine_context *context, int memory)
{
    uint64_t address = (uint64_t)(uintptr_t)context->frame.uc_mcontext.fpregs;
    uint32_t magic, size;
    if (!address || pread(memory, context->fp, XSAVE_HEADER, (off_t)address) != XSAVE_HEADER)
        return;
    context->fp_size = XSAVE_HEADER;
    memcpy(&magic, context->fp + SOFTWARE_BYTES, sizeof magic);
    memcpy(&size, context->fp + SOFTWARE_BYTES + 16, sizeof size);
    if (magic != FP_XSTATE_MAGIC1 || size <= XSAVE_HEADER || size > XSAVE_LIMIT)
        return;
    if (pread(memory, context->fp, size, (off_t)address) == (ssize_t)size)
        context->fp_size = size;
}

const struct machine_context *machine_read_context(int memory, uint64_t address)
{
    static struct machine_context context;
    /* The kernel's frame ends after 64 bits of the signal mask, before glibc's ucontext_t does. */
    const size_t size = offsetof(ucontext_t, uc_sigmask) + 8;
    if (!address || pread(memory, &context.frame, size, (off_t)address) != (ssize_t)size)
        return NULL;
    read_fp(&context, memory);
    return &context;
}

void machine_set_registers(const struct machine_context *context, struct user_regs_struct *regs)
{
    const long long *from = context->frame.uc_mcontext.gregs;
#define REGISTER(to, name) regs->to = (unsigned long long)from[name]
    REGISTER(r8, REG_R8);
    REGISTER(r9, REG_R9);
    REGISTER(r10, REG_R10);
    REGISTER(r11, REG_R11);
    REGISTER(r12, REG_R12);
    REGISTER(r13, REG_R13);
    REGISTER(r14, REG_R14);
    REGISTER(r15, REG_R15);
    REGISTER(rdi, REG_RDI);
    REGISTER(rsi, REG_RSI);
    REGISTER(rbp, REG_RBP);
    REGISTER(rbx, REG_RBX);
    REGISTER(rdx, REG_RDX);
    REGISTER(rax, REG_RAX);
    REGISTER(rcx, REG_RCX);
    REGISTER(rsp, REG_RSP);
    REGISTER(rip, REG_RIP);
    REGISTER(eflags, REG_EFL);
#undef REGISTER
    regs->cs = (unsigned long long)from[REG_CSGSFS] & 0xffff;
    regs->orig_rax = ~0ull; /* not in a system call */
}

bool machine_set_regset(const struct machine_context *context, uint32_t type, void *data,
                        size_t size)
{
    unsigned char *to = data;
    if (!context->fp_size)
        return false;
    if (type == NT_FPREGSET || context->fp_size <= XSAVE_HEADER) {
        if (type != NT_FPREGSET || size < FXSAVE_REGISTERS)
            return false;
        memcpy(to, context->fp, FXSAVE_REGISTERS);
        return true;
    }
    if (size <= XSAVE_HEADER)
        return false;
    /* The bytes for software say something else in a note: there they hold XCR0. */
    memcpy(to, context->fp, SOFTWARE_BYTES);
    if (size > context->fp_size)
        size = context->fp_size;
    memcpy(to + XSAVE_HEADER, context->fp + XSAVE_HEADER, size - XSAVE_HEADER);
    return true;
}

uint64_t machine_stack_pointer(const struct user_regs_struct *regs)
{
    return regs->rsp;
}

uint64_t machine_blocked(const struct machine_context *context)
{
    uint64_t mask;
    memcpy(&mask, &context->frame.uc_sigmask, sizeof mask);
    return mask;
}
