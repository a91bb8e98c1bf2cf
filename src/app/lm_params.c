/* automat lm params: how large a model is. */
#include "app/lm.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* 28487351 as "28,487,351". */
static const char *grouped(uint64_t value, char *dst, size_t dst_bytes)
{
    char digits[24];
    size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    size_t at = 0;
    for (size_t i = 0; i < len && at + 2 < dst_bytes; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            dst[at++] = ',';
        dst[at++] = digits[i];
    }
    dst[at] = '\0';
    return dst;
}

/* A name from a file may hold anything; what is not plain text would disturb terminal or JSON. */
static void plain_name(struct lm_config *c)
{
    for (char *at = c->name; *at != '\0'; at++)
        if (*at < 0x20 || *at == 0x7f || *at == '"' || *at == '\\')
            *at = '?';
}

static void show_count(const char *what, uint64_t count, const char *note)
{
    char text[40];
    (void)printf("  %-10s %15s  %9.3f M  %s\n", what, grouped(count, text, sizeof(text)),
                 (double)count / 1e6, note);
}

static void show(const struct lm_config *c, const char *where, uint64_t file_bytes)
{
    struct lm_count count = lm_config_count(c);
    char text[40];
    (void)printf("%s (%s)\n", c->name[0] != '\0' ? c->name : "model", where);
    (void)printf("  hidden %u, layers %u, heads %u of %u, kv heads %u, ", c->hidden, c->layers,
                 c->heads, c->hidden / c->heads, c->kv_heads);
    if (c->experts != 0)
        (void)printf("%u experts of width %u (%u a token)", c->experts, c->ffn, c->top_k);
    else
        (void)printf("feed-forward %u", c->ffn);
    (void)printf(", context %u, vocabulary %u (%u used)\n", c->context, c->vocab, c->vocab_used);
    show_count("total", count.total, "parameters");
    show_count("active", count.active, "for one token");
    if (file_bytes != 0)
        (void)printf("  %-10s %15s  %9.3f MB model.safetensors\n", "file",
                     grouped(file_bytes, text, sizeof(text)), (double)file_bytes / 1e6);
    else
        (void)printf("  %-10s %15s  %9.3f MB as f32 (there is no file)\n", "file",
                     grouped(4 * count.total, text, sizeof(text)), (double)(4 * count.total) / 1e6);
}

static void show_json(const struct lm_config *c, uint64_t file_bytes)
{
    struct lm_count count = lm_config_count(c);
    (void)printf("{\"model\": \"%s\", \"total\": %llu, \"active\": %llu, \"file_bytes\": %llu}\n",
                 c->name, (unsigned long long)count.total, (unsigned long long)count.active,
                 (unsigned long long)file_bytes);
}

int app_lm_params(const struct options *options)
{
    const char *name = options->lm.model != NULL ? options->lm.model : app_lm_word(options);
    char dir[1024] = "";
    char path[1100];
    const char *where = "by name; no files";
    struct lm_config config;
    struct lm_fault fault = {0};
    struct stat file;
    uint64_t file_bytes = 0;
    (void)snprintf(path, sizeof(path), "%s/%s/config.json",
                   options->models == NULL ? "." : options->models, name == NULL ? "" : name);
    if (name == NULL || path_exists(path) || !lm_config_named(str_from(name), &config)) {
        if (app_lm_model_dir(options, dir, sizeof(dir)) == NULL)
            return 1;
        (void)snprintf(path, sizeof(path), "%s/config.json", dir);
        enum err err = lm_config_read(path, &fault, &config);
        if (err != ERR_OK)
            return app_lm_failed(path, err, &fault);
        where = dir;
        (void)snprintf(path, sizeof(path), "%s/model.safetensors", dir);
        if (stat(path, &file) == 0)
            file_bytes = (uint64_t)file.st_size;
    }
    plain_name(&config);
    if (options->lm.json)
        show_json(&config, file_bytes);
    else
        show(&config, where, file_bytes);
    return fflush(stdout) == 0 ? 0 : app_lm_failed("stdout", ERR_IO, NULL);
}
