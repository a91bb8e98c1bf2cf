#include "access_kit.h"

#include "access/access_int.h"

#include <dirent.h>

static enum err create(struct kit *kit, struct str name, enum access_role role)
{
    return kit_wait(
        kit, access_token_create(kit->access, kit_by(kit), name, role, 0, kit_token_done, kit));
}

static enum err find(struct kit *kit, const char *text, struct access_caller *ret_caller)
{
    return access_token_find(kit->access, str_from(text), kit->now_ms, ret_caller);
}

TEST(tokens_come_and_go)
{
    struct kit kit;
    struct access_caller caller;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(create(&kit, STR("the till"), ACCESS_STAFF));
    int64_t token_id = kit.token.token_id;
    CHECK_OK(find(&kit, kit.text, &caller));
    CHECK_EQ(caller.via, ACCESS_VIA_TOKEN);
    CHECK_EQ(caller.role, ACCESS_STAFF);
    CHECK_EQ(caller.credential_id, token_id);
    CHECK_STR(caller.name, "the till");
    CHECK_STR(caller.actor, "token:1");
    kit_reopen(&kit, path);
    CHECK_OK(find(&kit, kit.text, &caller));
    CHECK_STR(access_token_next(kit.access, 0)->name, "the till");
    CHECK_EQ(access_token_next(kit.access, 0)->created_at_ms, T0);
    CHECK(access_token_next(kit.access, token_id) == NULL);

    CHECK_OK(
        kit_wait(&kit, access_token_revoke(kit.access, kit_by(&kit), token_id, kit_done, &kit)));
    CHECK_ERR(find(&kit, kit.text, &caller), ERR_DENIED);
    CHECK_EQ(kit.gone_count, 1);
    CHECK_EQ(kit.gone_via, ACCESS_VIA_TOKEN);
    CHECK_EQ(kit.gone_id, token_id);
    CHECK_ERR(access_token_revoke(kit.access, kit_by(&kit), token_id, kit_done, &kit),
              ERR_NOT_FOUND);
    kit_reopen(&kit, path);
    CHECK_ERR(find(&kit, kit.text, &caller), ERR_DENIED);
    CHECK(access_token_next(kit.access, 0) == NULL);
    kit_close(&kit);
}

TEST(revoked_twice_at_once)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(create(&kit, STR("x"), ACCESS_STAFF));
    for (int i = 0; i < 2; i++)
        CHECK_OK(access_token_revoke(kit.access, kit_by(&kit), kit.token.token_id, kit_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_ERR(kit.err, ERR_NOT_FOUND);
    kit_close(&kit);
}

TEST(replaced_without_a_gap)
{
    struct kit kit;
    struct access_caller caller;
    char old[ACCESS_SECRET_BYTES];
    kit_open(&kit, NULL, NULL);
    CHECK_OK(create(&kit, STR("x"), ACCESS_STAFF));
    int64_t old_id = kit.token.token_id;
    memcpy(old, kit.text, sizeof(old));
    CHECK_OK(create(&kit, STR("x"), ACCESS_STAFF));
    CHECK_OK(find(&kit, old, &caller));
    CHECK_OK(find(&kit, kit.text, &caller));
    CHECK_OK(kit_wait(&kit, access_token_revoke(kit.access, kit_by(&kit), old_id, kit_done, &kit)));
    CHECK_ERR(find(&kit, old, &caller), ERR_DENIED);
    CHECK_OK(find(&kit, kit.text, &caller));
    kit_close(&kit);
}

TEST(use_is_written_down_now_and_then)
{
    struct kit kit;
    struct access_caller caller;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(create(&kit, STR("x"), ACCESS_STAFF));
    kit.now_ms += HOUR;
    CHECK_OK(find(&kit, kit.text, &caller));
    access_sweep(kit.access, kit.now_ms);
    access_sweep(kit.access, kit.now_ms); /* one at a time */
    CHECK_EQ(store_step(kit.store, 0), 1);
    kit_reopen(&kit, path);
    CHECK_EQ(access_token_next(kit.access, 0)->last_used_at_ms, T0 + HOUR);
    kit_close(&kit);
}

TEST(names_of_tokens)
{
    struct kit kit;
    char long_name[80];
    struct access_options options = kit_options();
    options.tokens_max = 2;
    kit_open(&kit, NULL, &options);
    memset(long_name, 'x', sizeof(long_name));
    CHECK_ERR(create(&kit, STR_NONE, ACCESS_STAFF), ERR_INPUT);
    CHECK_ERR(create(&kit, STR("a\nb"), ACCESS_STAFF), ERR_INPUT);
    CHECK_ERR(create(&kit, STR("\xff"), ACCESS_STAFF), ERR_INPUT);
    CHECK_ERR(create(&kit, (struct str){long_name, 65}, ACCESS_STAFF), ERR_INPUT);
    CHECK_OK(create(&kit, (struct str){long_name, 64}, ACCESS_STAFF));
    CHECK_OK(create(&kit, STR("Theke „links“"), ACCESS_STAFF));
    CHECK_ERR(create(&kit, STR("x"), ACCESS_STAFF), ERR_FULL);
    kit_close(&kit);
}

TEST(the_preset_token)
{
    struct kit kit;
    struct access_caller caller;
    struct access_options options = kit_options();
    options.preset_admin_token = STR("sixteen bytes or more");
    kit_open(&kit, NULL, &options);
    CHECK_OK(find(&kit, "sixteen bytes or more", &caller));
    CHECK_EQ(caller.via, ACCESS_VIA_PRESET);
    CHECK_EQ(caller.role, ACCESS_ADMIN);
    CHECK_STR(caller.actor, "token:preset");
    CHECK_ERR(find(&kit, "sixteen bytes or mor", &caller), ERR_DENIED);
    CHECK_ERR(find(&kit, "", &caller), ERR_DENIED);
    CHECK(access_token_next(kit.access, 0) == NULL);
    kit_close(&kit);

    options.preset_admin_token = STR("too short");
    kit = (struct kit){.now_ms = T0};
    CHECK_ERR(kit_try_open(&kit, NULL, &options), ERR_INPUT);
    kit_close(&kit);
    options = kit_options();
    options.password_mem_bytes = 1;
    kit = (struct kit){.now_ms = T0};
    CHECK_ERR(kit_try_open(&kit, NULL, &options), ERR_INPUT);
    kit_close(&kit);
}

TEST(without_a_preset_nothing_fits_it)
{
    struct kit kit;
    struct access_caller caller;
    kit_open(&kit, NULL, NULL);
    CHECK_ERR(find(&kit, "", &caller), ERR_DENIED);
    CHECK_ERR(find(&kit, "sixteen bytes or more", &caller), ERR_DENIED);
    kit_close(&kit);
}

static bool holds(const char *bytes, size_t len, const char *secret)
{
    return memmem(bytes, len, secret, strlen(secret)) != NULL;
}

TEST(no_secret_is_on_the_disk)
{
    struct kit kit;
    const char *dir = kit_tempdir();
    const char *path = kit_path(dir, "automat.db");
    char api[ACCESS_SECRET_BYTES];
    char code[ACCESS_SECRET_BYTES];
    kit_open(&kit, path, NULL);
    (void)kit_account(&kit, "alice-on-disk", ACCESS_STAFF);
    CHECK_OK(create(&kit, STR("x"), ACCESS_STAFF));
    memcpy(api, kit.text, sizeof(api));
    CHECK_OK(kit_wait(
        &kit, access_link_create(kit.access, kit_by(&kit), 0, ACCESS_ADMIN, kit_code_done, &kit)));
    memcpy(code, kit.text, sizeof(code));
    CHECK_OK(kit_login(&kit, "alice-on-disk", GOOD_WORD, "192.0.2.1"));

    int files = 0;
    bool name_seen = false;
    DIR *folder = opendir(dir);
    for (struct dirent *entry = NULL; (entry = readdir(folder)) != NULL;) {
        size_t len = 0;
        if (entry->d_name[0] == '.')
            continue;
        const char *bytes = kit_read_file(kit_path(dir, entry->d_name), &len);
        const char *secrets[] = {api + 3, code + 3, kit.in.token + 3, kit.in.caller.csrf,
                                 GOOD_WORD};
        for (size_t i = 0; i < ARRAY_COUNT(secrets); i++)
            CHECK(!holds(bytes, len, secrets[i]));
        name_seen = name_seen || holds(bytes, len, "alice-on-disk");
        files++;
    }
    closedir(folder);
    CHECK(files >= 1);
    CHECK(name_seen); /* or the search would find nothing whatever was there */
    kit_close(&kit);
}
