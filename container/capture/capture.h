/* What the two halves of the capture agree on: the library that is preloaded into every process,
 * and the program that it starts when the process crashes. */
#ifndef EVDIAG_CAPTURE_H
#define EVDIAG_CAPTURE_H

#define DEFAULT_DIRECTORY "/tmp/everest-logs"
#define DEFAULT_WRITER "/usr/local/lib/evdiag/core-writer"
#define DEFAULT_CORES_MAX "10"
#define DEFAULT_BYTES_MAX "2147483648"
#define DEFAULT_SECONDS "60"

/* The command line of core-writer. Arguments need no file descriptor, which a crashed process may
 * have run out of, and no memory of the process, which core-writer may not be allowed to read. */
enum writer_argument {
    ARG_WRITER,
    ARG_DIRECTORY,
    ARG_PID,
    ARG_TID,
    ARG_SIGINFO,  /* the bytes of siginfo_t, in hexadecimal */
    ARG_UCONTEXT, /* address of the handler's ucontext_t, in hexadecimal */
    ARG_TIME,     /* of the crash: seconds.nanoseconds since 1970 */
    ARG_DUMPABLE, /* PR_GET_DUMPABLE of the process */
    ARG_CORES_MAX,
    ARG_BYTES_MAX,
    ARG_SECONDS, /* after which core-writer stops copying */
    ARG_COUNT
};

/* How core-writer ends. In each of these cases it has said on stderr what there is to say. Other
 * programs do not end like this: one that was started by mistake is no success. */
enum writer_status { WROTE_ALL = 80, WROTE_PART, WROTE_NOTHING };

/* What core-writer may take after its time is up, to finish the files and to go away. */
#define GRACE_SECONDS 5

#endif
