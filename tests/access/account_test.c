#include "access_kit.h"

#include "access/access_int.h"

static enum err create(struct kit *kit, const char *name, enum access_role role,
                       const char *password)
{
    return kit_wait(kit, access_account_create(kit->access, kit_by(kit), str_from(name), role,
                                               str_from(password), kit_account_done, kit));
}

static enum err change(struct kit *kit, int64_t account_id, enum access_role role, bool disabled)
{
    return kit_wait(kit, access_account_change(kit->access, kit_by(kit), account_id, role, disabled,
                                               kit_account_done, kit));
}

static enum err password(struct kit *kit, int64_t account_id, struct str old, const char *fresh,
                         int64_t keep)
{
    int64_t retry_ms = 0;
    struct access_password_change wanted = {.account_id = account_id,
                                            .keep_session_id = keep,
                                            .old_password = old,
                                            .new_password = str_from(fresh),
                                            .mono_ms = kit->mono_ms};
    return kit_wait(kit, access_password_set(kit->access, kit_by(kit), &wanted, &retry_ms,
                                             kit_account_done, kit));
}

static enum err token(struct kit *kit, enum access_role role, int64_t account_id)
{
    return kit_wait(kit, access_token_create(kit->access, kit_by(kit), STR("of a test"), role,
                                             account_id, kit_token_done, kit));
}

TEST(accounts_are_made_and_found)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    int64_t alice = kit_account(&kit, "Alice", ACCESS_STAFF);
    int64_t bob = kit_account(&kit, "bob", ACCESS_CUSTOMER);
    CHECK_STR(access_account_find(kit.access, alice)->name, "Alice");
    CHECK_EQ(access_account_named(kit.access, STR("aLICE"))->account_id, alice);
    CHECK(access_account_named(kit.access, STR("carol")) == NULL);
    CHECK_EQ(access_account_next(kit.access, 0)->account_id, alice);
    CHECK_EQ(access_account_next(kit.access, alice)->account_id, bob);
    CHECK(access_account_next(kit.access, bob) == NULL);
    CHECK_EQ(access_account_find(kit.access, alice)->created_at_ms, T0);
    kit_close(&kit);
}

TEST(accounts_that_are_refused)
{
    struct kit kit;
    struct access_options options = kit_options();
    options.accounts_max = 1;
    kit_open(&kit, NULL, &options);
    CHECK_ERR(create(&kit, "al ice", ACCESS_STAFF, GOOD_WORD), ERR_INPUT);
    CHECK_ERR(create(&kit, "", ACCESS_STAFF, GOOD_WORD), ERR_INPUT);
    CHECK_ERR(create(&kit, "alice", ACCESS_GUEST, GOOD_WORD), ERR_INPUT);
    CHECK_ERR(create(&kit, "alice", ACCESS_ROLE_COUNT, GOOD_WORD), ERR_INPUT);
    CHECK_ERR(create(&kit, "alice", ACCESS_STAFF, "short"), ERR_INPUT);
    CHECK_OK(create(&kit, "alice", ACCESS_STAFF, GOOD_WORD));
    CHECK_ERR(create(&kit, "ALICE", ACCESS_STAFF, GOOD_WORD), ERR_CONFLICT);
    CHECK_ERR(create(&kit, "bob", ACCESS_STAFF, GOOD_WORD), ERR_FULL);
    kit_close(&kit);
}

TEST(one_name_two_people_at_once)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    for (int i = 0; i < 2; i++)
        CHECK_OK(access_account_create(kit.access, kit_by(&kit), STR("alice"), ACCESS_STAFF,
                                       STR(GOOD_WORD), kit_account_done, &kit));
    while (kit.calls < 2) {
        (void)loop_turn(kit.loop);
        (void)store_step(kit.store, 0);
    }
    CHECK_ERR(kit.err, ERR_CONFLICT);
    CHECK_EQ(kit.access->account_count, 1);
    kit_close(&kit);
}

TEST(another_role_ends_what_was_handed_out)
{
    struct kit kit;
    struct access_caller caller;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    int64_t alice = kit_account(&kit, "alice", ACCESS_STAFF);
    int64_t bob = kit_account(&kit, "bob", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "bob", GOOD_WORD, "192.0.2.1"));
    struct access_signed_in of_bob = kit.in;
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    CHECK_OK(token(&kit, ACCESS_STAFF, bob));
    char bobs_token[ACCESS_SECRET_BYTES];
    memcpy(bobs_token, kit.text, sizeof(bobs_token));
    CHECK_OK(token(&kit, ACCESS_STAFF, alice));

    CHECK_OK(change(&kit, alice, ACCESS_STAFF, false)); /* as it was: nothing happens */
    CHECK_EQ(kit.gone_count, 0);
    CHECK_OK(change(&kit, alice, ACCESS_CUSTOMER, false));
    CHECK_EQ(kit.account.role, ACCESS_CUSTOMER);
    CHECK_EQ(kit.gone_count, 2);
    for (int round = 0; round < 2; round++) {
        CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
        CHECK_ERR(access_token_find(kit.access, str_from(kit.text), kit.now_ms, &caller),
                  ERR_DENIED);
        CHECK_OK(kit_session(&kit, of_bob.token, &caller));
        CHECK_OK(access_token_find(kit.access, str_from(bobs_token), kit.now_ms, &caller));
        CHECK_EQ(access_account_find(kit.access, alice)->role, ACCESS_CUSTOMER);
        kit_reopen(&kit, path);
    }
    kit_close(&kit);
}

TEST(disabled_is_out_at_once)
{
    struct kit kit;
    struct access_caller caller;
    kit_open(&kit, NULL, NULL);
    int64_t alice = kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    CHECK_OK(change(&kit, alice, ACCESS_STAFF, true));
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
    CHECK_ERR(token(&kit, ACCESS_STAFF, alice), ERR_DENIED);
    CHECK_OK(change(&kit, alice, ACCESS_STAFF, false));
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED); /* what ended stays ended */
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    kit_close(&kit);
}

TEST(disabled_while_signing_in)
{
    for (int disable_first = 0; disable_first < 2; disable_first++) {
        struct kit kit;
        int64_t retry_ms = 0;
        kit_open(&kit, NULL, NULL);
        int64_t alice = kit_account(&kit, "alice", ACCESS_STAFF);
        struct access_login login = {
            .name = STR("alice"), .password = STR(GOOD_WORD), .now_ms = T0};
        CHECK_OK(access_login(kit.access, &login, &retry_ms, kit_signed_in, &kit));
        while (!disable_first && kit.access->hash_running_count > 0)
            (void)loop_turn(kit.loop); /* right, and on its way to the store ... */
        CHECK_OK(access_account_change(kit.access, kit_by(&kit), alice, ACCESS_STAFF, true,
                                       kit_account_done, &kit));
        while (kit.access->hash_running_count > 0)
            (void)loop_turn(kit.loop); /* right, while memory does not know yet ... */
        (void)store_step(kit.store, 0);
        CHECK_EQ(kit.calls, 3);
        CHECK_EQ(kit.access->session_count, 0);
        kit_close(&kit);
    }
}

TEST(there_is_always_an_admin_left)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    int64_t alice = kit_account(&kit, "alice", ACCESS_ADMIN);
    int64_t bob = kit_account(&kit, "bob", ACCESS_STAFF);
    CHECK_ERR(change(&kit, alice, ACCESS_STAFF, false), ERR_REFUSED);
    CHECK_ERR(change(&kit, alice, ACCESS_ADMIN, true), ERR_REFUSED);
    CHECK_EQ(access_account_find(kit.access, alice)->role, ACCESS_ADMIN);
    CHECK_OK(change(&kit, bob, ACCESS_ADMIN, false));
    CHECK_OK(change(&kit, alice, ACCESS_ADMIN, true));
    CHECK_ERR(change(&kit, bob, ACCESS_CUSTOMER, false), ERR_REFUSED); /* a disabled one is none */
    CHECK_OK(change(&kit, alice, ACCESS_ADMIN, false));
    /* both at once: one of them is too late */
    CHECK_OK(access_account_change(kit.access, kit_by(&kit), alice, ACCESS_STAFF, false,
                                   kit_account_done, &kit));
    CHECK_OK(access_account_change(kit.access, kit_by(&kit), bob, ACCESS_STAFF, false,
                                   kit_account_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_ERR(kit.err, ERR_REFUSED);
    CHECK_EQ(access_account_find(kit.access, alice)->role, ACCESS_STAFF);
    CHECK_EQ(access_account_find(kit.access, bob)->role, ACCESS_ADMIN);
    CHECK_ERR(change(&kit, 99, ACCESS_STAFF, false), ERR_NOT_FOUND);
    CHECK_ERR(change(&kit, bob, ACCESS_GUEST, false), ERR_INPUT);
    kit_close(&kit);
}

TEST(another_password)
{
    struct kit kit;
    struct access_caller caller;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    int64_t alice = kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    struct access_signed_in other = kit.in;
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    CHECK_ERR(password(&kit, alice, STR("not the password"), "quite another one", 0), ERR_DENIED);
    CHECK_ERR(password(&kit, alice, STR(GOOD_WORD), "short", 0), ERR_INPUT);
    CHECK_ERR(password(&kit, 99, STR(GOOD_WORD), "quite another one", 0), ERR_NOT_FOUND);
    CHECK_OK(
        password(&kit, alice, STR(GOOD_WORD), "quite another one", kit.in.caller.credential_id));
    CHECK_ERR(kit_session(&kit, other.token, &caller), ERR_DENIED);
    CHECK_OK(kit_session(&kit, kit.in.token, &caller)); /* the one who did it */
    CHECK_ERR(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"), ERR_DENIED);
    kit_reopen(&kit, path);
    CHECK_OK(kit_login(&kit, "alice", "quite another one", "192.0.2.1"));
    /* an admin sets it without knowing the old one */
    CHECK_OK(password(&kit, alice, STR_NONE, "set by an admin", 0));
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
    CHECK_OK(kit_login(&kit, "alice", "set by an admin", "192.0.2.1"));
    kit_close(&kit);
}

TEST(old_passwords_cannot_be_guessed_from_an_open_session)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    int64_t alice = kit_account(&kit, "alice", ACCESS_STAFF);
    for (int i = 0; i < 3; i++)
        CHECK_ERR(password(&kit, alice, STR("not the password"), "quite another one", 0),
                  ERR_DENIED);
    CHECK_ERR(password(&kit, alice, STR(GOOD_WORD), "quite another one", 0), ERR_REFUSED);
    kit.mono_ms += 1000;
    CHECK_OK(password(&kit, alice, STR(GOOD_WORD), "quite another one", 0));
    kit_close(&kit);
}

TEST(tokens_cannot_rise_above_their_maker)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    int64_t alice = kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_ERR(token(&kit, ACCESS_ADMIN, alice), ERR_DENIED);
    CHECK_ERR(token(&kit, ACCESS_STAFF, 99), ERR_DENIED);
    CHECK_ERR(token(&kit, ACCESS_GUEST, alice), ERR_INPUT);
    CHECK_OK(token(&kit, ACCESS_STAFF, alice));
    /* lost between the question and the answer */
    CHECK_OK(access_account_change(kit.access, kit_by(&kit), alice, ACCESS_CUSTOMER, false,
                                   kit_account_done, &kit));
    CHECK_OK(access_token_create(kit.access, kit_by(&kit), STR("x"), ACCESS_STAFF, alice,
                                 kit_token_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_ERR(kit.err, ERR_DENIED);
    CHECK_EQ(kit.access->token_count, 0);
    kit_close(&kit);
}
