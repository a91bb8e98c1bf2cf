/* Paths that come from outside: what a job may read, and what saving may write. */
#include "barista/service_int.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has_dots(struct str path)
{
    while (path.len > 0) {
        size_t end = str_find(path, '/');
        if (str_equal(str_slice(path, 0, end), STR("..")))
            return true;
        path = str_slice(path, end + 1, path.len);
    }
    return false;
}

/* `path` is `folder` or in it; both are whole, without links. */
static bool within(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (path[len] == 0 || path[len] == '/');
}

static bool whole_path(const char *path, char dst[PATH_MAX])
{
    return path[0] != 0 && realpath(path, dst) != NULL;
}

/* Where a name without a leading slash may begin: in the corpus, beside it ("corpus/x"), in the
 * data folder. */
static bool resolve(const struct barista *barista, const char *given, char dst[PATH_MAX])
{
    char joined[SERVICE_PATH_BYTES * 2];
    const char *const bases[] = {barista->corpus_dir, barista->corpus_dir, barista->data_dir};
    static const char *const between[] = {"", "/..", ""};
    if (given[0] == '/')
        return whole_path(given, dst);
    for (size_t i = 0; i < ARRAY_COUNT(bases); i++) {
        int len = snprintf(joined, sizeof(joined), "%s%s/%s", bases[i], between[i], given);
        if (bases[i][0] != 0 && len > 0 && (size_t)len < sizeof(joined) && whole_path(joined, dst))
            return true;
    }
    return false;
}

enum err service_data_path(const struct barista *barista, struct str given, struct lm_fault *fault,
                           char dst[SERVICE_PATH_BYTES])
{
    char text[SERVICE_PATH_BYTES], path[PATH_MAX], folder[PATH_MAX];
    struct stat about;
    if (given.len == 0)
        given = str_from(barista->corpus_dir);
    if (given.len == 0 || str_copy(text, sizeof(text), given) != ERR_OK) {
        service_fault(fault, "data_path: there is no such folder");
        return ERR_NOT_FOUND;
    }
    if (has_dots(given)) {
        service_fault(fault, "data_path: a path with .. in it is not taken");
        return ERR_DENIED;
    }
    if (!resolve(barista, text, path) || stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) {
        service_fault(fault, "data_path: there is no such folder");
        return ERR_NOT_FOUND;
    }
    bool inside = (whole_path(barista->corpus_dir, folder) && within(path, folder)) ||
                  (whole_path(barista->data_dir, folder) && within(path, folder));
    if (!inside || str_copy(dst, SERVICE_PATH_BYTES, str_from(path)) != ERR_OK) {
        service_fault(fault, "data_path: this folder is neither in the corpus nor in the data");
        return ERR_DENIED;
    }
    return ERR_OK;
}

/* The name at the end of a path that leads into the models' folder; none otherwise. */
static struct str name_of(const struct barista *barista, struct str path)
{
    char folder[PATH_MAX];
    size_t last = path.len;
    while (last > 0 && path.at[last - 1] != '/')
        last--;
    struct str name = str_slice(path, last, path.len);
    struct str before = str_slice(path, 0, last > 0 ? last - 1 : 0);
    if (last == 0 || str_equal(before, STR("models")) || str_equal(before, STR("./models")))
        return name;
    if (path.at[0] == '/' && whole_path(barista->models_dir, folder) &&
        (str_equal(before, str_from(folder)) || str_equal(before, str_from(barista->models_dir))))
        return name;
    return STR_NONE;
}

enum err service_save_path(const struct barista *barista, struct str given, struct lm_fault *fault,
                           char name[64], char dst[SERVICE_PATH_BYTES])
{
    struct stat about;
    char config[SERVICE_PATH_BYTES];
    struct str asked = name_of(barista, given);
    if (!id_valid(asked) || str_copy(name, 64, asked) != ERR_OK) {
        service_fault(fault, "path: a name of letters, digits, dot, dash and underscore, in the "
                             "models' folder");
        return ERR_DENIED;
    }
    if (!service_join(dst, SERVICE_PATH_BYTES, barista->models_dir, name))
        return ERR_DENIED;
    if (lstat(dst, &about) != 0)
        return ERR_OK; /* new */
    if (S_ISDIR(about.st_mode) && service_join(config, sizeof(config), dst, "config.json") &&
        path_exists(config))
        return ERR_OK;
    service_fault(fault, "path: something that is no model has this name");
    return ERR_DENIED;
}
