/* The program's migrations for a test that opens a database: read from the source tree, so that a
 * test program links only its own room.  In memory, inline:
 *
 *     struct store *store = kit_store_memory(AUTOMAT_SOURCE_DIR);
 *     ... store_write(store, &job); store_step(store, 0);
 *     store_close(store);
 */
#ifndef AUTOMAT_TESTS_KIT_STORE_H
#define AUTOMAT_TESTS_KIT_STORE_H

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit/kit.h"
#include "store/store.h"

#define KIT_MIGRATIONS_MAX 64

static inline int kit_by_name(const void *a, const void *b)
{
    const char *left = strrchr(*(char *const *)a, '/');
    const char *right = strrchr(*(char *const *)b, '/');
    return strcmp(left, right);
}

/* All migrations of all rooms in order, with the life of the test. */
static inline const struct store_migration *kit_migrations(const char *source_dir)
{
    static struct store_migration table[KIT_MIGRATIONS_MAX + 1];
    glob_t found;
    CHECK_EQ(glob(kit_path(source_dir, "src/*/migrations/*.sql"), 0, NULL, &found), 0);
    qsort(found.gl_pathv, found.gl_pathc, sizeof(found.gl_pathv[0]), kit_by_name);
    CHECK(found.gl_pathc <= KIT_MIGRATIONS_MAX);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        table[i] = (struct store_migration){atoi(name), kit_path("", name) + 1,
                                            kit_read_file(found.gl_pathv[i], NULL)};
    }
    table[found.gl_pathc] = (struct store_migration){0, NULL, NULL};
    globfree(&found);
    return table;
}

static inline struct store *kit_store_memory(const char *source_dir)
{
    struct store *store = NULL;
    char why[512] = "";
    struct store_options options = {.migrations = kit_migrations(source_dir), .inline_jobs = true};
    enum err err = store_open(NULL, &options, why, sizeof(why), &store);
    NOTE("%s", why);
    CHECK_OK(err);
    return store;
}

#endif
