/* Inside room broker only. */
#ifndef AUTOMAT_BROKER_INT_H
#define AUTOMAT_BROKER_INT_H

#include "broker/broker.h"
#include "sys/sys.h"

#define BROKER_CACHE_TOPICS     4 /* topics whose way is remembered for each connection */
#define BROKER_RECEIPTS         8192
#define BROKER_RECEIVED_MAX     1024 /* QoS 2 packet ids of one session between PUBLISH and PUBREL */
#define BROKER_LOADED_MAX       64   /* messages kept in memory for one persistent session */
#define BROKER_LOAD_ROWS        32   /* read back from the disk at a time */
#define BROKER_QUEUED_BYTES_MAX (4 * MIB)  /* in memory for one session that is not persistent */
#define BROKER_RETAINED_BYTES   (64 * MIB) /* of all retained messages */
#define BROKER_OPS_MAX          65536      /* changes that wait for the disk */

/* ---- message.c: what is kept of a publish; the bytes never change, so that the writer's thread
 * may read them while the loop counts who holds it ---- */
struct message {
    uint32_t refs;
    uint8_t qos;
    bool retain;
    struct mqtt_properties properties; /* what is passed on; expiry as it came */
    int64_t expires_at_ms;             /* server time; 0: never */
    struct str topic, payload;
    void (*handed)(void *cookie, struct str client_id, bool acknowledged);
    void *handed_cookie;
    char bytes[];
};
MUST_USE enum err broker_message_create(const struct mqtt_publish *publish, int64_t expires_at_ms,
                                        struct message **ret_message);
static inline struct message *broker_message_ref(struct message *message)
{
    message->refs++;
    return message;
}
void broker_message_unref(struct message *message); /* NULL does nothing */
size_t broker_message_bytes(const struct message *message);

/* ---- tree.c: topics and filters by level; holds who listens and what is retained ---- */
struct subscription;
struct retained;
struct broker_node {
    struct broker_node *next_hash, *parent;
    struct broker_node *first_child, *prev, *next; /* all children, the two below too */
    struct broker_node *plus, *hash;               /* the children "+" and "#" */
    struct subscription *subscriptions;
    struct retained *retained;
    uint32_t code;
    uint16_t len;
    char level[];
};
struct broker_tree {
    struct broker_node *root;
    struct broker_node **bucket;
    uint32_t bucket_count, node_count;
    uint64_t seed;
};
MUST_USE enum err broker_tree_init(struct broker_tree *tree, uint64_t seed);
void broker_tree_finish(struct broker_tree *tree); /* nothing hangs on it any more */
MUST_USE enum err broker_tree_get(struct broker_tree *tree, struct str path,
                                  struct broker_node **ret_node);
struct broker_node *broker_tree_find(const struct broker_tree *tree, struct str path);
/* Drop the node, and its parents, as far as nothing hangs on them. */
void broker_tree_trim(struct broker_tree *tree, struct broker_node *node);
/* Every node whose filter matches this topic. */
void broker_tree_match(const struct broker_tree *tree, struct str topic,
                       void (*visit)(void *cookie, struct broker_node *node), void *cookie);
/* Every node with a retained message whose topic this filter matches. */
void broker_tree_search(const struct broker_tree *tree, struct str filter,
                        void (*visit)(void *cookie, struct broker_node *node), void *cookie);

struct subscription {
    struct subscription *prev_node, *next_node, *next_session;
    struct broker_node *node;
    struct session *session;
    uint32_t subscription_id;
    uint8_t qos;
    bool no_local, as_published;
    uint16_t filter_len;
    char filter[];
};
static inline struct str broker_filter(const struct subscription *subscription)
{
    return (struct str){subscription->filter, subscription->filter_len};
}

struct retained {
    struct retained *prev, *next; /* all of them */
    struct broker_node *node;
    struct message *message;
    bool memory_only; /* the server's own figures */
};

/* ---- batch.c: changes for the disk, one job at a time, in order ---- */
enum op_kind {
    OP_NOTHING, /* taken back before it was written */
    OP_SESSION_PUT,
    OP_SESSION_END,
    OP_SUBSCRIBE,
    OP_UNSUBSCRIBE,
    OP_WAITING_ADD,
    OP_WAITING_END,
    OP_SENT,
    OP_RECEIPT, /* a rider */
    OP_RECEIVED_ADD,
    OP_RECEIVED_END,
    OP_RETAIN,
    OP_RETAIN_END,
};
struct delivery;
struct op {
    struct op *next;
    enum op_kind kind;
    int64_t session_id;
    int64_t id;               /* waiting_id, credential_id, sent_id */
    int64_t at_ms;            /* gone_at; 0: NULL */
    uint32_t expiry_s;        /* or subscription_id */
    uint16_t packet_id;       /* */
    uint8_t qos;              /* or role */
    bool flag, flag2;         /* no_local, retain, waiting; as_published */
    bool submitted;           /* the writer's thread may be reading it */
    struct store_rider rider; /* OP_RECEIPT */
    struct message *message;
    struct delivery *delivery; /* told when it is on the disk */
    struct str text[3];
    char bytes[];
};
/* Somebody to be told when everything added to the batch so far is on the disk, or could not be. */
struct waiter {
    struct waiter *next;
    void (*done)(struct waiter *waiter, bool stored);
};
struct batch {
    struct store_job job;
    struct broker *broker;
    struct op *first, *last;
    struct waiter *waiters, *waiters_last;
};
/* NULL: no memory, or too many wait (and then nothing was added).  Texts are copied. */
struct op *broker_op_add(struct broker *broker, enum op_kind kind, int64_t session_id,
                         struct str text0, struct str text1, struct str text2);
void broker_op_undo(struct op *op); /* before it was submitted */
void broker_batch_wait(struct broker *broker, struct waiter *waiter);
void broker_batch_flush(struct broker *broker); /* submit what is open, unless one is under way */
void broker_batch_finish(struct broker *broker);

/* ---- sql.c ---- */
enum broker_stmt {
    STMT_SESSION_PUT,
    STMT_SESSION_END,
    STMT_SUBSCRIPTIONS_END,
    STMT_WAITINGS_END,
    STMT_RECEIPTS_END,
    STMT_RECEIVEDS_END,
    STMT_SUBSCRIBE,
    STMT_UNSUBSCRIBE,
    STMT_WAITING_ADD,
    STMT_WAITING_END,
    STMT_SENT,
    STMT_RECEIPT,
    STMT_RECEIVED_ADD,
    STMT_RECEIVED_END,
    STMT_RETAIN,
    STMT_RETAIN_END,
    STMT_WAITING_READ,
    STMT_LOAD_SESSIONS,
    STMT_LOAD_SUBSCRIPTIONS,
    STMT_LOAD_WAITING,
    STMT_LOAD_RECEIPTS,
    STMT_LOAD_RECEIVED,
    STMT_LOAD_RETAINED,
    STMT_SWEEP_SUBSCRIPTIONS,
    STMT_SWEEP_WAITING,
    STMT_SWEEP_RECEIPTS,
    STMT_SWEEP_RECEIVED,
    STMT_COUNT
};
extern struct store_statements broker_statements;
MUST_USE enum err broker_op_run(struct store_db *db, const struct op *op);
/* A message out of a row: topic, payload, expires_at and properties from column `first` on, as the
 * statements list them. */
MUST_USE enum err broker_row_message(struct store_stmt *stmt, int first, uint8_t qos,
                                     struct message **ret_message);
MUST_USE enum err broker_receipt_write(struct store_db *db, const struct store_rider *rider);
MUST_USE enum err broker_received_write(struct store_db *db, const struct store_rider *rider);

/* ---- load.c ---- */
MUST_USE enum err broker_load(struct broker *broker);

/* ---- outbox.c: QoS 1 messages to a session, in order ---- */
struct delivery {
    struct delivery *prev, *next;
    int64_t waiting_id;      /* 0: not for the disk */
    struct message *message; /* NULL: on the disk only */
    struct op *op;           /* that writes it, until it is written */
    struct outbox *outbox;
    int64_t expires_at_ms;
    uint32_t bytes, subscription_id;
    uint16_t packet_id;
    bool retain, sent_before, shed, dead;
};
struct outbox {
    struct delivery *first, *last;
    struct delivery *cursor; /* the first that was not sent on this connection; NULL: all were */
    uint32_t count, inflight, loaded;
    size_t bytes; /* of what is in memory */
    int64_t sent_id;
    uint16_t packet_id; /* newest given out */
    bool loading, sent_changed;
};
struct target;
/* False: nothing was queued (no memory).  `*ret_op` tells that a change for the disk was added. */
bool broker_outbox_add(struct broker *broker, struct session *session, struct message *message,
                       const struct target *target, bool retain, bool *ret_op);
MUST_USE enum err broker_outbox_restore(struct session *session, const struct delivery *row);
void broker_outbox_pump(struct broker *broker, struct session *session);
void broker_outbox_acked(struct broker *broker, struct session *session, uint16_t packet_id);
void broker_outbox_rewind(struct session *session); /* connection lost */
/* Without a word to the disk: the session ends or the process does. */
void broker_outbox_finish(struct session *session);
void broker_delivery_stored(struct op *op);
/* What is now free to be taken from the disk's list of the sent. */
void broker_outbox_mark_sent(struct broker *broker, struct session *session);
void broker_outbox_load(struct broker *broker, struct session *session); /* outbox_load.c */
void broker_loads_finish(struct broker *broker);
void broker_delivery_drop(struct broker *broker, struct session *session,
                          struct delivery *delivery);

/* ---- receipt.c: what was already taken from a session ---- */
struct receipts {
    uint64_t base, number; /* the first that it knows of; the next */
    uint64_t unsure_to;    /* below: stored, but perhaps not passed on to subscribers */
    uint32_t cap;          /* a power of two, at most BROKER_RECEIPTS */
    uint64_t key[];        /* ring by number; 0: none */
};
struct received {
    uint16_t count, cap;
    uint32_t id[]; /* with RECEIVED_UNSURE */
};
uint64_t broker_receipt_key(const struct mqtt_publish *publish);
enum receipt_found { RECEIPT_NEW, RECEIPT_KNOWN, RECEIPT_UNSURE };
enum receipt_found broker_receipt_find(const struct session *session, uint64_t key);
/* The number under which a message about to be handled will be remembered. */
MUST_USE enum err broker_receipt_next(struct session *session, uint64_t *ret_number);
void broker_receipt_remember(struct session *session, uint64_t number, uint64_t key);
void broker_receipt_forget(struct session *session, uint16_t packet_id);
void broker_receipt_unsure(struct session *session);
MUST_USE enum err broker_receipt_restore(struct session *session, uint64_t number, uint64_t key);
enum receipt_found broker_received_find(const struct session *session, uint16_t packet_id);
/* Unsure until it is said to be sure: it may not have been passed on. */
MUST_USE enum err broker_received_add(struct session *session, uint16_t packet_id);
void broker_received_sure(struct session *session, uint16_t packet_id);
bool broker_received_end(struct session *session, uint16_t packet_id);

/* ---- session.c ---- */
struct will {
    struct message *message; /* qos, retain, and what is passed on */
    uint32_t delay_s, expiry_s;
    bool expires;
};
struct session {
    struct session *next_hash;
    struct session *idle_prev, *idle_next; /* while nobody is connected */
    uint32_t refs;                         /* table, client, pendings, loader */
    uint32_t code;
    int64_t session_id;
    struct client *client; /* NULL: not connected */
    enum bus_role role;
    bool waiting, ended, idle;
    bool stored;  /* it has a row, or one on its way */
    bool durable; /* the row is on the disk */
    int64_t credential_id;
    uint32_t expiry_s; /* 0: ends with the connection */
    int64_t gone_at_ms;
    struct str actor, client_id, machine_id;
    struct subscription *subscriptions;
    uint32_t subscription_count;
    struct outbox *outbox;     /* NULL until something waits */
    struct receipts *receipts; /* NULL until something was taken */
    struct received *received;
    struct will *will; /* that waits for its delay */
    int64_t will_at_ms;
    uint64_t route_stamp; /* route.c */
    uint32_t route_index;
    char bytes[];
};
MUST_USE enum err broker_session_create(struct broker *broker,
                                        const struct broker_identity *identity,
                                        struct str client_id, struct session **ret_session);
struct session *broker_session_find(const struct broker *broker, struct str actor,
                                    struct str client_id);
static inline struct session *broker_session_ref(struct session *session)
{
    session->refs++;
    return session;
}
void broker_session_unref(struct session *session);
/* Forget it: subscriptions, what waits, its rows.  A will that waits is published. */
void broker_session_end(struct broker *broker, struct session *session);
void broker_session_drop(struct broker *broker, struct session *session); /* the process ends */
void broker_session_put(struct broker *broker, struct session *session);
void broker_session_idle(struct broker *broker, struct session *session, bool idle);
void broker_session_tick(struct broker *broker, int64_t now_ms);
struct bus_from broker_session_from(const struct session *session);
static inline bool broker_session_lasts(const struct session *session)
{
    return session->expiry_s > 0;
}

/* ---- client.c: one connection ---- */
struct cached { /* the way of one topic for one publisher; route.c */
    uint64_t version;
    const struct bus_handler *handler;
    struct target *targets;
    uint32_t target_count;
    bool allowed, is_volatile;
    uint16_t topic_len;
    char topic[];
};
struct client {
    struct client *prev, *next; /* all of them */
    struct machine *machine;
    struct client *machine_next;
    uint32_t refs; /* connection, waiters */
    struct mqtt_conn *conn;
    struct session *session; /* NULL: taken over, or revoked */
    struct will *will;
    struct bus_pending *fifo_first, *fifo_last; /* acknowledgements, in the order they are due */
    struct bus_pending *fifo_unpassed;          /* the first of them that was not passed on yet */
    uint32_t unacked;
    uint32_t window; /* QoS 1 messages to it that may be in flight */
    int64_t seen_ms;
    struct cached *cache[BROKER_CACHE_TOPICS];
    uint8_t cache_next;
    bool ready, closing, paused;
    bool later;     /* something of it could not be taken: it is closed when its turn comes */
    bool advancing; /* pending.c */
    bool v5;
};
void broker_client_close(struct broker *broker, struct client *client, enum mqtt_reason reason);
/* Read from it only as far as it can be answered. */
void broker_client_pause(struct broker *broker, struct client *client);
void broker_client_unref(struct client *client);
/* Part it from its session; the session stays, without a connection. */
void broker_client_detach(struct broker *broker, struct client *client);
void broker_client_finish(struct broker *broker, struct client *client);

/* ---- connect.c ---- */
void broker_on_connect(void *cookie, struct mqtt_conn *conn, const struct mqtt_connect *connect);
void broker_on_disconnect(void *cookie, struct mqtt_conn *conn,
                          const struct mqtt_disconnect *disconnect);
void broker_on_gone(void *cookie, struct mqtt_conn *conn, enum mqtt_reason reason);

/* ---- will.c ---- */
MUST_USE enum err broker_will_create(const struct mqtt_will *from, struct will **ret_will);
void broker_will_destroy(struct will *will);
void broker_will_publish(struct broker *broker, struct session *session, struct will *will);

/* ---- presence.c: machines that are connected ---- */
struct machine {
    struct machine *next_hash;
    struct client *clients;
    char machine_id[ID_BYTES_MAX + 1];
};
MUST_USE enum err broker_presence_open(struct broker *broker, struct client *client);
void broker_presence_close(struct broker *broker, struct client *client);
struct machine *broker_presence_find(const struct broker *broker, struct str machine_id);
void broker_presence_seen(struct broker *broker, struct client *client);

/* ---- route.c: who gets a message ---- */
struct target {
    struct session *session;
    uint32_t subscription_id;
    uint8_t qos;
    bool as_published;
};
struct targets {
    struct target *at;
    uint32_t count, cap;
    struct target few[16];
};
MUST_USE enum err broker_route(struct broker *broker, const struct session *publisher,
                               struct str topic, struct targets *ret_targets);
void broker_targets_finish(struct targets *targets);
/* Handler and rights of a topic. */
void broker_plan(struct broker *broker, const struct bus_from *from, struct str topic,
                 struct cached *ret_plan);
/* From the connection's cache.  NULL: no memory. */
const struct cached *broker_plan_cached(struct broker *broker, struct client *client,
                                        struct str topic);
void broker_cache_finish(struct client *client);

/* ---- deliver.c: out to the targets ---- */
struct outgoing {
    const struct mqtt_publish *publish;
    int64_t expires_at_ms;
    struct message *message; /* made when somebody must keep it; the maker unrefs it */
    void (*handed)(void *cookie, struct str client_id, bool acknowledged);
    void *handed_cookie;
};
/* Send to each, and keep it where retained.  `*ret_op` when something was added for the disk.
 * ERR_NOMEM: somebody did not get it who must. */
MUST_USE enum err broker_pass_on(struct broker *broker, struct outgoing *out,
                                 const struct target *targets, uint32_t count, bool *ret_op);
/* Must the publisher's acknowledgement wait for the disk? */
bool broker_must_store(const struct mqtt_publish *publish, const struct target *targets,
                       uint32_t count);
/* Encode and queue one message.  Errors as mqtt_conn_send. */
MUST_USE enum err broker_send(struct broker *broker, struct client *client,
                              const struct mqtt_publish *publish, int64_t expires_at_ms);
uint32_t broker_bus_publish(struct bus *bus, const struct bus_out *out);

/* ---- publish.c: in from clients ---- */
void broker_on_publish(void *cookie, struct mqtt_conn *conn, const struct mqtt_publish *publish);
void broker_on_ack(void *cookie, struct mqtt_conn *conn, const struct mqtt_ack *ack);
/* A message of a session that nobody acknowledges: a will. */
void broker_publish_unasked(struct broker *broker, struct session *session,
                            const struct mqtt_publish *publish);

/* ---- pending.c: messages whose outcome is not known yet, and acknowledgements in order ---- */
enum pending_state { PENDING_HANDLER, PENDING_TWIN, PENDING_READY, PENDING_STORE, PENDING_DONE };
struct bus_pending {
    struct waiter waiter; /* first */
    struct broker *broker;
    struct client *client;   /* NULL: nobody waits for its acknowledgement */
    struct session *session; /* of the publisher; a reference */
    struct bus_pending *fifo_next;
    struct bus_pending *prev, *next; /* broker->pendings, until its outcome is known */
    struct bus_pending *twins;       /* the same message, sent again meanwhile */
    struct bus_pending *twin_next;
    struct message *message; /* to be passed on when the handler took it */
    uint64_t key, number;    /* receipt; number 0: none */
    uint16_t packet_id;
    uint8_t qos;
    bool later;
    bool handled; /* by a handler that said so */
    bool behind;  /* a message before it was not taken: it must not overtake that one */
    bool taken;   /* what it brought is stored, or will be as soon as the disk can */
    enum pending_state state;
    enum mqtt_reason reason;
};
/* With a client: its place among the acknowledgements is taken. */
MUST_USE enum err broker_pending_create(struct broker *broker, struct session *session,
                                        struct client *client, const struct mqtt_publish *publish,
                                        enum pending_state state, struct bus_pending **ret_pending);
/* The same message of this session, whose outcome is not known yet. */
struct bus_pending *broker_pending_find(const struct broker *broker, const struct session *session,
                                        const struct mqtt_publish *publish, uint64_t key);
void broker_pending_twin(struct bus_pending *first, struct bus_pending *twin);
/* The outcome: acknowledge in order; `later`: close the connection instead. */
void broker_pending_finish(struct bus_pending *pending, enum mqtt_reason reason, bool later);
/* It is taken: on to retained and subscribers, after those before it; then finish, when the disk
 * has what it must have. */
void broker_pending_ready(struct bus_pending *pending);
/* The same at once, with nothing before it. */
void broker_pending_pass_on(struct bus_pending *pending, const struct mqtt_publish *publish,
                            int64_t expires_at_ms, const struct target *targets, uint32_t count);
/* Acknowledge at once, or when those before are. */
void broker_ack(struct broker *broker, struct client *client, const struct mqtt_publish *publish,
                enum mqtt_reason reason);
void broker_fifo_abandon(struct client *client);
void broker_pendings_finish(struct broker *broker);

/* ---- subscribe.c ---- */
void broker_on_subscribe(void *cookie, struct mqtt_conn *conn,
                         const struct mqtt_subscribe *subscribe);
void broker_on_unsubscribe(void *cookie, struct mqtt_conn *conn,
                           const struct mqtt_subscribe *unsubscribe);
/* `*ret_new`: it was not there before. */
MUST_USE enum err broker_subscription_put(struct broker *broker, struct session *session,
                                          const struct mqtt_filter *filter,
                                          uint32_t subscription_id, bool *ret_new);
bool broker_subscription_end(struct broker *broker, struct session *session, struct str filter);
void broker_subscriptions_end(struct broker *broker, struct session *session);

/* ---- retained.c ---- */
MUST_USE enum err broker_retain(struct broker *broker, const struct mqtt_publish *publish,
                                int64_t expires_at_ms, bool memory_only, bool *ret_op);
MUST_USE enum err broker_retain_restore(struct broker *broker, struct message *message);
void broker_retained_send(struct broker *broker, struct session *session,
                          const struct subscription *subscription);
void broker_retained_tick(struct broker *broker, int64_t now_ms);
void broker_retained_finish(struct broker *broker);

/* ---- figures.c: $SYS ---- */
void broker_figures_tick(struct broker *broker, int64_t mono_ms);

#define BROKER_MACHINE_BUCKETS 4096

struct broker {
    struct bus bus; /* first */
    struct broker_options options;
    struct mqtt_server *server;
    struct loop_timer *flush_timer;
    char *volatile_filters;
    struct broker_tree tree;
    uint64_t version; /* of who listens to what, and who may */
    uint64_t route_stamp;

    struct session **session_bucket;
    uint32_t session_bucket_count, session_count, session_lasting;
    struct session *idle;
    int64_t session_id, waiting_id; /* newest given out */
    struct client *clients;
    struct machine **machine_bucket;

    struct retained *retained, *retained_sweep;
    uint32_t retained_count;
    size_t retained_bytes;

    struct batch *open, *writing;
    uint32_t op_count;
    bool flush_set, failing, stuck;

    char request_prefix[16];
    uint64_t request_number, seed;
    int64_t started_mono_ms, figures_mono_ms;
    struct broker_stats stats;

    bool stopping, wills_done, server_stopping, server_stopped;
    int64_t stop_deadline_ms;
    void (*stopped)(void *cookie);
    void *stopped_cookie;
    struct loop_timer *stop_timer;
    struct load_job *loads;
    struct bus_pending *pendings;
};
static inline int64_t broker_wall_ms(const struct broker *broker)
{
    return broker->options.wall_ms(broker->options.clock);
}
void broker_stop_advance(struct broker *broker); /* after anything that a stop may wait for */
void broker_stop_fire(void *cookie);

/* Quick, seeded, not for secrets. */
uint64_t broker_hash(uint64_t seed, const void *bytes, size_t len);

#endif
