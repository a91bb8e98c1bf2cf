/* Alerts and the audit chain. */
#include "web/routes_int.h"

struct records {
    struct store_job job;
    struct web_call *call;
    uint32_t limit;
    uint64_t before_id;
    bool open_only;
    int64_t at_ms;
    struct record_alert *alerts;
    struct record_row *rows;
    size_t count;
    struct record_alert alert;
    struct record_walk walk;
};

static struct records *records_begin(struct web_call *call,
                                     enum err (*run)(struct store_job *, struct store_db *),
                                     void (*done)(struct store_job *, enum err))
{
    struct records *records = arena_alloc(&call->scratch, sizeof(*records));
    if (records == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return NULL;
    }
    records->job.run = run;
    records->job.done = done;
    records->call = call;
    return records;
}

static bool page_read(struct web_call *call, struct records *records)
{
    struct str cursor;
    if (!web_read_page(call, &records->limit, &cursor))
        return false;
    if (cursor.at == NULL ||
        (str_to_u64(cursor, &records->before_id) == ERR_OK && records->before_id > 0))
        return true;
    web_reply_problem(call, &(struct web_problem){.status = 400,
                                                  .code = "bad_value",
                                                  .detail = "This is no cursor of ours.",
                                                  .field = "cursor"});
    return false;
}

/* Rooms below may use the call's scratch on the reader thread: the loop leaves it alone until
 * `done`. */
static enum err alerts_run(struct store_job *job, struct store_db *db)
{
    struct records *records = (struct records *)(void *)job;
    return record_alert_list(db, records->open_only, records->before_id, records->limit,
                             &records->call->scratch, &records->alerts, &records->count);
}

static void show_next(struct web_call *call, size_t count, uint32_t limit, uint64_t last_id)
{
    if (count < limit)
        out_null(&call->out, "next");
    else
        out_word(&call->out, "next",
                 arena_printf(&call->scratch, "%llu", (unsigned long long)last_id));
}

static void alerts_done(struct store_job *job, enum err err)
{
    struct records *records = (struct records *)(void *)job;
    struct web_call *call = records->call;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    for (size_t i = 0; i < records->count; i++)
        show_alert(&call->out, NULL, &records->alerts[i]);
    out_close(&call->out, ']');
    show_next(call, records->count, records->limit,
              records->count > 0 ? records->alerts[records->count - 1].alert_id : 0);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_alert_list(struct web_call *call)
{
    struct records *records = records_begin(call, alerts_run, alerts_done);
    struct str state;
    if (records == NULL || !page_read(call, records) || !web_read_query(call, "state", &state))
        return;
    records->open_only = state.at == NULL || str_equal(state, STR("open"));
    if (!records->open_only && !str_equal(state, STR("all"))) {
        web_reply_problem(call, &(struct web_problem){.status = 400,
                                                      .code = "bad_value",
                                                      .detail = "state is open or all.",
                                                      .field = "state"});
        return;
    }
    enum err err = store_read(call->web->store, &records->job);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

static enum err acknowledge_run(struct store_job *job, struct store_db *db)
{
    struct records *records = (struct records *)(void *)job;
    struct web_call *call = records->call;
    enum err err =
        record_alert_acknowledge(db, call->number, str_from(call->actor), records->at_ms);
    if (err == ERR_OK)
        err = record_alert_show(db, call->number, &call->scratch, &records->alert);
    if (err != ERR_OK)
        return err;
    const char *subject =
        arena_printf(&call->scratch, "alert:%llu", (unsigned long long)call->number);
    if (subject == NULL)
        return ERR_NOMEM;
    return record_audit(db, &(struct record_entry){.at_ms = records->at_ms,
                                                   .actor = str_from(call->actor),
                                                   .action = STR("alert.acknowledge"),
                                                   .subject = str_from(subject),
                                                   .request_id = str_from(call->request_id)});
}

static void acknowledge_done(struct store_job *job, enum err err)
{
    struct records *records = (struct records *)(void *)job;
    struct web_call *call = records->call;
    if (err == ERR_NOT_FOUND) {
        web_reply_code(call, 404, "unknown_alert", "There is no such alert.");
        return;
    }
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    web_hub_records(call->web->hub);
    out_open(&call->out, NULL, '{');
    show_alert(&call->out, "alert", &records->alert);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_alert_acknowledge(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    web_read_body(call, &reader, &refusal);
    if (!web_read_end(call, &reader))
        return;
    struct records *records = records_begin(call, acknowledge_run, acknowledge_done);
    if (records == NULL)
        return;
    records->at_ms = web_now_ms(call->web);
    enum err err = store_write(call->web->store, &records->job);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- audit ---- */

static enum err audit_run(struct store_job *job, struct store_db *db)
{
    struct records *records = (struct records *)(void *)job;
    return record_audit_list(db, records->before_id, records->limit, STR_NONE, STR_NONE,
                             &records->call->scratch, &records->rows, &records->count);
}

static void audit_done(struct store_job *job, enum err err)
{
    struct records *records = (struct records *)(void *)job;
    struct web_call *call = records->call;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    out_open(&call->out, NULL, '{');
    out_open(&call->out, "items", '[');
    for (size_t i = 0; i < records->count; i++)
        show_audit(&call->out, NULL, &records->rows[i]);
    out_close(&call->out, ']');
    show_next(call, records->count, records->limit,
              records->count > 0 ? records->rows[records->count - 1].audit_id : 0);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

void web_audit_list(struct web_call *call)
{
    struct records *records = records_begin(call, audit_run, audit_done);
    if (records == NULL || !page_read(call, records))
        return;
    enum err err = store_read(call->web->store, &records->job);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

#define WALK_ROWS 2000 /* a job: the reader serves others in between */

static enum err walk_run(struct store_job *job, struct store_db *db)
{
    struct records *records = (struct records *)(void *)job;
    return record_audit_verify(db, WALK_ROWS, &records->walk);
}

static void walk_done(struct store_job *job, enum err err)
{
    struct records *records = (struct records *)(void *)job;
    struct web_call *call = records->call;
    const struct record_walk *walk = &records->walk;
    if (err == ERR_OK && !walk->finished && walk->broken_id == 0)
        err = store_read(call->web->store, &records->job);
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    if (!walk->finished && walk->broken_id == 0)
        return;
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_bool(out, "intact", walk->broken_id == 0);
    out_u64(out, "entries", walk->entries);
    if (walk->broken_id == 0) {
        out_hex(out, "head", walk->hash, sizeof(walk->hash));
    } else {
        out_u64(out, "first_broken", walk->broken_id);
        out_word(out, "why", walk->why != NULL ? walk->why : "does not fit the chain");
    }
    out_close(out, '}');
    web_reply_json(call, 200);
}

void web_audit_verify(struct web_call *call)
{
    struct records *records = records_begin(call, walk_run, walk_done);
    if (records == NULL)
        return;
    enum err err = store_read(call->web->store, &records->job);
    if (err != ERR_OK)
        web_reply_err(call, err);
}
