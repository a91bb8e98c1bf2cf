/* Machines as staff see and manage them. */
#include "web/routes_int.h"

static bool sees_all(const struct web_call *call)
{
    return access_allows(call->caller.role, ACCESS_COMMAND_READ);
}

static void answer_machine(struct web_call *call, uint16_t status,
                           const struct fleet_machine *machine)
{
    out_open(&call->out, NULL, '{');
    show_machine(&call->out, "machine", call->web, machine, sees_all(call));
    out_close(&call->out, '}');
    web_reply_json(call, status);
}

static void machine_changed(void *cookie, enum err err, const struct fleet_machine *machine)
{
    struct web_call *call = cookie;
    if (err == ERR_OK)
        answer_machine(call, 200, machine);
    else
        web_reply_err(call, err);
}

static const struct fleet_machine *machine_find(struct web_call *call)
{
    const struct fleet_machine *machine = fleet_find(call->web->fleet, str_from(call->machine_id));
    if (machine == NULL)
        web_reply_code(call, 404, "unknown_machine", "There is no machine of this name.");
    return machine;
}

static bool body_empty(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    web_read_body(call, &reader, &refusal);
    return web_read_end(call, &reader);
}

/* ---- look ---- */

void web_machine_list(struct web_call *call)
{
    uint32_t limit;
    struct str cursor;
    if (!web_read_page(call, &limit, &cursor))
        return;
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_open(out, "items", '[');
    const struct fleet_machine *machine =
        fleet_next(call->web->fleet, cursor.at != NULL ? cursor : STR(""));
    struct str last = STR_NONE;
    for (uint32_t i = 0; machine != NULL && i < limit; i++) {
        show_machine(out, NULL, call->web, machine, sees_all(call));
        last = str_from(machine->machine_id);
        machine = fleet_next(call->web->fleet, last);
    }
    out_close(out, ']');
    out_text(out, "next", machine != NULL ? last : STR_NONE);
    out_close(out, '}');
    web_reply_json(call, 200);
}

void web_machine_show(struct web_call *call)
{
    const struct fleet_machine *machine = machine_find(call);
    if (machine == NULL)
        return;
    show_machine(&call->out, NULL, call->web, machine, sees_all(call));
    web_reply_json(call, 200);
}

/* ---- add ---- */

static void machine_added(void *cookie, enum err err, const struct fleet_machine *machine,
                          int64_t token_id, const char *token)
{
    struct web_call *call = cookie;
    (void)token_id;
    if (err == ERR_CONFLICT) {
        web_reply_code(call, 409, "machine_exists", "A machine has this name already.");
        return;
    }
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    out_open(&call->out, NULL, '{');
    show_machine(&call->out, "machine", call->web, machine, sees_all(call));
    out_word(&call->out, "token", token);
    out_close(&call->out, '}');
    web_reply_json(call, 201);
}

static void check_kind(struct kinds_reader *reader, struct str kind_name, const json_t *config,
                       struct kinds_refusal *refusal)
{
    const struct kinds_kind *kind = kind_name.at != NULL ? kinds_find(kind_name) : NULL;
    if (kind_name.at != NULL && kind == NULL) {
        kinds_read_fault(reader, "unknown_kind", "kind", "There is no such kind of machine.");
        return;
    }
    /* The kind's check fills the same refusal; the reader only has to know that there is one. */
    if (kind != NULL && config != NULL && kinds_read_ok(reader) &&
        kind->check_config(config, refusal) != ERR_OK)
        reader->object = NULL;
}

void web_machine_add(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct fleet_add add = {.machine_id = STR_NONE, .kind = STR_NONE};
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "machine_id", true, ID_BYTES_MAX, &add.machine_id);
    kinds_read_text(&reader, "kind", true, ID_BYTES_MAX, &add.kind);
    kinds_read_text(&reader, "name", false, FLEET_NAME_BYTES - 1, &add.name);
    const json_t *config = kinds_read_object(&reader, "config", false);
    if (add.machine_id.at != NULL && !id_valid(add.machine_id))
        kinds_read_fault(&reader, "bad_value", "machine_id",
                         "A name has letters, digits, dot, dash and underscore.");
    check_kind(&reader, add.kind, config, &refusal);
    if (!web_read_end(call, &reader))
        return;
    add.config = web_json_text(call, config);
    enum err err =
        fleet_machine_add(call->web->fleet, web_fleet_by(call), &add, machine_added, call);
    if (err == ERR_CONFLICT)
        machine_added(call, err, NULL, 0, NULL);
    else if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- hold and release ---- */

static void held(void *cookie, enum err err, enum queue_verdict verdict,
                 const struct queue_command *command)
{
    struct web_call *call = cookie;
    (void)command;
    const struct fleet_machine *machine = fleet_find(call->web->fleet, str_from(call->machine_id));
    if (err != ERR_OK)
        web_reply_err(call, err);
    else if (verdict != QUEUE_DONE)
        web_reply_verdict(call, verdict);
    else if (machine == NULL)
        web_reply_code(call, 404, "unknown_machine", "There is no machine of this name.");
    else
        answer_machine(call, 200, machine);
}

static void hold_or_release(struct web_call *call, const char *field, bool required,
                            enum err (*act)(struct queue *, const struct queue_order *,
                                            queue_done *, void *))
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str note = STR_NONE;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, field, required, 500, &note);
    if (!web_read_end(call, &reader) || machine_find(call) == NULL)
        return;
    struct queue_order order = {.machine_id = str_from(call->machine_id),
                                .note = note,
                                .actor = str_from(call->actor),
                                .request_id = str_from(call->request_id)};
    enum err err = act(call->web->queue, &order, held, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_machine_hold(struct web_call *call)
{
    hold_or_release(call, "reason", true, queue_hold);
}

void web_machine_release(struct web_call *call)
{
    hold_or_release(call, "note", false, queue_release);
}

/* ---- admission and configuration ---- */

static void admission_set(struct web_call *call, enum fleet_admission admission)
{
    if (!body_empty(call) || machine_find(call) == NULL)
        return;
    enum err err =
        fleet_admission_set(call->web->fleet, web_fleet_by(call), str_from(call->machine_id),
                            admission, machine_changed, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

void web_machine_admit(struct web_call *call)
{
    admission_set(call, FLEET_ADMITTED);
}

void web_machine_block(struct web_call *call)
{
    admission_set(call, FLEET_BLOCKED);
}

void web_machine_configure(struct web_call *call)
{
    const struct fleet_machine *machine = machine_find(call);
    if (machine == NULL)
        return;
    const struct kinds_kind *kind = kinds_find(str_from(machine->kind));
    struct kinds_refusal refusal;
    if (kind != NULL && kind->check_config(call->body, &refusal) != ERR_OK) {
        web_reply_refusal(call, &refusal);
        return;
    }
    struct str config = web_json_text(call, call->body);
    enum err err = fleet_config_set(call->web->fleet, web_fleet_by(call),
                                    str_from(call->machine_id), config, 0, machine_changed, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- name and metadata ---- */

void web_machine_describe(struct web_call *call)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str name = STR_NONE;
    web_read_body(call, &reader, &refusal);
    const json_t *given = kinds_read_any(&reader, "name", false);
    const json_t *metadata = kinds_read_object(&reader, "metadata", false);
    if (given != NULL && !json_is_string(given))
        kinds_read_fault(&reader, "wrong_type", "name", "A name is a text.");
    else if (given != NULL)
        name = (struct str){json_string_value(given), json_string_length(given)};
    if (name.len >= FLEET_NAME_BYTES)
        kinds_read_fault(&reader, "bad_value", "name", "A name has at most 128 bytes.");
    if (name.at == NULL && metadata == NULL)
        kinds_read_fault(&reader, "missing_field", "name", "There is nothing to change.");
    if (!web_read_end(call, &reader) || machine_find(call) == NULL)
        return;
    struct str text = web_json_text(call, metadata);
    if (text.len > FLEET_BLOB_BYTES_MAX) {
        web_reply_code(call, 413, "too_large", "Metadata has at most 4 KiB.");
        return;
    }
    enum err err = fleet_describe(call->web->fleet, web_fleet_by(call), str_from(call->machine_id),
                                  name, text, machine_changed, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- tokens ---- */

void web_machine_token_list(struct web_call *call)
{
    const struct fleet_machine *machine = machine_find(call);
    if (machine == NULL)
        return;
    struct fleet_token tokens[FLEET_TOKENS_MAX];
    size_t count = fleet_token_list(call->web->fleet, machine, tokens);
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_open(out, "items", '[');
    for (size_t i = 0; i < count; i++) {
        out_open(out, NULL, '{');
        out_i64(out, "token_id", tokens[i].token_id);
        out_time(out, "created_at", tokens[i].created_at_ms);
        out_time(out, "last_used_at", tokens[i].last_used_at_ms);
        out_close(out, '}');
    }
    out_close(out, ']');
    out_null(out, "next");
    out_close(out, '}');
    web_reply_json(call, 200);
}

static void token_made(void *cookie, enum err err, const struct fleet_machine *machine,
                       int64_t token_id, const char *token)
{
    struct web_call *call = cookie;
    (void)machine;
    if (err == ERR_CONFLICT) {
        web_reply_code(call, 409, "too_many_tokens", "A machine has four tokens at most.");
        return;
    }
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    out_open(&call->out, NULL, '{');
    out_i64(&call->out, "token_id", token_id);
    out_word(&call->out, "token", token);
    out_close(&call->out, '}');
    web_reply_json(call, 201);
}

void web_machine_token_add(struct web_call *call)
{
    if (!body_empty(call) || machine_find(call) == NULL)
        return;
    enum err err = fleet_token_create(call->web->fleet, web_fleet_by(call),
                                      str_from(call->machine_id), STR(""), token_made, call);
    if (err == ERR_CONFLICT)
        token_made(call, err, NULL, 0, NULL);
    else if (err != ERR_OK)
        web_reply_err(call, err);
}

static void token_revoked(void *cookie, enum err err, const struct fleet_machine *machine)
{
    struct web_call *call = cookie;
    (void)machine;
    if (err == ERR_OK)
        web_reply_empty(call, 204);
    else if (err == ERR_NOT_FOUND)
        web_reply_code(call, 404, "unknown_token", "This machine has no such token.");
    else
        web_reply_err(call, err);
}

void web_machine_token_revoke(struct web_call *call)
{
    if (machine_find(call) == NULL)
        return;
    enum err err =
        fleet_token_revoke(call->web->fleet, web_fleet_by(call), str_from(call->machine_id),
                           (int64_t)call->number, token_revoked, call);
    if (err != ERR_OK)
        token_revoked(call, err, NULL);
}
