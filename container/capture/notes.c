/* The notes of a core, in the kernel's order (fs/binfmt_elf.c): the crashing thread comes first. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "writer.h"

/* Larger than any register set there is; AMX takes 11 KB, SVE with 2048 bits 17 KB. */
enum { REGSET_LIMIT = 128 * 1024 };

static void put_padding(struct sink *sink, size_t size)
{
    static const char zeros[4];
    sink_put(sink, zeros, (4 - size % 4) % 4);
}

static void begin_note(struct sink *sink, const char *owner, uint32_t type, size_t size)
{
    Elf64_Nhdr header = {.n_namesz = (uint32_t)strlen(owner) + 1,
                         .n_descsz = (uint32_t)size,
                         .n_type = type};
    sink_put(sink, &header, sizeof header);
    sink_put(sink, owner, header.n_namesz);
    put_padding(sink, header.n_namesz);
}

static void put_note(struct sink *sink, const char *owner, uint32_t type, const void *data,
                     size_t size)
{
    begin_note(sink, owner, type, size);
    sink_put(sink, data, size);
    put_padding(sink, size);
}

static void put_process(const struct crash *crash, struct sink *sink)
{
    struct elf_prpsinfo info;
    memset(&info, 0, sizeof info);
    info.pr_sname = 'R';
    info.pr_pid = crash->pid;
    info.pr_ppid = crash->parent;
    info.pr_pgrp = crash->group;
    info.pr_sid = crash->session;
    memcpy(info.pr_fname, crash->comm, strlen(crash->comm));
    for (size_t i = 0; i < crash->arguments_size && i < sizeof info.pr_psargs - 1; i++)
        info.pr_psargs[i] = crash->arguments[i] ? crash->arguments[i] : ' ';
    put_note(sink, "CORE", NT_PRPSINFO, &info, sizeof info);
}

static void put_auxv(const struct crash *crash, struct sink *sink)
{
    size_t size;
    char *auxv = read_proc(crash->tid, "auxv", 16384, &size);
    if (auxv && size)
        put_note(sink, "CORE", NT_AUXV, auxv, size);
    free(auxv);
}

/* NT_FILE: count, page size, then start, end and offset (in pages) of each, then the names. */
static void put_files(const struct regions *regions, struct sink *sink)
{
    uint64_t head[2] = {regions->files, regions->page};
    size_t size = sizeof head + regions->files * 24;
    if (!regions->files)
        return;
    begin_note(sink, "CORE", NT_FILE, size + regions->names_size - 1);
    sink_put(sink, head, sizeof head);
    for (size_t i = 0; i < regions->count; i++) {
        const struct region *region = &regions->list[i];
        uint64_t entry[3] = {region->start, region->end, region->file_offset / regions->page};
        if (region->name)
            sink_put(sink, entry, sizeof entry);
    }
    /* The names lie in the order of their mappings; 0 is no name, they start at 1. */
    sink_put(sink, regions->names + 1, regions->names_size - 1);
    put_padding(sink, regions->names_size - 1);
}

/* Read a set of registers of a stopped thread; its size, 0 if there is none. */
static size_t read_regset(pid_t tid, uint32_t type, void *buffer, size_t size)
{
    struct iovec vector = {buffer, size};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)type, &vector))
        return 0;
    return vector.iov_len;
}

static void put_regsets(pid_t tid, const struct machine_context *context, struct sink *sink)
{
    static unsigned char data[REGSET_LIMIT];
    for (const struct machine_regset *set = machine_regsets; set->type; set++) {
        size_t size = read_regset(tid, set->type, data, sizeof data);
        if (size && (!context || machine_set_regset(context, set->type, data, size)))
            put_note(sink, set->owner, set->type, data, size);
    }
}

/* Registers of a stopped thread; context is that of the crash, for the crashing thread. */
bool read_registers(pid_t tid, const struct machine_context *context,
                    struct user_regs_struct *registers)
{
    if (read_regset(tid, NT_PRSTATUS, registers, sizeof *registers) != sizeof *registers)
        return false;
    if (context)
        machine_set_registers(context, registers);
    return true;
}

static bool put_thread(const struct crash *crash, pid_t tid,
                       const struct machine_context *context, struct sink *sink)
{
    struct elf_prstatus status;
    struct user_regs_struct registers;
    memset(&status, 0, sizeof status);
    if (!read_registers(tid, context, &registers))
        return false;
    if (context)
        status.pr_sighold = machine_blocked(context);
    status.pr_info.si_signo = crash->info.si_signo;
    status.pr_cursig = (short)crash->info.si_signo;
    status.pr_pid = tid;
    status.pr_ppid = crash->parent;
    status.pr_pgrp = crash->group;
    status.pr_sid = crash->session;
    status.pr_fpvalid = 1;
    _Static_assert(sizeof status.pr_reg == sizeof registers, "the same registers");
    memcpy(&status.pr_reg, &registers, sizeof registers);
    put_note(sink, "CORE", NT_PRSTATUS, &status, sizeof status);
    return true;
}

bool write_notes(const struct crash *crash, const struct threads *threads,
                 const struct regions *regions, const struct machine_context *context,
                 struct sink *sink)
{
    for (size_t i = 0; i < threads->count; i++) {
        const struct thread *thread = &threads->list[i];
        const struct machine_context *own = i == 0 ? context : NULL;
        if (!thread->stopped || !put_thread(crash, thread->tid, own, sink))
            continue;
        if (i == 0) {
            put_process(crash, sink);
            put_note(sink, "CORE", NT_SIGINFO, &crash->info, sizeof crash->info);
            put_auxv(crash, sink);
            put_files(regions, sink);
        }
        put_regsets(thread->tid, own, sink);
    }
    return sink_flush(sink);
}
