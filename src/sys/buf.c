#include "sys/sys.h"

#include <stdio.h>
#include <string.h>

#define CAP_MIN ((size_t)256)

void buf_init(struct buf *buf, size_t bytes_max)
{
    *buf = (struct buf){.bytes_max = bytes_max};
}

void buf_finish(struct buf *buf)
{
    mem_free(buf->at);
    *buf = (struct buf){.bytes_max = buf->bytes_max};
}

enum err buf_reserve(struct buf *buf, size_t more)
{
    if (more > buf->bytes_max - buf->len)
        return ERR_FULL;
    if (more > PTRDIFF_MAX - 1 - buf->len)
        return ERR_NOMEM;
    size_t need = buf->len + more;
    if (need <= buf->cap && buf->at != NULL)
        return ERR_OK;
    size_t cap = buf->cap < CAP_MIN ? CAP_MIN : buf->cap;
    while (cap < need)
        cap = cap > PTRDIFF_MAX / 2 ? need : cap * 2;
    if (cap > buf->bytes_max)
        cap = buf->bytes_max;
    /* One byte beyond cap, so that buf_printf can use the last one and vsnprintf still has a place
     * for its NUL. */
    char *at = mem_realloc(buf->at, cap + 1);
    if (at == NULL)
        return ERR_NOMEM;
    buf->at = at;
    buf->cap = cap;
    return ERR_OK;
}

enum err buf_add(struct buf *buf, const void *bytes, size_t len)
{
    enum err err = buf_reserve(buf, len);
    if (err != ERR_OK)
        return err;
    if (len > 0)
        memcpy(buf->at + buf->len, bytes, len);
    buf->len += len;
    return ERR_OK;
}

enum err buf_add_str(struct buf *buf, struct str text)
{
    return buf_add(buf, text.at, text.len);
}

enum err buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    enum err err = len < 0 ? ERR_INPUT : buf_reserve(buf, (size_t)len);
    if (err == ERR_OK) {
        vsnprintf(buf->at + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
    return err;
}

void buf_consume(struct buf *buf, size_t front)
{
    ASSERT(front <= buf->len);
    if (front == 0)
        return;
    buf->len -= front;
    if (buf->len > 0)
        memmove(buf->at, buf->at + front, buf->len);
}

struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->at, buf->len};
}
