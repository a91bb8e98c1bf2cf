/* broker: MQTT sessions, subscriptions, retained messages, wills and rights: the endpoint inside
 * the server.  A PUBACK means stored, or that the topic is volatile; rights are the server's own,
 * looked at when a client connects, publishes, subscribes, and again at each delivery.
 *
 * Loop thread only.  What must outlive the process is in SQL: persistent sessions with their
 * subscriptions, messages that wait for them, packet ids already taken from them, retained
 * messages. */
#ifndef AUTOMAT_BROKER_H
#define AUTOMAT_BROKER_H

#include "broker/bus.h"
#include "loop/loop.h"
#include "net/mqtt/mqtt.h"
#include "store/store.h"

struct broker;

/* Who is at the door.  The rooms that know people and machines answer. */
struct broker_credentials {
    struct str user, password, client_id;
    bool has_user, has_password, tls;
    const char *peer;
};
#define BROKER_NAME_BYTES 96
struct broker_identity {
    enum bus_role role;
    bool waiting;
    char machine_id[ID_BYTES_MAX + 1];
    char actor[BROKER_NAME_BYTES];
    int64_t credential_id; /* of the token; for broker_revoke */
};
struct broker_gate {
    void *cookie;
    /* From memory, at once.  MQTT_SUCCESS, MQTT_BAD_CREDENTIALS, MQTT_NOT_AUTHORIZED, MQTT_BANNED,
     * MQTT_SERVER_BUSY (asked too often). */
    enum mqtt_reason (*authenticate)(void *cookie, const struct broker_credentials *credentials,
                                     struct broker_identity *ret_identity);
    /* A device's first connection opened, its last one closed; also called at each packet of a
     * device at most once a second with `seen`.  May be NULL. */
    void (*presence)(void *cookie, struct str machine_id, bool opened, bool closed, bool seen);
    /* A client subscribed (after its SUBACK was queued): what it now may want to hear.  May be
     * NULL. */
    void (*subscribed)(void *cookie, const struct bus_from *from, struct str filter);
};

/* ---- rights: pure, one table, default deny ---- */
enum broker_right { BROKER_PUBLISH, BROKER_SUBSCRIBE, BROKER_DELIVER };
/* For BROKER_SUBSCRIBE `topic` is a filter: allowed when everything it can match may be delivered.
 */
bool broker_allows(const struct bus_from *from, enum broker_right right, struct str topic);

struct broker_options {
    struct loop *loop;
    struct store *store;
    int64_t (*wall_ms)(void *clock); /* server time, epoch ms */
    void *clock;
    struct broker_gate gate;
    const struct bus_handler *handlers; /* ended by filter NULL; lives as long as the broker */
    void *handler_cookie;
    const char *volatile_filters; /* comma list of further volatile topics, or NULL */
    /* 0 means the value in brackets */
    uint32_t connections_max;      /* [20,000] */
    uint32_t sessions_max;         /* [20,000] persistent ones */
    uint32_t session_expiry_s_max; /* [7 days] */
    uint32_t subscriptions_max;    /* [64] of one session */
    uint32_t inflight_max;         /* [32] QoS 1 messages to one client not yet acknowledged */
    uint32_t receive_max;          /* [256] from one client; reading pauses beyond */
    uint32_t queued_max;           /* [1,000] messages that wait for one persistent session; the
                                      oldest gives way, counted */
    uint32_t retained_max;         /* [20,000] */
    size_t packet_bytes_max;       /* [256 KiB] */
};
/* Loads sessions and retained messages with store_run_now.  Does not listen yet. */
MUST_USE enum err broker_create(const struct broker_options *options, struct broker **ret_broker);
struct mqtt_server *broker_server(struct broker *broker); /* to listen on, or adopt streams */
struct bus *broker_bus(struct broker *broker);
/* Credentials stopped being good: every connection of them is closed (MQTT_NOT_AUTHORIZED), and
 * persistent sessions of a machine that is gone or blocked are forgotten.  Either may be given. */
void broker_revoke(struct broker *broker, struct str machine_id, int64_t credential_id);
/* Staff let this machine in: what its connections were denied until now is theirs. */
void broker_admitted(struct broker *broker, struct str machine_id);
/* Is this device connected, and does it listen to this topic? */
bool broker_listens(const struct broker *broker, struct str machine_id, struct str topic);
/* The same of one client, as it connected (bus_from.actor, .client_id). */
bool broker_client_listens(const struct broker *broker, struct str actor, struct str client_id,
                           struct str topic);
/* Every second or so: expiries, will delays. */
void broker_tick(struct broker *broker, int64_t now_ms, int64_t mono_ms);
/* Close everybody, after what is on its way to the disk is acknowledged.  Wills are published. */
void broker_stop(struct broker *broker, void (*done)(void *cookie), void *cookie);
void broker_destroy(struct broker *broker); /* after store_close; NULL does nothing */

struct broker_stats {
    uint32_t sessions, sessions_connected, subscriptions, retained;
    uint64_t messages_in[3], messages_out[3]; /* by QoS */
    uint64_t duplicates;                      /* redeliveries that were already stored */
    uint64_t denied, dropped, expired, refused_connects, takeovers, wills;
    uint64_t bad_payloads, later; /* verdicts of handlers */
    uint32_t pending;             /* handled, not yet stored */
};
void broker_stats_get(const struct broker *broker, struct broker_stats *ret_stats);

#endif
