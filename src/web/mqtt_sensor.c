/* Readings, and what an answering service proposes.  The hot path of the server: one look-up, and
 * telemetry takes the payload as it came. */
#include "web/mqtt_int.h"

#include <string.h>

void web_mqtt_done(struct bus_pending *pending, enum bus_verdict verdict)
{
    if (pending != NULL)
        bus_done(pending, verdict);
}

bool web_mqtt_speaks(const struct bus_from *from, struct str machine_id)
{
    if (from->role == BUS_DEVICE)
        return str_equal(from->machine_id, machine_id);
    return from->role == BUS_OPEN;
}

/* ---- sensor/{id}/{type} ---- */

static void stored(void *cookie, enum err err)
{
    web_mqtt_done(cookie, err == ERR_OK ? BUS_OK : BUS_LATER);
}

static void registered(void *cookie, enum err err, const struct fleet_machine *machine)
{
    struct web *web = cookie; /* the reading does not wait for it */
    if (err == ERR_OK && machine != NULL)
        fleet_presence_seen(web->fleet, str_from(machine->machine_id), web_now_ms(web),
                            web_mono_ms(web));
    else
        log_line(LOG_WARN, "register", "err", "%s", err_name(err), NULL);
}

/* Is there such a machine, or with --open: from now on? */
static bool known(struct web *web, const struct bus_message *message, struct str machine_id)
{
    int64_t now_ms = web_now_ms(web);
    if (fleet_find(web->fleet, machine_id) != NULL) {
        fleet_presence_seen(web->fleet, machine_id, now_ms, web_mono_ms(web));
        return true;
    }
    if (!web->options.open)
        return false;
    struct fleet_by by = {message->from.actor, str_from(message->request_id), now_ms};
    enum err err = fleet_machine_ensure(web->fleet, by, machine_id, STR("window"), registered, web);
    if (err != ERR_OK)
        registered(web, err, NULL);
    return err == ERR_OK;
}

void web_mqtt_sensor(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct web *web = ((struct web_door *)cookie)->web;
    enum wire_topic topic;
    struct str machine_id, type;
    bool fits =
        wire_topic_read(message->topic, &topic, &machine_id, &type) && topic == WIRE_TOPIC_SENSOR;
    bool may =
        fits && (message->from.role == BUS_ADMIN || web_mqtt_speaks(&message->from, machine_id));
    if (web == NULL || !may || !known(web, message, machine_id)) {
        web_mqtt_done(pending, web == NULL ? BUS_LATER : BUS_REFUSED);
        return;
    }
    struct telemetry_input input = {.machine_id = machine_id,
                                    .type = type,
                                    .payload = message->payload,
                                    .receipt = message->receipt,
                                    .request_id = message->request_id,
                                    .actor = message->from.actor};
    enum telemetry_refusal refusal = TELEMETRY_ACCEPTED;
    char why[TELEMETRY_WHY_BYTES] = "";
    enum err err = telemetry_ingest(web->telemetry, &input, stored, pending, &refusal, why);
    if (err == ERR_OK)
        return;
    if (err == ERR_INPUT)
        log_line(LOG_DEBUG, "reading_refused", "request_id", "%s", message->request_id, "code",
                 "%s", telemetry_refusal_code(refusal), "why", "%s", why, NULL);
    web_mqtt_done(pending, err == ERR_INPUT ? BUS_BAD_PAYLOAD : BUS_LATER);
}

/* ---- window/{id}/control, from outside ---- */

/* A proposal is stale within seconds, so it is volatile: refused or taken, nobody sends it again.
 */
void web_mqtt_control(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct web *web = ((struct web_door *)cookie)->web;
    enum wire_topic topic;
    struct str machine_id;
    struct wire_control words;
    enum err err = ERR_CLOSED;
    if (web == NULL)
        err = ERR_CLOSED;
    else if (!wire_topic_read(message->topic, &topic, &machine_id, NULL) ||
             topic != WIRE_TOPIC_CONTROL ||
             wire_control_decode(message->payload, &words, NULL) != ERR_OK || !words.has_confidence)
        err = ERR_INPUT;
    else
        err = climate_propose(web->climate, machine_id, (double)words.position_milli / 1000,
                              (double)words.confidence_milli / 1000, &message->from,
                              words.request_id, message->request_id);
    log_line(err == ERR_OK ? LOG_DEBUG : LOG_INFO, "proposal", "request_id", "%s",
             message->request_id, "err", "%s", err_name(err), NULL);
    web_mqtt_done(pending, err == ERR_OK      ? BUS_OK
                           : err == ERR_INPUT ? BUS_BAD_PAYLOAD
                                              : BUS_REFUSED);
}

const struct bus_handler web_mqtt_handlers[] = {
    {"sensor/+/+", false, false, web_mqtt_sensor},
    {"machines/+/hello", false, false, web_mqtt_hello},
    {"machines/+/claim", false, false, web_mqtt_claim},
    {"machines/+/report", false, false, web_mqtt_report},
    {"machines/+/progress", true, false, web_mqtt_progress},
    {"machines/+/state", false, false, web_mqtt_state},
    {"window/+/control", true, true, web_mqtt_control},
    {NULL, false, false, NULL},
};
