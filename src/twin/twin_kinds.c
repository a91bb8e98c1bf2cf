#include "twin/twin_int.h"

#include <string.h>

/* The table of kinds: another one is one more line. */
static const struct twin_kind *const kinds[] = {
    &twin_espresso,
    &twin_window,
};

const struct twin_kind *twin_kind_find(const char *name)
{
    if (name == NULL)
        return kinds[0];
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (strcmp(kinds[i]->device->name, name) == 0)
            return kinds[i];
    }
    return NULL;
}
