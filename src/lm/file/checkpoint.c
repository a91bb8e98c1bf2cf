/* A checkpoint is a folder that is replaced whole.
 *
 *   DIR        DIR.saving      DIR.replaced    after a crash here
 *   the one    being written   -               DIR; the others go with the next write
 *   -          whole           the one         DIR.saving becomes DIR: it was synced before
 *   whole      -               the one         DIR
 *
 * So DIR.saving counts only where DIR is missing and DIR.replaced is there. */
#include "lm/file/file_int.h"

#include <stdio.h>
#include <string.h>

struct folders {
    char dir[LM_PATH_BYTES], new_dir[LM_PATH_BYTES], old_dir[LM_PATH_BYTES];
};

static enum err folders_of(const char *dir, struct folders *folders)
{
    struct str name = str_from(dir);
    while (name.len > 1 && name.at[name.len - 1] == '/')
        name.len--;
    enum err err = str_copy(folders->dir, sizeof(folders->dir), name);
    if (err == ERR_OK)
        err = lm_disk_path(folders->new_dir, folders->dir, ".saving");
    if (err == ERR_OK)
        err = lm_disk_path(folders->old_dir, folders->dir, ".replaced");
    return err;
}

static enum err recover(const struct folders *folders)
{
    if (path_exists(folders->dir) || !path_exists(folders->old_dir))
        return ERR_OK;
    if (path_exists(folders->new_dir))
        return lm_disk_rename(folders->new_dir, folders->dir);
    return lm_disk_rename(folders->old_dir, folders->dir);
}

enum err lm_checkpoint_recover(const char *dir)
{
    struct folders folders;
    enum err err = folders_of(dir, &folders);
    return err == ERR_OK ? recover(&folders) : err;
}

/* ---- writing ---- */

static enum err write_moments(const char *dir, const struct lm_config *config, const float *m,
                              const float *v)
{
    char path[LM_PATH_BYTES];
    uint64_t floats = lm_floats(config);
    const struct lm_safetensors_out tensors[] = {
        {.name = "m", .type = LM_STORED_F32, .rank = 1, .shape = {floats}, .data = m},
        {.name = "v", .type = LM_STORED_F32, .rank = 1, .shape = {floats}, .data = v},
    };
    enum err err = lm_disk_path(path, dir, "state.safetensors");
    return err == ERR_OK ? lm_safetensors_write(path, tensors, ARRAY_COUNT(tensors), NULL) : err;
}

static enum err write_state(const char *dir, const struct lm_train_state *state)
{
    char path[LM_PATH_BYTES];
    struct buf buf;
    buf_init(&buf, 64 * KIB);
    enum err err = lm_state_json(state, &buf);
    if (err == ERR_OK)
        err = lm_disk_path(path, dir, "state.json");
    if (err == ERR_OK)
        err = lm_disk_write(path, buf.at, buf.len);
    buf_finish(&buf);
    return err;
}

/* What lies beside the weights without being ours. */
static enum err keep_beside(const struct folders *folders)
{
    static const char *const names[] = {"tokenizer.json", "generation.json"};
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < ARRAY_COUNT(names); i++) {
        char from[LM_PATH_BYTES], to[LM_PATH_BYTES];
        err = lm_disk_path(from, folders->dir, names[i]);
        if (err == ERR_OK)
            err = lm_disk_path(to, folders->new_dir, names[i]);
        if (err == ERR_OK && path_exists(from))
            err = lm_disk_copy(from, to);
    }
    return err;
}

static enum err swap(const struct folders *folders)
{
    bool had = path_exists(folders->dir);
    enum err err = had ? lm_disk_rename(folders->dir, folders->old_dir) : ERR_OK;
    if (err == ERR_OK)
        err = lm_disk_rename(folders->new_dir, folders->dir);
    if (err != ERR_OK && !path_exists(folders->dir) && path_exists(folders->old_dir))
        (void)!lm_disk_rename(folders->old_dir, folders->dir);
    if (err == ERR_OK && had)
        (void)!lm_disk_remove_dir(folders->old_dir); /* else the next write, which says so */
    return err;
}

enum err lm_checkpoint_write(const char *dir, const struct lm_weights *weights, const float *m,
                             const float *v, const struct lm_train_state *state)
{
    struct folders folders;
    enum err err = folders_of(dir, &folders);
    if (err == ERR_OK)
        err = recover(&folders);
    if (err == ERR_OK)
        err = lm_disk_remove_dir(folders.old_dir);
    if (err == ERR_OK)
        err = lm_disk_remove_dir(folders.new_dir);
    if (err != ERR_OK)
        return err;
    err = lm_weights_write(folders.new_dir, weights, LM_F32);
    if (err == ERR_OK)
        err = write_moments(folders.new_dir, &weights->config, m, v);
    if (err == ERR_OK)
        err = keep_beside(&folders);
    if (err == ERR_OK)
        err = write_state(folders.new_dir, state);
    if (err == ERR_OK)
        err = swap(&folders);
    if (err != ERR_OK)
        (void)!lm_disk_remove_dir(folders.new_dir);
    return err;
}

/* ---- reading ---- */

static enum err same_model(const struct lm_config *want, const struct lm_config *found,
                           struct lm_fault *fault)
{
    const struct {
        const char *name;
        double want, found;
    } fields[] = {
        {"hidden_size", want->hidden, found->hidden},
        {"num_hidden_layers", want->layers, found->layers},
        {"num_attention_heads", want->heads, found->heads},
        {"num_key_value_heads", want->kv_heads, found->kv_heads},
        {"intermediate_size", want->ffn, found->ffn},
        {"num_local_experts", want->experts, found->experts},
        {"num_experts_per_tok", want->top_k, found->top_k},
        {"domains", want->domains, found->domains},
        {"max_position_embeddings", want->context, found->context},
        {"vocab_size", want->vocab, found->vocab},
        {"vocab_used", want->vocab_used, found->vocab_used},
        {"rope_theta", (double)want->rope_theta, (double)found->rope_theta},
        {"layer_norm_eps", (double)want->norm_eps, (double)found->norm_eps},
        {"norm (0 pre, 1 post)", (double)want->norm, (double)found->norm},
    };
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        if (fields[i].want != fields[i].found)
            return lm_refuse(fault, "%s is %g in the checkpoint and %g here: another model",
                             fields[i].name, fields[i].found, fields[i].want);
    }
    return ERR_OK;
}

static enum err read_config(const char *dir, const struct lm_config *want, struct lm_fault *fault)
{
    char path[LM_PATH_BYTES];
    struct lm_config found;
    enum err err = lm_disk_path(path, dir, "config.json");
    if (err == ERR_OK)
        err = lm_config_read(path, fault, &found);
    return err == ERR_OK ? same_model(want, &found, fault) : err;
}

static enum err read_moment(const struct lm_safetensors *file, const char *name, uint64_t floats,
                            struct lm_fault *fault, float *to)
{
    struct lm_safetensor tensor;
    if (!lm_safetensors_find(file, str_from(name), &tensor))
        return lm_refuse(fault, "state.safetensors: %s is missing", name);
    if (tensor.type != LM_STORED_F32 || tensor.rank != 1 || tensor.shape[0] != floats)
        return lm_refuse(fault, "state.safetensors: %s is not of this model's size", name);
    memcpy(to, tensor.data, (size_t)tensor.bytes);
    return ERR_OK;
}

static enum err read_moments(const char *dir, const struct lm_config *config,
                             struct lm_fault *fault, float *m, float *v)
{
    char path[LM_PATH_BYTES];
    struct lm_safetensors *file;
    enum err err = lm_disk_path(path, dir, "state.safetensors");
    if (err == ERR_OK)
        err = lm_safetensors_open(path, fault, &file);
    if (err != ERR_OK)
        return err;
    err = read_moment(file, "m", lm_floats(config), fault, m);
    if (err == ERR_OK)
        err = read_moment(file, "v", lm_floats(config), fault, v);
    lm_safetensors_close(file);
    return err;
}

static enum err read_state(const char *dir, struct lm_fault *fault,
                           struct lm_train_state *ret_state)
{
    char path[LM_PATH_BYTES];
    struct buf buf;
    enum err err = lm_disk_path(path, dir, "state.json");
    if (err != ERR_OK)
        return err;
    err = file_read(path, 64 * KIB, &buf);
    if (err == ERR_OK)
        err = lm_state_parse(buf_str(&buf), fault, ret_state);
    buf_finish(&buf);
    return lm_blame(fault, path, err);
}

enum err lm_checkpoint_read(const char *dir, struct lm_fault *fault, struct lm_weights *weights,
                            float *m, float *v, struct lm_train_state *ret_state)
{
    struct folders folders;
    struct lm_train_state state;
    *fault = (struct lm_fault){0};
    enum err err = folders_of(dir, &folders);
    if (err == ERR_OK)
        err = recover(&folders);
    if (err == ERR_OK && !path_exists(folders.dir))
        return lm_blame(fault, dir, ERR_NOT_FOUND);
    if (err == ERR_OK)
        err = read_config(folders.dir, &weights->config, fault);
    if (err == ERR_OK)
        err = read_state(folders.dir, fault, &state);
    if (err == ERR_OK)
        err = lm_weights_fill(folders.dir, &weights->config, fault, weights->block);
    if (err == ERR_OK)
        err = read_moments(folders.dir, &weights->config, fault, m, v);
    if (err == ERR_OK)
        *ret_state = state;
    if (err == ERR_NOT_FOUND)
        err = ERR_INPUT; /* a folder that is there and is not whole is not the same as none */
    return lm_blame(fault, dir, err);
}
