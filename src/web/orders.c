/* What people do with commands: look, cancel, approve, settle. */
#include "web/routes_int.h"

/* Who may see everybody's sees this; who may see only their own must have made it.  An order that
 * is not theirs looks like one that is not there. */
static bool visible(const struct web_call *call, const struct queue_command *command,
                    enum access_permission everybody)
{
    return access_allows(call->caller.role, everybody) ||
           str_equal(command->created_by, str_from(call->actor));
}

static bool found(struct web_call *call, enum err err, enum queue_verdict verdict,
                  const struct queue_command *command, enum access_permission everybody)
{
    if (err != ERR_OK)
        web_reply_err(call, err);
    else if (verdict != QUEUE_DONE)
        web_reply_verdict(call, verdict);
    else if (command == NULL || !visible(call, command, everybody))
        web_reply_verdict(call, QUEUE_NO_COMMAND);
    else
        return true;
    return false;
}

/* ---- show ---- */

static void show_done(void *cookie, enum err err, enum queue_verdict verdict,
                      const struct queue_command *command)
{
    struct web_call *call = cookie;
    if (!found(call, err, verdict, command, ACCESS_COMMAND_READ))
        return;
    show_command(&call->out, NULL, command);
    web_reply_json(call, 200);
}

void web_command_show(struct web_call *call)
{
    enum err err = queue_show(call->web->queue, call->number, show_done, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- list ---- */

static void list_done(void *cookie, enum err err, const struct queue_command *commands,
                      size_t command_count, bool more)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_open(out, "items", '[');
    for (size_t i = 0; i < command_count; i++)
        show_command(out, NULL, &commands[i]);
    out_close(out, ']');
    if (more && command_count > 0) {
        const char *next = arena_printf(&call->scratch, "%llu",
                                        (unsigned long long)commands[command_count - 1].command_id);
        out_word(out, "next", next);
    } else {
        out_null(out, "next");
    }
    out_close(out, '}');
    web_reply_json(call, 200);
}

static bool bad_parameter(struct web_call *call, const char *name)
{
    web_reply_problem(call, &(struct web_problem){.status = 400,
                                                  .code = "bad_value",
                                                  .detail = "This parameter cannot be meant.",
                                                  .field = name});
    return false;
}

static bool time_parameter(struct web_call *call, const char *name, int64_t *ret_ms)
{
    struct str text;
    if (!web_read_query(call, name, &text))
        return false;
    if (text.at != NULL && time_parse(text, ret_ms) != ERR_OK)
        return bad_parameter(call, name);
    return true;
}

static bool filter_read(struct web_call *call, struct queue_filter *filter)
{
    struct str state, status, cursor;
    enum queue_state parsed;
    if (!web_read_page(call, &filter->limit, &cursor) ||
        !web_read_query(call, "machine_id", &filter->machine_id) ||
        !web_read_query(call, "state", &state) || !web_read_query(call, "status", &status) ||
        !time_parameter(call, "from", &filter->from_ms) ||
        !time_parameter(call, "to", &filter->to_ms))
        return false;
    if (cursor.at != NULL &&
        (str_to_u64(cursor, &filter->before_id) != ERR_OK || filter->before_id == 0))
        return bad_parameter(call, "cursor");
    if (filter->machine_id.at != NULL && !id_valid(filter->machine_id))
        return bad_parameter(call, "machine_id");
    if (state.at != NULL) {
        if (!queue_state_parse(state, &parsed))
            return bad_parameter(call, "state");
        filter->states = 1u << (unsigned)parsed;
    }
    /* The word people know: what a kind calls its running ("brewing"). */
    if (status.at != NULL) {
        bool running = false;
        for (const struct kinds_kind *const *kind = kinds_all(); *kind != NULL; kind++)
            running = running || kinds_word_running(*kind, status);
        if (running)
            parsed = QUEUE_RUNNING;
        else if (!queue_state_parse(status, &parsed))
            return bad_parameter(call, "status");
        filter->states =
            (filter->states == 0 ? UINT32_MAX : filter->states) & (1u << (unsigned)parsed);
        if (filter->states == 0)
            return bad_parameter(call, "status"); /* it contradicts the state asked for beside it */
    }
    return true;
}

void web_command_list(struct web_call *call)
{
    struct queue_filter filter = {.machine_id = STR_NONE};
    if (!filter_read(call, &filter))
        return;
    if (!access_allows(call->caller.role, ACCESS_COMMAND_READ))
        filter.created_by = str_from(call->actor);
    enum err err = queue_list(call->web->queue, &filter, list_done, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- history ---- */

static void history_done(void *cookie, enum err err, const struct queue_history *rows,
                         size_t row_count)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_open(out, "items", '[');
    for (size_t i = 0; i < row_count; i++) {
        const struct queue_history *row = &rows[i];
        out_open(out, NULL, '{');
        out_u64(out, "history_id", row->history_id);
        out_word(out, "old_status", row->has_old ? queue_state_name(row->old_state) : NULL);
        out_word(out, "new_status", queue_state_name(row->new_state));
        out_raw(out, "meta_snapshot", row->meta, "null");
        out_time(out, "changed_at", row->changed_at_ms);
        out_text(out, "actor", row->actor);
        out_close(out, '}');
    }
    out_close(out, ']');
    out_null(out, "next");
    out_close(out, '}');
    web_reply_json(call, 200);
}

static void history_shown(void *cookie, enum err err, enum queue_verdict verdict,
                          const struct queue_command *command)
{
    struct web_call *call = cookie;
    if (!found(call, err, verdict, command, ACCESS_COMMAND_READ))
        return;
    err = queue_history(call->web->queue, call->number, history_done, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_command_history(struct web_call *call)
{
    enum err err = queue_show(call->web->queue, call->number, history_shown, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- curve ---- */

struct curve_read {
    struct store_job job;
    struct web_call *call;
    const struct kinds_kind *kind;
};

static enum err curve_run(struct store_job *job, struct store_db *db)
{
    struct curve_read *read = (struct curve_read *)(void *)job;
    return read->kind->curve_read(db, read->call->number, &read->call->answer);
}

static void curve_done(struct store_job *job, enum err err)
{
    struct curve_read *read = (struct curve_read *)(void *)job;
    if (err == ERR_OK)
        web_reply_json(read->call, 200);
    else
        web_reply_err(read->call, err);
}

static void curve_shown(void *cookie, enum err err, enum queue_verdict verdict,
                        const struct queue_command *command)
{
    struct web_call *call = cookie;
    if (!found(call, err, verdict, command, ACCESS_COMMAND_READ))
        return;
    const struct kinds_kind *kind = kinds_find(command->kind);
    if (kind == NULL) {
        out_open(&call->out, NULL, '{');
        for (size_t i = 0; i < 3; i++) {
            static const char *const names[] = {"columns", "samples", "steps"};
            out_open(&call->out, names[i], '[');
            out_close(&call->out, ']');
        }
        out_close(&call->out, '}');
        web_reply_json(call, 200);
        return;
    }
    struct curve_read *read = arena_alloc(&call->scratch, sizeof(*read));
    err = ERR_NOMEM;
    if (read != NULL) {
        *read = (struct curve_read){
            .job = {.run = curve_run, .done = curve_done}, .call = call, .kind = kind};
        err = store_read(call->web->store, &read->job);
    }
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_command_curve(struct web_call *call)
{
    enum err err = queue_show(call->web->queue, call->number, curve_shown, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- cancel, approve, settle ---- */

static bool body_empty(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    web_read_body(call, &reader, &refusal);
    return web_read_end(call, &reader);
}

static struct queue_order order_of(const struct web_call *call)
{
    return (struct queue_order){.command_id = call->number,
                                .actor = str_from(call->actor),
                                .request_id = str_from(call->request_id)};
}

static void changed(void *cookie, enum err err, enum queue_verdict verdict,
                    const struct queue_command *command)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    if (verdict != QUEUE_DONE || command == NULL) {
        web_reply_verdict(call, verdict);
        return;
    }
    out_open(&call->out, NULL, '{');
    show_command(&call->out, "command", command);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

static void cancelled(void *cookie, enum err err, enum queue_verdict verdict,
                      const struct queue_command *command)
{
    struct web_call *call = cookie;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    if (verdict != QUEUE_DONE || command == NULL) {
        web_reply_verdict(call, verdict);
        return;
    }
    bool over = command->state == QUEUE_CANCELLED;
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "result", over ? "cancelled" : "stop_requested");
    show_command(&call->out, "command", command);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

static void cancel_shown(void *cookie, enum err err, enum queue_verdict verdict,
                         const struct queue_command *command)
{
    struct web_call *call = cookie;
    if (!found(call, err, verdict, command, ACCESS_COMMAND_CANCEL))
        return;
    struct queue_order order = order_of(call);
    err = queue_cancel(call->web->queue, &order, cancelled, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_command_cancel(struct web_call *call)
{
    if (!body_empty(call))
        return;
    enum err err = queue_show(call->web->queue, call->number, cancel_shown, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_command_approve(struct web_call *call)
{
    if (!body_empty(call))
        return;
    struct queue_order order = order_of(call);
    enum err err = queue_approve(call->web->queue, &order, changed, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_command_settle(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str outcome = STR_NONE, evidence = STR_NONE;
    struct queue_order order = order_of(call);
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "outcome", true, 16, &outcome);
    kinds_read_text(&reader, "evidence", true, 2000, &evidence);
    if (outcome.at != NULL) {
        order.outcome = str_equal(outcome, STR("complete")) ? QUEUE_COMPLETE : QUEUE_FAILED;
        if (order.outcome == QUEUE_FAILED && !str_equal(outcome, STR("failed")))
            kinds_read_fault(&reader, "bad_value", "outcome", "An outcome is complete or failed.");
    }
    if (!web_read_end(call, &reader))
        return;
    order.note = evidence;
    enum err err = queue_settle(call->web->queue, &order, changed, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}
