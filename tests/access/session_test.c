#include "access_kit.h"

#include "access/access_int.h"

TEST(signing_in_and_out)
{
    struct kit kit;
    struct access_caller caller;
    kit_open(&kit, NULL, NULL);
    int64_t account_id = kit_account(&kit, "Alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    CHECK_EQ(strlen(kit.in.token), 46);
    CHECK_EQ(kit.in.expires_at_ms, T0 + 7 * 24 * HOUR);
    CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    CHECK_EQ(caller.via, ACCESS_VIA_SESSION);
    CHECK_EQ(caller.role, ACCESS_STAFF);
    CHECK_EQ(caller.account_id, account_id);
    CHECK_STR(caller.actor, "account:Alice");
    CHECK_STR(caller.name, "Alice");
    CHECK_STR(caller.csrf, kit.in.caller.csrf);
    CHECK_ERR(access_token_find(kit.access, str_from(kit.in.token), kit.now_ms, &caller),
              ERR_DENIED); /* a session is no API token */

    CHECK_OK(kit_wait(
        &kit, access_logout(kit.access, kit_by(&kit), caller.credential_id, kit_done, &kit)));
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
    CHECK_EQ(kit.gone_count, 1);
    CHECK_EQ(kit.gone_via, ACCESS_VIA_SESSION);
    CHECK_EQ(kit.gone_id, caller.credential_id);
    CHECK_ERR(access_logout(kit.access, kit_by(&kit), caller.credential_id, kit_done, &kit),
              ERR_NOT_FOUND);
    kit_close(&kit);
}

TEST(wrong_unknown_and_disabled_are_the_same)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    int64_t account_id = kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_ERR(kit_login(&kit, "alice", "not the password", "192.0.2.1"), ERR_DENIED);
    CHECK_ERR(kit_login(&kit, "nobody", GOOD_WORD, "192.0.2.1"), ERR_DENIED);
    CHECK_ERR(kit_login(&kit, "alice", "", "192.0.2.1"), ERR_DENIED);
    CHECK_OK(kit_wait(&kit, access_account_change(kit.access, kit_by(&kit), account_id,
                                                  ACCESS_STAFF, true, kit_account_done, &kit)));
    CHECK_ERR(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"), ERR_DENIED);
    kit_close(&kit);
}

TEST(passwords_too_long_to_be_right)
{
    struct kit kit;
    static char word[1000];
    kit_open(&kit, NULL, NULL);
    memset(word, 'a', sizeof(word) - 1);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_ERR(kit_login(&kit, "alice", word, "192.0.2.1"), ERR_DENIED);
    CHECK_ERR(kit_login(&kit, word, GOOD_WORD, "192.0.2.1"), ERR_DENIED);
    kit_close(&kit);
}

TEST(idle_sessions_end)
{
    struct kit kit;
    struct access_caller caller;
    kit_open(&kit, NULL, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    for (int i = 0; i < 10; i++) { /* use keeps it */
        kit.now_ms += 12 * HOUR - 1;
        CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    }
    kit.now_ms += 12 * HOUR;
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
    kit_close(&kit);
}

TEST(no_session_is_older_than_a_week)
{
    struct kit kit;
    struct access_caller caller;
    kit_open(&kit, NULL, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    for (int hour = 1; hour < 7 * 24; hour++) {
        kit.now_ms = T0 + hour * HOUR;
        CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    }
    kit.now_ms = T0 + 7 * 24 * HOUR;
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
    CHECK_EQ(kit.gone_count, 0);
    access_sweep(kit.access, kit.now_ms);
    CHECK_EQ(kit.gone_count, 1); /* its sockets are told */
    (void)store_step(kit.store, 0);
    CHECK_EQ(kit.access->session_count, 0);
    kit_close(&kit);
}

TEST(sessions_outlive_the_program)
{
    struct kit kit;
    struct access_caller caller;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    kit.now_ms += 10 * HOUR;
    CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    access_sweep(kit.access, kit.now_ms); /* writes down that it was used */
    (void)store_step(kit.store, 0);
    kit.now_ms += 11 * HOUR;
    kit_reopen(&kit, path);
    CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    CHECK_STR(caller.actor, "account:alice");
    CHECK_STR(caller.csrf, kit.in.caller.csrf);
    kit.now_ms += 12 * HOUR;
    kit_reopen(&kit, path);
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
    CHECK_EQ(kit.access->session_count, 0);
    kit_close(&kit);
}

TEST(a_signed_out_session_stays_out)
{
    struct kit kit;
    struct access_caller caller;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    CHECK_OK(kit_wait(&kit, access_logout(kit.access, kit_by(&kit), kit.in.caller.credential_id,
                                          kit_done, &kit)));
    kit_reopen(&kit, path);
    CHECK_ERR(kit_session(&kit, kit.in.token, &caller), ERR_DENIED);
    kit_close(&kit);
}

TEST(the_session_before_ends_with_signing_in_again)
{
    struct kit kit;
    struct access_caller caller;
    int64_t retry_ms = 0;
    kit_open(&kit, NULL, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    struct access_signed_in first = kit.in;
    struct access_login login = {.name = STR("alice"),
                                 .password = STR(GOOD_WORD),
                                 .now_ms = kit.now_ms,
                                 .old_session = str_from(first.token)};
    CHECK_OK(kit_wait(&kit, access_login(kit.access, &login, &retry_ms, kit_signed_in, &kit)));
    CHECK(strcmp(first.token, kit.in.token) != 0); /* never a session somebody else may know */
    CHECK_ERR(kit_session(&kit, first.token, &caller), ERR_DENIED);
    CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    kit_close(&kit);
}

TEST(sixteen_sessions_an_account)
{
    struct kit kit;
    struct access_caller caller;
    struct access_signed_in in[20];
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    for (int i = 0; i < 20; i++) {
        CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
        in[i] = kit.in;
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20; i++)
            CHECK_ERR(kit_session(&kit, in[i].token, &caller), i < 4 ? ERR_DENIED : ERR_OK);
        kit_reopen(&kit, path);
    }
    kit_close(&kit);
}

TEST(sessions_are_bounded)
{
    struct kit kit;
    struct access_options options = kit_options();
    options.sessions_max = 2;
    kit_open(&kit, NULL, &options);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    CHECK_ERR(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"), ERR_FULL);
    kit_close(&kit);
}

/* ---- links ---- */

static void make_link(struct kit *kit, int64_t account_id, enum access_role role)
{
    CHECK_OK(kit_wait(
        kit, access_link_create(kit->access, kit_by(kit), account_id, role, kit_code_done, kit)));
}

static enum err use_link(struct kit *kit, const char *code)
{
    return kit_wait(kit,
                    access_link_use(kit->access, kit_by(kit), str_from(code), kit_signed_in, kit));
}

TEST(a_link_signs_in_once)
{
    struct kit kit;
    struct access_caller caller;
    kit_open(&kit, NULL, NULL);
    make_link(&kit, 0, ACCESS_ADMIN);
    CHECK_ERR(use_link(&kit, "al_wrong"), ERR_DENIED);
    CHECK_OK(use_link(&kit, kit.text));
    CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    CHECK_EQ(caller.role, ACCESS_ADMIN);
    CHECK_EQ(caller.account_id, 0);
    CHECK_STR(caller.actor, "link:1");
    CHECK_ERR(use_link(&kit, kit.text), ERR_DENIED);
    kit_close(&kit);
}

TEST(two_at_the_same_moment_are_one)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    make_link(&kit, 0, ACCESS_STAFF);
    struct str code = str_from(kit.text);
    int calls = kit.calls;
    CHECK_OK(access_link_use(kit.access, kit_by(&kit), code, kit_signed_in, &kit));
    CHECK_OK(access_link_use(kit.access, kit_by(&kit), code, kit_signed_in, &kit));
    CHECK_EQ(store_step(kit.store, 0), 2);
    CHECK_EQ(kit.calls, calls + 2);
    CHECK_EQ(kit.access->session_count, 1);
    CHECK_ERR(kit.err, ERR_DENIED); /* the second of them */
    kit_close(&kit);
}

TEST(links_grow_old)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    make_link(&kit, 0, ACCESS_STAFF);
    kit.now_ms += HOUR;
    CHECK_ERR(use_link(&kit, kit.text), ERR_DENIED);
    kit.now_ms -= 1;
    CHECK_OK(use_link(&kit, kit.text));
    kit_close(&kit);
}

TEST(a_link_of_an_account_is_that_account)
{
    struct kit kit;
    struct access_caller caller;
    kit_open(&kit, NULL, NULL);
    int64_t account_id = kit_account(&kit, "bob", ACCESS_CUSTOMER);
    make_link(&kit, account_id, ACCESS_ADMIN); /* the role asked for does not count */
    CHECK_OK(use_link(&kit, kit.text));
    CHECK_OK(kit_session(&kit, kit.in.token, &caller));
    CHECK_EQ(caller.role, ACCESS_CUSTOMER);
    CHECK_STR(caller.actor, "account:bob");
    make_link(&kit, account_id, ACCESS_ADMIN);
    CHECK_OK(kit_wait(&kit, access_account_change(kit.access, kit_by(&kit), account_id,
                                                  ACCESS_CUSTOMER, true, kit_account_done, &kit)));
    CHECK_ERR(use_link(&kit, kit.text), ERR_DENIED);
    CHECK_ERR(access_link_create(kit.access, kit_by(&kit), 99, ACCESS_STAFF, kit_code_done, &kit),
              ERR_NOT_FOUND);
    CHECK_ERR(access_link_create(kit.access, kit_by(&kit), 0, ACCESS_GUEST, kit_code_done, &kit),
              ERR_INPUT);
    kit_close(&kit);
}

/* ---- back-off through the door ---- */

TEST(failures_make_people_wait)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    for (int i = 0; i < 3; i++)
        CHECK_ERR(kit_login(&kit, "alice", "not the password", "192.0.2.1"), ERR_DENIED);
    CHECK_ERR(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"), ERR_REFUSED);
    CHECK_ERR(kit_login(&kit, "ALICE", GOOD_WORD, "192.0.2.1"), ERR_REFUSED);
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.2")); /* from elsewhere she may */
    CHECK_ERR(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"), ERR_REFUSED);
    kit.mono_ms += 1000;
    CHECK_OK(kit_login(&kit, "alice", GOOD_WORD, "192.0.2.1"));
    for (int i = 0; i < 3; i++) /* and then it starts anew */
        CHECK_ERR(kit_login(&kit, "alice", "not the password", "192.0.2.1"), ERR_DENIED);
    /* an unknown name waits just the same */
    for (int i = 0; i < 3; i++)
        CHECK_ERR(kit_login(&kit, "nobody", "not the password", "192.0.2.1"), ERR_DENIED);
    CHECK_ERR(kit_login(&kit, "nobody", "not the password", "192.0.2.1"), ERR_REFUSED);
    kit_close(&kit);
}

static void count_done(void *cookie, enum err err, const struct access_signed_in *in)
{
    (void)in;
    int *count = cookie;
    count[err == ERR_OK ? 0 : 1]++;
}

TEST(guesses_at_the_same_time_count_too)
{
    struct kit kit;
    int64_t retry_ms = 0;
    int started = 0;
    int count[2] = {0, 0};
    kit_open(&kit, NULL, NULL);
    (void)kit_account(&kit, "alice", ACCESS_STAFF);
    for (int i = 0; i < 30; i++) {
        struct access_login login = {.name = STR("alice"),
                                     .password = STR("not the password"),
                                     .address = STR("192.0.2.1"),
                                     .now_ms = kit.now_ms,
                                     .mono_ms = kit.mono_ms};
        enum err err = access_login(kit.access, &login, &retry_ms, count_done, count);
        started += err == ERR_OK;
        CHECK(err == ERR_OK || err == ERR_REFUSED);
    }
    CHECK_EQ(started, 3);
    while (count[1] < started)
        (void)loop_turn(kit.loop);
    CHECK_EQ(count[0], 0);
    kit_close(&kit);
}

TEST(a_flood_of_sign_ins_is_turned_away)
{
    struct kit kit;
    struct access_options options = kit_options();
    int64_t retry_ms = 0;
    int full = 0;
    int count[2] = {0, 0};
    char name[16];
    options.login_waiting_max = 4;
    kit_open(&kit, NULL, &options);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        struct access_login login = {
            .name = str_from(name), .password = STR(GOOD_WORD), .mono_ms = kit.mono_ms};
        full += access_login(kit.access, &login, &retry_ms, count_done, count) == ERR_FULL;
    }
    CHECK_EQ(full, 14); /* two run, four wait */
    while (count[1] < 6) {
        CHECK(kit.access->hash_running_count <= 2);
        (void)loop_turn(kit.loop);
    }
    kit_close(&kit);
}

TEST(the_room_may_end_while_passwords_are_being_hashed)
{
    struct kit kit;
    int64_t retry_ms = 0;
    int count[2] = {0, 0};
    char name[16];
    kit_open(&kit, NULL, NULL);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        struct access_login login = {.name = str_from(name), .password = STR(GOOD_WORD)};
        CHECK_OK(access_login(kit.access, &login, &retry_ms, count_done, count));
    }
    kit_close(&kit);
    CHECK_EQ(count[0] + count[1], 0);
}
