#include "access/access_int.h"

#include <sodium.h>
#include <string.h>

static const struct access_rate_limit rate_presets[ACCESS_RATE_CLASS_COUNT] = {
    [ACCESS_RATE_READ] = {.burst = 1000, .per_minute = 200 * 60},
    [ACCESS_RATE_WRITE] = {.burst = 300, .per_minute = 50 * 60},
    [ACCESS_RATE_LOGIN] = {.burst = 10, .per_minute = 10},
    [ACCESS_RATE_HELLO] = {.burst = 6, .per_minute = 6},
    [ACCESS_RATE_ASK] = {.burst = 20, .per_minute = 60},
};

static uint32_t or_preset(uint32_t value, uint32_t preset)
{
    return value != 0 ? value : preset;
}

static enum err take_options(struct access *access, const struct access_options *options)
{
    struct access_options *own = &access->options;
    *own = *options;
    own->accounts_max = or_preset(own->accounts_max, 100000);
    own->sessions_max = or_preset(own->sessions_max, 10000);
    own->tokens_max = or_preset(own->tokens_max, 1000);
    own->login_waiting_max = or_preset(own->login_waiting_max, 32);
    own->rate_keys_max = or_preset(own->rate_keys_max, 8192);
    own->password_ops = or_preset(own->password_ops, 2);
    if (own->password_mem_bytes == 0)
        own->password_mem_bytes = 19 * MIB;
    own->preset_admin_token = STR_NONE; /* only its hash is kept */

    if (own->password_ops < crypto_pwhash_OPSLIMIT_MIN || own->password_ops > 16 ||
        own->password_mem_bytes < crypto_pwhash_MEMLIMIT_MIN ||
        own->password_mem_bytes > 1024 * MIB)
        return ERR_INPUT;
    struct str preset = options->preset_admin_token;
    if (preset.len != 0) {
        if (preset.len < 16 || preset.len > 256)
            return ERR_INPUT;
        access_secret_hash(preset, access->preset_hash);
        access->preset = true;
    }
    return ERR_OK;
}

static enum err make_tables(struct access *access)
{
    enum err err = access_lru_init(&access->backoff, access->options.rate_keys_max);
    for (int class = 0; class < ACCESS_RATE_CLASS_COUNT && err == ERR_OK; class ++) {
        struct access_rate_limit limit = access->options.rate[class];
        limit.burst = or_preset(limit.burst, rate_presets[class].burst);
        limit.per_minute = or_preset(limit.per_minute, rate_presets[class].per_minute);
        err = access_rate_create(limit, access->options.rate_keys_max, &access->rate[class]);
    }
    return err;
}

enum err access_create(struct loop *loop, struct store *store, const struct access_options *options,
                       int64_t now_ms, struct access **ret_access)
{
    if (sodium_init() < 0)
        return ERR_IO;
    struct access *access = mem_zalloc(sizeof(*access));
    if (access == NULL)
        return ERR_NOMEM;
    access->loop = loop;
    access->store = store;
    enum err err = take_options(access, options);
    if (err == ERR_OK)
        err = make_tables(access);
    if (err == ERR_OK)
        err = access_load(access, now_ms);
    if (err != ERR_OK) {
        access_destroy(access);
        return err;
    }
    *ret_access = access;
    return ERR_OK;
}

void access_destroy(struct access *access)
{
    if (access == NULL)
        return;
    access_hashing_abandon(access);
    while (access->ops != NULL)
        access_op_free(access->ops);
    access_memory_free(access);
    access_lru_finish(&access->backoff);
    for (int class = 0; class < ACCESS_RATE_CLASS_COUNT; class ++)
        access_rate_destroy(access->rate[class]);
    sodium_memzero(access, sizeof(*access));
    mem_free(access);
}

void access_watch(struct access *access,
                  void (*gone)(void *cookie, enum access_via via, int64_t credential_id),
                  void *cookie)
{
    access->gone = gone;
    access->gone_cookie = cookie;
}

/* ---- who is it? ---- */

enum err access_token_find(struct access *access, struct str text, int64_t now_ms,
                           struct access_caller *ret_caller)
{
    uint8_t hash[SECRET_HASH_BYTES];
    if (text.len == 0 || text.len > 256)
        return ERR_DENIED;
    access_secret_hash(text, hash);
    if (access->preset && sodium_memcmp(hash, access->preset_hash, sizeof(hash)) == 0) {
        *ret_caller = (struct access_caller){.via = ACCESS_VIA_PRESET, .role = ACCESS_ADMIN};
        (void)access_op_subject(ret_caller->actor, "token", STR("preset"));
        return ERR_OK;
    }
    struct node *node = access_table_first(&access->tokens_by_hash, access_secret_key(hash));
    for (; node != NULL; node = access_table_next(node)) {
        struct token *token = CONTAINER(node, struct token, by_hash);
        if (memcmp(token->hash, hash, sizeof(hash)) != 0)
            continue;
        token->shown.last_used_at_ms = now_ms;
        *ret_caller = (struct access_caller){
            .via = ACCESS_VIA_TOKEN,
            .role = token->shown.role,
            .account_id = token->shown.account_id,
            .credential_id = token->shown.token_id,
        };
        memcpy(ret_caller->name, token->shown.name, sizeof(ret_caller->name));
        (void)access_op_subject_id(ret_caller->actor, "token", token->shown.token_id);
        return ERR_OK;
    }
    return ERR_DENIED;
}

enum err access_session_find(struct access *access, struct str text, int64_t now_ms,
                             struct access_caller *ret_caller)
{
    uint8_t hash[SECRET_HASH_BYTES];
    if (text.len == 0 || text.len >= ACCESS_SECRET_BYTES)
        return ERR_DENIED;
    access_secret_hash(text, hash);
    struct session *session = access_memory_session_hashed(access, hash);
    if (session == NULL || access_session_over(session, now_ms))
        return ERR_DENIED;
    session->last_used_at_ms = now_ms;
    access_session_caller(session, text, ret_caller);
    return ERR_OK;
}
