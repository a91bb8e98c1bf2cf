#include "base/base.h"

/* A freestanding compiler brings or asks for memcpy and its kin in any case; they know the machine
 * better. */
void *base_copy(void *dst, const void *src, size_t len)
{
    return len == 0 ? dst : __builtin_memcpy(dst, src, len);
}

void *base_move(void *dst, const void *src, size_t len)
{
    unsigned char *to = dst;
    const unsigned char *from = src;
    if ((uintptr_t)to <= (uintptr_t)from) {
        for (size_t i = 0; i < len; i++)
            to[i] = from[i];
    } else {
        for (size_t i = len; i > 0; i--)
            to[i - 1] = from[i - 1];
    }
    return dst;
}

void *base_zero(void *dst, size_t len)
{
    unsigned char *to = dst;
    for (size_t i = 0; i < len; i++)
        to[i] = 0;
    return dst;
}

bool base_equal(const void *a, const void *b, size_t len)
{
    return len == 0 || __builtin_memcmp(a, b, len) == 0;
}
