#ifndef EVDIAG_UTF8_H
#define EVDIAG_UTF8_H

#include <stddef.h>

/* How many bytes at the start of a text are one character of UTF-8 (RFC 3629); 0 if none. */
size_t utf8_length(const unsigned char *text);

#endif
