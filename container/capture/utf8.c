#include "utf8.h"

/* The second byte has a narrower range after some first bytes: no overlong forms, no surrogates,
 * nothing above U+10FFFF. */
static int second_is_good(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second < 0xa0;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second < 0x90;
    default:
        return 1;
    }
}

size_t utf8_length(const unsigned char *text)
{
    size_t length;
    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return second_is_good(text[0], text[1]) ? length : 0;
}
