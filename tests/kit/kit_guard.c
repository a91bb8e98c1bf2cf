#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kit/kit_int.h"

struct guard {
    struct guard *next;
    char *map, *copy;
    size_t bytes;
};
static struct guard *guards;

char *kit_guard_page(const void *bytes, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t data = (len + page - 1) / page * page;
    struct guard *made = malloc(sizeof(*made));
    char *map = mmap(NULL, data + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == NULL || map == MAP_FAILED || mprotect(map + data, page, PROT_NONE) != 0)
        abort();
    *made = (struct guard){guards, map, map + data - len, data + page};
    guards = made;
    if (len > 0)
        memcpy(made->copy, bytes, len);
    return made->copy;
}

void kit_free_guard(char *copy)
{
    for (struct guard **at = &guards; *at != NULL; at = &(*at)->next) {
        struct guard *one = *at;
        if (one->copy == copy) {
            *at = one->next;
            munmap(one->map, one->bytes);
            free(one);
            return;
        }
    }
    abort(); /* not from kit_guard_page, or freed already */
}

void kit_guard_clean(void)
{
    while (guards != NULL)
        kit_free_guard(guards->copy);
}
