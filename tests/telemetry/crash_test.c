/* Power cuts, full and failing disks at every write and sync of a small life: what was acknowledged
 * is there, once, and the rollups say what the readings say. */
#include "store/store_fault.h"
#include "telemetry_kit.h"

#define MESSAGES 24
#define GROUP    4

enum { HAS_READING, HAS_COUNT };
static const char *const has_sql[HAS_COUNT] = {
    [HAS_READING] = "SELECT count(*) FROM telemetry_readings AS r JOIN telemetry_series AS s "
                    "USING (series_id) WHERE s.machine_id = ?1 AND s.type = 'temperature' "
                    "AND r.at = ?2 AND r.value = ?3",
};
static struct store_statements has_statements = {"has", has_sql, HAS_COUNT, 0};

struct has {
    struct store_job job;
    int message;
    int64_t count;
};

static const char *machine_of(int message)
{
    return message % 3 == 0 ? "a" : "b";
}

static enum err has_run(struct store_job *job, struct store_db *db)
{
    struct has *has = (struct has *)(void *)job;
    struct store_stmt *stmt = store_prepare(db, &has_statements, HAS_READING);
    store_bind_text(stmt, 1, str_from(machine_of(has->message)));
    store_bind_i64(stmt, 2, T0 - has->message * 1000);
    store_bind_f64(stmt, 3, has->message);
    enum err err = store_row(stmt);
    if (err == ERR_OK)
        has->count = store_col_i64(stmt, 0);
    return err;
}

struct life {
    struct kit kit;
    struct store_fault_disk *disk;
    int sent; /* the next message */
    enum err told[MESSAGES];
    bool heard[MESSAGES];
    struct ear {
        struct life *life;
        int message;
    } ear[MESSAGES];
};

static void hear(void *cookie, enum err err)
{
    struct ear *ear = cookie;
    CHECK(!ear->life->heard[ear->message]);
    ear->life->heard[ear->message] = true;
    ear->life->told[ear->message] = err;
}

static bool life_open(struct life *life)
{
    struct store_options options = {.path = "a.db", .vfs = store_fault_vfs_name(life->disk)};
    life->kit.now_ms = T0;
    return kit_try_open(&life->kit, &options, NULL, &telemetry_sink_null) == ERR_OK;
}

static void life_drop(struct life *life)
{
    if (life->kit.store != NULL)
        store_crash(life->kit.store);
    telemetry_destroy(life->kit.telemetry);
    life->kit.store = NULL;
    life->kit.telemetry = NULL;
}

static void life_live(struct life *life)
{
    for (; life->sent < MESSAGES; life->sent++) {
        struct ear *ear = &life->ear[life->sent];
        struct telemetry_reading reading = {
            .type = "temperature", .value = life->sent, .at_ms = T0 - life->sent * 1000};
        *ear = (struct ear){life, life->sent};
        if (telemetry_ingest_readings(life->kit.telemetry, str_from(machine_of(life->sent)),
                                      &reading, 1, NULL, hear, ear) != ERR_OK)
            CHECK(false);
        if (life->sent % GROUP == GROUP - 1)
            while (store_step(life->kit.store, 0) > 0)
                ;
    }
}

static void check_kept(struct life *life)
{
    for (int i = 0; i < MESSAGES; i++) {
        struct has has = {.job = {.run = has_run}, .message = i};
        CHECK_OK(store_run_now(life->kit.store, &has.job));
        CHECK(has.count <= 1);
        if (life->heard[i] && life->told[i] == ERR_OK)
            CHECK_EQ(has.count, 1);
    }
    CHECK_EQ(kit_look(&life->kit, LOOK_WRONG_MINUTES5), 0);
    CHECK_EQ(kit_look(&life->kit, LOOK_WRONG_HOURS), 0);
    CHECK_EQ(kit_look(&life->kit, LOOK_WRONG_DAYS), 0);
}

/* One life with a fault at the nth operation; false: it ran past the last one. */
static bool live_with(enum store_fault kind, bool stays, uint64_t nth)
{
    struct life life = {0};
    NOTE("fault %d at %llu", (int)kind, (unsigned long long)nth);
    CHECK_OK(store_fault_disk_create(nth, &life.disk));
    CHECK(life_open(&life));
    store_fault_fail_after(life.disk, nth, kind, stays);
    life_live(&life);
    bool fired = store_fault_fired(life.disk);
    life_drop(&life);
    store_fault_crash(life.disk);
    CHECK(life_open(&life));
    check_kept(&life);
    /* Life goes on where it was. */
    CHECK_OK(kit_send(&life.kit, "a", "temperature", "80"));
    kit_run(&life.kit);
    CHECK(kit_latest(&life.kit, "a", "temperature").value == 80);
    kit_close(&life.kit);
    store_fault_disk_destroy(life.disk);
    return fired;
}

static void live_through(enum store_fault kind, bool stays)
{
    uint64_t nth = 1;
    while (live_with(kind, stays, nth))
        nth++;
    CHECK(nth > 5); /* it did fail */
}

TEST(power_cuts)
{
    live_through(STORE_FAULT_POWER, false);
}

TEST(disk_full)
{
    live_through(STORE_FAULT_FULL, false);
    live_through(STORE_FAULT_FULL, true);
}

TEST(failing_writes_and_syncs)
{
    live_through(STORE_FAULT_WRITE, false);
    live_through(STORE_FAULT_SYNC, true);
}
