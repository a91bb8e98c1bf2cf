#include "fleet_kit.h"

#include "fleet/fleet_int.h"

TEST(machines_are_added_and_found)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    struct fleet_add add = {.machine_id = STR("espresso-1"),
                            .kind = STR("espresso"),
                            .name = STR("By the window"),
                            .config = STR("{ \"a\" : 1 }"),
                            .token_label = STR("first"),
                            .demo = true};
    CHECK_OK(
        kit_wait(&kit, fleet_machine_add(kit.fleet, kit_by(&kit), &add, kit_token_done, &kit)));
    CHECK_EQ(strlen(kit.token), 46);
    CHECK_EQ(memcmp(kit.token, "ad_", 3), 0);
    for (int round = 0; round < 2; round++) {
        const struct fleet_machine *machine = kit_find(&kit, "espresso-1");
        CHECK(machine != NULL);
        CHECK_STR(machine->kind, "espresso");
        CHECK_STR(machine->name, "By the window");
        CHECK_STR(machine->config, "{\"a\":1}");
        CHECK_STR(machine->capabilities, "{}");
        CHECK_EQ(machine->config_version, 1);
        CHECK_EQ(machine->admission, FLEET_ADMITTED);
        CHECK_EQ(machine->created_at_ms, T0);
        CHECK_EQ(machine->token_count, 1);
        CHECK(machine->demo);
        CHECK(!machine->online);
        CHECK(machine->sensors == NULL);
        CHECK_OK(kit_authenticate(&kit, kit.token, "espresso-1"));
        struct fleet_token tokens[FLEET_TOKENS_MAX];
        CHECK_EQ(fleet_token_list(kit.fleet, machine, tokens), 1);
        CHECK_STR(tokens[0].label, "first");
        kit_reopen(&kit, path);
    }
    CHECK_ERR(kit_add(&kit, "espresso-1"), ERR_CONFLICT);
    kit_close(&kit);
}

TEST(they_are_listed_in_order)
{
    struct kit kit;
    static const char *const ids[] = {"m", "a", "z", "ab", "B", "a1"};
    static const char *const sorted[] = {"B", "a", "a1", "ab", "m", "z"};
    kit_open(&kit, NULL, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        CHECK_OK(kit_add(&kit, ids[i]));
    const struct fleet_machine *machine = fleet_next(kit.fleet, STR_NONE);
    for (size_t i = 0; i < ARRAY_COUNT(sorted); i++) {
        CHECK_STR(machine->machine_id, sorted[i]);
        machine = fleet_next(kit.fleet, str_from(machine->machine_id));
    }
    CHECK(machine == NULL);
    CHECK_STR(fleet_next(kit.fleet, STR("aa"))->machine_id, "ab"); /* a cursor that is gone */
    CHECK_EQ(fleet_count(kit.fleet), 6);
    kit_close(&kit);
}

TEST(machines_that_are_refused)
{
    struct kit kit;
    struct fleet_options options = {.machines_max = 1};
    kit_open(&kit, NULL, &options);
    CHECK_ERR(kit_add(&kit, ""), ERR_INPUT);
    CHECK_ERR(kit_add(&kit, "a b"), ERR_INPUT);
    static const char *const configs[] = {
        "[]", "1", "{", "{} x", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}"};
    struct fleet_add add = {.machine_id = STR("m"), .kind = STR("espresso")};
    for (size_t i = 0; i < ARRAY_COUNT(configs); i++) {
        add.config = str_from(configs[i]);
        CHECK_ERR(fleet_machine_add(kit.fleet, kit_by(&kit), &add, kit_token_done, &kit),
                  ERR_INPUT);
    }
    add.config = STR_NONE;
    add.name = STR("a\nb");
    CHECK_ERR(fleet_machine_add(kit.fleet, kit_by(&kit), &add, kit_token_done, &kit), ERR_INPUT);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_ERR(kit_add(&kit, "n"), ERR_FULL);
    CHECK_EQ(kit.fleet->reserved, 0);
    kit_close(&kit);
}

TEST(two_that_are_added_at_once_are_one)
{
    struct kit kit;
    struct fleet_add add = {.machine_id = STR("m"), .kind = STR("espresso")};
    kit_open(&kit, NULL, NULL);
    for (int i = 0; i < 2; i++)
        CHECK_OK(fleet_machine_add(kit.fleet, kit_by(&kit), &add, kit_token_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_EQ(kit.calls, 2);
    CHECK_ERR(kit.err, ERR_CONFLICT);
    CHECK_OK(kit_authenticate(&kit, kit.token, "m")); /* the first one's token is the one */
    CHECK_EQ(kit_find(&kit, "m")->token_count, 1);
    kit_close(&kit);
}

TEST(open_registers_at_first_mention)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_OK(fleet_machine_ensure(kit.fleet, kit_by(&kit), STR("m"),
                                      i == 0 ? STR("espresso") : STR("window"), kit_machine_done,
                                      &kit));
    (void)store_step(kit.store, 0);
    CHECK_EQ(kit.calls, 3);
    CHECK_OK(kit.err);
    CHECK_EQ(fleet_count(kit.fleet), 1);
    CHECK_STR(kit_find(&kit, "m")->kind, "espresso");
    CHECK_EQ(kit_find(&kit, "m")->admission, FLEET_ADMITTED);
    CHECK_EQ(kit_find(&kit, "m")->token_count, 0);
    kit_close(&kit);
}

TEST(configuration_has_versions)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_OK(kit_wait(&kit, fleet_config_set(kit.fleet, kit_by(&kit), STR("m"), STR("{\"b\":2}"), 1,
                                             kit_machine_done, &kit)));
    CHECK_STR(kit_find(&kit, "m")->config, "{\"b\":2}");
    CHECK_EQ(kit_find(&kit, "m")->config_version, 2);
    CHECK_ERR(kit_wait(&kit, fleet_config_set(kit.fleet, kit_by(&kit), STR("m"), STR("{}"), 1,
                                              kit_machine_done, &kit)),
              ERR_CONFLICT);
    CHECK_OK(kit_wait(&kit, fleet_config_set(kit.fleet, kit_by(&kit), STR("m"), STR("{\"c\":3}"), 0,
                                             kit_machine_done, &kit)));
    CHECK_OK(kit_wait(&kit, fleet_name_set(kit.fleet, kit_by(&kit), STR("m"), STR("Nächste"),
                                           kit_machine_done, &kit)));
    kit_reopen(&kit, path);
    CHECK_STR(kit_find(&kit, "m")->config, "{\"c\":3}");
    CHECK_EQ(kit_find(&kit, "m")->config_version, 3);
    CHECK_STR(kit_find(&kit, "m")->name, "Nächste");
    CHECK_ERR(
        fleet_config_set(kit.fleet, kit_by(&kit), STR("n"), STR("{}"), 0, kit_machine_done, &kit),
        ERR_NOT_FOUND);
    kit_close(&kit);
}

TEST(configuration_is_bounded)
{
    struct kit kit;
    static char big[FLEET_CONFIG_BYTES_MAX + 1];
    char deep[64];
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    memset(big, ' ', sizeof(big));
    big[0] = '{';
    big[sizeof(big) - 2] = '}';
    CHECK_OK(kit_wait(&kit, fleet_config_set(kit.fleet, kit_by(&kit), STR("m"),
                                             (struct str){big, sizeof(big) - 1}, 0,
                                             kit_machine_done, &kit)));
    CHECK_ERR(fleet_config_set(kit.fleet, kit_by(&kit), STR("m"), (struct str){big, sizeof(big)}, 0,
                               kit_machine_done, &kit),
              ERR_INPUT);
    /* sixteen levels with the object itself and the number in the middle, and one more */
    for (int levels = 14; levels <= 15; levels++) {
        struct text text;
        text_init(&text, deep, sizeof(deep));
        text_add(&text, STR("{\"a\":"));
        for (int i = 0; i < levels; i++)
            text_add_char(&text, '[');
        text_add_char(&text, '1');
        for (int i = 0; i < levels; i++)
            text_add_char(&text, ']');
        text_add_char(&text, '}');
        CHECK_ERR(kit_wait(&kit, fleet_config_set(kit.fleet, kit_by(&kit), STR("m"), str_from(deep),
                                                  0, kit_machine_done, &kit)),
                  levels == 14 ? ERR_OK : ERR_INPUT);
    }
    kit_close(&kit);
}

TEST(blocked_is_out_until_admitted)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_OK(kit_admission(&kit, "m", FLEET_BLOCKED));
    CHECK_EQ(kit.gone_count, 1);
    CHECK_EQ(kit.gone_id, kit.token_id);
    CHECK_ERR(kit_authenticate(&kit, kit.token, "m"), ERR_REFUSED);
    int changes = kit.changes[FLEET_CHANGED_RECORD];
    CHECK_OK(kit_admission(&kit, "m", FLEET_BLOCKED)); /* so already */
    CHECK_EQ(kit.changes[FLEET_CHANGED_RECORD], changes);
    CHECK_OK(kit_admission(&kit, "m", FLEET_ADMITTED));
    CHECK_OK(kit_authenticate(&kit, kit.token, "m"));
    CHECK_ERR(kit_admission(&kit, "m", FLEET_WAITING), ERR_INPUT);
    CHECK_ERR(kit_admission(&kit, "n", FLEET_ADMITTED), ERR_NOT_FOUND);
    kit_close(&kit);
}

/* ---- demo ---- */

static enum err uses_kept(void *cookie, struct store_db *db, struct str machine_id,
                          bool *ret_in_use)
{
    (void)cookie;
    (void)db;
    *ret_in_use = str_starts(machine_id, STR("kept"));
    return ERR_OK;
}

TEST(the_demo_goes_and_takes_nothing_else)
{
    struct kit kit;
    static const char *const ids[] = {"demo-1", "demo-2", "kept-1", "own-1"};
    const char *path = kit_path(kit_tempdir(), "automat.db");
    char tokens[4][FLEET_TOKEN_BYTES];
    kit_open(&kit, path, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        struct fleet_add add = {
            .machine_id = str_from(ids[i]), .kind = STR("espresso"), .demo = i < 3};
        CHECK_OK(
            kit_wait(&kit, fleet_machine_add(kit.fleet, kit_by(&kit), &add, kit_token_done, &kit)));
        memcpy(tokens[i], kit.token, sizeof(tokens[i]));
    }
    CHECK_OK(kit_wait(
        &kit, fleet_demo_remove(kit.fleet, kit_by(&kit), uses_kept, NULL, kit_demo_done, &kit)));
    CHECK_EQ(kit.removed, 2);
    CHECK_EQ(kit.kept, 1);
    CHECK_EQ(kit.gone_count, 3);
    CHECK_EQ(kit.changes[FLEET_CHANGED_REMOVED], 2);
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(fleet_count(kit.fleet), 2);
        CHECK_EQ(kit_find(&kit, "kept-1")->admission, FLEET_BLOCKED);
        CHECK_EQ(kit_find(&kit, "kept-1")->token_count, 0);
        CHECK_ERR(kit_authenticate(&kit, tokens[0], ""), ERR_DENIED);
        CHECK_ERR(kit_authenticate(&kit, tokens[2], ""), ERR_DENIED);
        CHECK_OK(kit_authenticate(&kit, tokens[3], "own-1"));
        kit_reopen(&kit, path);
    }
    CHECK_OK(kit_add(&kit, "demo-1")); /* its name is free again */
    kit_close(&kit);
}

TEST(no_demo_is_fine)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_wait(&kit,
                      fleet_demo_remove(kit.fleet, kit_by(&kit), NULL, NULL, kit_demo_done, &kit)));
    CHECK_EQ(kit.removed + kit.kept, 0);
    kit_close(&kit);
}

static enum err describe(struct kit *kit, struct str name, struct str metadata)
{
    return kit_wait(kit, fleet_describe(kit->fleet, kit_by(kit), STR("m"), name, metadata,
                                        kit_machine_done, kit));
}

TEST(what_people_note_about_a_machine)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_STR(kit_find(&kit, "m")->metadata, "{}");
    CHECK_OK(describe(&kit, STR("By the door"), STR("{\"floor\": 2}")));
    CHECK_STR(kit_find(&kit, "m")->name, "By the door");
    CHECK_STR(kit_find(&kit, "m")->metadata, "{\"floor\":2}");
    CHECK_OK(describe(&kit, STR_NONE, STR("{}")));
    CHECK_STR(kit_find(&kit, "m")->name, "By the door");
    CHECK_STR(kit_find(&kit, "m")->metadata, "{}");
    CHECK_OK(describe(&kit, STR(""), STR_NONE));
    CHECK_STR(kit_find(&kit, "m")->name, "");
    CHECK_ERR(describe(&kit, STR_NONE, STR("[1]")), ERR_INPUT);
    CHECK_ERR(describe(&kit, STR("a\nb"), STR_NONE), ERR_INPUT);
    char large[FLEET_BLOB_BYTES_MAX + 64];
    (void)snprintf(large, sizeof(large), "{\"a\":\"%0*d\"}", (int)FLEET_BLOB_BYTES_MAX, 0);
    CHECK_ERR(describe(&kit, STR_NONE, str_from(large)), ERR_INPUT);
    CHECK_ERR(fleet_describe(kit.fleet, kit_by(&kit), STR("n"), STR("x"), STR_NONE,
                             kit_machine_done, &kit),
              ERR_NOT_FOUND);
    kit_close(&kit);
}
