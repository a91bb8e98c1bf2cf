/* Machines that listen over MQTT: what their board may claim is told without being asked for.
 *
 *     subscribed, said hello, queue changed --look--> an offer, when there is something new
 *     every second                          ------> the same again, 30 s after nobody claimed it
 *     a stop was asked for                   -----> stop
 *     configuration changed, admitted         ----> config
 *     last connection closed                    --> forgotten
 *
 * An offer is a look (queue rule 2): it may come twice or too late, since only a claim counts. */
#include "web/mqtt_int.h"

#include <string.h>

#define ROAD_BUCKETS      8192
#define ROADS_MAX         20000
#define HELLO_PATIENCE_MS 5000
#define OFFER_AGAIN_MS    30000
#define OFFER_EXPIRY_S    30 /* an older one is only confusing */
#define STOP_EXPIRY_S     60
#define OFFER_BYTES_MAX   (256 * KIB)

struct web_road {
    struct web_road *next;      /* in its bucket */
    struct web_road *look_next; /* in roads.looking */
    bool looking, offers;
    bool open;               /* a client of --open: nobody tells us when it leaves */
    struct id128 journal_id; /* as said on this connection; zero: not yet */
    uint64_t offered_id;     /* 0: nothing */
    enum queue_state offered_state;
    int64_t offered_mono_ms;
    int64_t config_version;
    char *plain_client;      /* listens to control; NULL: none */
    int64_t control_mono_ms; /* since */
    char machine_id[];       /* with NUL */
};

static struct web_road **bucket_of(const struct web *web, struct str machine_id)
{
    uint32_t hash = crc32c(0, machine_id.at, machine_id.len);
    return &web->roads.bucket[hash % ROAD_BUCKETS];
}

static struct web_road *road_find(const struct web *web, struct str machine_id)
{
    struct web_road *road = *bucket_of(web, machine_id);
    while (road != NULL && !str_equal(str_from(road->machine_id), machine_id))
        road = road->next;
    return road;
}

static struct web_road *road_add(struct web *web, struct str machine_id)
{
    struct web_road *road = road_find(web, machine_id);
    if (road != NULL || web->roads.count >= ROADS_MAX)
        return road;
    road = mem_zalloc(sizeof(*road) + machine_id.len + 1);
    if (road == NULL)
        return NULL;
    memcpy(road->machine_id, machine_id.at, machine_id.len);
    struct web_road **bucket = bucket_of(web, machine_id);
    road->next = *bucket;
    *bucket = road;
    web->roads.count++;
    return road;
}

static void road_remove(struct web *web, struct web_road *road)
{
    struct web_road **at = bucket_of(web, str_from(road->machine_id));
    while (*at != road)
        at = &(*at)->next;
    *at = road->next;
    for (at = &web->roads.looking; *at != NULL; at = &(*at)->look_next) {
        if (*at != road)
            continue;
        *at = road->look_next;
        break;
    }
    web->roads.count--;
    mem_free(road->plain_client);
    mem_free(road);
}

uint32_t web_road_publish(struct web *web, enum wire_topic topic, struct str machine_id,
                          struct str payload, uint32_t expiry_s)
{
    char storage[WIRE_TOPIC_BYTES];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    wire_topic_add(&text, topic, machine_id, STR_NONE);
    struct bus_out out = {
        .topic = {text.at, text.len}, .payload = payload, .qos = 1, .expiry_s = expiry_s};
    return text.overflow ? 0 : bus_publish(broker_bus(web->broker), &out);
}

/* ---- offers ---- */

static void offer(struct web *web, struct web_road *road, const struct queue_command *command,
                  bool own)
{
    struct buf body;
    buf_init(&body, OFFER_BYTES_MAX);
    struct json_out out = {&body, ERR_OK};
    show_offer_wide(&out, command, own);
    uint32_t heard = 0;
    road->offered_id = command->command_id;
    road->offered_state = command->state;
    road->offered_mono_ms = web_mono_ms(web);
    if (out.err == ERR_OK)
        heard = web_road_publish(web, WIRE_TOPIC_OFFER, str_from(road->machine_id), buf_str(&body),
                                 OFFER_EXPIRY_S);
    buf_finish(&body);
    log_line(LOG_DEBUG, "offer", "command_id", "%llu", (unsigned long long)command->command_id,
             "machine_id", "%s", road->machine_id, "heard", "%u", heard, NULL);
    if (heard == 0 && road->open)
        road->offers = false; /* it has left */
}

static struct str plain_actor(const struct web_road *road, char dst[WEB_ACTOR_BYTES])
{
    struct text text;
    text_init(&text, dst, WEB_ACTOR_BYTES);
    text_add(&text, STR("machine:"));
    text_add(&text, str_from(road->machine_id));
    return (struct str){text.at, text.len};
}

static void look(struct web *web, struct web_road *road)
{
    char actor[WEB_ACTOR_BYTES];
    struct str machine_id = str_from(road->machine_id);
    const struct fleet_machine *machine = fleet_find(web->fleet, machine_id);
    bool own = false;
    if (machine == NULL || machine->admission != FLEET_ADMITTED)
        return;
    const struct queue_command *command =
        queue_check(web->queue, machine_id, road->journal_id, &own);
    if (command == NULL) {
        road->offered_id = 0;
        return;
    }
    bool news = road->offered_id != command->command_id || road->offered_state != command->state;
    bool again = web_mono_ms(web) - road->offered_mono_ms >= OFFER_AGAIN_MS;
    if (road->offers && (news || again))
        offer(web, road, command, own);
    /* A board that once said hello claims for itself, whatever it listens to today.  Who listens to
     * offers as well may be a new board whose hello is still on its way. */
    bool told = !road->offers || web_mono_ms(web) - road->control_mono_ms >= HELLO_PATIENCE_MS;
    if (told && road->plain_client != NULL && id128_is_zero(machine->journal_id))
        web_plain_look(web, machine_id, road->open ? STR("open") : plain_actor(road, actor),
                       str_from(road->plain_client), command);
}

static void soon_fire(void *cookie)
{
    struct web *web = cookie;
    while (web->roads.looking != NULL) {
        struct web_road *road = web->roads.looking;
        web->roads.looking = road->look_next;
        road->looking = false;
        look(web, road);
    }
}

static void look_soon(struct web *web, struct web_road *road)
{
    if (road->looking)
        return;
    road->looking = true;
    road->look_next = web->roads.looking;
    web->roads.looking = road;
    loop_timer_set(web->roads.soon, web_mono_ms(web));
}

void web_road_look(struct web *web, struct str machine_id)
{
    struct web_road *road = road_find(web, machine_id);
    if (road != NULL)
        look_soon(web, road);
}

/* ---- who listens ---- */

static void mentioned(void *cookie, enum err err, const struct fleet_machine *machine)
{
    struct web *web = cookie;
    if (err == ERR_OK && machine != NULL)
        web_road_look(web, str_from(machine->machine_id));
}

/* The machine that a filter names in full; none when it is about many. */
static struct str filter_machine(struct str filter)
{
    struct str first = mqtt_topic_level(filter, 0), id = mqtt_topic_level(filter, 1);
    bool ours = str_equal(first, STR("machines")) || str_equal(first, STR("window"));
    return ours && id_valid(id) ? id : STR_NONE;
}

static bool filter_wants(struct str filter, enum wire_topic topic, struct str machine_id)
{
    char storage[WIRE_TOPIC_BYTES];
    struct text text;
    text_init(&text, storage, sizeof(storage));
    wire_topic_add(&text, topic, machine_id, STR_NONE);
    return !text.overflow && mqtt_filter_matches(filter, (struct str){text.at, text.len});
}

/* --open: a window is known from its first mention on. */
static void open_mention(struct web *web, struct str machine_id)
{
    if (fleet_find(web->fleet, machine_id) != NULL)
        return;
    struct fleet_by by = {STR("open"), STR_NONE, web_now_ms(web)};
    enum err err = fleet_machine_ensure(web->fleet, by, machine_id, STR("window"), mentioned, web);
    if (err != ERR_OK)
        log_line(LOG_WARN, "register", "err", "%s", err_name(err), NULL);
}

void web_road_subscribed(struct web *web, const struct bus_from *from, struct str filter)
{
    bool open = from->role == BUS_OPEN;
    struct str machine_id = open ? filter_machine(filter) : from->machine_id;
    /* Who waits is remembered, too: it is told when staff has let it in. */
    if ((!open && from->role != BUS_DEVICE) || machine_id.len == 0)
        return;
    bool offers = filter_wants(filter, WIRE_TOPIC_OFFER, machine_id);
    bool control = filter_wants(filter, WIRE_TOPIC_CONTROL, machine_id);
    struct web_road *road = offers || control ? road_add(web, machine_id) : NULL;
    if (road == NULL)
        return;
    road->open = open;
    road->offers = road->offers || offers;
    if (offers)
        road->offered_id = 0;
    if (control) {
        mem_free(road->plain_client);
        road->plain_client = mem_strdup(from->client_id);
        road->control_mono_ms = web_mono_ms(web);
        if (open)
            open_mention(web, machine_id);
    }
    look_soon(web, road);
}

void web_road_gone(struct web *web, struct str machine_id)
{
    struct web_road *road = road_find(web, machine_id);
    if (road != NULL)
        road_remove(web, road);
}

void web_road_journal(struct web *web, struct str machine_id, struct id128 journal_id)
{
    struct web_road *road = road_find(web, machine_id);
    if (road != NULL && !id128_is_zero(journal_id))
        road->journal_id = journal_id;
}

void web_road_hello(struct web *web, const struct fleet_machine *machine, struct id128 journal_id)
{
    struct web_road *road = road_find(web, str_from(machine->machine_id));
    if (road == NULL)
        return;
    road->journal_id = journal_id;
    road->config_version = machine->config_version;
    road->offered_id = 0;
    look_soon(web, road);
}

/* ---- what else a board hears ---- */

void web_road_config(struct web *web, const struct fleet_machine *machine)
{
    static const struct id128 nobody;
    const struct web_road *road = road_find(web, str_from(machine->machine_id));
    struct queue_machine queued = {0};
    struct buf body;
    buf_init(&body, FLEET_CONFIG_BYTES_MAX + 4 * KIB);
    struct json_out out = {&body, ERR_OK};
    (void)queue_machine_get(web->queue, str_from(machine->machine_id), &queued);
    show_welcome(&out, web, machine, queued.active, road != NULL ? road->journal_id : nobody);
    if (out.err == ERR_OK)
        (void)web_road_publish(web, WIRE_TOPIC_CONFIG, str_from(machine->machine_id),
                               buf_str(&body), 0);
    buf_finish(&body);
}

void web_road_changed(struct web *web, const struct fleet_machine *machine)
{
    struct web_road *road = road_find(web, str_from(machine->machine_id));
    if (road == NULL)
        return;
    look_soon(web, road);
    if (road->config_version == machine->config_version || machine->admission != FLEET_ADMITTED)
        return;
    bool first = road->config_version == 0; /* it has not said hello: that is answered anyway */
    road->config_version = machine->config_version;
    if (!first)
        web_road_config(web, machine);
}

void web_road_stop(struct web *web, const struct queue_command *command)
{
    char storage[512];
    struct text text;
    struct wire_stop stop = {.command_id = command->command_id, .uid = command->uid};
    if (command->has_claim)
        stop.claim_id = command->claim_id;
    text_init(&text, storage, sizeof(storage));
    if (wire_stop_encode(&stop, &text) == ERR_OK)
        (void)web_road_publish(web, WIRE_TOPIC_STOP, command->machine_id,
                               (struct str){text.at, text.len}, STOP_EXPIRY_S);
}

void web_road_command(struct web *web, const struct queue_change *change)
{
    const struct queue_command *command = change->command;
    bool begins = command->state == QUEUE_RUNNING && change->old_state == QUEUE_PENDING;
    if (begins && str_equal(command->command, STR("set_position")))
        web_control_publish(web, command);
    if (command->state == QUEUE_RUNNING && command->stop_requested && !begins &&
        road_find(web, command->machine_id) != NULL)
        web_road_stop(web, command);
    web_road_look(web, command->machine_id);
}

/* ---- the room ---- */

void web_roads_tick(struct web *web)
{
    for (size_t i = 0; web->roads.count > 0 && i < ROAD_BUCKETS; i++) {
        struct web_road *next;
        for (struct web_road *road = web->roads.bucket[i]; road != NULL; road = next) {
            next = road->next;
            if (road->open && !road->offers && road->plain_client == NULL)
                road_remove(web, road);
            else if (road->offered_id != 0 || road->plain_client != NULL)
                look(web, road);
        }
    }
}

enum err web_roads_init(struct web *web)
{
    web->roads.bucket = mem_zalloc(ROAD_BUCKETS * sizeof(struct web_road *));
    if (web->roads.bucket == NULL)
        return ERR_NOMEM;
    return loop_timer_create(web->loop, soon_fire, web, &web->roads.soon);
}

void web_roads_finish(struct web *web)
{
    for (size_t i = 0; web->roads.bucket != NULL && i < ROAD_BUCKETS; i++) {
        while (web->roads.bucket[i] != NULL)
            road_remove(web, web->roads.bucket[i]);
    }
    mem_free(web->roads.bucket);
    loop_timer_destroy(web->roads.soon);
}
