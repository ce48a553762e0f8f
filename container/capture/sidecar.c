/* The .json beside the core (schema evdiag.capture/1). */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "utf8.h"
#include "writer.h"

/* Write a string; what is not UTF-8 becomes U+FFFD. */
static void put_string(FILE *file, const char *text)
{
    fputc('"', file);
    while (*text) {
        const unsigned char *at = (const unsigned char *)text;
        size_t length = utf8_length(at);
        if (!length)
            fputs("\\ufffd", file);
        else if (*at < ' ' || *at == 127)
            fprintf(file, "\\u%04x", *at);
        else if (*at == '"' || *at == '\\')
            fprintf(file, "\\%c", *at);
        else
            fwrite(at, 1, length, file);
        text += length ? length : 1;
    }
    fputc('"', file);
}

static void put_optional(FILE *file, const char *key, const char *text)
{
    fprintf(file, ",\"%s\":", key);
    if (text && *text)
        put_string(file, text);
    else
        fputs("null", file);
}

static void put_time(FILE *file, const char *key, const struct timespec *time)
{
    struct tm broken;
    char text[40];
    if (!time->tv_sec || !gmtime_r(&time->tv_sec, &broken)) {
        fprintf(file, ",\"%s\":null", key);
        return;
    }
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &broken);
    fprintf(file, ",\"%s\":\"%s.%03ldZ\"", key, text, time->tv_nsec / 1000000);
}

/* sigaction(2) says which members of siginfo_t mean something. */
static void put_signal(FILE *file, const siginfo_t *info)
{
    int sig = info->si_signo;
    bool fault = sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
                 sig == SIGTRAP;
    bool sent = info->si_code == SI_USER || info->si_code == SI_TKILL ||
                info->si_code == SI_QUEUE;
    fprintf(file, ",\"signal\":%d,\"si_code\":%d,\"fault_address\":", sig, info->si_code);
    if (fault && info->si_code > 0 && info->si_code != SI_KERNEL)
        fprintf(file, "\"0x%llx\"", (unsigned long long)(uintptr_t)info->si_addr);
    else
        fputs("null", file);
    if (sent)
        fprintf(file, ",\"sender_pid\":%d,\"sender_uid\":%u", info->si_pid, info->si_uid);
    else
        fputs(",\"sender_pid\":null,\"sender_uid\":null", file);
}

static void put_arguments(FILE *file, const struct crash *crash)
{
    size_t at = 0;
    fputs(",\"argv\":[", file);
    while (at < crash->arguments_size) {
        if (at)
            fputc(',', file);
        put_string(file, crash->arguments + at);
        at += strlen(crash->arguments + at) + 1;
    }
    fputc(']', file);
}

static void put_names(FILE *file, const struct removed *removed)
{
    fputs(",\"removed\":[", file);
    for (size_t i = 0; i < removed->count; i++) {
        if (i)
            fputc(',', file);
        put_string(file, removed->names[i]);
    }
    fputc(']', file);
}

static void put_all(FILE *file, const struct crash *crash, const struct removed *removed)
{
    fputs("{\"schema\":\"evdiag.capture/1\"", file);
    put_optional(file, "core", crash->written ? crash->name : NULL);
    fprintf(file, ",\"pid\":%d,\"tid\":%d", crash->pid, crash->tid);
    put_signal(file, &crash->info);
    put_optional(file, "comm", crash->comm);
    put_optional(file, "thread", crash->thread);
    put_optional(file, "executable", crash->executable);
    put_arguments(file, crash);
    put_time(file, "started", &crash->started);
    put_time(file, "crashed_at", &crash->time);
    fprintf(file, ",\"threads\":%zu,\"bytes\":%llu,\"bytes_on_disk\":%llu", crash->threads,
            (unsigned long long)crash->bytes, (unsigned long long)crash->bytes_on_disk);
    fprintf(file, ",\"truncated\":%s,\"missing_bytes\":%llu", crash->truncated ? "true" : "false",
            (unsigned long long)crash->missing_bytes);
    put_optional(file, "error", crash->error);
    fprintf(file, ",\"stop_ms\":%.1f,\"write_ms\":%.1f", crash->stop_ms, crash->write_ms);
    put_names(file, removed);
    fputs(",\"writer\":\"" WRITER_NAME "\"}\n", file);
}

/* Fill the file that has been created for it, and give it its name. Returns an error number. */
int write_sidecar(const struct crash *crash, struct output *output, const struct removed *removed)
{
    char name[NAME_SIZE + 8];
    if (output->sidecar < 0)
        return ENOENT;
    FILE *file = fdopen(output->sidecar, "w");
    if (!file)
        return errno;
    put_all(file, crash, removed);
    int error = fflush(file) || ferror(file) ? errno : 0;
    if (!error && ftruncate(output->sidecar, ftello(file)))
        error = errno;
    snprintf(name, sizeof name, "%s.json", crash->name);
    if (!error && move_part(output->directory, output->sidecar_part, name))
        error = errno;
    if (error)
        unlinkat(output->directory, output->sidecar_part, 0);
    fclose(file);
    output->sidecar = -1;
    return error;
}
