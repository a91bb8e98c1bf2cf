/* Inside web: what the files of the MQTT door share. */
#ifndef AUTOMAT_WEB_MQTT_INT_H
#define AUTOMAT_WEB_MQTT_INT_H

#include "web/web_int.h"

/* ---- mqtt_gate.c: boards that announced themselves, or wait ---- */

struct web_announced *web_announced_find(struct web *web, struct str machine_id);
void web_announced_said(struct web_announced *announced); /* the registry has its token now */
void web_announced_forget(struct web_announced *announced);

/* ---- mqtt_road.c: machines that listen ---- */

/* A client listens to this filter now. */
void web_road_subscribed(struct web *web, const struct bus_from *from, struct str filter);
void web_road_gone(struct web *web, struct str machine_id); /* its last connection closed */
/* It said which journal it has. */
void web_road_journal(struct web *web, struct str machine_id, struct id128 journal_id);
void web_road_hello(struct web *web, const struct fleet_machine *machine, struct id128 journal_id);
/* What it shall be, told unasked. */
void web_road_config(struct web *web, const struct fleet_machine *machine);
/* Somebody asked for this running command to stop. */
void web_road_stop(struct web *web, const struct queue_command *command);
/* To one of the topics that a board listens to; how many hear it. */
uint32_t web_road_publish(struct web *web, enum wire_topic topic, struct str machine_id,
                          struct str payload, uint32_t expiry_s);

/* ---- mqtt_plain.c: windows that know nothing of claims ---- */

/* `head` is what this plain device could be told to do; it listens as `client_id` of `actor`. */
void web_plain_look(struct web *web, struct str machine_id, struct str actor, struct str client_id,
                    const struct queue_command *head);

/* ---- the handlers of the table ---- */

void web_mqtt_sensor(void *cookie, const struct bus_message *message, struct bus_pending *pending);
void web_mqtt_control(void *cookie, const struct bus_message *message, struct bus_pending *pending);
void web_mqtt_hello(void *cookie, const struct bus_message *message, struct bus_pending *pending);
void web_mqtt_claim(void *cookie, const struct bus_message *message, struct bus_pending *pending);
void web_mqtt_report(void *cookie, const struct bus_message *message, struct bus_pending *pending);
void web_mqtt_progress(void *cookie, const struct bus_message *message,
                       struct bus_pending *pending);
void web_mqtt_state(void *cookie, const struct bus_message *message, struct bus_pending *pending);

/* May whoever sent this speak for the machine?  A device for itself, --open for each. */
bool web_mqtt_speaks(const struct bus_from *from, struct str machine_id);
/* `pending` is NULL for a volatile topic. */
void web_mqtt_done(struct bus_pending *pending, enum bus_verdict verdict);

#endif
