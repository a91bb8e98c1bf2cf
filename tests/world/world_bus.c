/* The server's end of MQTT: the real broker and telemetry, and handlers that do with a message what
 * web's do: it becomes the call it would be over HTTP, and the answer becomes the message that the
 * board waits for. */
#include "world/world.h"

#include <stdlib.h>
#include <string.h>

#define OFFER_AGAIN_MS 30000

struct talk { /* one message on its way through the server */
    struct talk *next, **at;
    struct world *world;
    struct bus_pending *pending;
    enum wire_topic topic;
    uint32_t machine;
    uint64_t command_id;
    struct id128 uid, claim_id, journal_id, boot_id;
};
static struct talk *talks; /* one world at a time */

static void talk_end(struct talk *talk, enum bus_verdict verdict)
{
    if (talk->pending != NULL)
        bus_done(talk->pending, verdict);
    *talk->at = talk->next;
    if (talk->next != NULL)
        talk->next->at = talk->at;
    free(talk);
}

static struct talk *talk_make(struct world *world, const struct bus_message *message,
                              struct bus_pending *pending)
{
    struct talk *talk = calloc(1, sizeof(*talk));
    struct str machine_id;
    if (talk == NULL)
        abort();
    talk->next = talks;
    talk->at = &talks;
    if (talk->next != NULL)
        talk->next->at = &talk->next;
    talks = talk;
    talk->world = world;
    talk->pending = pending;
    if (!wire_topic_read(message->topic, &talk->topic, &machine_id, NULL) ||
        message->from.role != BUS_DEVICE || !str_equal(machine_id, message->from.machine_id))
        world_breach(world, "a board spoke for another: %.*s", STR_ARG(message->topic));
    talk->machine = (uint32_t)(machine_id.at[1] - '0');
    world_trace(world, "mqtt %.*s %.*s%s", STR_ARG(message->topic), STR_ARG(message->payload),
                message->dup ? " (again)" : "");
    return talk;
}

static void say(struct world *world, enum wire_topic topic, uint32_t machine,
                const struct text *body, uint32_t expiry_s)
{
    char storage[WIRE_TOPIC_BYTES];
    char id[2] = {'m', (char)('0' + machine)};
    struct text name;
    text_init(&name, storage, sizeof(storage));
    wire_topic_add(&name, topic, (struct str){id, 2}, STR_NONE);
    if (body->overflow)
        world_breach(world, "a message does not fit");
    struct bus_out out = {.topic = {name.at, name.len},
                          .payload = {body->at, body->len},
                          .qos = 1,
                          .expiry_s = expiry_s};
    (void)bus_publish(broker_bus(world->server.broker), &out);
}

static enum bus_verdict verdict_of(uint32_t status)
{
    if (status < 300)
        return BUS_OK;
    return status >= 500 ? BUS_LATER : BUS_REFUSED;
}

/* ---- offers ---- */

static void offer(struct world *world, uint32_t machine, const struct queue_command *command,
                  bool own)
{
    char storage[4096];
    struct text text;
    struct world_offers *offers = &world->server.offers[machine];
    struct wire_offer body = {.command_id = command->command_id,
                              .uid = command->uid,
                              .payload = command->payload,
                              .instructions = command->instructions,
                              .execute_allowed = command->execute_allowed,
                              .running = own,
                              .has_claim = own,
                              .claim_id = command->claim_id,
                              .max_duration_s = command->max_duration_s};
    if (own)
        body.journal_id = command->journal_id;
    base_copy(body.command, command->command.at, command->command.len);
    text_init(&text, storage, sizeof(storage));
    if (wire_offer_encode(&body, &text) != ERR_OK)
        world_breach(world, "wire_offer_encode");
    say(world, WIRE_TOPIC_OFFER, machine, &text, 30);
    offers->shown_id = command->command_id;
    offers->shown_state = command->state;
    offers->again_ms = world->now_ms + OFFER_AGAIN_MS;
}

static void look(struct world *world, uint32_t machine)
{
    struct world_offers *offers = &world->server.offers[machine];
    char id[2] = {'m', (char)('0' + machine)};
    bool own = false;
    if (!offers->wanted)
        return;
    const struct queue_command *command =
        queue_check(world->server.queue, (struct str){id, 2}, offers->journal_id, &own);
    if (command == NULL) {
        offers->shown_id = 0;
        return;
    }
    bool news = command->command_id != offers->shown_id || command->state != offers->shown_state;
    if (news || world->now_ms >= offers->again_ms)
        offer(world, machine, command, own);
}

static void look_event(struct world *world, void *data)
{
    struct world_offers *offers = data;
    if (world->server.disk == NULL || !world->server.up)
        return;
    look(world, (uint32_t)(offers - world->server.offers));
    bus_pump(world);
}

static void look_soon(struct world *world, uint32_t machine)
{
    world_after(world, 0, look_event, &world->server.offers[machine]);
}

void bus_changed(struct world *world, const struct queue_command *command)
{
    look_soon(world, (uint32_t)(command->machine_id.at[1] - '0'));
}

static void subscribed(void *cookie, const struct bus_from *from, struct str filter)
{
    struct world *world = cookie;
    enum wire_topic topic;
    struct str machine_id;
    if (!wire_topic_read(filter, &topic, &machine_id, NULL) || topic != WIRE_TOPIC_OFFER)
        return;
    uint32_t machine = (uint32_t)(from->machine_id.at[1] - '0');
    world->server.offers[machine].wanted = true;
    world->server.offers[machine].shown_id = 0;
    look_soon(world, machine);
}

/* ---- hello ---- */

static void hello_answered(void *cookie, uint32_t status, struct str body)
{
    struct talk *talk = cookie;
    struct world *world = talk->world;
    struct wire_welcome welcome;
    char storage[1024];
    struct text text;
    if (status == 200 && wire_welcome_decode(body, &welcome, NULL) == ERR_OK) {
        welcome.boot_id = talk->boot_id;
        text_init(&text, storage, sizeof(storage));
        if (wire_welcome_encode(&welcome, &text) != ERR_OK)
            world_breach(world, "wire_welcome_encode");
        say(world, WIRE_TOPIC_CONFIG, talk->machine, &text, 60);
        world->server.offers[talk->machine].journal_id = talk->journal_id;
        world->server.offers[talk->machine].shown_id = 0;
        look_soon(world, talk->machine);
    }
    talk_end(talk, verdict_of(status));
}

static void on_hello(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct talk *talk = talk_make(cookie, message, pending);
    struct wire_hello hello;
    if (wire_hello_decode(message->payload, &hello, NULL) != ERR_OK) {
        world_breach(cookie, "the board sent a hello nobody can read");
        talk_end(talk, BUS_BAD_PAYLOAD);
        return;
    }
    talk->boot_id = hello.boot_id;
    talk->journal_id = hello.journal_id;
    server_ask(talk->world, talk->machine, hello.journal_id, "/api/machines/m/hello",
               message->payload, hello_answered, talk);
}

/* ---- claim ---- */

static void claim_answered(void *cookie, uint32_t status, struct str body)
{
    struct talk *talk = cookie;
    struct wire_answer answer;
    struct wire_problem problem;
    struct wire_claim_result result = {
        .command_id = talk->command_id, .uid = talk->uid, .claim_id = talk->claim_id};
    char storage[1024];
    struct text text;
    if (verdict_of(status) == BUS_LATER) {
        talk_end(talk, BUS_LATER);
        return;
    }
    if (status == 200 && wire_answer_decode(body, &answer, NULL) == ERR_OK) {
        result.granted = answer.granted;
        result.start_within_ms = answer.start_within_ms;
        result.max_duration_s = answer.max_duration_s;
        result.stop = answer.stop;
        talk->world->server.offers[talk->machine].journal_id = talk->journal_id;
    } else if (wire_problem_decode(body, &problem, NULL) == ERR_OK) {
        memcpy(result.code, problem.code, sizeof(result.code));
    }
    text_init(&text, storage, sizeof(storage));
    if (wire_claim_result_encode(&result, &text) != ERR_OK)
        world_breach(talk->world, "wire_claim_result_encode");
    say(talk->world, WIRE_TOPIC_CLAIM_RESULT, talk->machine, &text, 30);
    talk_end(talk, BUS_OK);
}

static void on_claim(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct talk *talk = talk_make(cookie, message, pending);
    struct wire_claim claim;
    char storage[1024], path[WIRE_PATH_BYTES];
    struct text body, where;
    if (wire_claim_decode(message->payload, &claim, NULL) != ERR_OK) {
        world_breach(cookie, "the board sent a claim nobody can read");
        talk_end(talk, BUS_BAD_PAYLOAD);
        return;
    }
    talk->command_id = claim.command_id;
    talk->uid = claim.uid;
    talk->claim_id = claim.claim_id;
    talk->journal_id = claim.journal_id;
    struct wire_report report = {.status = WIRE_CLAIM,
                                 .has_claim = true,
                                 .claim_id = claim.claim_id,
                                 .journal_id = claim.journal_id,
                                 .uid = claim.uid,
                                 .duration_ms = -1};
    text_init(&body, storage, sizeof(storage));
    text_init(&where, path, sizeof(path));
    wire_path_update(&where, claim.command_id);
    if (wire_report_encode(&report, &body) != ERR_OK)
        world_breach(cookie, "wire_report_encode");
    server_ask(talk->world, talk->machine, claim.journal_id, path, (struct str){body.at, body.len},
               claim_answered, talk);
}

/* ---- report ---- */

static void report_answered(void *cookie, uint32_t status, struct str body)
{
    (void)body;
    talk_end(cookie, verdict_of(status));
}

static void on_report(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct talk *talk = talk_make(cookie, message, pending);
    struct wire_report report;
    char path[WIRE_PATH_BYTES];
    struct text where;
    if (wire_report_decode(message->payload, &report, NULL) != ERR_OK || report.command_id == 0 ||
        report.status == WIRE_CLAIM) {
        world_breach(cookie, "the board sent a report nobody can read");
        talk_end(talk, BUS_BAD_PAYLOAD);
        return;
    }
    text_init(&where, path, sizeof(path));
    wire_path_update(&where, report.command_id);
    server_ask(talk->world, talk->machine, report.journal_id, path, message->payload,
               report_answered, talk);
}

/* ---- progress ---- */

static void progress_answered(void *cookie, uint32_t status, struct str body)
{
    struct talk *talk = cookie;
    struct wire_answer answer = {0};
    struct wire_problem problem = {{0}};
    struct wire_stop stop = {.command_id = talk->command_id, .claim_id = talk->claim_id};
    char storage[256];
    struct text text;
    bool asked = status == 200 && wire_answer_decode(body, &answer, NULL) == ERR_OK && answer.stop;
    bool over = status == 409 && wire_problem_decode(body, &problem, NULL) == ERR_OK &&
                strcmp(problem.code, "already_settled") == 0;
    if (asked || over) {
        text_init(&text, storage, sizeof(storage));
        if (wire_stop_encode(&stop, &text) != ERR_OK)
            world_breach(talk->world, "wire_stop_encode");
        say(talk->world, WIRE_TOPIC_STOP, talk->machine, &text, 60);
    }
    talk_end(talk, BUS_OK);
}

static void on_progress(void *cookie, const struct bus_message *message,
                        struct bus_pending *pending)
{
    struct wire_progress progress;
    int32_t rows[1];
    char path[WIRE_PATH_BYTES];
    struct text where;
    struct id128 nobody = {{0}};
    if (wire_progress_decode(message->payload, rows, ARRAY_COUNT(rows), &progress, NULL) !=
            ERR_OK ||
        progress.command_id == 0)
        return; /* the machine's */
    struct talk *talk = talk_make(cookie, message, pending);
    talk->command_id = progress.command_id;
    talk->claim_id = progress.claim_id;
    text_init(&where, path, sizeof(path));
    wire_path_progress(&where, progress.command_id);
    server_ask(talk->world, talk->machine, nobody, path, message->payload, progress_answered, talk);
}

/* ---- state and readings ---- */

static void on_state(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct wire_state state;
    if (wire_state_decode(message->payload, &state, NULL) != ERR_OK)
        world_breach(cookie, "the board sent a state nobody can read");
    bus_done(pending, BUS_OK);
}

static void reading_stored(void *cookie, enum err err)
{
    struct talk *talk = cookie;
    world_trace(talk->world, "reading %s", err_name(err));
    talk_end(talk, err == ERR_OK ? BUS_OK : BUS_LATER);
}

static void on_reading(void *cookie, const struct bus_message *message, struct bus_pending *pending)
{
    struct world *world = cookie;
    enum wire_topic topic;
    struct talk *talk = talk_make(world, message, pending);
    struct telemetry_input input = {.payload = message->payload,
                                    .receipt = message->receipt,
                                    .request_id = message->request_id,
                                    .actor = message->from.actor};
    enum telemetry_refusal refusal = TELEMETRY_ACCEPTED;
    char why[TELEMETRY_WHY_BYTES] = "";
    if (!wire_topic_read(message->topic, &topic, &input.machine_id, &input.type))
        world_breach(world, "a reading under no name");
    enum err err =
        telemetry_ingest(world->server.telemetry, &input, reading_stored, talk, &refusal, why);
    if (err == ERR_INPUT)
        world_breach(world, "a reading is refused: %s", why);
    if (err != ERR_OK)
        talk_end(talk, err == ERR_INPUT ? BUS_BAD_PAYLOAD : BUS_LATER);
    server_plan_step(world);
}

static const struct bus_handler handlers[] = {
    {"sensor/+/+", false, false, on_reading},
    {"machines/+/hello", false, false, on_hello},
    {"machines/+/claim", false, false, on_claim},
    {"machines/+/report", false, false, on_report},
    {"machines/+/progress", true, false, on_progress},
    {"machines/+/state", false, false, on_state},
    {NULL, false, false, NULL},
};

/* ---- life ---- */

static enum mqtt_reason authenticate(void *cookie, const struct broker_credentials *credentials,
                                     struct broker_identity *ret_identity)
{
    struct world *world = cookie;
    const struct fleet_machine *machine = NULL;
    int64_t token_id = 0;
    if (fleet_authenticate(world->server.fleet, credentials->password, server_time_ms(world),
                           &machine, &token_id) != ERR_OK ||
        !str_equal(str_from(machine->machine_id), credentials->user)) {
        world_breach(world, "the token of an admitted machine opens nothing over MQTT");
        return MQTT_BAD_CREDENTIALS;
    }
    *ret_identity = (struct broker_identity){.role = BUS_DEVICE, .credential_id = token_id};
    strcpy(ret_identity->machine_id, machine->machine_id);
    strcpy(ret_identity->actor, "machine:m");
    return MQTT_SUCCESS;
}

static int64_t wall_ms(void *clock)
{
    return server_time_ms(clock);
}

bool bus_start(struct world *world)
{
    struct server *server = &world->server;
    if (server->loop == NULL && loop_create(&server->loop) != ERR_OK)
        return false;
    memset(server->offers, 0, sizeof(server->offers));
    struct telemetry_options telemetry = {
        .loop = server->loop, .store = server->store, .wall_ms = wall_ms, .clock = world};
    struct broker_options broker = {
        .loop = server->loop,
        .store = server->store,
        .wall_ms = wall_ms,
        .clock = world,
        .gate = {.cookie = world, .authenticate = authenticate, .subscribed = subscribed},
        .handlers = handlers,
        .handler_cookie = world,
        .queued_max = 64,
    };
    return telemetry_create(&telemetry, &server->telemetry) == ERR_OK &&
           broker_create(&broker, &server->broker) == ERR_OK;
}

void bus_finish(struct world *world)
{
    struct server *server = &world->server;
    while (talks != NULL) {
        talks->pending = NULL; /* the broker lets go of them itself */
        talk_end(talks, BUS_LATER);
    }
    broker_destroy(server->broker);
    telemetry_destroy(server->telemetry);
    server->broker = NULL;
    server->telemetry = NULL;
    for (int i = 0; i < 4 && server->loop != NULL; i++)
        loop_turn(server->loop);
}

void bus_pump(struct world *world)
{
    for (int i = 0; i < 3; i++)
        loop_turn(world->server.loop);
}

void bus_tick(struct world *world)
{
    broker_tick(world->server.broker, server_time_ms(world), world->now_ms);
    telemetry_tick(world->server.telemetry, world->now_ms);
    for (uint32_t m = 0; m < world->machine_count; m++)
        look(world, m);
    bus_pump(world);
}
