#include "net/http/http_static.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_BYTES_MAX 512
#define DEPTH_MAX      16
#define ETAG_BYTES     40
#define FIELDS_MAX     16

enum coding { CODING_PLAIN, CODING_GZIP, CODING_BROTLI, CODING_COUNT };

static const struct {
    struct str name, suffix;
} codings[CODING_COUNT] = {
    [CODING_PLAIN] = {{"identity", 8}, {"", 0}},
    [CODING_GZIP] = {{"gzip", 4}, {".gz", 3}},
    [CODING_BROTLI] = {{"br", 2}, {".br", 3}},
};

struct variant {
    struct buf bytes;
    char etag[ETAG_BYTES]; /* with its quotes */
    bool present;
};

struct file {
    char *path; /* as in a URL, decoded: "/assets/app.js" */
    struct str content_type;
    struct str cache_control;
    struct variant variants[CODING_COUNT];
};

struct http_static {
    struct file *files; /* sorted by path */
    uint32_t count, files_max;
    size_t bytes, bytes_max;
};

/* ---- load
 * ----------------------------------------------------------------------------------------------------
 */

static struct str content_type_of(const char *path)
{
    static const struct {
        const char *suffix, *type;
    } table[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".yaml", "application/yaml"},
        {".txt", "text/plain; charset=utf-8"},
        {".xml", "application/xml"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".webp", "image/webp"},
        {".avif", "image/avif"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".woff", "font/woff"},
        {".wasm", "application/wasm"},
        {".pdf", "application/pdf"},
    };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < ARRAY_COUNT(table); i++) {
        if (str_equal_nocase(str_from(dot), str_from(table[i].suffix)))
            return str_from(table[i].type);
    }
    return STR("application/octet-stream");
}

/* Two sums of different kinds and the length: enough to tell the versions of one file apart. */
static void etag_make(struct variant *variant, enum coding coding)
{
    uint64_t fnv = 14695981039346656037u;
    for (size_t i = 0; i < variant->bytes.len; i++)
        fnv = (fnv ^ (uint8_t)variant->bytes.at[i]) * 1099511628211u;
    snprintf(variant->etag, sizeof(variant->etag), "\"%016llx%08x%s%s\"", (unsigned long long)fnv,
             (unsigned)crc32c(0, variant->bytes.at, variant->bytes.len),
             coding == CODING_PLAIN ? "" : "-",
             coding == CODING_PLAIN ? "" : codings[coding].name.at);
}

static enum err variant_read(struct http_static *files, const char *disk_path, enum coding coding,
                             struct variant *variant)
{
    struct stat stat;
    char path[PATH_BYTES_MAX + 8];
    snprintf(path, sizeof(path), "%s%s", disk_path, codings[coding].suffix.at);
    if (lstat(path, &stat) != 0 || !S_ISREG(stat.st_mode))
        return coding == CODING_PLAIN ? ERR_NOT_FOUND : ERR_OK;
    if ((uint64_t)stat.st_size > files->bytes_max - files->bytes)
        return ERR_FULL;
    enum err err = file_read(path, files->bytes_max - files->bytes, &variant->bytes);
    if (err != ERR_OK)
        return err;
    files->bytes += variant->bytes.len;
    variant->present = true;
    etag_make(variant, coding);
    return ERR_OK;
}

static void file_finish(struct file *file)
{
    for (unsigned i = 0; i < CODING_COUNT; i++) {
        if (file->variants[i].present)
            buf_finish(&file->variants[i].bytes);
    }
    mem_free(file->path);
}

static enum err file_add(struct http_static *files, const char *disk_path, const char *url_path)
{
    if (files->count == files->files_max)
        return ERR_FULL;
    if (files->count % 64 == 0) {
        struct file *more = mem_realloc(files->files, (files->count + 64) * sizeof(*more));
        if (more == NULL)
            return ERR_NOMEM;
        files->files = more;
    }
    struct file *file = &files->files[files->count];
    *file = (struct file){.path = mem_strdup(str_from(url_path))};
    if (file->path == NULL)
        return ERR_NOMEM;
    file->content_type = content_type_of(url_path);
    /* A built asset has its content's hash in its name: it never changes. */
    bool hashed = str_starts(str_from(url_path), STR("/assets/"));
    file->cache_control = hashed ? STR("public, max-age=31536000, immutable") : STR("no-cache");
    for (unsigned i = 0; i < CODING_COUNT; i++) {
        enum err err = variant_read(files, disk_path, (enum coding)i, &file->variants[i]);
        if (err != ERR_OK) {
            file_finish(file);
            return err;
        }
    }
    files->count++;
    return ERR_OK;
}

static bool is_variant(const char *name)
{
    size_t len = strlen(name);
    return len > 3 && (strcmp(name + len - 3, ".br") == 0 || strcmp(name + len - 3, ".gz") == 0);
}

static enum err dir_add(struct http_static *files, const char *disk_path, const char *url_path,
                        unsigned depth);

static enum err entry_add(struct http_static *files, const char *disk_path, const char *url_path,
                          const char *name, unsigned depth)
{
    char disk[PATH_BYTES_MAX], url[PATH_BYTES_MAX];
    struct stat stat;
    if (snprintf(disk, sizeof(disk), "%s/%s", disk_path, name) >= (int)sizeof(disk) ||
        snprintf(url, sizeof(url), "%s/%s", url_path, name) >= (int)sizeof(url))
        return ERR_FULL;
    if (lstat(disk, &stat) != 0)
        return ERR_IO;
    if (S_ISDIR(stat.st_mode))
        return dir_add(files, disk, url, depth + 1);
    if (S_ISREG(stat.st_mode) && !is_variant(name))
        return file_add(files, disk, url);
    return ERR_OK;
}

static enum err dir_add(struct http_static *files, const char *disk_path, const char *url_path,
                        unsigned depth)
{
    if (depth > DEPTH_MAX)
        return ERR_FULL;
    DIR *dir = opendir(disk_path);
    if (dir == NULL)
        return depth == 0 ? ERR_NOT_FOUND : ERR_IO;
    enum err err = ERR_OK;
    for (struct dirent *entry; err == ERR_OK && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.')
            err = entry_add(files, disk_path, url_path, entry->d_name, depth);
    }
    closedir(dir);
    return err;
}

static int file_compare(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

enum err http_static_load(const char *dir, const struct http_static_options *options,
                          struct http_static **ret_files)
{
    struct http_static *files = mem_zalloc(sizeof(*files));
    if (files == NULL)
        return ERR_NOMEM;
    files->bytes_max = options != NULL && options->bytes_max != 0 ? options->bytes_max : 64 * MIB;
    files->files_max = options != NULL && options->files_max != 0 ? options->files_max : 4096;
    enum err err = dir_add(files, dir, "", 0);
    if (err != ERR_OK) {
        http_static_destroy(files);
        return err;
    }
    if (files->count != 0)
        qsort(files->files, files->count, sizeof(*files->files), file_compare);
    *ret_files = files;
    return ERR_OK;
}

void http_static_destroy(struct http_static *files)
{
    if (files == NULL)
        return;
    for (uint32_t i = 0; i < files->count; i++)
        file_finish(&files->files[i]);
    mem_free(files->files);
    mem_free(files);
}

/* ---- answer
 * --------------------------------------------------------------------------------------------------
 */

static const struct file *file_find(const struct http_static *files, struct str path)
{
    char plain[PATH_BYTES_MAX];
    size_t len;
    static const char index[] = "index.html";
    if (http_percent_decode(path, false, plain, sizeof(plain) - sizeof(index), &len) != ERR_OK ||
        len == 0)
        return NULL;
    if (plain[len - 1] == '/')
        memcpy(plain + len, index, sizeof(index));
    const struct file key = {.path = plain};
    if (files->count == 0)
        return NULL;
    return bsearch(&key, files->files, files->count, sizeof(*files->files), file_compare);
}

bool http_static_has(const struct http_static *files, struct str path)
{
    return file_find(files, path) != NULL;
}

static enum coding coding_choose(const struct file *file, struct str accept)
{
    enum coding best = CODING_PLAIN;
    unsigned best_weight = 0;
    if (http_accept_weight(accept, STR("identity")) > 0)
        best_weight = http_accept_weight(accept, STR("identity")) - 1; /* smaller wins at a tie */
    for (unsigned i = CODING_GZIP; i < CODING_COUNT; i++) {
        unsigned weight = http_accept_weight(accept, codings[i].name);
        if (file->variants[i].present && weight != 0 && weight >= best_weight) {
            best = (enum coding)i;
            best_weight = weight;
        }
    }
    return best;
}

bool http_static_answer(const struct http_static *files, struct http_request *req, struct str path,
                        const struct http_field *fields, size_t field_count)
{
    enum http_method method = http_request_head(req)->method;
    const struct file *file = file_find(files, path);
    if (file == NULL || (method != HTTP_GET && method != HTTP_HEAD))
        return false;
    enum coding coding = coding_choose(file, http_header(req, STR("accept-encoding")));
    const struct variant *variant = &file->variants[coding];
    struct http_field all[FIELDS_MAX];
    size_t count = 0;
    all[count++] = (struct http_field){STR("ETag"), str_from(variant->etag)};
    all[count++] = (struct http_field){STR("Cache-Control"), file->cache_control};
    all[count++] = (struct http_field){STR("Vary"), STR("Accept-Encoding")};
    all[count++] = (struct http_field){STR("X-Content-Type-Options"), STR("nosniff")};
    if (coding != CODING_PLAIN)
        all[count++] = (struct http_field){STR("Content-Encoding"), codings[coding].name};
    ASSERT(field_count <= FIELDS_MAX - count);
    for (size_t i = 0; i < field_count; i++)
        all[count++] = fields[i];
    struct http_answer answer = {.status = 304, .fields = all, .field_count = count};
    struct str seen = http_header(req, STR("if-none-match"));
    if (seen.at == NULL || !http_etag_match(seen, str_from(variant->etag))) {
        answer.status = 200;
        answer.content_type = file->content_type;
        answer.body = buf_str(&variant->bytes);
        answer.body_stays = true;
    }
    http_respond(req, &answer);
    return true;
}
