#include "app/places.h"
#include "sys/sys.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *places_program(char *path, size_t path_bytes)
{
    ssize_t len = readlink("/proc/self/exe", path, path_bytes - 1);
    if (len <= 0 || (size_t)len >= path_bytes - 1)
        return NULL;
    path[len] = 0;
    return path;
}

/* Beside the program, in the tree it was built in (build/release/automat), or installed
 * (bin/automat): the first where `mark` is there. */
static const char *first(const char *const *places, size_t count, const char *mark, char *path,
                         size_t path_bytes)
{
    char program[512];
    if (places_program(program, sizeof(program)) == NULL)
        return NULL;
    *strrchr(program, '/') = 0;
    for (size_t i = 0; i < count; i++) {
        char marked[1100];
        int len = snprintf(path, path_bytes, "%s/%s", program, places[i]);
        int marked_len = snprintf(marked, sizeof(marked), "%s/%s%s", program, places[i], mark);
        if (len > 0 && (size_t)len < path_bytes && marked_len > 0 &&
            (size_t)marked_len < sizeof(marked) && path_exists(marked))
            return path;
    }
    path[0] = 0;
    return NULL;
}

const char *places_ui(const char *given, char *path, size_t path_bytes)
{
    static const char *const places[] = {"ui", "../../ui/dist", "../share/automat/ui"};
    if (given != NULL) {
        (void)snprintf(path, path_bytes, "%s", given);
        return given;
    }
    return first(places, ARRAY_COUNT(places), "/index.html", path, path_bytes);
}

const char *places_openapi(const char *given_dir, char *path, size_t path_bytes)
{
    static const char *const places[] = {"docs/openapi.yaml", "../../docs/openapi.yaml",
                                         "../share/automat/docs/openapi.yaml"};
    if (given_dir != NULL) {
        int len = snprintf(path, path_bytes, "%s/openapi.yaml", given_dir);
        return len > 0 && (size_t)len < path_bytes ? path : NULL;
    }
    return first(places, ARRAY_COUNT(places), "", path, path_bytes);
}

const char *places_models(const char *given, char *path, size_t path_bytes)
{
    static const char *const places[] = {"models", "../../models", "../share/automat/models"};
    if (given != NULL)
        return given;
    return first(places, ARRAY_COUNT(places), "", path, path_bytes);
}

const char *places_corpus(const char *given, char *path, size_t path_bytes)
{
    static const char *const places[] = {"corpus", "../../corpus", "../share/automat/corpus"};
    if (given != NULL)
        return given;
    return first(places, ARRAY_COUNT(places), "/tables.csv", path, path_bytes);
}

const char *places_model(const char *given, char *path, size_t path_bytes)
{
    static const char *const places[] = {"models/window/preset.bin",
                                         "../../models/window/preset.bin",
                                         "../share/automat/models/window/preset.bin"};
    if (given != NULL)
        return given;
    return first(places, ARRAY_COUNT(places), "", path, path_bytes);
}
