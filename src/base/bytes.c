#include "base/base.h"

void *base_copy(void *dst, const void *src, size_t len)
{
    unsigned char *to = dst;
    const unsigned char *from = src;
    for (size_t i = 0; i < len; i++)
        to[i] = from[i];
    return dst;
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
    const unsigned char *left = a;
    const unsigned char *right = b;
    for (size_t i = 0; i < len; i++) {
        if (left[i] != right[i])
            return false;
    }
    return true;
}
