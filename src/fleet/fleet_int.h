/* Inside of fleet: what its files share. */
#ifndef AUTOMAT_FLEET_INT_H
#define AUTOMAT_FLEET_INT_H

#include "fleet/fleet.h"
#include "record/record.h"

#include <stddef.h>

#define TOKEN_HASH_BYTES 32
#define TOKEN_LEN_MIN    32
#define TOKEN_LEN_MAX    FLEET_TOKEN_LEN_MAX
#define TOKEN_BUCKETS    8192
#define SAVE_EVERY_MS    60000 /* last_seen and last_used are written down at most so often */
#define SWEEP_ROWS_MAX   512
#define ALERT_EVERY_MS   60000 /* second_device: counted at most so often a machine */
#define JSON_DEPTH_MAX   16
#define ACTOR_BYTES      (ID_BYTES_MAX + 16)
#define REQUEST_ID_BYTES 65

struct machine;
struct device_token {
    struct fleet_token shown;
    uint8_t hash[TOKEN_HASH_BYTES];
    int64_t saved_used_at_ms;
    struct machine *machine;
    struct device_token *next; /* in its bucket */
};

struct machine {
    struct fleet_machine shown; /* first: what is given out is the machine */
    char *config, *capabilities, *sensors, *metadata;
    int64_t seen_mono_ms;
    int64_t saved_seen_at_ms, second_device_at_ms;
    int64_t inactive_at_ms; /* as written down: since when the alert stands; 0: it does not */
    struct device_token token[FLEET_TOKENS_MAX]; /* [0..token_count): oldest first */
};

struct op;
struct fleet {
    struct loop *loop;
    struct store *store;
    struct fleet_options options;

    struct machine **machine; /* sorted by id; room for count + reserved */
    uint32_t count, reserved, cap, waiting_count;
    struct device_token *bucket[TOKEN_BUCKETS];

    struct op *ops; /* on their way through the store */
    bool sweeping, swept;
    int64_t listening_mono_ms; /* of the first sweep */
    void (*changed)(void *cookie, const struct fleet_machine *machine, enum fleet_change change);
    void *changed_cookie;
    void (*gone)(void *cookie, const char *machine_id, int64_t token_id);
    void *gone_cookie;
};

/* ---- memory.c: what is remembered; after a reservation nothing of it fails ---- */

struct machine *fleet_machine_create(struct str machine_id, struct str kind);
void fleet_machine_free(struct machine *machine); /* NULL does nothing */
struct machine *fleet_memory_find(const struct fleet *fleet, struct str machine_id);
MUST_USE enum err fleet_memory_reserve(struct fleet *fleet); /* a place for one more machine */
void fleet_memory_add(struct fleet *fleet, struct machine *machine);
void fleet_memory_remove(struct fleet *fleet,
                         struct machine *machine); /* tells both watchers, frees */
void fleet_memory_set_admission(struct fleet *fleet, struct machine *machine,
                                enum fleet_admission admission);
void fleet_memory_add_token(struct fleet *fleet, struct machine *machine,
                            const struct device_token *token);
struct device_token *fleet_memory_token(struct machine *machine, int64_t token_id);
void fleet_memory_end_token(struct fleet *fleet, struct machine *machine, int64_t token_id);
struct device_token *fleet_memory_token_hashed(const struct fleet *fleet,
                                               const uint8_t hash[TOKEN_HASH_BYTES]);
void fleet_memory_changed(struct fleet *fleet, struct machine *machine, enum fleet_change change);
void fleet_memory_free(struct fleet *fleet);

/* presence.c */
void fleet_machine_seen(struct fleet *fleet, struct machine *machine, int64_t now_ms,
                        int64_t mono_ms);

/* ---- check.c ---- */

/* A JSON object of at most `bytes_max` bytes, without double names, at most 16 deep, in its
 * shortest spelling; empty text gives "{}".  The result is the caller's.  ERR_INPUT, ERR_NOMEM. */
MUST_USE enum err fleet_object_check(struct str text, size_t bytes_max, char **ret_json);
bool fleet_name_shown(
    struct str name, size_t bytes); /* UTF-8 for people, without control characters; may be empty */
bool fleet_firmware_shown(struct str firmware); /* printable ASCII; may be empty */
bool fleet_step_named(struct str step);
bool fleet_token_presentable(struct str token);
enum err fleet_admission_parse(struct str text, enum fleet_admission *ret_admission);

/* ---- secret.c ---- */

MUST_USE enum err fleet_token_make(char ret_text[FLEET_TOKEN_BYTES],
                                   uint8_t ret_hash[TOKEN_HASH_BYTES]);
void fleet_token_hash(struct str text, uint8_t ret_hash[TOKEN_HASH_BYTES]);

/* ---- a change on its way through the store (op.c) ---- */

/* First member of every change's own struct, so a store_job is the op and the op is the change. */
struct op {
    struct store_job job;
    struct fleet *fleet;
    struct op *next, *prev;
    struct machine *machine; /* what memory gets after the commit; freed with the op otherwise */
    void *owned;             /* freed with the op */
    bool reserved;
    char machine_id[FLEET_ID_BYTES];
    char actor[ACTOR_BYTES];
    char request_id[REQUEST_ID_BYTES];
    int64_t now_ms;
    void *cookie;
};
void *fleet_op_create(struct fleet *fleet, size_t bytes, struct fleet_by by, struct str machine_id);
MUST_USE enum err fleet_op_submit(struct op *op); /* on failure the op is gone */
void fleet_op_free(struct op *op);
MUST_USE enum err fleet_op_audit(const struct op *op, struct store_db *db, const char *action,
                                 struct str detail);
struct machine *fleet_op_machine(const struct op *op); /* the one in memory now, or NULL */

/* ---- statements (sql.c) ---- */

enum fleet_statement {
    SQL_MACHINES_ALL,
    SQL_TOKENS_ALL,
    SQL_MACHINE_SHOW,
    SQL_MACHINE_INSERT,
    SQL_WAITING_COUNT,
    SQL_ADMISSION_SET,
    SQL_CONFIG_SET,
    SQL_NAME_SET,
    SQL_METADATA_SET,
    SQL_HELLO_SHOW,
    SQL_HELLO_SET,
    SQL_SEEN_SET,
    SQL_INACTIVE_SET,
    SQL_MACHINE_DELETE,
    SQL_MACHINE_DELETE_WAITING,
    SQL_TOKEN_INSERT,
    SQL_TOKEN_COUNT,
    SQL_TOKEN_HELD,
    SQL_TOKEN_USED,
    SQL_TOKEN_REVOKE,
    SQL_TOKEN_REVOKE_ALL,
    SQL_TOKEN_DELETE_ALL,
    SQL_TOKEN_DELETE_WAITING,
    SQL_COUNT
};
struct store_stmt *fleet_sql(struct store_db *db, enum fleet_statement index);
MUST_USE enum err fleet_sql_insert_machine(struct store_db *db, const struct machine *machine);
MUST_USE enum err fleet_sql_insert_token(struct store_db *db, const char *machine_id,
                                         const struct device_token *token, int64_t *ret_token_id);
/* Run a statement whose only parameter is a machine's id. */
MUST_USE enum err fleet_sql_for_machine(struct store_db *db, enum fleet_statement index,
                                        const char *machine_id, int64_t *ret_changes);

MUST_USE enum err fleet_load(struct fleet *fleet); /* load.c */

#endif
