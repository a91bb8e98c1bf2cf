/* world: a whole cafe on a fake clock, a fake network and a fake disk, replayed from one seed.
 *
 * Real: store (on a disk that forgets what was not synced), record, queue, fleet, telemetry, the
 * broker with its MQTT connections, device, wire.  Fake: time, network, disk, power, people.  After
 * every event the oracle (world_oracle.c) checks the rules of the design's section 2; the first
 * breach ends the run and is printed with its seed.
 */
#ifndef AUTOMAT_TESTS_WORLD_H
#define AUTOMAT_TESTS_WORLD_H

#include "broker/broker.h"
#include "device/device.h"
#include "device/device_mqtt.h"
#include "fleet/fleet.h"
#include "queue/queue.h"
#include "store/store.h"
#include "store/store_fault.h"
#include "sys/sys.h"
#include "telemetry/telemetry.h"
#include "wire/wire.h"

#include <setjmp.h>

#define WORLD_BOARDS_MAX   8
#define WORLD_MACHINES_MAX 4
#define WORLD_TRUTHS_MAX   2000
#define WORLD_KEYS_MAX     600
#define WORLD_MARKS_MAX    4000
#define WORLD_INFLIGHT     16

#define WORLD_NOT_AFTER_S    60
#define WORLD_MAX_DURATION_S 30
#define WORLD_GRACE_S        20
#define WORLD_START_WINDOW_S 15

struct world;

/* What really happened to one command, whatever anybody says. */
struct truth {
    struct id128 uid;
    uint64_t command_id;
    uint32_t machine;
    int64_t allowed_at_ms;  /* true time when it was created, or approved */
    enum queue_state state; /* what the database says (told by the queue, re-read after a crash) */
    uint32_t starts;        /* times anything moved for it */
    bool finished;          /* it ran to its end */
    int acting;             /* boards acting on it now */
    bool settled_by_staff;
};

/* One press of a button by a guest, retried until somebody answers. */
struct press {
    bool used, acked;
    uint32_t machine;
    uint64_t command_id; /* as acknowledged */
    bool held;
};

/* One reading, whose value is its place here: what became of it. */
struct mark {
    uint32_t board;
    bool acked;
    bool shared; /* its board has not its session for itself */
};

/* A QoS 1 publish of a board that nobody acknowledged yet. */
struct publish {
    bool used;
    uint16_t packet_id;
    uint64_t handle;
    int32_t mark; /* -1: no reading */
    char topic[WIRE_TOPIC_BYTES];
    char *payload;
    size_t len;
    bool retain;
};

struct line; /* one connection over a network that breaks (world_line.c) */

/* The board's end of MQTT: as much of a client as a small one has. */
struct mqtt_end {
    struct line *line; /* NULL: not connected */
    enum mqtt_version version;
    bool open;  /* CONNACK was good */
    bool clean; /* 3.1.1: this session ends with its connection */
    uint16_t packet_id;
    uint64_t handle;
    struct publish publish[WORLD_INFLIGHT];
    uint32_t attempts;
    int64_t begun_ms; /* of this life: when HTTP may carry on */
};

struct toy { /* the simplest machine: it takes a while, and may fail */
    struct world *world;
    struct board *board;
    struct id128 uid;
    bool acting, stopping, over;
    bool slow; /* takes longer than it may */
    int64_t begin_ms, end_ms;
    int64_t measured_milli; /* grows while it acts */
    const char *reason;
};

struct board {
    struct world *world;
    uint32_t index, machine;
    bool clone; /* another board with the credentials of board 0 of its machine */
    bool alive;
    uint32_t boots;
    uint8_t *flash;
    int32_t cut_in; /* flash operations until the power goes, in the middle of one; -1: never */
    int32_t cut_at_call; /* likewise in calls to the host; -1: never */
    struct device device;
    struct toy toy;
    uint64_t turn; /* of the planned step; older ones are void */
    /* MQTT */
    bool has_mqtt, has_http; /* its roads */
    bool on_mqtt;            /* the one in use */
    struct mqtt_end end;
    struct device_mqtt road;
};

struct call; /* a request the server works on */

struct server {
    struct world *world;
    bool up;
    uint32_t generation;
    struct store_fault_disk *disk;
    struct store *store;
    struct queue *queue;
    struct fleet *fleet;
    struct sys_time time;
    int64_t wall_jump_ms;                 /* the host's wall clock is wrong by so much */
    int64_t saved_mono_ms, saved_time_ms; /* what the program keeps beside its database */
    bool step_planned;
    bool power_going; /* a power cut is planned or has begun; only a crash ends it */
    bool disk_ailing; /* a fault is set: opening may fail */
    struct call *calls;
    /* MQTT */
    struct loop *loop;
    struct broker *broker;
    struct telemetry *telemetry;
    struct world_offers {
        bool wanted; /* somebody subscribed */
        struct id128 journal_id;
        uint64_t shown_id;
        enum queue_state shown_state;
        int64_t again_ms;
    } offers[WORLD_MACHINES_MAX];
    char token[WORLD_MACHINES_MAX][FLEET_TOKEN_BYTES];
};

struct world_options {
    uint64_t seed;
    int64_t storm_ms; /* how long everything goes wrong; 0: 240,000 */
    bool trace;       /* every event on stderr */
};

struct event {
    int64_t due_ms;
    uint64_t number;
    void (*fire)(struct world *world, void *data);
    void *data;
};

struct world {
    struct world_options options;
    struct rng rng;
    int64_t now_ms; /* true time */
    bool calm;      /* the storm is over: nothing fails any more */
    struct event *heap;
    size_t heap_count, heap_cap;
    uint64_t event_number;
    struct server server;
    uint32_t machine_count, board_count;
    struct board board[WORLD_BOARDS_MAX];
    struct truth truth[WORLD_TRUTHS_MAX];
    uint32_t truth_count;
    struct press press[WORLD_KEYS_MAX];
    uint32_t press_count;
    struct mark mark[WORLD_MARKS_MAX];
    uint32_t mark_count;
    struct line *lines; /* every one that an event may still touch */
    jmp_buf power_cut;
    struct board *running; /* the board whose code runs now */
    char breach[400];      /* first broken rule; "": none */

    /* what the seed was made of, for the report */
    uint32_t starts, crashes, reboots, wipes, jumps, lost, commits_failed, unknowns, completes,
        expired, late_grants, compactions, flash_errors;
    uint32_t mqtt_starts, mqtt_connects, sessions_resumed, resent, marks_acked, road_changes;
};

/* Run one seed to its end.  True: no rule was broken.  The world is finished either way; `world`
 * keeps the figures. */
bool world_run(struct world *world, const struct world_options *options);

/* ---- world.c ---- */
void world_after(struct world *world, int64_t delay_ms,
                 void (*fire)(struct world *world, void *data), void *data);
int64_t world_between(struct world *world, int64_t least, int64_t most);
bool world_chance(struct world *world, double probability); /* never while calm */
void world_disk_heal(struct world *world);
void world_breach(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3);
void world_trace(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- world_server.c ---- */
bool server_start(struct world *world);
void server_crash(struct world *world);
void server_stop(struct world *world);
void server_plan_step(struct world *world);
int64_t server_time_ms(struct world *world);
/* A request arrives.  `body` and `path` are copied.  The answer goes to this board's exchange, or
 * to `answered` (once, unless the server dies). */
void server_request(struct world *world, uint32_t board, uint32_t boots,
                    const struct device_exchange *exchange);
typedef void server_answered(void *cookie, uint32_t status, struct str body);
void server_ask(struct world *world, uint32_t machine, struct id128 journal_id, const char *path,
                struct str body, server_answered *answered, void *cookie);
extern const struct queue_kind world_kind;

/* ---- world_board.c ---- */
void board_power_on(struct world *world, struct board *board);
void board_power_off(struct world *world, struct board *board);
void board_wipe(struct world *world, struct board *board);
/* It has served before: its journal is full of what the server has heard. */
void board_age(struct world *world, struct board *board);
void board_finish(struct board *board);
void board_answer(struct world *world, uint32_t board, uint32_t boots, uint64_t exchange_id,
                  uint32_t status, const char *body, size_t len);

/* Run a piece of the board's program; its power may go in the middle.  False: it went. */
bool board_run(struct board *board, void (*piece)(struct board *board, void *data), void *data);
void board_step_soon(struct board *board);
int64_t world_net_delay(struct world *world);
void board_maybe_cut(struct board *board);

/* ---- world_bus.c: the server's end of MQTT ---- */
bool bus_start(struct world *world);
void bus_finish(struct world *world); /* after store_crash or store_close */
void bus_changed(struct world *world, const struct queue_command *command);
void bus_tick(struct world *world);
void bus_pump(struct world *world); /* what is ready on the loop */

/* ---- world_line.c: connections, and the board's end of MQTT ---- */
void end_power_on(struct board *board);
void end_power_off(struct board *board);
void end_step(struct board *board); /* before device_step */
enum err end_send(struct board *board, const struct device_exchange *exchange);
void lines_finish(struct world *world);

/* ---- world_people.c ---- */
void people_begin(struct world *world);
void people_press(struct world *world, uint32_t press);

/* ---- world_oracle.c ---- */
void oracle_told(struct world *world, const struct queue_change *change);
void oracle_reload(struct world *world);
void oracle_start(struct world *world, struct id128 uid, uint32_t board);
void oracle_end(struct world *world, struct id128 uid, bool finished);
void oracle_step(struct world *world); /* after every event */
void oracle_final(struct world *world);
struct truth *oracle_find(struct world *world, struct id128 uid);
struct truth *oracle_by_id(struct world *world, uint64_t command_id);

#endif
