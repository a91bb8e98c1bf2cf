/* Windows as the documented sketches are: they publish readings, listen to window/{id}/control, and
 * know nothing of claims.  The server claims on their behalf and tells them once; the PUBACK of
 * that one message is all that is ever known, so the outcome is `estimated` at best.
 *
 *     head --claim--> granted, on disk --publish once--> PUBACK --> complete, estimated
 *                                                   \-> silence --> unknown, by the queue's clock
 *
 * The claim comes first (queue rules 1 and 3): if we end in between, the command is running in the
 * database with a claim that nobody holds any more; it ends unknown, and is never published again.
 */
#include "web/mqtt_int.h"

#include <math.h>
#include <string.h>

#define TOLD_WITHIN_S   15 /* as a grant: who comes back later must not move for an old word */
#define CONTROLS_MAX    1000
#define KEPT_MS         60000 /* after its expiry: a PUBACK may be on its way */
#define REPORT_AGAIN_MS 1000

struct web_control {
    struct web_control *prev, *next;
    struct web *web;
    uint64_t command_id;
    struct id128 claim_id, journal_id;
    int64_t expires_mono_ms, report_mono_ms; /* report: 0: none is due */
    bool claiming, reporting, over;
    double position_pct;
    char request_id[WEB_REQUEST_ID_BYTES];
    char machine_id[FLEET_ID_BYTES];
    char client_id[MQTT_CLIENT_ID_MAX + 1];
};

static void control_free(struct web_control *control)
{
    struct web_roads *roads = &control->web->roads;
    if (control->prev != NULL)
        control->prev->next = control->next;
    else
        roads->controls = control->next;
    if (control->next != NULL)
        control->next->prev = control->prev;
    roads->control_count--;
    mem_free(control);
}

static struct web_control *control_find(const struct web *web, uint64_t command_id)
{
    struct web_control *control = web->roads.controls;
    while (control != NULL && control->command_id != command_id)
        control = control->next;
    return control;
}

/* ---- the outcome ---- */

static void reported(void *cookie, enum err err, enum queue_verdict verdict,
                     const struct queue_command *command)
{
    struct web_control *control = cookie;
    (void)command;
    control->reporting = false;
    if (err == ERR_OK) { /* settled now, or by somebody else before */
        log_line(LOG_DEBUG, "plain_settled", "command_id", "%llu",
                 (unsigned long long)control->command_id, "verdict", "%s",
                 queue_verdict_code(verdict), NULL);
        control->over = true;
    } else {
        control->report_mono_ms = web_mono_ms(control->web) + REPORT_AGAIN_MS;
    }
}

static void report(struct web_control *control)
{
    char meta[160];
    (void)snprintf(meta, sizeof(meta),
                   "{\"provenance\":\"estimated\",\"position\":%.6g,\"evidence\":\"puback\"}",
                   control->position_pct);
    struct queue_report report = {.command_id = control->command_id,
                                  .machine_id = str_from(control->machine_id),
                                  .outcome = QUEUE_COMPLETE,
                                  .claim_id = control->claim_id,
                                  .journal_id = control->journal_id,
                                  .meta = str_from(meta),
                                  .actor = STR("server"),
                                  .request_id = str_from(control->request_id)};
    control->report_mono_ms = 0;
    control->reporting = true;
    enum err err = queue_report(control->web->queue, &report, reported, control);
    if (err != ERR_OK)
        reported(control, err, QUEUE_DONE, NULL);
}

/* Others may listen to the same topic; only the device's own word counts. */
static void handed(void *cookie, struct str client_id, bool acknowledged)
{
    struct web_control *control = cookie;
    if (!acknowledged || control->over || control->reporting || control->report_mono_ms != 0 ||
        !str_equal(str_from(control->client_id), client_id))
        return;
    report(control);
}

/* ---- the one message ---- */

static double number_of(struct str object, const char *name, double otherwise)
{
    double value = otherwise;
    json_t *read = json_loadb(object.at != NULL ? object.at : "{}",
                              object.at != NULL ? object.len : 2, 0, NULL);
    const json_t *found = json_object_get(read, name);
    if (json_is_number(found))
        value = json_number_value(found);
    json_decref(read);
    return value;
}

void web_control_publish(struct web *web, const struct queue_command *command)
{
    struct web_control *control = control_find(web, command->command_id);
    if (control != NULL && (!command->has_claim || !control->claiming ||
                            !id128_equal(control->claim_id, command->claim_id)))
        control = NULL; /* a board was faster, or it was told already */
    char storage[256], topic_storage[WIRE_TOPIC_BYTES];
    struct text text, topic;
    double position = number_of(command->payload, "position", 0);
    /* A person's own word needs no model: it is sure. */
    double confidence = number_of(command->meta, "confidence", 1);
    struct wire_control words = {.position_milli = (int64_t)lround(position * 1000),
                                 .has_confidence = true,
                                 .confidence_milli = (int64_t)lround(confidence * 1000),
                                 .command_id = command->command_id};
    text_init(&text, storage, sizeof(storage));
    text_init(&topic, topic_storage, sizeof(topic_storage));
    wire_topic_add(&topic, WIRE_TOPIC_CONTROL, command->machine_id, STR_NONE);
    if (wire_control_encode(&words, &text) != ERR_OK || topic.overflow)
        return;
    uint32_t expiry_s =
        command->max_duration_s < TOLD_WITHIN_S ? command->max_duration_s : TOLD_WITHIN_S;
    expiry_s = expiry_s > 0 ? expiry_s : 1; /* 0 would be never */
    struct bus_out out = {.topic = {topic.at, topic.len},
                          .payload = {text.at, text.len},
                          .qos = 1,
                          .expiry_s = expiry_s};
    if (control != NULL) {
        control->claiming = false;
        control->position_pct = position;
        control->expires_mono_ms = web_mono_ms(web) + (int64_t)expiry_s * 1000;
        out.handed = handed;
        out.handed_cookie = control;
    }
    (void)bus_publish(broker_bus(web->broker), &out);
}

/* ---- the claim ---- */

static void claimed(void *cookie, enum err err, enum queue_verdict verdict,
                    const struct queue_grant *grant)
{
    struct web_control *control = cookie;
    (void)grant;
    if (err == ERR_OK && verdict == QUEUE_DONE)
        return; /* web_control_publish has told the device, or will, in this same turn */
    log_line(LOG_DEBUG, "plain_claim", "command_id", "%llu",
             (unsigned long long)control->command_id, "err", "%s", err_name(err), "verdict", "%s",
             queue_verdict_code(verdict), NULL);
    control->claiming = false;
    control->over = true;
    control->expires_mono_ms = 0; /* nothing was published: nobody will ask for it */
}

static enum err claim(struct web_control *control)
{
    struct queue_claim words = {.command_id = control->command_id,
                                .machine_id = str_from(control->machine_id),
                                .claim_id = control->claim_id,
                                .journal_id = control->journal_id,
                                .meta = STR("{\"claimed_by\":\"server\"}"),
                                .actor = STR("server"),
                                .request_id = str_from(control->request_id)};
    return queue_claim(control->web->queue, &words, claimed, control);
}

static bool listens(struct web *web, struct str machine_id, struct str actor, struct str client_id)
{
    char storage[WIRE_TOPIC_BYTES];
    struct text topic;
    text_init(&topic, storage, sizeof(storage));
    wire_topic_add(&topic, WIRE_TOPIC_CONTROL, machine_id, STR_NONE);
    return broker_client_listens(web->broker, actor, client_id, (struct str){topic.at, topic.len});
}

void web_plain_look(struct web *web, struct str machine_id, struct str actor, struct str client_id,
                    const struct queue_command *head)
{
    if (head->state != QUEUE_PENDING || !str_equal(head->command, STR("set_position")) ||
        control_find(web, head->command_id) != NULL || web->roads.control_count >= CONTROLS_MAX ||
        !listens(web, machine_id, actor, client_id))
        return;
    struct web_control *control = mem_zalloc(sizeof(*control));
    if (control == NULL)
        return;
    control->web = web;
    control->command_id = head->command_id;
    control->journal_id = web->server_id;
    control->claiming = true;
    control->next = web->roads.controls;
    if (control->next != NULL)
        control->next->prev = control;
    web->roads.controls = control;
    web->roads.control_count++;
    enum err err = sys_random_id(&control->claim_id);
    if (err == ERR_OK)
        err = str_copy(control->machine_id, sizeof(control->machine_id), machine_id);
    if (err == ERR_OK)
        err = str_copy(control->client_id, sizeof(control->client_id), client_id);
    if (err == ERR_OK &&
        str_copy(control->request_id, sizeof(control->request_id), head->request_id) != ERR_OK)
        control->request_id[0] = 0;
    if (err == ERR_OK)
        err = claim(control);
    if (err == ERR_OK)
        return;
    log_line(LOG_WARN, "plain_claim", "err", "%s", err_name(err), NULL);
    control_free(control);
}

/* ---- time ---- */

void web_controls_tick(struct web *web)
{
    int64_t now_ms = web_mono_ms(web);
    struct web_control *next;
    for (struct web_control *control = web->roads.controls; control != NULL; control = next) {
        next = control->next;
        if (control->claiming || control->reporting)
            continue;
        if (control->report_mono_ms != 0 && now_ms >= control->report_mono_ms)
            report(control);
        else if (now_ms >= control->expires_mono_ms + (control->expires_mono_ms != 0 ? KEPT_MS : 0))
            control_free(control);
    }
}

void web_controls_finish(struct web *web)
{
    while (web->roads.controls != NULL)
        control_free(web->roads.controls);
}
