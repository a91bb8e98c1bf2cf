/* The room on a database in memory (or a file); the test takes every step. */
#ifndef AUTOMAT_TESTS_FLEET_KIT_H
#define AUTOMAT_TESTS_FLEET_KIT_H

#include "fleet/fleet.h"
#include "kit/kit_store.h"
#include "record/record.h"

#include <string.h>

#define T0     ((int64_t)1800000000000)
#define MINUTE ((int64_t)60000)
#define HOUR   (60 * MINUTE)
#define OWN    "0123456789abcdef0123456789abcdef"
#define OTHER  "ffffffffffffffffffffffffffffffff"

struct kit {
    struct store *store;
    struct fleet *fleet;
    const struct store_migration *migrations; /* NULL: read them */
    int64_t now_ms, mono_ms;
    /* what the last callback said */
    int calls;
    enum err err;
    int64_t token_id;
    char token[FLEET_TOKEN_BYTES];
    enum fleet_hello_note note;
    uint32_t removed, kept;
    /* what the watchers saw */
    int changes[4], gone_count;
    int64_t gone_id;
};

static inline void kit_changed(void *cookie, const struct fleet_machine *machine,
                               enum fleet_change change)
{
    struct kit *kit = cookie;
    CHECK(machine->machine_id[0] != '\0');
    kit->changes[change]++;
}

static inline void kit_gone(void *cookie, const char *machine_id, int64_t token_id)
{
    struct kit *kit = cookie;
    CHECK(machine_id[0] != '\0');
    kit->gone_count++;
    kit->gone_id = token_id;
}

static inline enum err kit_try_open(struct kit *kit, const char *path,
                                    const struct fleet_options *options)
{
    if (kit->migrations == NULL)
        kit->migrations = kit_migrations(AUTOMAT_SOURCE_DIR);
    struct store_options store_options = {
        .path = path, .migrations = kit->migrations, .inline_jobs = true};
    char why[256] = "";
    enum err err = store_open(NULL, &store_options, why, sizeof(why), &kit->store);
    NOTE("%s", why);
    if (err == ERR_OK)
        err = fleet_create(NULL, kit->store, options, &kit->fleet);
    if (err != ERR_OK)
        return err;
    fleet_watch(kit->fleet, kit_changed, kit);
    fleet_watch_tokens(kit->fleet, kit_gone, kit);
    return ERR_OK;
}

static inline void kit_open(struct kit *kit, const char *path, const struct fleet_options *options)
{
    struct fleet_options preset = {0};
    *kit = (struct kit){.now_ms = T0, .mono_ms = 5000};
    CHECK_OK(kit_try_open(kit, path, options != NULL ? options : &preset));
}

static inline void kit_close(struct kit *kit)
{
    store_close(kit->store);
    fleet_destroy(kit->fleet);
    kit->store = NULL;
    kit->fleet = NULL;
}

/* As if the program had been started again. */
static inline void kit_reopen(struct kit *kit, const char *path)
{
    struct fleet_options options = {0};
    kit_close(kit);
    CHECK_OK(kit_try_open(kit, path, &options));
}

static inline enum err kit_wait(struct kit *kit, enum err started)
{
    int calls = kit->calls;
    if (started != ERR_OK)
        return started;
    (void)store_step(kit->store, 0);
    CHECK_EQ(kit->calls, calls + 1);
    return kit->err;
}

static inline void kit_said(struct kit *kit, enum err err)
{
    kit->calls++;
    kit->err = err;
}

static inline void kit_machine_done(void *cookie, enum err err, const struct fleet_machine *machine)
{
    kit_said(cookie, err);
    CHECK_EQ(machine != NULL, err == ERR_OK);
}

static inline void kit_token_done(void *cookie, enum err err, const struct fleet_machine *machine,
                                  int64_t token_id, const char *token)
{
    struct kit *kit = cookie;
    kit_said(kit, err);
    CHECK_EQ(machine != NULL, err == ERR_OK);
    CHECK_EQ(token != NULL, err == ERR_OK);
    if (token == NULL)
        return;
    kit->token_id = token_id;
    CHECK_OK(str_copy(kit->token, sizeof(kit->token), str_from(token)));
}

static inline void kit_hello_done(void *cookie, enum err err, const struct fleet_machine *machine,
                                  enum fleet_hello_note note)
{
    struct kit *kit = cookie;
    kit_said(kit, err);
    CHECK_EQ(machine != NULL, err == ERR_OK);
    kit->note = note;
}

static inline void kit_demo_done(void *cookie, enum err err, uint32_t removed, uint32_t kept)
{
    struct kit *kit = cookie;
    kit_said(kit, err);
    kit->removed = removed;
    kit->kept = kept;
}

static inline struct fleet_by kit_by(const struct kit *kit)
{
    return (struct fleet_by){STR("account:alice"), STR("req-1"), kit->now_ms};
}

static inline enum err kit_add(struct kit *kit, const char *id)
{
    struct fleet_add add = {.machine_id = str_from(id), .kind = STR("espresso")};
    return kit_wait(kit, fleet_machine_add(kit->fleet, kit_by(kit), &add, kit_token_done, kit));
}

static inline enum err kit_announce(struct kit *kit, const char *id, const char *token)
{
    return kit_wait(kit, fleet_announce(kit->fleet, kit_by(kit), str_from(id), STR("espresso"),
                                        str_from(token), kit_machine_done, kit));
}

static inline enum err kit_admission(struct kit *kit, const char *id,
                                     enum fleet_admission admission)
{
    return kit_wait(kit, fleet_admission_set(kit->fleet, kit_by(kit), str_from(id), admission,
                                             kit_machine_done, kit));
}

static inline enum err kit_authenticate(struct kit *kit, const char *token, const char *expected_id)
{
    const struct fleet_machine *machine = NULL;
    int64_t token_id = 0;
    enum err err =
        fleet_authenticate(kit->fleet, str_from(token), kit->now_ms, &machine, &token_id);
    CHECK_EQ(machine == NULL, err == ERR_DENIED);
    if (machine != NULL) {
        CHECK_STR(machine->machine_id, expected_id);
        CHECK(token_id > 0);
    }
    return err;
}

static inline const struct fleet_machine *kit_find(const struct kit *kit, const char *id)
{
    return fleet_find(kit->fleet, str_from(id));
}

/* How often the open alert of this machine and code was raised. */
struct kit_alerts {
    struct store_job job;
    const char *machine_id, *code;
    uint32_t count;
};

static inline enum err kit_alerts_run(struct store_job *job, struct store_db *db)
{
    struct kit_alerts *alerts = (struct kit_alerts *)(void *)job;
    struct record_alert *found = NULL;
    size_t count = 0;
    struct arena scratch;
    arena_init(&scratch, 256 * KIB);
    enum err err = record_alert_list(db, true, 0, 100, &scratch, &found, &count);
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        if (str_equal(found[i].machine_id, str_from(alerts->machine_id)) &&
            str_equal(found[i].code, str_from(alerts->code)))
            alerts->count += found[i].count;
    arena_finish(&scratch);
    return err;
}

static inline uint32_t kit_alert_count(struct kit *kit, const char *machine_id, const char *code)
{
    struct kit_alerts alerts = {
        .job = {.run = kit_alerts_run}, .machine_id = machine_id, .code = code};
    CHECK_OK(store_run_now(kit->store, &alerts.job));
    return alerts.count;
}

#endif
