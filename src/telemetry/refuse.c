/* What was refused: counted by machine and reason, with the last example, and an alert when a
 * machine does not stop. */
#include "telemetry/telemetry_room_int.h"

#include <string.h>

#define WINDOW_MS    ((int64_t)10 * 60000)
#define WINDOW_ALERT 10u /* refusals of one reason within a window, from which people are told */
#define SWEEP_ROWS   64u
#define ALERT_CODE   "bad_readings"

struct alert_op {
    struct telemetry_op op; /* first */
    char machine_id[ID_BYTES_MAX + 1];
    int64_t at_ms;
    bool resolve;
    char message[TELEMETRY_WHY_BYTES + 160];
};

static enum err alert_run(struct store_job *job, struct store_db *db)
{
    const struct alert_op *alert = (const struct alert_op *)(const void *)job;
    if (alert->resolve)
        return record_alert_resolve(db, str_from(alert->machine_id), STR(ALERT_CODE), alert->at_ms);
    return record_alert_raise(db,
                              &(struct record_alert){
                                  .machine_id = str_from(alert->machine_id),
                                  .code = STR(ALERT_CODE),
                                  .message = str_from(alert->message),
                                  .severity = RECORD_WARNING,
                                  .raised_at_ms = alert->at_ms,
                              },
                              NULL);
}

static void alert_done(struct store_job *job, enum err err)
{
    (void)err; /* the next window says it again */
    telemetry_op_free((struct telemetry_op *)(void *)job);
}

static struct alert_op *alert_create(struct telemetry *telemetry,
                                     const struct telemetry_refused_row *row)
{
    struct alert_op *alert = telemetry_op_create(telemetry, sizeof(*alert));
    if (alert == NULL)
        return NULL;
    alert->op.job = (struct store_job){.run = alert_run, .done = alert_done, .again = true};
    alert->at_ms = telemetry_now_ms(telemetry);
    memcpy(alert->machine_id, row->machine_id, sizeof(alert->machine_id));
    return alert;
}

static bool alert_submit(struct alert_op *alert)
{
    if (store_write(alert->op.telemetry->options.store, &alert->op.job) == ERR_OK)
        return true;
    telemetry_op_free(&alert->op);
    return false;
}

static void raise_alert(struct telemetry *telemetry, struct telemetry_refused_row *row)
{
    struct alert_op *alert = alert_create(telemetry, row);
    if (alert == NULL)
        return;
    struct text text;
    text_init(&text, alert->message, sizeof(alert->message));
    text_add_u64(&text, row->window_count);
    text_add(&text, STR(" readings were refused within 10 min ("));
    text_add(&text, str_from(telemetry_refusal_code(row->refusal)));
    text_add(&text, STR("). The last: "));
    text_add(&text, str_from(row->why));
    row->alerted = alert_submit(alert);
}

static void resolve_alert(struct telemetry *telemetry, struct telemetry_refused_row *row)
{
    struct alert_op *alert = alert_create(telemetry, row);
    if (alert == NULL)
        return;
    alert->resolve = true;
    row->alerted = !alert_submit(alert);
}

/* ---- the table ---- */

static uint32_t bucket_of(struct str machine_id, enum telemetry_refusal refusal)
{
    uint32_t crc = crc32c((uint32_t)refusal, machine_id.at, machine_id.len);
    return crc % REFUSED_BUCKETS;
}

/* Its row, or a new one; NULL: no room or memory. */
static struct telemetry_refused_row *row_of(struct telemetry_refused_table *table,
                                            struct str machine_id, enum telemetry_refusal refusal)
{
    uint32_t at = bucket_of(machine_id, refusal);
    for (; table->bucket[at] != 0; at = (at + 1) % REFUSED_BUCKETS) {
        struct telemetry_refused_row *row = table->row[table->bucket[at] - 1];
        if (row->refusal == refusal && str_equal(str_from(row->machine_id), machine_id))
            return row;
    }
    if (table->count == REFUSED_MAX)
        return NULL;
    struct telemetry_refused_row *row = mem_zalloc(sizeof(*row));
    if (row == NULL)
        return NULL;
    if (str_copy(row->machine_id, sizeof(row->machine_id), machine_id) != ERR_OK) {
        mem_free(row);
        return NULL;
    }
    row->refusal = refusal;
    table->row[table->count] = row;
    table->bucket[at] = (uint16_t)(++table->count);
    return row;
}

void telemetry_refuse(struct telemetry *telemetry, struct str machine_id,
                      enum telemetry_refusal refusal, const char *why)
{
    struct telemetry_refused_table *table = &telemetry->refused;
    int64_t now_ms = telemetry_now_ms(telemetry);
    table->by_reason[refusal]++;
    struct telemetry_refused_row *row = row_of(table, machine_id, refusal);
    if (row == NULL)
        return;
    row->count++;
    row->last_at_ms = now_ms;
    memcpy(row->why, why, TELEMETRY_WHY_BYTES);
    if (row->window_count == 0 || now_ms - row->window_from_ms >= WINDOW_MS) {
        row->window_from_ms = now_ms;
        row->window_count = 0;
    }
    row->window_count++;
    if (row->window_count == WINDOW_ALERT)
        raise_alert(telemetry, row);
}

/* Another reason of the same machine may keep the alert open. */
static bool still_bad(const struct telemetry_refused_table *table, const char *machine_id,
                      int64_t now_ms)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (strcmp(table->row[i]->machine_id, machine_id) == 0 &&
            now_ms - table->row[i]->last_at_ms < WINDOW_MS)
            return true;
    return false;
}

void telemetry_refused_tick(struct telemetry *telemetry)
{
    struct telemetry_refused_table *table = &telemetry->refused;
    int64_t now_ms = telemetry_now_ms(telemetry);
    for (uint32_t i = 0; i < SWEEP_ROWS && table->count > 0; i++) {
        table->sweep = table->sweep + 1 < table->count ? table->sweep + 1 : 0;
        struct telemetry_refused_row *row = table->row[table->sweep];
        if (row->alerted && !still_bad(table, row->machine_id, now_ms))
            resolve_alert(telemetry, row);
    }
}

void telemetry_refused_each(const struct telemetry *telemetry,
                            bool (*each)(void *cookie, const struct telemetry_refused *refused),
                            void *cookie)
{
    const struct telemetry_refused_table *table = &telemetry->refused;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct telemetry_refused_row *row = table->row[i];
        struct telemetry_refused shown = {
            .machine_id = row->machine_id,
            .code = telemetry_refusal_code(row->refusal),
            .why = row->why,
            .count = row->count,
            .last_at_ms = row->last_at_ms,
        };
        if (!each(cookie, &shown))
            return;
    }
}

void telemetry_refused_finish(struct telemetry_refused_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        mem_free(table->row[i]);
}
