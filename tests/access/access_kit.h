/* The room on a database in memory (or a file), with argon2id at its cheapest and a loop whose
 * turns the test takes. */
#ifndef AUTOMAT_TESTS_ACCESS_KIT_H
#define AUTOMAT_TESTS_ACCESS_KIT_H

#include "access/access.h"
#include "kit/kit_store.h"

#include <string.h>

#define T0        ((int64_t)1800000000000)
#define MINUTE    ((int64_t)60000)
#define HOUR      (60 * MINUTE)
#define GOOD_WORD "nine plain words are better"

struct kit {
    struct loop *loop;
    struct store *store;
    struct access *access;
    const struct store_migration *migrations; /* NULL: read them */
    int64_t now_ms, mono_ms;
    /* what the last callback said */
    int calls;
    enum err err;
    struct access_signed_in in;
    struct access_account account;
    struct access_token token;
    char text[ACCESS_SECRET_BYTES];
    int gone_count;
    enum access_via gone_via;
    int64_t gone_id;
};

static inline void kit_gone(void *cookie, enum access_via via, int64_t id)
{
    struct kit *kit = cookie;
    kit->gone_count++;
    kit->gone_via = via;
    kit->gone_id = id;
}

static inline struct access_options kit_options(void)
{
    return (struct access_options){.password_ops = 1, .password_mem_bytes = 8192};
}

static inline enum err kit_try_open(struct kit *kit, const char *path,
                                    const struct access_options *options)
{
    if (kit->migrations == NULL)
        kit->migrations = kit_migrations(AUTOMAT_SOURCE_DIR);
    struct store_options store_options = {
        .path = path,
        .migrations = kit->migrations,
        .inline_jobs = true,
    };
    char why[256] = "";
    enum err err = loop_create(&kit->loop);
    if (err != ERR_OK)
        return err;
    err = store_open(kit->loop, &store_options, why, sizeof(why), &kit->store);
    NOTE("%s", why);
    if (err != ERR_OK)
        return err;
    err = access_create(kit->loop, kit->store, options, kit->now_ms, &kit->access);
    if (err == ERR_OK)
        access_watch(kit->access, kit_gone, kit);
    return err;
}

static inline void kit_open(struct kit *kit, const char *path, const struct access_options *options)
{
    struct access_options preset = kit_options();
    *kit = (struct kit){.now_ms = T0, .mono_ms = 5000};
    CHECK_OK(kit_try_open(kit, path, options != NULL ? options : &preset));
}

static inline void kit_close(struct kit *kit)
{
    store_close(kit->store);
    access_destroy(kit->access);
    loop_destroy(kit->loop);
    kit->store = NULL;
    kit->access = NULL;
    kit->loop = NULL;
}

/* As if the program had been started again. */
static inline void kit_reopen(struct kit *kit, const char *path)
{
    struct access_options options = kit_options();
    kit_close(kit);
    CHECK_OK(kit_try_open(kit, path, &options));
}

/* Until one more callback came. */
static inline enum err kit_wait(struct kit *kit, enum err started)
{
    int calls = kit->calls;
    if (started != ERR_OK)
        return started;
    CHECK_EQ(kit->calls, calls); /* never from inside the call itself */
    while (kit->calls == calls) {
        (void)store_step(kit->store, 0);
        (void)loop_turn(kit->loop);
    }
    CHECK_EQ(kit->calls, calls + 1);
    return kit->err;
}

static inline void kit_said(struct kit *kit, enum err err)
{
    kit->calls++;
    kit->err = err;
}

static inline void kit_done(void *cookie, enum err err)
{
    kit_said(cookie, err);
}

static inline void kit_signed_in(void *cookie, enum err err, const struct access_signed_in *in)
{
    struct kit *kit = cookie;
    kit_said(kit, err);
    CHECK_EQ(in != NULL, err == ERR_OK);
    if (in != NULL)
        kit->in = *in;
}

static inline void kit_account_done(void *cookie, enum err err,
                                    const struct access_account *account)
{
    struct kit *kit = cookie;
    kit_said(kit, err);
    CHECK_EQ(account != NULL, err == ERR_OK);
    if (account != NULL)
        kit->account = *account;
}

static inline void kit_token_done(void *cookie, enum err err, const struct access_token *token,
                                  const char *text)
{
    struct kit *kit = cookie;
    kit_said(kit, err);
    CHECK_EQ(token != NULL, err == ERR_OK);
    if (token == NULL)
        return;
    kit->token = *token;
    CHECK_OK(str_copy(kit->text, sizeof(kit->text), str_from(text)));
}

static inline void kit_code_done(void *cookie, enum err err, const char *code)
{
    struct kit *kit = cookie;
    kit_said(kit, err);
    CHECK_EQ(code != NULL, err == ERR_OK);
    if (code != NULL)
        CHECK_OK(str_copy(kit->text, sizeof(kit->text), str_from(code)));
}

static inline struct access_by kit_by(const struct kit *kit)
{
    return (struct access_by){STR("system"), STR("req-1"), kit->now_ms};
}

static inline int64_t kit_account(struct kit *kit, const char *name, enum access_role role)
{
    CHECK_OK(kit_wait(kit, access_account_create(kit->access, kit_by(kit), str_from(name), role,
                                                 STR(GOOD_WORD), kit_account_done, kit)));
    return kit->account.account_id;
}

static inline enum err kit_login(struct kit *kit, const char *name, const char *password,
                                 const char *address)
{
    int64_t retry_ms = 0;
    struct access_login login = {
        .name = str_from(name),
        .password = str_from(password),
        .address = str_from(address),
        .now_ms = kit->now_ms,
        .mono_ms = kit->mono_ms,
    };
    return kit_wait(kit, access_login(kit->access, &login, &retry_ms, kit_signed_in, kit));
}

static inline enum err kit_session(struct kit *kit, const char *token,
                                   struct access_caller *ret_caller)
{
    return access_session_find(kit->access, str_from(token), kit->now_ms, ret_caller);
}

#endif
