/* What boards say over MQTT: each message becomes the call it would be over HTTP, and its answer
 * the message that the board waits for (queue rule 11: the same on every road). */
#include "web/json_in.h"
#include "web/mqtt_int.h"
#include "web/routes_int.h"

#include <string.h>

/* Rows beside the table: what the log calls these calls, and the right that answers to them. */
static const struct web_route hello_route = {.pattern = "mqtt machines/{machine}/hello",
                                             .method = HTTP_POST,
                                             .permission = ACCESS_DEVICE_SPEAK,
                                             .body = WEB_BODY_REQUIRED,
                                             .handle = web_hello};
static const struct web_route claim_route = {.pattern = "mqtt machines/{machine}/claim",
                                             .method = HTTP_POST,
                                             .permission = ACCESS_DEVICE_SPEAK,
                                             .body = WEB_BODY_REQUIRED,
                                             .handle = web_command_update};
static const struct web_route report_route = {.pattern = "mqtt machines/{machine}/report",
                                              .method = HTTP_POST,
                                              .permission = ACCESS_DEVICE_SPEAK,
                                              .body = WEB_BODY_REQUIRED,
                                              .handle = web_command_update};
static const struct web_route curve_route = {.pattern = "mqtt machines/{machine}/progress command",
                                             .method = HTTP_POST,
                                             .permission = ACCESS_DEVICE_SPEAK,
                                             .body = WEB_BODY_REQUIRED,
                                             .handle = web_command_progress};
static const struct web_route progress_route = {.pattern = "mqtt machines/{machine}/progress",
                                                .method = HTTP_POST,
                                                .permission = ACCESS_DEVICE_SPEAK,
                                                .body = WEB_BODY_REQUIRED,
                                                .handle = web_machine_progress};

/* One message on its way. */
struct talk {
    struct web *web;
    struct bus_pending *pending;
    json_t *body; /* until the call has it */
    uint64_t command_id;
    struct id128 uid, claim_id, journal_id, boot_id;
    struct bus_from from;
    const char *request_id;
    struct str machine_id; /* of the topic; into id */
    char id[FLEET_ID_BYTES];
};

static void talk_free(struct talk *talk)
{
    json_decref(talk->body);
    mem_free(talk);
}

static void talk_end(struct talk *talk, enum bus_verdict verdict)
{
    web_mqtt_done(talk->pending, verdict);
    talk_free(talk);
}

/* 3.1.1 knows one PUBACK: stored, or refused for good.  What may be tried again is not
 * acknowledged. */
static enum bus_verdict verdict_of(uint16_t status)
{
    if (status >= 200 && status < 300)
        return BUS_OK;
    if (status >= 500 || status == 429)
        return BUS_LATER;
    return status == 400 || status == 413 ? BUS_BAD_PAYLOAD : BUS_REFUSED;
}

static void refuse_now(const struct bus_message *message, struct bus_pending *pending,
                       enum bus_verdict verdict, const char *why)
{
    log_line(LOG_INFO, "message_refused", "request_id", "%s", message->request_id, "why", "%s", why,
             NULL);
    web_mqtt_done(pending, verdict);
}

/* The topic, who speaks, the JSON.  NULL: the message is done. */
static struct talk *talk_begin(void *cookie, const struct bus_message *message,
                               struct bus_pending *pending)
{
    struct web *web = ((struct web_door *)cookie)->web;
    enum wire_topic topic;
    struct str machine_id;
    struct json_fault fault;
    struct talk *talk = NULL;
    if (web == NULL || web->stopping) {
        web_mqtt_done(pending, BUS_LATER);
        return NULL;
    }
    if (!wire_topic_read(message->topic, &topic, &machine_id, NULL) ||
        !web_mqtt_speaks(&message->from, machine_id)) {
        refuse_now(message, pending, BUS_REFUSED, "not its own machine");
        return NULL;
    }
    if (message->payload.len > WEB_BODY_BYTES_MAX || (talk = mem_zalloc(sizeof(*talk))) == NULL) {
        refuse_now(message, pending, talk == NULL ? BUS_BAD_PAYLOAD : BUS_LATER, "too large");
        return NULL;
    }
    talk->web = web;
    talk->pending = pending;
    talk->from = message->from;
    talk->request_id = message->request_id;
    enum err err = str_copy(talk->id, sizeof(talk->id), machine_id);
    talk->machine_id = str_from(talk->id);
    if (err == ERR_OK)
        err = json_in(message->payload, &talk->body, &fault);
    if (err == ERR_OK)
        return talk;
    bool bad = err == ERR_INPUT;
    refuse_now(message, pending, bad ? BUS_BAD_PAYLOAD : BUS_LATER, bad ? fault.why : "memory");
    talk_free(talk);
    return NULL;
}

/* ---- fields that a path says over HTTP ---- */

static bool take_number(struct talk *talk)
{
    const json_t *value = json_object_get(talk->body, "command_id");
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number >= (INT64_C(1) << 53))
        return false;
    talk->command_id = (uint64_t)number;
    return json_object_del(talk->body, "command_id") == 0;
}

static bool peek_id(const json_t *body, const char *name, struct id128 *ret_id)
{
    const json_t *value = json_object_get(body, name);
    return json_is_string(value) &&
           id128_parse((struct str){json_string_value(value), json_string_length(value)}, ret_id) ==
               ERR_OK;
}

/* Over to the handler.  `open`: it may register its machine; otherwise it speaks for this one. */
static void talk_call(struct talk *talk, const struct web_route *route, bool open,
                      void (*answered)(struct web_call *call, uint16_t status, struct str body))
{
    struct web *web = talk->web;
    struct web_message message = {.route = route,
                                  .actor = talk->from.actor,
                                  .machine_id = talk->machine_id,
                                  .number = talk->command_id,
                                  .request_id = talk->request_id,
                                  .body = talk->body,
                                  .answered = answered,
                                  .cookie = talk};
    message.caller.kind = open ? WEB_NOBODY : WEB_DEVICE;
    message.caller.open = open;
    message.caller.role = open ? ACCESS_ADMIN : ACCESS_GUEST;
    if (!open)
        memcpy(message.caller.machine_id, talk->id, sizeof(talk->id));
    const struct fleet_machine *machine = fleet_find(web->fleet, talk->machine_id);
    if (talk->from.waiting && (machine == NULL || machine->admission != FLEET_ADMITTED))
        message.caller.device_err = ERR_AGAIN;
    struct web_announced *announced =
        talk->from.waiting ? web_announced_find(web, talk->machine_id) : NULL;
    if (announced != NULL && announced->token[0] != 0)
        message.caller.token = str_from(announced->token);
    fleet_presence_seen(web->fleet, talk->machine_id, web_now_ms(web), web_mono_ms(web));
    talk->body = NULL; /* the call's, whatever happens */
    struct web_call *call = web_call_message(web, &message);
    if (announced != NULL)
        web_announced_said(announced);
    if (call == NULL)
        talk_end(talk, BUS_LATER);
    else
        route->handle(call);
}

/* ---- hello ---- */

/* The same answer as over HTTP, and which boot it is for: every board of the machine hears it. */
static void hello_tell(const struct talk *talk, struct str body)
{
    char boot[ID128_TEXT_BYTES];
    struct buf text;
    buf_init(&text, FLEET_CONFIG_BYTES_MAX + 4 * KIB);
    id128_text(talk->boot_id, boot);
    enum err err = buf_printf(&text, "{\"boot_id\":\"%s\",", boot);
    if (err == ERR_OK)
        err = buf_add(&text, body.at + 1, body.len - 1);
    if (err == ERR_OK)
        (void)web_road_publish(talk->web, WIRE_TOPIC_CONFIG, talk->machine_id, buf_str(&text), 60);
    buf_finish(&text);
}

static void hello_answered(struct web_call *call, uint16_t status, struct str body)
{
    struct talk *talk = call->answered_cookie;
    const struct fleet_machine *machine = fleet_find(talk->web->fleet, talk->machine_id);
    if (status == 200 || status == 202)
        hello_tell(talk, body);
    if (status == 200 && machine != NULL)
        web_road_hello(talk->web, machine, talk->journal_id);
    talk_end(talk, verdict_of(status));
}

void web_mqtt_hello(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct talk *talk = talk_begin(cookie, message, pending);
    if (talk == NULL)
        return;
    (void)peek_id(talk->body, "boot_id", &talk->boot_id);
    (void)peek_id(talk->body, "journal_id", &talk->journal_id);
    talk_call(talk, &hello_route, message->from.role == BUS_OPEN, hello_answered);
}

/* ---- claim ---- */

static void claim_answered(struct web_call *call, uint16_t status, struct str body)
{
    struct talk *talk = call->answered_cookie;
    struct wire_claim_result result = {
        .command_id = talk->command_id, .uid = talk->uid, .claim_id = talk->claim_id};
    struct wire_answer answer = {0};
    struct wire_problem problem = {{0}};
    enum bus_verdict verdict = verdict_of(status);
    if (verdict == BUS_LATER) {
        talk_end(talk, verdict); /* it asks again, with this same claim */
        return;
    }
    if (verdict == BUS_OK && wire_answer_decode(body, &answer, NULL) == ERR_OK) {
        result.granted = answer.granted;
        result.start_within_ms = answer.start_within_ms;
        result.max_duration_s = answer.max_duration_s;
        result.stop = answer.stop;
        web_road_journal(talk->web, talk->machine_id, talk->journal_id);
    } else if (wire_problem_decode(body, &problem, NULL) == ERR_OK) {
        memcpy(result.code, problem.code, sizeof(result.code));
    }
    char storage[1024];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    if (wire_claim_result_encode(&result, &text) == ERR_OK)
        (void)web_road_publish(talk->web, WIRE_TOPIC_CLAIM_RESULT, talk->machine_id,
                               (struct str){text.at, text.len}, 30);
    talk_end(talk, BUS_OK); /* understood; what came of it is in the result */
}

/* {command_id, uid, claim_id, journal_id, sensors?} is the update {status, uid, claim_id,
 * journal_id, meta: {sensors}}. */
static bool claim_translate(struct talk *talk)
{
    json_t *body = talk->body;
    json_t *sensors = json_object_get(body, "sensors");
    if (!take_number(talk) || !peek_id(body, "uid", &talk->uid) ||
        !peek_id(body, "claim_id", &talk->claim_id) ||
        !peek_id(body, "journal_id", &talk->journal_id) ||
        json_object_get(body, "status") != NULL || json_object_get(body, "meta") != NULL ||
        (sensors != NULL && !json_is_object(sensors)))
        return false;
    if (sensors != NULL) {
        json_t *meta = json_object();
        if (meta == NULL || json_object_set(meta, "sensors", sensors) != 0 ||
            json_object_del(body, "sensors") != 0) {
            json_decref(meta);
            return false;
        }
        if (json_object_set_new(body, "meta", meta) != 0)
            return false;
    }
    return json_object_set_new(body, "status", json_string("running")) == 0;
}

void web_mqtt_claim(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct talk *talk = talk_begin(cookie, message, pending);
    if (talk == NULL)
        return;
    if (claim_translate(talk)) {
        talk_call(talk, &claim_route, false, claim_answered);
        return;
    }
    refuse_now(message, NULL, BUS_BAD_PAYLOAD, "this is no claim");
    talk_end(talk, BUS_BAD_PAYLOAD);
}

/* ---- report ---- */

static void report_answered(struct web_call *call, uint16_t status, struct str body)
{
    struct talk *talk = call->answered_cookie;
    (void)body;
    talk_end(talk, verdict_of(status));
}

void web_mqtt_report(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct talk *talk = talk_begin(cookie, message, pending);
    if (talk == NULL)
        return;
    const json_t *status = json_object_get(talk->body, "status");
    struct str word = {json_string_value(status), json_string_length(status)};
    if (take_number(talk) && word.at != NULL && !web_status_claims(word)) {
        talk_call(talk, &report_route, false, report_answered);
        return;
    }
    refuse_now(message, NULL, BUS_BAD_PAYLOAD, "this is no report");
    talk_end(talk, BUS_BAD_PAYLOAD);
}

/* ---- progress: volatile ---- */

/* Somebody took the command for over while it runs: over HTTP the 409 says so, and the board
 * stops. */
static void over_tell(const struct talk *talk, struct str body)
{
    char storage[256];
    struct text text;
    struct wire_problem problem;
    const struct wire_stop stop = {.command_id = talk->command_id, .claim_id = talk->claim_id};
    if (id128_is_zero(talk->claim_id) || wire_problem_decode(body, &problem, NULL) != ERR_OK ||
        strcmp(problem.code, "already_settled") != 0)
        return;
    text_init(&text, storage, sizeof(storage));
    if (wire_stop_encode(&stop, &text) == ERR_OK)
        (void)web_road_publish(talk->web, WIRE_TOPIC_STOP, talk->machine_id,
                               (struct str){text.at, text.len}, 60);
}

static void progress_answered(struct web_call *call, uint16_t status, struct str body)
{
    struct talk *talk = call->answered_cookie;
    struct wire_answer answer = {0};
    struct queue_machine queued = {0};
    if (status == 409)
        over_tell(talk, body);
    bool stop = status == 200 && talk->command_id != 0 &&
                wire_answer_decode(body, &answer, NULL) == ERR_OK && answer.stop;
    if (stop && queue_machine_get(talk->web->queue, talk->machine_id, &queued) &&
        queued.active != NULL && queued.active->command_id == talk->command_id)
        web_road_stop(talk->web, queued.active);
    talk_end(talk, verdict_of(status));
}

void web_mqtt_progress(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct talk *talk = talk_begin(cookie, message, pending);
    if (talk == NULL)
        return;
    if (json_object_get(talk->body, "command_id") == NULL) {
        talk_call(talk, &progress_route, message->from.role == BUS_OPEN, progress_answered);
        return;
    }
    if (take_number(talk)) {
        (void)peek_id(talk->body, "claim_id", &talk->claim_id);
        talk_call(talk, &curve_route, false, progress_answered);
        return;
    }
    refuse_now(message, NULL, BUS_BAD_PAYLOAD, "command_id is a number");
    talk_end(talk, BUS_BAD_PAYLOAD);
}

/* ---- state: retained for whoever comes later; the connection itself says who is there ---- */

void web_mqtt_state(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct web *web = ((struct web_door *)cookie)->web;
    enum wire_topic topic;
    struct str machine_id;
    struct wire_state state;
    if (web == NULL || !wire_topic_read(message->topic, &topic, &machine_id, NULL) ||
        !web_mqtt_speaks(&message->from, machine_id)) {
        web_mqtt_done(pending, web == NULL ? BUS_LATER : BUS_REFUSED);
        return;
    }
    bool cleared = message->payload.len == 0;
    if (!cleared && wire_state_decode(message->payload, &state, NULL) != ERR_OK) {
        refuse_now(message, pending, BUS_BAD_PAYLOAD, "this is no state");
        return;
    }
    enum err err = ERR_OK;
    if (!cleared && state.online)
        err = fleet_progress(web->fleet, machine_id, str_from(state.step), state.sensors,
                             web_now_ms(web), web_mono_ms(web));
    web_mqtt_done(pending, err == ERR_INPUT ? BUS_BAD_PAYLOAD : BUS_OK);
}
