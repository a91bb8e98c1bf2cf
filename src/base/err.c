#include "base/base.h"

const char *err_name(enum err err)
{
    switch (err) {
    case ERR_OK:
        return "ok";
    case ERR_AGAIN:
        return "again";
    case ERR_INPUT:
        return "input";
    case ERR_REFUSED:
        return "refused";
    case ERR_FULL:
        return "full";
    case ERR_NOMEM:
        return "nomem";
    case ERR_IO:
        return "io";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_DENIED:
        return "denied";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_CLOSED:
        return "closed";
    case ERR_VERSION:
        return "version";
    }
    return "unnamed";
}

/* A board without a handler of its own stays here until its watchdog resets it: outputs are off by
 * then or never. */
static void assert_fail_trap(const char *file, int line, const char *fact)
{
    (void)file;
    (void)line;
    (void)fact;
    for (;;)
        __builtin_trap();
}

void (*base_assert_fail)(const char *file, int line, const char *fact) = assert_fail_trap;
