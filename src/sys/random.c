#include "sys/sys.h"

#include <errno.h>
#include <sys/random.h>

enum err sys_random(void *dst, size_t len)
{
    char *at = dst;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERR_IO;
        at += got;
        len -= (size_t)got;
    }
    return ERR_OK;
}

enum err sys_random_id(struct id128 *ret_id)
{
    return sys_random(ret_id->byte, sizeof(ret_id->byte));
}
