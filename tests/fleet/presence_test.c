#include "fleet_kit.h"

#include "fleet/fleet_int.h"

static void sweep(struct kit *kit)
{
    fleet_sweep(kit->fleet, kit->now_ms, kit->mono_ms);
    (void)store_step(kit->store, 0);
}

static void later(struct kit *kit, int64_t ms)
{
    kit->now_ms += ms;
    kit->mono_ms += ms;
}

static enum err progress(struct kit *kit, const char *step, const char *sensors)
{
    return fleet_progress(kit->fleet, STR("m"), str_from(step), str_from(sensors), kit->now_ms,
                          kit->mono_ms);
}

TEST(seen_is_online_for_a_while)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    const struct fleet_machine *machine = kit_find(&kit, "m");
    CHECK(!machine->online);
    fleet_presence_seen(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    CHECK(machine->online);
    CHECK_EQ(machine->last_seen_at_ms, T0);
    CHECK_EQ(kit.changes[FLEET_CHANGED_PRESENCE], 1);
    later(&kit, 29999);
    sweep(&kit);
    CHECK(machine->online);
    later(&kit, 1);
    sweep(&kit);
    CHECK(!machine->online);
    CHECK_EQ(kit.changes[FLEET_CHANGED_PRESENCE], 2);
    sweep(&kit);
    CHECK_EQ(kit.changes[FLEET_CHANGED_PRESENCE], 2);
    kit_close(&kit);
}

TEST(the_wall_clock_does_not_take_machines_offline)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    fleet_presence_seen(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    kit.now_ms += HOUR;
    sweep(&kit);
    CHECK(kit_find(&kit, "m")->online);
    kit_close(&kit);
}

TEST(parked_is_online_for_as_long_as_it_takes)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    fleet_presence_park(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    fleet_presence_park(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    later(&kit, HOUR);
    sweep(&kit);
    CHECK(kit_find(&kit, "m")->online);
    CHECK_EQ(kit_find(&kit, "m")->parked, 2);
    fleet_presence_unpark(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    later(&kit, HOUR);
    sweep(&kit);
    CHECK(kit_find(&kit, "m")->online);
    fleet_presence_unpark(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    CHECK_EQ(kit_find(&kit, "m")->last_seen_at_ms, T0 + 2 * HOUR);
    later(&kit, 30000);
    sweep(&kit);
    CHECK(!kit_find(&kit, "m")->online);
    /* one too many, and a machine that is not there */
    fleet_presence_unpark(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    CHECK_EQ(kit_find(&kit, "m")->parked, 0);
    fleet_presence_park(kit.fleet, STR("n"), kit.now_ms, kit.mono_ms);
    fleet_presence_unpark(kit.fleet, STR("n"), kit.now_ms, kit.mono_ms);
    fleet_presence_seen(kit.fleet, STR("n"), kit.now_ms, kit.mono_ms);
    kit_close(&kit);
}

TEST(last_seen_is_written_down_now_and_then)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    int writes = 0;
    for (int second = 0; second < 600; second++) {
        fleet_presence_seen(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
        fleet_sweep(kit.fleet, kit.now_ms, kit.mono_ms);
        writes += store_step(kit.store, 0) > 0;
        later(&kit, 1000);
    }
    CHECK(writes >= 9 && writes <= 10);
    later(&kit, 40000); /* gone: the exact moment is written */
    sweep(&kit);
    sweep(&kit);
    kit_reopen(&kit, path);
    CHECK_EQ(kit_find(&kit, "m")->last_seen_at_ms, T0 + 599 * 1000);
    CHECK(!kit_find(&kit, "m")->online);
    kit_close(&kit);
}

TEST(what_it_is_doing)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    const struct fleet_machine *machine = kit_find(&kit, "m");
    CHECK_OK(progress(&kit, "idle", "{ \"water_ml\": 900 }"));
    CHECK_STR(machine->step, "idle");
    CHECK_STR(machine->sensors, "{\"water_ml\":900}");
    CHECK_EQ(machine->sensors_at_ms, T0);
    CHECK(machine->online);
    later(&kit, 1000);
    CHECK_OK(progress(&kit, "idle", ""));
    CHECK_EQ(machine->step_since_ms, T0); /* still */
    CHECK_EQ(machine->sensors_at_ms, T0);
    CHECK_OK(progress(&kit, "pre_heat", ""));
    CHECK_EQ(machine->step_since_ms, T0 + 1000);
    CHECK_OK(progress(&kit, "", "{\"water_ml\":800}"));
    CHECK_STR(machine->step, "pre_heat");
    CHECK_STR(machine->sensors, "{\"water_ml\":800}");
    CHECK_EQ(kit.changes[FLEET_CHANGED_PROGRESS], 3);
    kit_close(&kit);
}

TEST(progress_that_is_refused_changes_nothing)
{
    struct kit kit;
    static char big[FLEET_BLOB_BYTES_MAX + 8];
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_OK(progress(&kit, "idle", "{\"a\":1}"));
    memset(big, ' ', sizeof(big) - 1);
    big[0] = '{';
    big[sizeof(big) - 2] = '}';
    static const char *const steps[] = {"Idle", "a b", "a-b", "abcdefghijklmnopqrstuvwxyz_0123456"};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
        CHECK_ERR(progress(&kit, steps[i], "{\"a\":2}"), ERR_INPUT);
    static const char *const sensors[] = {"[]", "x", "{\"a\":1,\"a\":1}", big};
    for (size_t i = 0; i < ARRAY_COUNT(sensors); i++)
        CHECK_ERR(progress(&kit, "brewing", sensors[i]), ERR_INPUT);
    CHECK_STR(kit_find(&kit, "m")->step, "idle");
    CHECK_STR(kit_find(&kit, "m")->sensors, "{\"a\":1}");
    CHECK_ERR(fleet_progress(kit.fleet, STR("n"), STR("idle"), STR_NONE, T0, 0), ERR_NOT_FOUND);
    kit_close(&kit);
}

/* ---- hello ---- */

static struct id128 id_of(uint8_t byte)
{
    struct id128 id = {{0}};
    id.byte[0] = byte;
    return id;
}

static enum err hello(struct kit *kit, uint8_t boot, uint8_t journal, const char *firmware,
                      const char *capabilities)
{
    struct fleet_hello said = {.boot_id = id_of(boot),
                               .journal_id = id_of(journal),
                               .firmware = str_from(firmware),
                               .capabilities = str_from(capabilities)};
    return kit_wait(kit, fleet_hello(kit->fleet, kit_by(kit), kit->mono_ms, STR("m"), &said,
                                     kit_hello_done, kit));
}

TEST(boots_and_journals_are_told_apart)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_OK(hello(&kit, 1, 9, "1.0", "{ \"claims\" : true }"));
    CHECK_EQ(kit.note, FLEET_HELLO_FIRST);
    CHECK_STR(kit_find(&kit, "m")->capabilities, "{\"claims\":true}");
    CHECK_STR(kit_find(&kit, "m")->firmware, "1.0");
    CHECK(kit_find(&kit, "m")->online);
    CHECK_OK(hello(&kit, 1, 9, "1.0", "{\"claims\":true}"));
    CHECK_EQ(kit.note, FLEET_HELLO_SAME_BOOT);
    CHECK_OK(hello(&kit, 2, 9, "1.1", ""));
    CHECK_EQ(kit.note, FLEET_HELLO_REBOOT);
    CHECK_EQ(kit_alert_count(&kit, "m", "journal_changed"), 0);
    kit_reopen(&kit, path);
    CHECK(id128_equal(kit_find(&kit, "m")->boot_id, id_of(2)));
    CHECK(id128_equal(kit_find(&kit, "m")->journal_id, id_of(9)));
    CHECK_STR(kit_find(&kit, "m")->firmware, "1.1");
    CHECK_STR(kit_find(&kit, "m")->capabilities, "{}");
    CHECK_OK(hello(&kit, 3, 9, "1.1", ""));
    CHECK_EQ(kit.note, FLEET_HELLO_REBOOT);
    CHECK_OK(hello(&kit, 3, 8, "1.1", "")); /* a wiped flash, even if it says the same boot */
    CHECK_EQ(kit.note, FLEET_HELLO_OTHER_JOURNAL);
    CHECK_EQ(kit_alert_count(&kit, "m", "journal_changed"), 1);
    CHECK_OK(hello(&kit, 4, 8, "1.1", ""));
    CHECK_EQ(kit.note, FLEET_HELLO_REBOOT);
    kit_close(&kit);
}

TEST(two_boards_with_the_same_credentials)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_OK(hello(&kit, 1, 8, "", ""));
    for (uint8_t i = 0; i < 4; i++) {
        CHECK_OK(hello(&kit, (uint8_t)(i + 2), i % 2 == 0 ? 9 : 8, "", ""));
        CHECK_EQ(kit.note, FLEET_HELLO_OTHER_JOURNAL);
    }
    CHECK_EQ(kit_alert_count(&kit, "m", "journal_changed"), 4);
    /* also when both speak before the first is answered */
    struct fleet_hello one = {.boot_id = id_of(20), .journal_id = id_of(8)};
    struct fleet_hello two = {.boot_id = id_of(21), .journal_id = id_of(9)};
    CHECK_OK(fleet_hello(kit.fleet, kit_by(&kit), 0, STR("m"), &one, kit_hello_done, &kit));
    CHECK_OK(fleet_hello(kit.fleet, kit_by(&kit), 0, STR("m"), &two, kit_hello_done, &kit));
    (void)store_step(kit.store, 0);
    CHECK_EQ(kit.note, FLEET_HELLO_OTHER_JOURNAL);
    kit_close(&kit);
}

TEST(hellos_that_are_refused)
{
    struct kit kit;
    static const char *const firmware =
        "a firmware's version is not a novel, so that it ends here, at 65.";
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    CHECK_ERR(hello(&kit, 0, 9, "", ""), ERR_INPUT);
    CHECK_ERR(hello(&kit, 1, 0, "", ""), ERR_INPUT);
    CHECK_ERR(hello(&kit, 1, 9, firmware, ""), ERR_INPUT);
    CHECK_ERR(hello(&kit, 1, 9, "1.0\n", ""), ERR_INPUT);
    CHECK_ERR(hello(&kit, 1, 9, "", "[]"), ERR_INPUT);
    CHECK(id128_is_zero(kit_find(&kit, "m")->boot_id));
    struct fleet_hello said = {.boot_id = id_of(1), .journal_id = id_of(2)};
    CHECK_ERR(fleet_hello(kit.fleet, kit_by(&kit), 0, STR("n"), &said, kit_hello_done, &kit),
              ERR_NOT_FOUND);
    kit_close(&kit);
}

static uint32_t inactive_alerts(struct kit *kit)
{
    return kit_alert_count(kit, "m", "machine_inactive");
}

TEST(silence_raises_an_alert_that_speech_resolves)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    later(&kit, 10 * MINUTE);
    sweep(&kit);
    later(&kit, 10 * MINUTE);
    sweep(&kit);
    CHECK(!kit_find(&kit, "m")->active); /* never heard of: nobody to miss */
    CHECK_EQ(inactive_alerts(&kit), 0);
    fleet_presence_seen(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    CHECK(kit_find(&kit, "m")->active);
    later(&kit, 5 * MINUTE - 1);
    sweep(&kit);
    CHECK(kit_find(&kit, "m")->active);
    CHECK_EQ(inactive_alerts(&kit), 0);
    later(&kit, 1);
    sweep(&kit);
    CHECK(!kit_find(&kit, "m")->active);
    CHECK_EQ(inactive_alerts(&kit), 1);
    later(&kit, HOUR);
    sweep(&kit);
    CHECK_EQ(inactive_alerts(&kit), 1); /* told once */
    fleet_presence_seen(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    sweep(&kit);
    CHECK(kit_find(&kit, "m")->active);
    CHECK_EQ(inactive_alerts(&kit), 0);
    kit_close(&kit);
}

TEST(a_restart_neither_forgets_a_silence_nor_makes_one)
{
    struct kit kit;
    const char *path = kit_path(kit_tempdir(), "automat.db");
    kit_open(&kit, path, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    fleet_presence_seen(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    later(&kit, 40000);
    sweep(&kit); /* offline: written down */
    later(&kit, HOUR);
    kit_reopen(&kit, path);
    sweep(&kit);
    CHECK(kit_find(&kit, "m")->active); /* who was down heard nobody */
    CHECK_EQ(inactive_alerts(&kit), 0);
    later(&kit, 5 * MINUTE);
    sweep(&kit);
    CHECK_EQ(inactive_alerts(&kit), 1);
    kit_reopen(&kit, path);
    CHECK(!kit_find(&kit, "m")->active);
    later(&kit, HOUR);
    sweep(&kit);
    CHECK_EQ(inactive_alerts(&kit), 1);
    fleet_presence_seen(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    sweep(&kit);
    CHECK_EQ(inactive_alerts(&kit), 0);
    kit_close(&kit);
}

TEST(an_open_connection_is_no_silence)
{
    struct kit kit;
    kit_open(&kit, NULL, NULL);
    CHECK_OK(kit_add(&kit, "m"));
    fleet_presence_connect(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    CHECK_EQ(kit_find(&kit, "m")->mqtt, 1);
    later(&kit, HOUR);
    sweep(&kit);
    CHECK(kit_find(&kit, "m")->online && kit_find(&kit, "m")->active);
    fleet_presence_disconnect(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms);
    fleet_presence_disconnect(kit.fleet, STR("m"), kit.now_ms, kit.mono_ms); /* once too often */
    CHECK_EQ(kit_find(&kit, "m")->mqtt, 0);
    CHECK_EQ(kit_find(&kit, "m")->parked, 0);
    later(&kit, HOUR);
    sweep(&kit);
    CHECK_EQ(inactive_alerts(&kit), 1);
    kit_close(&kit);
}
