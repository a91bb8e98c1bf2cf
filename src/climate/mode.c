/* Who decides about a window: proposals, or people. */
#include "climate/climate_int.h"

#include <stdio.h>

struct mode_op {
    struct op op;
    enum climate_mode mode;
    void (*done)(void *cookie, enum err err);
};

static const char *mode_name(enum climate_mode mode)
{
    return mode == CLIMATE_MANUAL ? "manual" : "auto";
}

static enum err mode_run(struct store_job *job, struct store_db *db)
{
    const struct mode_op *set = (struct mode_op *)(void *)job;
    char subject[ID_BYTES_MAX + 16], detail[32];
    struct store_stmt *stmt = climate_sql(db, SQL_WINDOW_MODE);
    store_bind_text(stmt, 1, str_from(set->op.machine_id));
    store_bind_text(stmt, 2, str_from(mode_name(set->mode)));
    enum err err = store_exec(db, stmt, NULL);
    if (err != ERR_OK)
        return err;
    (void)snprintf(subject, sizeof(subject), "machine:%s", set->op.machine_id);
    (void)snprintf(detail, sizeof(detail), "{\"mode\":\"%s\"}", mode_name(set->mode));
    return climate_op_audit(&set->op, db, "climate.mode", subject, detail);
}

static void mode_done(struct store_job *job, enum err err)
{
    struct mode_op *set = (struct mode_op *)(void *)job;
    struct climate *climate = set->op.climate;
    struct watched *window = climate_window_find(climate, str_from(set->op.machine_id));
    if (err == ERR_OK && window != NULL) {
        window->mode = set->mode;
        window->hold_until_ms = 0;
        /* Given back by a person, who waits to see something happen: ask as at the start. */
        if (set->mode == CLIMATE_AUTO)
            window->trigger.ever_asked = false;
        climate_window_changed(climate, window);
        if (window->present)
            climate_window_consider(climate, window);
    }
    set->done(set->op.cookie, err);
    climate_op_free(&set->op);
}

enum err climate_mode_set(struct climate *climate, struct str machine_id, enum climate_mode mode,
                          struct str actor, const char *request_id,
                          void (*done)(void *cookie, enum err err), void *cookie)
{
    const struct watched *window = climate_window_find(climate, machine_id);
    if (window == NULL || !window->present)
        return ERR_NOT_FOUND;
    struct mode_op *set = climate_op_create(climate, sizeof(*set), machine_id, actor, request_id);
    if (set == NULL)
        return ERR_NOMEM;
    set->op.job = (struct store_job){.run = mode_run, .done = mode_done, .again = true};
    set->op.cookie = cookie;
    set->mode = mode;
    set->done = done;
    return climate_op_submit(&set->op);
}
