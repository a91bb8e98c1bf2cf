/* The calls a board makes: claim and report, curve samples, hello, what it is doing now. */
#include "web/routes_int.h"

#include <string.h>

/* ---- update: a claim or an outcome ---- */

struct update {
    bool claims;
    enum queue_state outcome;
    struct id128 claim_id, journal_id, uid;
    struct str meta, reason;
    char machine_id[FLEET_ID_BYTES];
};

/* Words of the machine's kind, of the queue, and those a factory uses. */
static bool status_read(struct str word, struct update *update)
{
    static const struct {
        const char *word;
        enum queue_state state; /* RUNNING: a claim */
    } words[] = {
        {"running", QUEUE_RUNNING},     {"in_progress", QUEUE_RUNNING},
        {"complete", QUEUE_COMPLETE},   {"completed", QUEUE_COMPLETE},
        {"failed", QUEUE_FAILED},       {"rejected", QUEUE_REJECTED},
        {"cancelled", QUEUE_CANCELLED},
    };
    for (const struct kinds_kind *const *kind = kinds_all(); *kind != NULL; kind++) {
        if (kinds_word_running(*kind, word)) {
            update->claims = true;
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (str_equal_nocase(str_from(words[i].word), word)) {
            update->claims = words[i].state == QUEUE_RUNNING;
            update->outcome = words[i].state;
            return true;
        }
    }
    return false;
}

bool web_status_claims(struct str word)
{
    struct update update = {.claims = false};
    return status_read(word, &update) && update.claims;
}

/* "error" is what the documented sketches write, "reason" what our own device writes. */
static struct str reason_find(const json_t *meta)
{
    const json_t *reason = json_object_get(meta, "reason");
    if (!json_is_string(reason))
        reason = json_object_get(meta, "error");
    if (!json_is_string(reason) || json_string_length(reason) > 64)
        return STR_NONE;
    struct str text = {json_string_value(reason), json_string_length(reason)};
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return STR_NONE; /* prose stays in meta; a reason is a name */
    }
    return text;
}

static void answer_updated(struct web_call *call, const struct queue_grant *grant, bool stop)
{
    struct json_out *out = &call->out;
    out_open(out, NULL, '{');
    out_word(out, "status", "updated");
    out_u64(out, "command_id", call->number);
    if (grant != NULL) {
        out_i64(out, "start_within_ms", grant->start_within_ms);
        out_u64(out, "max_duration_s", grant->max_duration_s);
    }
    if (stop)
        out_bool(out, "stop", true);
    out_close(out, '}');
    web_reply_json(call, 200);
}

static void claim_done(void *cookie, enum err err, enum queue_verdict verdict,
                       const struct queue_grant *grant)
{
    struct web_call *call = cookie;
    if (err != ERR_OK)
        web_reply_err(call, err);
    else if (verdict != QUEUE_DONE)
        web_reply_verdict(call, verdict);
    else
        answer_updated(call, grant, grant->stop);
}

static void report_done(void *cookie, enum err err, enum queue_verdict verdict,
                        const struct queue_command *command)
{
    struct web_call *call = cookie;
    (void)command;
    if (err != ERR_OK)
        web_reply_err(call, err);
    else if (verdict != QUEUE_DONE)
        web_reply_verdict(call, verdict);
    else
        answer_updated(call, NULL, false);
}

static void update_send(struct web_call *call, const struct update *update)
{
    struct str machine_id = str_from(update->machine_id);
    enum err err;
    fleet_presence_seen(call->web->fleet, machine_id, web_now_ms(call->web),
                        web_mono_ms(call->web));
    if (update->claims) {
        struct queue_claim claim = {.command_id = call->number,
                                    .machine_id = machine_id,
                                    .claim_id = update->claim_id,
                                    .journal_id = update->journal_id,
                                    .uid = update->uid,
                                    .meta = update->meta,
                                    .actor = str_from(call->actor),
                                    .request_id = str_from(call->request_id)};
        err = queue_claim(call->web->queue, &claim, claim_done, call);
    } else {
        struct queue_report report = {.command_id = call->number,
                                      .machine_id = machine_id,
                                      .outcome = update->outcome,
                                      .claim_id = update->claim_id,
                                      .journal_id = update->journal_id,
                                      .uid = update->uid,
                                      .reason = update->reason,
                                      .meta = update->meta,
                                      .actor = str_from(call->actor),
                                      .request_id = str_from(call->request_id)};
        err = queue_report(call->web->queue, &report, report_done, call);
    }
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* --open speaks for whichever machine the command is for. */
static void update_owner(void *cookie, enum err err, enum queue_verdict verdict,
                         const struct queue_command *command)
{
    struct web_call *call = cookie;
    struct update *update = call->more;
    if (err != ERR_OK)
        web_reply_err(call, err);
    else if (verdict != QUEUE_DONE || command == NULL)
        web_reply_verdict(call, QUEUE_NO_COMMAND);
    else if (str_copy(update->machine_id, sizeof(update->machine_id), command->machine_id) !=
             ERR_OK)
        web_reply_err(call, ERR_INPUT);
    else
        update_send(call, update);
}

void web_command_update(struct web_call *call)
{
    struct update *update = arena_alloc(&call->scratch, sizeof(*update));
    if (update == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str status = STR_NONE;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "status", true, 32, &status);
    kinds_read_id128(&reader, "claim_id", false, &update->claim_id);
    kinds_read_id128(&reader, "journal_id", false, &update->journal_id);
    kinds_read_id128(&reader, "uid", false, &update->uid);
    const json_t *meta = kinds_read_object(&reader, "meta", false);
    if (status.at != NULL && str_equal_nocase(status, STR("pending")))
        update->outcome = QUEUE_PENDING;
    else if (status.at != NULL && !status_read(status, update))
        kinds_read_fault(&reader, "bad_value", "status", "There is no such status to report.");
    if (!web_read_end(call, &reader))
        return;
    if (!update->claims && update->outcome == QUEUE_PENDING) {
        web_reply_verdict(call, QUEUE_WRONG_STATE); /* nothing goes back to pending */
        return;
    }
    if (id128_is_zero(update->journal_id))
        update->journal_id = call->journal_id;
    update->meta = web_json_text(call, meta);
    if (update->meta.len > WEB_REPORT_META_BYTES_MAX) {
        web_reply_code(call, 413, "too_large", "A report's meta has at most 16 KiB.");
        return;
    }
    update->reason = reason_find(meta);
    call->more = update;
    if (call->caller.open) {
        enum err err = queue_show(call->web->queue, call->number, update_owner, call);
        if (err != ERR_OK)
            web_reply_err(call, err);
        return;
    }
    memcpy(update->machine_id, call->caller.machine_id, sizeof(update->machine_id));
    update_send(call, update);
}

/* ---- curve samples ---- */

struct curve {
    struct store_job job;
    struct web_call *call;
    const struct kinds_kind *kind;
    struct kinds_samples samples;
    struct str machine_id, created_by;
    int64_t at_ms;
    bool stop;
};

static enum err curve_run(struct store_job *job, struct store_db *db)
{
    struct curve *curve = (struct curve *)(void *)job;
    return curve->kind->curve_append(db, curve->call->number, &curve->samples, curve->at_ms);
}

static void answer_noted(struct web_call *call, bool stop)
{
    call->quiet = true;
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "status", "noted");
    if (stop)
        out_bool(&call->out, "stop", true);
    out_close(&call->out, '}');
    web_reply_json(call, 200);
}

static void curve_done(struct store_job *job, enum err err)
{
    struct curve *curve = (struct curve *)(void *)job;
    struct web_call *call = curve->call;
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    web_hub_progress(call->web->hub, call->number, curve->machine_id, curve->created_by,
                     curve->kind, &curve->samples);
    answer_noted(call, curve->stop);
}

static bool samples_read(struct web_call *call, const struct kinds_kind *kind,
                         struct id128 *ret_claim_id, struct kinds_samples *ret_samples)
{
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    web_read_body(call, &reader, &refusal);
    kinds_read_id128(&reader, "claim_id", false, ret_claim_id);
    (void)kinds_samples_read(kind, &reader, ret_samples);
    return web_read_end(call, &reader);
}

/* The machine whose running command this is, or none. */
static const struct fleet_machine *runner_find(struct web_call *call)
{
    struct web *web = call->web;
    if (!call->caller.open)
        return fleet_find(web->fleet, str_from(call->caller.machine_id));
    const struct fleet_machine *machine = fleet_next(web->fleet, STR(""));
    for (; machine != NULL; machine = fleet_next(web->fleet, str_from(machine->machine_id))) {
        struct queue_machine queued;
        if (queue_machine_get(web->queue, str_from(machine->machine_id), &queued) &&
            queued.active != NULL && queued.active->command_id == call->number)
            return machine;
    }
    return NULL;
}

static void no_runner(void *cookie, enum err err, enum queue_verdict verdict,
                      const struct queue_command *command)
{
    struct web_call *call = cookie;
    if (err != ERR_OK)
        web_reply_err(call, err);
    else if (verdict != QUEUE_DONE || command == NULL)
        web_reply_verdict(call, QUEUE_NO_COMMAND);
    else if (!call->caller.open &&
             !str_equal(command->machine_id, str_from(call->caller.machine_id)))
        web_reply_verdict(call, QUEUE_FOREIGN);
    else
        web_reply_verdict(call,
                          queue_state_final(command->state) ? QUEUE_SETTLED : QUEUE_WRONG_STATE);
}

void web_command_progress(struct web_call *call)
{
    struct web *web = call->web;
    const struct fleet_machine *machine = runner_find(call);
    struct queue_machine queued = {0};
    if (machine != NULL)
        (void)queue_machine_get(web->queue, str_from(machine->machine_id), &queued);
    struct curve *curve = arena_alloc(&call->scratch, sizeof(*curve));
    if (curve == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    const struct kinds_kind *kind =
        machine != NULL ? kinds_find(str_from(machine->kind)) : kinds_all()[0];
    struct id128 claim_id = {{0}};
    if (kind == NULL) {
        web_reply_code(call, 422, "unknown_kind", "This machine's kind has no curves.");
        return;
    }
    if (!samples_read(call, kind, &claim_id, &curve->samples))
        return;
    if (machine != NULL)
        fleet_presence_seen(web->fleet, str_from(machine->machine_id), web_now_ms(web),
                            web_mono_ms(web));
    enum queue_verdict verdict = QUEUE_WRONG_STATE;
    if (queued.active != NULL && queued.active->command_id == call->number)
        verdict = queue_progress(web->queue, call->number, str_from(machine->machine_id), claim_id,
                                 &curve->stop);
    if (verdict == QUEUE_WRONG_STATE) {
        enum err err = queue_show(web->queue, call->number, no_runner, call); /* say which */
        if (err != ERR_OK)
            web_reply_err(call, err);
        return;
    }
    if (verdict != QUEUE_DONE) {
        web_reply_verdict(call, verdict);
        return;
    }
    curve->job = (struct store_job){.run = curve_run, .done = curve_done};
    curve->call = call;
    curve->kind = kind;
    curve->at_ms = web_now_ms(web);
    curve->machine_id.at = arena_strdup(&call->scratch, str_from(machine->machine_id));
    curve->machine_id.len = strlen(machine->machine_id);
    curve->created_by.at = arena_strdup(&call->scratch, queued.active->created_by);
    curve->created_by.len = queued.active->created_by.len;
    enum err err = ERR_OK;
    if (curve->samples.step.len > 0)
        err = fleet_progress(web->fleet, curve->machine_id, curve->samples.step, STR_NONE,
                             web_now_ms(web), web_mono_ms(web));
    if (curve->machine_id.at == NULL || curve->created_by.at == NULL)
        err = ERR_NOMEM;
    if (err == ERR_OK)
        err = store_write(web->store, &curve->job);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

/* ---- what the machine is now ---- */

static json_t *sensors_with_faults(const json_t *sensors, const json_t *faults)
{
    json_t *both = sensors != NULL ? (json_copy)((json_t *)(uintptr_t)sensors) : json_object();
    if (both != NULL && faults != NULL &&
        json_object_set(both, "faults", (json_t *)(uintptr_t)faults) != 0) {
        json_decref(both);
        return NULL;
    }
    return both;
}

static void progress_machine(struct web_call *call, const struct fleet_machine *machine)
{
    (void)machine;
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    struct str step = STR_NONE, sensors_text = STR_NONE;
    web_read_body(call, &reader, &refusal);
    kinds_read_text(&reader, "step", false, FLEET_STEP_BYTES - 1, &step);
    const json_t *sensors = kinds_read_object(&reader, "sensors", false);
    const json_t *faults = kinds_read_array(&reader, "faults", false);
    for (size_t i = 0; i < json_array_size(faults); i++) {
        if (!json_is_string(json_array_get(faults, i)))
            kinds_read_fault(&reader, "wrong_type", "faults", "A fault is a text.");
    }
    if (!web_read_end(call, &reader))
        return;
    if (sensors != NULL || faults != NULL) {
        json_t *both = sensors_with_faults(sensors, faults);
        sensors_text = web_json_text(call, both);
        json_decref(both);
    }
    enum err err = fleet_progress(call->web->fleet, str_from(call->machine_id), step, sensors_text,
                                  web_now_ms(call->web), web_mono_ms(call->web));
    if (err == ERR_OK)
        answer_noted(call, false);
    else
        web_reply_err(call, err);
}

void web_machine_progress(struct web_call *call)
{
    if (web_speaks_for(call, str_from(call->machine_id)))
        web_machine_needed(call, STR("espresso"), progress_machine);
}

/* ---- hello ---- */

struct hello {
    struct fleet_hello words;
    const char *capabilities;
};

static void answer_waiting(struct web_call *call)
{
    out_open(&call->out, NULL, '{');
    out_word(&call->out, "admission", "waiting");
    out_close(&call->out, '}');
    web_reply_json(call, 202);
}

static void hello_queue_done(void *cookie, enum err err, enum queue_verdict verdict,
                             const struct queue_command *command)
{
    struct web_call *call = cookie;
    const struct fleet_machine *machine = fleet_find(call->web->fleet, str_from(call->machine_id));
    if (err != ERR_OK) {
        web_reply_err(call, err);
        return;
    }
    if (verdict != QUEUE_DONE || machine == NULL) {
        web_reply_verdict(call, verdict);
        return;
    }
    const struct hello *hello = call->more;
    show_welcome(&call->out, call->web, machine, command, hello->words.journal_id);
    web_reply_json(call, 200);
}

static void hello_noted(void *cookie, enum err err, const struct fleet_machine *machine,
                        enum fleet_hello_note note)
{
    struct web_call *call = cookie;
    const struct hello *hello = call->more;
    (void)machine;
    (void)note;
    if (err == ERR_OK)
        err = queue_hello(call->web->queue, str_from(call->machine_id), hello->words.journal_id,
                          str_from(call->actor), hello_queue_done, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

static void hello_known(struct web_call *call, const struct fleet_machine *machine)
{
    (void)machine;
    const struct hello *hello = call->more;
    enum err err = fleet_hello(call->web->fleet, web_fleet_by(call), web_mono_ms(call->web),
                               str_from(call->machine_id), &hello->words, hello_noted, call);
    if (err != ERR_OK)
        web_reply_err(call, err);
}

static void announced(void *cookie, enum err err, const struct fleet_machine *machine)
{
    struct web_call *call = cookie;
    (void)machine;
    if (err == ERR_OK)
        answer_waiting(call);
    else if (err == ERR_CONFLICT)
        web_reply_code(call, 401, "unauthenticated", "This is not the token of that machine.");
    else
        web_reply_err(call, err);
}

/* The kind a board says it is; one that does not say is of the first. */
static struct str kind_said(const json_t *capabilities)
{
    const char *name = json_string_value(json_object_get(capabilities, "kind"));
    return name != NULL ? str_from(name) : STR("espresso");
}

static void hello_announce(struct web_call *call, const json_t *capabilities)
{
    const struct kinds_kind *kind = kinds_find(kind_said(capabilities));
    if (kind == NULL) {
        web_reply_code(call, 422, "unknown_kind", "There is no such kind of machine.");
        return;
    }
    enum err err = fleet_announce(call->web->fleet, web_fleet_by(call), str_from(call->machine_id),
                                  str_from(kind->name), call->announced_token, announced, call);
    if (err == ERR_INPUT)
        web_reply_code(call, 401, "unauthenticated",
                       "An announcing device's token has 32 to 128 visible characters.");
    else if (err == ERR_CONFLICT)
        announced(call, err, NULL);
    else if (err != ERR_OK)
        web_reply_err(call, err);
}

/* The board's journal is its own business; what it says here is looked at for its form only, so
 * that a board with another idea of the message hears of it. */
static bool journal_check(struct web_call *call, const json_t *journal)
{
    for (size_t i = 0; i < json_array_size(journal); i++) {
        struct kinds_refusal refusal;
        struct kinds_reader reader;
        struct id128 id;
        int64_t number;
        struct str state = STR_NONE;
        kinds_read_begin(&reader, json_array_get(journal, i), "journal", &refusal);
        kinds_read_id128(&reader, "uid", true, &id);
        (void)kinds_read_i64(&reader, "command_id", false, 1, INT64_C(1) << 53, &number);
        kinds_read_id128(&reader, "claim_id", false, &id);
        kinds_read_text(&reader, "state", true, 16, &state);
        if (state.at != NULL && !str_equal(state, STR("started")) && !str_equal(state, STR("done")))
            kinds_read_fault(&reader, "bad_value", "state", "An entry is started or done.");
        if (!web_read_end(call, &reader))
            return false;
    }
    return true;
}

void web_hello(struct web_call *call)
{
    struct hello *hello = arena_alloc(&call->scratch, sizeof(*hello));
    struct kinds_refusal refusal;
    struct kinds_reader reader;
    if (hello == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    call->more = hello;
    web_read_body(call, &reader, &refusal);
    kinds_read_id128(&reader, "boot_id", true, &hello->words.boot_id);
    kinds_read_id128(&reader, "journal_id", true, &hello->words.journal_id);
    kinds_read_text(&reader, "firmware", false, FLEET_ID_BYTES - 1, &hello->words.firmware);
    const json_t *capabilities = kinds_read_object(&reader, "capabilities", false);
    const json_t *journal = kinds_read_array(&reader, "journal", false);
    if (!web_read_end(call, &reader) || !journal_check(call, journal))
        return;
    hello->words.capabilities = web_json_text(call, capabilities);
    if (call->announced_token.at != NULL) {
        hello_announce(call, capabilities);
        return;
    }
    if (!web_speaks_for(call, str_from(call->machine_id)))
        return;
    if (call->caller.kind == WEB_DEVICE && call->caller.device_err == ERR_AGAIN)
        answer_waiting(call);
    else if (kinds_find(kind_said(capabilities)) == NULL)
        web_machine_needed(call, STR("espresso"), hello_known);
    else
        web_machine_needed(call, kind_said(capabilities), hello_known);
}
