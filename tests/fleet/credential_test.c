/* How a device proves who it is, and what those get who only say so. */
#include "fleet_kit.h"

#include "fleet/fleet_int.h"

#include <dirent.h>

static enum err token(struct kit *kit, const char *id)
{
    return kit_wait(kit, fleet_token_create(kit->fleet, kit_by(kit), str_from(id), STR("spare"),
                                            kit_token_done, kit));
}

static enum err revoke(struct kit *kit, const char *id, int64_t token_id)
{
    return kit_wait(kit, fleet_token_revoke(kit->fleet, kit_by(kit), str_from(id), token_id,
                                            kit_machine_done, kit));
}

TEST(replaced_without_a_pause)
{
    struct kit kit;
    char old[FLEET_TOKEN_BYTES];
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    int64_t old_id = kit.token_id;
    memcpy(old, kit.token, sizeof(old));
    CHECK_OK(token(&kit, "m"));
    CHECK_OK(kit_authenticate(&kit, old, "m"));
    CHECK_OK(kit_authenticate(&kit, kit.token, "m"));
    CHECK_OK(revoke(&kit, "m", old_id));
    CHECK_EQ(kit.gone_id, old_id);
    for (int round = 0; round < 2; round++) {
        CHECK_ERR(kit_authenticate(&kit, old, "m"), ERR_DENIED);
        CHECK_OK(kit_authenticate(&kit, kit.token, "m"));
        CHECK_EQ(kit_find(&kit, "m")->token_count, 1);
        kit_reopen(&kit, path);
    }
    CHECK_ERR(revoke(&kit, "m", old_id), ERR_NOT_FOUND);
    kit_close(&kit);
}

TEST(four_tokens_a_machine)
{
    struct kit kit;
    char tokens[5][FLEET_TOKEN_BYTES];
    int64_t ids[5];
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            CHECK_OK(token(&kit, "m"));
        memcpy(tokens[i], kit.token, sizeof(tokens[i]));
        ids[i] = kit.token_id;
    }
    CHECK_ERR(token(&kit, "m"), ERR_CONFLICT);
    /* out of the middle, and the others still fit */
    CHECK_OK(revoke(&kit, "m", ids[1]));
    CHECK_OK(token(&kit, "m"));
    memcpy(tokens[4], kit.token, sizeof(tokens[4]));
    for (int i = 0; i < 5; i++)
        CHECK_ERR(kit_authenticate(&kit, tokens[i], "m"), i == 1 ? ERR_DENIED : ERR_OK);
    struct fleet_token list[FLEET_TOKENS_MAX];
    CHECK_EQ(fleet_token_list(kit.fleet, kit_find(&kit, "m"), list), 4);
    for (int i = 1; i < 4; i++)
        CHECK(list[i - 1].token_id < list[i].token_id);
    /* two at once for one place */
    CHECK_OK(revoke(&kit, "m", ids[0]));
    for (int i = 0; i < 2; i++)
        CHECK_OK(
            fleet_token_create(kit.fleet, kit_by(&kit), STR("m"), STR_NONE, kit_token_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_ERR(kit.err, ERR_CONFLICT);
    kit_close(&kit);
}

TEST(a_token_belongs_to_its_machine)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    int64_t of_m = kit.token_id;
    CHECK_OK(kit_add(&kit, "n"));
    CHECK_ERR(revoke(&kit, "n", of_m), ERR_NOT_FOUND);
    CHECK_OK(kit_authenticate(&kit, kit.token, "n"));
    CHECK_ERR(kit_authenticate(&kit, "", ""), ERR_DENIED);
    CHECK_ERR(kit_authenticate(&kit, "ad_", ""), ERR_DENIED);
    kit_close(&kit);
}

TEST(an_unknown_device_waits_for_staff)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_ERR(kit_authenticate(&kit, OWN, ""), ERR_DENIED);
    CHECK_OK(kit_announce(&kit, "m", OWN));
    CHECK_OK(kit_announce(&kit, "m", OWN)); /* again: the same */
    CHECK_EQ(fleet_count(kit.fleet), 1);
    CHECK_EQ(fleet_waiting_count(kit.fleet), 1);
    CHECK_EQ(kit_find(&kit, "m")->admission, FLEET_WAITING);
    CHECK_ERR(kit_authenticate(&kit, OWN, "m"), ERR_AGAIN); /* known, and still nobody */
    kit_reopen(&kit, path);
    CHECK_ERR(kit_authenticate(&kit, OWN, "m"), ERR_AGAIN);
    CHECK_OK(kit_admission(&kit, "m", FLEET_ADMITTED));
    CHECK_EQ(fleet_waiting_count(kit.fleet), 0);
    CHECK_OK(kit_authenticate(&kit, OWN, "m"));
    CHECK_EQ(kit_alert_count(&kit, "m", "second_device"), 0);
    kit_close(&kit);
}

TEST(a_taken_name_is_not_given_away)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    for (int i = 0; i < 5; i++)
        CHECK_ERR(kit_announce(&kit, "m", OTHER), ERR_CONFLICT);
    CHECK_EQ(kit_alert_count(&kit, "m", "second_device"), 1); /* at most once a minute */
    kit.now_ms += MINUTE;
    CHECK_ERR(kit_announce(&kit, "m", OTHER), ERR_CONFLICT);
    CHECK_EQ(kit_alert_count(&kit, "m", "second_device"), 2);
    for (int round = 0; round < 2; round++) {
        CHECK_OK(kit_authenticate(&kit, kit.token, "m"));
        CHECK_ERR(kit_authenticate(&kit, OTHER, ""), ERR_DENIED);
        CHECK_EQ(kit_find(&kit, "m")->token_count, 1);
        kit_reopen(&kit, path);
    }
    /* nor one that waits, nor one that is blocked */
    CHECK_OK(kit_announce(&kit, "n", OWN));
    CHECK_ERR(kit_announce(&kit, "n", OTHER), ERR_CONFLICT);
    CHECK_OK(kit_admission(&kit, "n", FLEET_BLOCKED));
    CHECK_ERR(kit_announce(&kit, "n", OTHER), ERR_CONFLICT);
    CHECK_OK(kit_admission(&kit, "n", FLEET_ADMITTED));
    CHECK_OK(kit_authenticate(&kit, OWN, "n"));
    CHECK_ERR(kit_authenticate(&kit, OTHER, ""), ERR_DENIED);
    kit_close(&kit);
}

TEST(two_strangers_with_one_name_at_once)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(fleet_announce(kit.fleet, kit_by(&kit), STR("m"), STR("espresso"), STR(OWN),
                            kit_machine_done, &kit));
    CHECK_OK(fleet_announce(kit.fleet, kit_by(&kit), STR("m"), STR("espresso"), STR(OTHER),
                            kit_machine_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_EQ(kit.calls, 2);
    CHECK_ERR(kit.err, ERR_CONFLICT);
    CHECK_OK(kit_admission(&kit, "m", FLEET_ADMITTED));
    CHECK_OK(kit_authenticate(&kit, OWN, "m"));
    CHECK_ERR(kit_authenticate(&kit, OTHER, ""), ERR_DENIED);
    CHECK_EQ(kit_alert_count(&kit, "m", "second_device"), 1);
    kit_close(&kit);
}

TEST(one_token_is_one_machines)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_announce(&kit, "m", OWN));
    CHECK_ERR(kit_announce(&kit, "n", OWN), ERR_CONFLICT);
    CHECK(kit_find(&kit, "n") == NULL);
    CHECK_EQ(fleet_waiting_count(kit.fleet), 1);
    kit_close(&kit);
}

TEST(announcements_that_are_refused)
{
    struct kit kit;
    char long_one[130];
    kit_open(&kit, NULL, NULL);
    memset(long_one, 'x', sizeof(long_one));
    long_one[129] = '\0';
    CHECK_ERR(kit_announce(&kit, "m", ""), ERR_INPUT);
    CHECK_ERR(kit_announce(&kit, "m", "short"), ERR_INPUT);
    CHECK_ERR(kit_announce(&kit, "m", long_one), ERR_INPUT);
    CHECK_ERR(kit_announce(&kit, "m", "0123456789abcdef 123456789abcdef"), ERR_INPUT);
    CHECK_ERR(kit_announce(&kit, "m", "0123456789abcdef\n123456789abcdef"), ERR_INPUT);
    CHECK_ERR(kit_announce(&kit, "../m", OWN), ERR_INPUT);
    CHECK_EQ(fleet_count(kit.fleet), 0);
    kit_close(&kit);
}

TEST(the_waiting_room_is_bounded_and_empties)
{
    struct kit kit;
    char id[16];
    char own[40];
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(id, sizeof(id), "m%d", i);
        (void)snprintf(own, sizeof(own), "%032d", i);
        CHECK_OK(kit_announce(&kit, id, own));
    }
    CHECK_ERR(kit_announce(&kit, "m100", OWN), ERR_FULL);
    CHECK_OK(kit_announce(&kit, "m0", "00000000000000000000000000000000"));
    CHECK_OK(kit_admission(&kit, "m1", FLEET_ADMITTED));
    /* two at once for one place */
    CHECK_OK(fleet_announce(kit.fleet, kit_by(&kit), STR("m100"), STR("espresso"), STR(OWN),
                            kit_machine_done, &kit));
    CHECK_OK(fleet_announce(kit.fleet, kit_by(&kit), STR("m101"), STR("espresso"), STR(OTHER),
                            kit_machine_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_ERR(kit.err, ERR_FULL);
    CHECK(kit_find(&kit, "m100") != NULL && kit_find(&kit, "m101") == NULL);
    CHECK_ERR(kit_announce(&kit, "m101", OTHER), ERR_FULL);
    /* a day without a word, but for one of them */
    kit.now_ms += 23 * HOUR;
    fleet_presence_seen(kit.fleet, STR("m100"), kit.now_ms, kit.mono_ms);
    kit.now_ms += HOUR + 1;
    fleet_sweep(kit.fleet, kit.now_ms, kit.mono_ms);
    (void)store_step(kit.store, 0);
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(fleet_waiting_count(kit.fleet), 1);
        CHECK_EQ(fleet_count(kit.fleet), 2);
        CHECK(kit_find(&kit, "m1") != NULL);
        CHECK_ERR(kit_authenticate(&kit, "00000000000000000000000000000000", ""), ERR_DENIED);
        CHECK_OK(kit_authenticate(&kit, "00000000000000000000000000000001", "m1"));
        kit_reopen(&kit, path);
    }
    kit_close(&kit);
}

TEST(admitted_in_the_last_moment_is_not_forgotten)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_announce(&kit, "m", OWN));
    kit.now_ms += 25 * HOUR;
    CHECK_OK(fleet_admission_set(kit.fleet, kit_by(&kit), STR("m"), FLEET_ADMITTED,
                                 kit_machine_done, &kit));
    fleet_sweep(kit.fleet, kit.now_ms, kit.mono_ms); /* memory still says that it waits */
    (void)store_step(kit.store, 0);
    CHECK_OK(kit_authenticate(&kit, OWN, "m"));
    kit_close(&kit);
}

TEST(no_token_is_on_the_disk)
{
    struct kit kit;
    const char *dir = kit_tempdir();
    kit_open(&kit, kit_path(dir, "automat.db"), NULL);
    CHECK_OK(kit_add(&kit, "machine-on-disk"));
    CHECK_OK(kit_announce(&kit, "other", OWN));
    int files = 0;
    bool name_seen = false;
    DIR *folder = opendir(dir);
    for (struct dirent *entry = NULL; (entry = readdir(folder)) != NULL;) {
        size_t len = 0;
        if (entry->d_name[0] == '.')
            continue;
        const char *bytes = kit_read_file(kit_path(dir, entry->d_name), &len);
        CHECK(memmem(bytes, len, kit.token + 3, strlen(kit.token) - 3) == NULL);
        CHECK(memmem(bytes, len, OWN, strlen(OWN)) == NULL);
        name_seen = name_seen || memmem(bytes, len, "machine-on-disk", 15) != NULL;
        files++;
    }
    closedir(folder);
    CHECK(files >= 1);
    CHECK(name_seen); /* or the search would find nothing whatever was there */
    kit_close(&kit);
}

TEST(use_is_written_down_now_and_then)
{
    struct kit kit;
    struct fleet_token list[FLEET_TOKENS_MAX];
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    kit.now_ms += HOUR;
    CHECK_OK(kit_authenticate(&kit, kit.token, "m"));
    fleet_sweep(kit.fleet, kit.now_ms, kit.mono_ms);
    CHECK_EQ(store_step(kit.store, 0), 1);
    kit.now_ms += MINUTE - 1;
    CHECK_OK(kit_authenticate(&kit, kit.token, "m"));
    fleet_sweep(kit.fleet, kit.now_ms, kit.mono_ms);
    CHECK_EQ(store_step(kit.store, 0), 0); /* too soon */
    kit_reopen(&kit, path);
    CHECK_EQ(fleet_token_list(kit.fleet, kit_find(&kit, "m"), list), 1);
    CHECK_EQ(list[0].last_used_at_ms, T0 + HOUR);
    kit_close(&kit);
}
