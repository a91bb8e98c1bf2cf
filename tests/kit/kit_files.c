#include "kit/kit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit/kit_int.h"

/* Plain malloc on purpose: what the kit keeps is no leak of the test. */
struct kept {
    struct kept *next;
    bool is_dir;
    char text[];
};
static struct kept *kept;

static char *keep(size_t bytes, bool is_dir)
{
    struct kept *made = malloc(sizeof(*made) + bytes);
    if (made == NULL)
        abort();
    made->next = kept;
    made->is_dir = is_dir;
    kept = made;
    return made->text;
}

const char *kit_tempdir(void)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] == '\0')
        base = "/tmp";
    size_t bytes = strlen(base) + sizeof("/automat-test-XXXXXX");
    char *path = keep(bytes, false);
    snprintf(path, bytes, "%s/automat-test-XXXXXX", base);
    if (mkdtemp(path) == NULL) {
        perror("kit: mkdtemp");
        abort();
    }
    kept->is_dir = true;
    return path;
}

const char *kit_path(const char *dir, const char *name)
{
    size_t bytes = strlen(dir) + strlen(name) + 2;
    char *path = keep(bytes, false);
    snprintf(path, bytes, "%s/%s", dir, name);
    return path;
}

char *kit_read_file(const char *path, size_t *ret_len)
{
    struct buf buf;
    CHECK_OK(file_read(path, 64 * MIB, &buf));
    char *copy = keep(buf.len + 1, false);
    memcpy(copy, buf.at == NULL ? "" : buf.at, buf.len);
    copy[buf.len] = '\0';
    if (ret_len != NULL)
        *ret_len = buf.len;
    buf_finish(&buf);
    return copy;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

void kit_files_clean(void)
{
    while (kept != NULL) {
        struct kept *one = kept;
        kept = one->next;
        if (one->is_dir)
            nftw(one->text, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(one);
    }
}
