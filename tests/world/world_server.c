/* The server of the world: the real store, queue and fleet, and a front door that does with a
 * request what web does, less HTTP itself.  It dies at any moment, and its disk keeps only what was
 * synced. */
#include "world/world.h"

#include <stdlib.h>
#include <string.h>

static bool mechanical(void *context, struct str reason)
{
    (void)context;
    return str_equal(reason, STR("pick_failed"));
}

const struct queue_kind world_kind = {
    .name = "toy",
    .not_after_s = WORLD_NOT_AFTER_S,
    .max_duration_s = WORLD_MAX_DURATION_S,
    .reason_mechanical = mechanical,
};
static const struct queue_kind *const kinds[] = {&world_kind, NULL};

/* ---- clocks ---- */

static int64_t clock_mono(void *clock)
{
    return ((struct server *)clock)->world->now_ms + 5000;
}

static int64_t wall_of_host(const struct server *server)
{
    return 1700000000000 + server->world->now_ms + server->wall_jump_ms;
}

static int64_t clock_wall(void *clock)
{
    struct server *server = clock;
    int64_t now_ms = sys_time_now(&server->time, wall_of_host(server), clock_mono(server));
    server->saved_mono_ms = clock_mono(server);
    server->saved_time_ms = now_ms;
    return now_ms;
}

int64_t server_time_ms(struct world *world)
{
    return clock_wall(&world->server);
}

static void random_id(void *random, struct id128 *ret_id)
{
    struct world *world = random;
    for (size_t i = 0; i < sizeof(ret_id->byte); i++)
        ret_id->byte[i] = (uint8_t)rng_next(&world->rng);
}

/* ---- commits ---- */

static void step_event(struct world *world, void *data)
{
    struct server *server = &world->server;
    (void)data;
    server->step_planned = false;
    if (!server->up)
        return;
    struct store_stats before, after;
    store_stats_get(server->store, &before);
    while (store_step(server->store, (uint32_t)world_between(world, 1, 8)) > 0)
        continue;
    store_stats_get(server->store, &after);
    world->commits_failed += (uint32_t)(after.commit_failures - before.commit_failures);
    (void)queue_tick(server->queue);
    while (store_step(server->store, 0) > 0)
        continue;
    bus_pump(world);
}

void server_plan_step(struct world *world)
{
    if (world->server.step_planned)
        return;
    world->server.step_planned = true;
    world_after(world,
                world_chance(world, 0.05) ? world_between(world, 100, 3000)
                                          : world_between(world, 0, 20),
                step_event, NULL);
}

static void tick_event(struct world *world, void *data)
{
    (void)data;
    if (world->server.disk == NULL)
        return;
    if (world->server.up) {
        (void)queue_tick(world->server.queue);
        bus_tick(world);
        server_plan_step(world);
    }
    world_after(world, 500, tick_event, NULL);
}

/* ---- birth and death ---- */

struct call {
    struct queue_wait wait;
    struct call *next, **at;
    struct world *world;
    uint32_t generation, board, boots;
    uint64_t exchange_id;
    char machine_id[ID_BYTES_MAX + 1];
    struct id128 journal_id;
    server_answered *answered; /* over MQTT; NULL: to the board's exchange */
    void *cookie;
};

static void call_end(struct call *call)
{
    queue_wait_remove(&call->wait);
    *call->at = call->next;
    if (call->next != NULL)
        call->next->at = call->at;
    free(call);
}

static void token_kept(void *cookie, enum err err, const struct fleet_machine *machine,
                       int64_t token_id, const char *token)
{
    struct server *server = cookie;
    (void)token_id;
    if (err != ERR_OK)
        return;
    strcpy(server->token[machine->machine_id[1] - '0'],
           token); /* FLEET_TOKEN_BYTES on both sides */
}

static bool first_start(struct world *world)
{
    struct server *server = &world->server;
    static const char *const ids[WORLD_MACHINES_MAX] = {"m0", "m1", "m2", "m3"};
    for (uint32_t m = 0; m < world->machine_count; m++) {
        struct fleet_by by = {.actor = STR("account:staff"), .now_ms = clock_wall(server)};
        struct fleet_add add = {.machine_id = str_from(ids[m]), .kind = STR("toy")};
        if (fleet_machine_add(server->fleet, by, &add, token_kept, server) != ERR_OK)
            return false;
        while (store_step(server->store, 0) > 0)
            continue;
        if (server->token[m][0] == '\0')
            return false;
    }
    world_after(world, 500, tick_event, NULL);
    return true;
}

static void told(void *listener, const struct queue_change *change)
{
    oracle_told(listener, change);
    bus_changed(listener, change->command);
}

bool server_start(struct world *world)
{
    struct server *server = &world->server;
    bool first = server->generation == 0;
    char why[256] = "";
    struct store_options store_options = {.path = "world.db",
                                          .vfs = store_fault_vfs_name(server->disk),
                                          .migrations = store_migrations_all,
                                          .inline_jobs = true};
    if (store_open(NULL, &store_options, why, sizeof(why), &server->store) != ERR_OK) {
        if (!server->disk_ailing)
            world_breach(world, "store_open on a healthy disk: %s", why);
        world_disk_heal(world); /* somebody made room */
        if (store_open(NULL, &store_options, why, sizeof(why), &server->store) != ERR_OK)
            return false;
    }
    /* The same boot of the host: the time kept beside the database goes on with the monotonic
     * clock. */
    int64_t persisted_ms =
        first ? 0 : server->saved_time_ms + clock_mono(server) - server->saved_mono_ms;
    sys_time_init(&server->time, wall_of_host(server), clock_mono(server), persisted_ms);
    struct queue_options queue_options = {
        .store = server->store,
        .kinds = kinds,
        .clock = server,
        .mono_ms = clock_mono,
        .wall_ms = clock_wall,
        .random = world,
        .random_id = random_id,
        .grace_s = WORLD_GRACE_S,
        .start_window_s = WORLD_START_WINDOW_S,
        .listener = world,
        .changed = told,
    };
    struct fleet_options fleet_options = {0};
    if (queue_create(&queue_options, &server->queue) != ERR_OK ||
        fleet_create(NULL, server->store, &fleet_options, &server->fleet) != ERR_OK ||
        !bus_start(world))
        return false;
    server->generation++;
    server->up = true;
    world_trace(world, "server: start %u", server->generation);
    if (first)
        return first_start(world);
    oracle_reload(world);
    return true;
}

static void take_down(struct world *world)
{
    struct server *server = &world->server;
    server->up = false;
    while (server->calls != NULL)
        call_end(server->calls);
    bus_finish(world);
    queue_destroy(server->queue);
    fleet_destroy(server->fleet);
    server->queue = NULL;
    server->fleet = NULL;
    server->store = NULL;
}

void server_crash(struct world *world)
{
    struct server *server = &world->server;
    world_trace(world, "server: crash");
    server->generation++; /* callbacks of this life are void */
    store_crash(server->store);
    take_down(world);
    store_fault_crash(server->disk); /* the power is back, and no fault is set */
    server->disk_ailing = server->power_going = false;
}

void server_stop(struct world *world)
{
    struct store *store = world->server.store;
    store_close(store);
    take_down(world);
}

/* ---- answers ---- */

static void answer(struct call *call, uint32_t status, struct text *text)
{
    if (text != NULL && text->overflow)
        world_breach(call->world, "an answer does not fit");
    struct str body = text != NULL ? (struct str){text->at, text->len} : STR("");
    if (call->answered != NULL)
        call->answered(call->cookie, status, body);
    else
        board_answer(call->world, call->board, call->boots, call->exchange_id, status, body.at,
                     body.len);
    call_end(call);
}

static void problem(struct call *call, uint32_t status, const char *code)
{
    char storage[512];
    struct text text;
    struct wire_problem body = {{0}};
    text_init(&text, storage, sizeof(storage));
    strncpy(body.code, code, sizeof(body.code) - 1);
    if (wire_problem_encode(&body, status, &text) != ERR_OK)
        world_breach(call->world, "wire_problem_encode");
    answer(call, status, &text);
}

static void refuse(struct call *call, enum err err, enum queue_verdict verdict)
{
    if (err != ERR_OK)
        problem(call, 503, "store_unavailable");
    else
        problem(call,
                verdict == QUEUE_NO_COMMAND ? 404
                : verdict == QUEUE_FOREIGN  ? 403
                                            : 409,
                queue_verdict_code(verdict));
}

static void answer_claim(void *cookie, enum err err, enum queue_verdict verdict,
                         const struct queue_grant *grant)
{
    struct call *call = cookie;
    if (err != ERR_OK || verdict != QUEUE_DONE) {
        refuse(call, err, verdict);
        return;
    }
    char storage[512];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    struct wire_answer body = {.command_id = 1,
                               .granted = true,
                               .start_within_ms = grant->start_within_ms,
                               .max_duration_s = grant->max_duration_s,
                               .stop = grant->stop};
    if (wire_answer_encode(&body, &text) != ERR_OK)
        world_breach(call->world, "wire_answer_encode");
    answer(call, 200, &text);
}

static void answer_report(void *cookie, enum err err, enum queue_verdict verdict,
                          const struct queue_command *command)
{
    struct call *call = cookie;
    if (err != ERR_OK || verdict != QUEUE_DONE) {
        refuse(call, err, verdict);
        return;
    }
    char storage[512];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    struct wire_answer body = {.command_id = command->command_id};
    if (wire_answer_encode(&body, &text) != ERR_OK)
        world_breach(call->world, "wire_answer_encode");
    answer(call, 200, &text);
}

static void answer_hello(void *cookie, enum err err, enum queue_verdict verdict,
                         const struct queue_command *command)
{
    struct call *call = cookie;
    if (err != ERR_OK || verdict != QUEUE_DONE) {
        refuse(call, err, verdict);
        return;
    }
    struct wire_welcome body = {.admission = WIRE_ADMITTED};
    if (command != NULL && command->state == QUEUE_RUNNING) {
        body.has_running = true;
        body.running_command_id = command->command_id;
        body.running_uid = command->uid;
        if (id128_equal(command->journal_id, call->journal_id))
            body.running_claim_id = command->claim_id;
    }
    char storage[1024];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    if (wire_welcome_encode(&body, &text) != ERR_OK)
        world_breach(call->world, "wire_welcome_encode");
    answer(call, 200, &text);
}

/* ---- requests ---- */

static void answer_offer(struct call *call, const struct queue_command *command, bool own)
{
    char storage[4096];
    struct text text;
    struct wire_offer offer = {
        .command_id = command->command_id,
        .uid = command->uid,
        .payload = command->payload,
        .instructions = command->instructions,
        .execute_allowed = command->execute_allowed,
        .running = own,
        .has_claim = own,
        .claim_id = command->claim_id,
        .max_duration_s = command->max_duration_s,
    };
    base_copy(offer.command, command->command.at, command->command.len);
    text_init(&text, storage, sizeof(storage));
    if (wire_offer_encode(&offer, &text) != ERR_OK)
        world_breach(call->world, "wire_offer_encode");
    answer(call, 200, &text);
}

static bool check_now(struct call *call)
{
    bool own = false, again = false;
    struct server *server = &call->world->server;
    struct str machine_id = str_from(call->machine_id);
    const struct queue_command *command =
        queue_check(server->queue, machine_id, call->journal_id, &own);
    uint64_t first = command != NULL ? command->command_id : 0;
    const struct queue_command *second =
        queue_check(server->queue, machine_id, call->journal_id, &again);
    if (first != (second != NULL ? second->command_id : 0) || own != again)
        world_breach(call->world, "a check changed what the next check sees (rule 2)");
    if (command == NULL)
        return false;
    if (own && !id128_equal(command->journal_id, call->journal_id))
        world_breach(call->world, "a running command was shown to another journal (rule 2)");
    answer_offer(call, command, own);
    return true;
}

static void parked_wake(struct queue_wait *wait)
{
    struct call *call = (struct call *)wait;
    if (!check_now(call))
        answer(call, 204, NULL);
}

struct parked {
    struct world *world;
    uint32_t generation;
    uint64_t exchange_id;
    uint32_t board, boots;
};

static void parked_over(struct world *world, void *data)
{
    struct parked *parked = data;
    if (world->server.disk != NULL && world->server.up &&
        parked->generation == world->server.generation) {
        for (struct call *call = world->server.calls; call != NULL; call = call->next) {
            if (call->exchange_id == parked->exchange_id && call->board == parked->board &&
                call->boots == parked->boots && call->wait.machine != NULL) {
                answer(call, 204, NULL);
                break;
            }
        }
    }
    free(parked);
}

static void on_check(struct call *call, struct str query)
{
    if (check_now(call))
        return;
    if (!str_starts(query, STR("wait="))) {
        answer(call, 204, NULL);
        return;
    }
    struct parked *parked = malloc(sizeof(*parked));
    if (parked == NULL)
        abort();
    *parked =
        (struct parked){call->world, call->generation, call->exchange_id, call->board, call->boots};
    call->wait.wake = parked_wake;
    if (queue_wait_add(call->world->server.queue, str_from(call->machine_id), &call->wait) !=
        ERR_OK) {
        free(parked);
        problem(call, 503, "full");
        return;
    }
    world_after(call->world, 10000, parked_over, parked);
}

static void on_update(struct call *call, uint64_t command_id, struct str body)
{
    struct wire_report report;
    struct queue *queue = call->world->server.queue;
    if (wire_report_decode(body, &report, NULL) != ERR_OK) {
        world_breach(call->world, "the board sent a report nobody can read");
        problem(call, 400, "bad_json");
        return;
    }
    enum err err;
    if (report.status == WIRE_CLAIM) {
        struct queue_claim claim = {.command_id = command_id,
                                    .machine_id = str_from(call->machine_id),
                                    .claim_id = report.claim_id,
                                    .journal_id = report.journal_id,
                                    .uid = report.uid,
                                    .actor = str_from(call->machine_id)};
        err = queue_claim(queue, &claim, answer_claim, call);
    } else {
        static const enum queue_state outcomes[] = {[WIRE_COMPLETE] = QUEUE_COMPLETE,
                                                    [WIRE_FAILED] = QUEUE_FAILED,
                                                    [WIRE_REJECTED] = QUEUE_REJECTED,
                                                    [WIRE_CANCELLED] = QUEUE_CANCELLED};
        struct queue_report say = {.command_id = command_id,
                                   .machine_id = str_from(call->machine_id),
                                   .outcome = outcomes[report.status],
                                   .claim_id = report.claim_id,
                                   .journal_id = report.journal_id,
                                   .uid = report.uid,
                                   .reason = str_from(report.reason),
                                   .actor = str_from(call->machine_id)};
        err = queue_report(queue, &say, answer_report, call);
    }
    if (err != ERR_OK)
        problem(call, 503, "full");
    else
        server_plan_step(call->world);
}

/* Not running now: say whether it is over, as the queue told it last.  (Asking the queue would be
 * an answer that a crash leaves in the air.) */
static enum queue_verdict not_running(struct world *world, uint64_t command_id)
{
    const struct truth *truth = oracle_by_id(world, command_id);
    if (truth == NULL)
        return QUEUE_NO_COMMAND;
    return queue_state_final(truth->state) ? QUEUE_SETTLED : QUEUE_WRONG_STATE;
}

static void on_progress(struct call *call, uint64_t command_id, struct str body)
{
    static int32_t storage[WIRE_SAMPLES_MAX * (1 + WIRE_COLUMNS_MAX)];
    struct wire_progress progress;
    if (wire_progress_decode(body, storage, ARRAY_COUNT(storage), &progress, NULL) != ERR_OK) {
        world_breach(call->world, "the board sent progress nobody can read");
        problem(call, 400, "bad_json");
        return;
    }
    struct wire_answer note = {.command_id = command_id};
    enum queue_verdict verdict =
        queue_progress(call->world->server.queue, command_id, str_from(call->machine_id),
                       progress.claim_id, &note.stop);
    if (verdict == QUEUE_WRONG_STATE)
        verdict = not_running(call->world, command_id);
    if (verdict != QUEUE_DONE) {
        refuse(call, ERR_OK, verdict);
        return;
    }
    char answer_storage[256];
    struct text text;
    text_init(&text, answer_storage, sizeof(answer_storage));
    if (wire_answer_encode(&note, &text) != ERR_OK)
        world_breach(call->world, "wire_answer_encode");
    answer(call, 200, &text);
}

static void hello_in_fleet(void *cookie, enum err err, const struct fleet_machine *machine,
                           enum fleet_hello_note note)
{
    (void)cookie;
    (void)err;
    (void)machine;
    (void)note;
}

static void on_hello(struct call *call, struct str body)
{
    struct wire_hello hello;
    struct server *server = &call->world->server;
    if (wire_hello_decode(body, &hello, NULL) != ERR_OK) {
        world_breach(call->world, "the board sent a hello nobody can read");
        problem(call, 400, "bad_json");
        return;
    }
    call->journal_id = hello.journal_id;
    struct fleet_by by = {.actor = str_from(call->machine_id), .now_ms = clock_wall(server)};
    struct fleet_hello said = {.boot_id = hello.boot_id,
                               .journal_id = hello.journal_id,
                               .firmware = str_from(hello.firmware),
                               .capabilities = hello.capabilities};
    enum err err = fleet_hello(server->fleet, by, clock_mono(server), str_from(call->machine_id),
                               &said, hello_in_fleet, NULL);
    if (err == ERR_OK)
        err = queue_hello(server->queue, str_from(call->machine_id), hello.journal_id,
                          str_from(call->machine_id), answer_hello, call);
    if (err != ERR_OK)
        problem(call, 503, "full");
    else
        server_plan_step(call->world);
}

static bool number_after(struct str path, struct str prefix, uint64_t *ret_number)
{
    return str_starts(path, prefix) &&
           str_to_u64(str_slice(path, prefix.len, path.len), ret_number) == ERR_OK;
}

static struct call *call_make(struct world *world, uint32_t board, uint32_t boots,
                              const struct device_exchange *exchange)
{
    struct server *server = &world->server;
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        abort();
    call->world = world;
    call->generation = server->generation;
    call->board = board;
    call->boots = boots;
    call->exchange_id = exchange->id;
    call->next = server->calls;
    call->at = &server->calls;
    if (call->next != NULL)
        call->next->at = &call->next;
    server->calls = call;
    if (exchange->journal_id != NULL &&
        id128_parse(str_from(exchange->journal_id), &call->journal_id) != ERR_OK)
        world_breach(world, "the board sent a journal id nobody can read");
    return call;
}

static void dispatch(struct call *call, struct str path, struct str body)
{
    size_t question = str_find(path, '?');
    struct str query = str_slice(path, question + 1, path.len);
    path = str_slice(path, 0, question);
    uint64_t command_id = 0;
    if (str_starts(path, STR("/api/commands/check/")))
        on_check(call, query);
    else if (number_after(path, STR("/api/commands/update/"), &command_id))
        on_update(call, command_id, body);
    else if (number_after(path, STR("/api/commands/progress/"), &command_id))
        on_progress(call, command_id, body);
    else if (str_starts(path, STR("/api/machines/")) && path.len > 6 &&
             str_equal(str_slice(path, path.len - 6, path.len), STR("/hello")))
        on_hello(call, body);
    else
        answer(call, 200, NULL); /* machine progress: nothing to check here */
}

void server_request(struct world *world, uint32_t board, uint32_t boots,
                    const struct device_exchange *exchange)
{
    struct server *server = &world->server;
    if (!server->up) {
        board_answer(world, board, boots, exchange->id, 0, "", 0);
        return;
    }
    struct call *call = call_make(world, board, boots, exchange);
    const struct fleet_machine *machine = NULL;
    int64_t token_id = 0;
    struct str token = str_from(server->token[world->board[board].machine]);
    if (fleet_authenticate(server->fleet, token, clock_wall(server), &machine, &token_id) !=
        ERR_OK) {
        world_breach(world, "the token of an admitted machine opens nothing");
        problem(call, 401, "unauthorized");
        return;
    }
    strcpy(call->machine_id, machine->machine_id); /* both ID_BYTES_MAX + 1 */
    world_trace(world, "b%u %s %.*s", board, exchange->path, STR_ARG(exchange->body));
    dispatch(call, str_from(exchange->path), exchange->body);
}

void server_ask(struct world *world, uint32_t machine, struct id128 journal_id, const char *path,
                struct str body, server_answered *answered, void *cookie)
{
    struct device_exchange exchange = {.path = path, .body = body};
    struct call *call = call_make(world, 0, 0, &exchange);
    call->answered = answered;
    call->cookie = cookie;
    call->journal_id = journal_id;
    call->machine_id[0] = 'm';
    call->machine_id[1] = (char)('0' + machine);
    dispatch(call, str_from(path), body);
}
