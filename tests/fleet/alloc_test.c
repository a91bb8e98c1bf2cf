/* Every allocation fails once; a power cut in the middle leaves nothing behind. */
#include "fleet_kit.h"

#include "fleet/fleet_int.h"

static enum err scenario(struct kit *kit)
{
    struct fleet_options options = {0};
    struct fleet_hello said = {.boot_id = {{1}}, .journal_id = {{2}}};
    enum err err = kit_try_open(kit, NULL, &options);
    if (err == ERR_OK)
        err = kit_add(kit, "m");
    if (err == ERR_OK)
        err = kit_announce(kit, "n", OWN);
    if (err == ERR_OK && kit_announce(kit, "m", OTHER) == ERR_NOMEM)
        err = ERR_NOMEM;
    if (err == ERR_OK)
        err = kit_admission(kit, "n", FLEET_ADMITTED);
    if (err == ERR_OK)
        err = kit_wait(kit, fleet_config_set(kit->fleet, kit_by(kit), STR("m"), STR("{\"a\":1}"), 0,
                                             kit_machine_done, kit));
    if (err == ERR_OK)
        err = kit_wait(
            kit, fleet_hello(kit->fleet, kit_by(kit), 0, STR("m"), &said, kit_hello_done, kit));
    if (err == ERR_OK)
        err = fleet_progress(kit->fleet, STR("m"), STR("idle"), STR("{}"), kit->now_ms, 0);
    if (err == ERR_OK)
        err = kit_wait(kit, fleet_token_create(kit->fleet, kit_by(kit), STR("m"), STR_NONE,
                                               kit_token_done, kit));
    if (err == ERR_OK) {
        fleet_sweep(kit->fleet, kit->now_ms + HOUR, HOUR);
        (void)store_step(kit->store, 0);
        err = kit_wait(kit,
                       fleet_demo_remove(kit->fleet, kit_by(kit), NULL, NULL, kit_demo_done, kit));
    }
    return err;
}

TEST(every_failed_allocation_is_survived)
{
    const struct store_migration *migrations = kit_migrations(AUTOMAT_SOURCE_DIR);
    int64_t before = mem_live();
    for (uint32_t nth = 1;; nth++) {
        struct kit kit = {.now_ms = T0, .migrations = migrations};
        NOTE("allocation %u", nth);
        mem_fail_at(nth);
        enum err err = scenario(&kit);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        kit_close(&kit);
        CHECK_EQ(mem_live(), before);
        if (!fired) {
            CHECK_OK(err);
            break;
        }
        CHECK(err == ERR_OK || err == ERR_NOMEM || err == ERR_IO); /* a missed sweep is no error */
    }
}

TEST(a_crash_leaves_nothing_behind)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    struct fleet_add add = {.machine_id = STR("n"), .kind = STR("espresso")};
    struct fleet_options options = {0};
    int calls = kit.calls;
    CHECK_OK(fleet_machine_add(kit.fleet, kit_by(&kit), &add, kit_token_done, &kit));
    CHECK_OK(fleet_config_set(kit.fleet, kit_by(&kit), STR("m"), STR("{\"a\":1}"), 0,
                              kit_machine_done, &kit));
    store_crash(kit.store);
    fleet_destroy(kit.fleet);
    CHECK_EQ(kit.calls, calls);
    CHECK_OK(kit_try_open(&kit, path, &options));
    CHECK(kit_find(&kit, "n") == NULL);
    CHECK_STR(kit_find(&kit, "m")->config, "{}");
    kit_close(&kit);
}
