/* Inside twin: what its files share. */
#ifndef AUTOMAT_TWIN_INT_H
#define AUTOMAT_TWIN_INT_H

#include <stdio.h>

#include "device/device.h"
#include "sys/sys.h"
#include "twin/twin.h"

struct twin;

/* ---- a road to the server: one file each.  The first member of its own struct. ---- */

/* The program's channels, and one of the twin's own that never holds those up. */
#define TWIN_READINGS      DEVICE_CHANNEL_COUNT
#define TWIN_CHANNEL_COUNT (DEVICE_CHANNEL_COUNT + 1)

struct twin_request {
    unsigned channel; /* of the program: enum device_channel */
    bool post;
    const char *path;       /* copied */
    const char *journal_id; /* or NULL; copied */
    struct str body;        /* copied */
    uint32_t timeout_ms;
    uint64_t exchange_id; /* as the program knows it */
    bool answer_lost;     /* a fault: nobody will hear the answer */
};

struct twin_link {
    /* Starts an exchange.  A newer one on a channel calls the older one off. */
    enum err (*send)(struct twin_link *link, const struct twin_request *request);
    /* Readings, volatile: ERR_AGAIN while those before are still under way, then these are left
     * out.  All is copied. */
    enum err (*publish)(struct twin_link *link, const struct twin_reading *readings, size_t count);
    /* The board's power went: all channels; `done` is not called. */
    void (*cancel)(struct twin_link *link);
    void (*destroy)(struct twin_link *link);
    /* All of these may be NULL.  boot: a fresh program, after its device_init.  step: before each
     * device_step; wait: after it, in how many ms of the board's clock the next is due.  toggle:
     * turn to the other road, if there are two; name: the one in use. */
    void (*boot)(struct twin_link *link);
    void (*step)(struct twin_link *link);
    uint32_t (*wait)(struct twin_link *link);
    void (*toggle)(struct twin_link *link);
    const char *(*name)(struct twin_link *link);
};

/* Called on the loop, later than `send`, at most once a request: status 0 means that no whole
 * answer came.  The body lives until it returns. */
typedef void twin_link_done(void *cookie, unsigned channel, uint32_t status, struct str body);

/* What a road is made from; texts live for the call. */
struct twin_link_options {
    struct loop *loop;
    const char *machine_id, *server_url, *token, *cacert;
    const char *mqtt; /* NULL: HTTP only */
    bool mqtt_tls;
    twin_link_done *done;
    void *cookie;
};

/* ---- twin_http.c: HTTP over libcurl ---- */
MUST_USE enum err twin_http_create(const struct twin_link_options *options,
                                   struct twin_link **ret_link);
/* ---- twin_roads.c: MQTT, and HTTP while that is not there ---- */
MUST_USE enum err twin_roads_create(const struct twin_link_options *options, struct twin *twin,
                                    struct twin_link **ret_link);

/* ---- twin_readings.c: one reading as JSON, and the body of POST /api/machines/ID/readings ---- */
MUST_USE enum err twin_reading_body(const struct twin_reading *reading, bool with_type,
                                    struct buf *body);
MUST_USE enum err twin_readings_body(const struct twin_reading *readings, size_t count,
                                     struct buf *body);

/* ---- a kind of machine: one file each, and a line in twin_kinds.c ---- */

/* `metal` is the kind's own struct: physics, what drives it, and the kind as the program runs it.
 */
struct twin_kind {
    const struct device_kind *device;
    const char *capabilities; /* JSON */
    size_t metal_bytes;
    /* Before the first boot. */
    void (*init)(void *metal, struct twin *twin, uint64_t seed);
    /* Power comes on: a fresh program.  Returns the kind_context of the program. */
    void *(*boot)(void *metal);
    /* Power went: nothing is energised. */
    void (*off)(void *metal);
    /* What the outputs do to the metal in `dt_ms` of the board's clock. */
    void (*step)(void *metal, uint32_t dt_ms, struct rng *rng);
    /* Bits of the physics' faults; 0: no such fault. */
    uint32_t (*fault_from)(struct str name);
    uint32_t *(*faults)(void *metal);
    /* Names of the state machine; NULL beyond the last. */
    const char *(*step_at)(unsigned index);
    const char *(*step_name)(const void *metal);
    /* What is counted apart (README rule 5): starts so far, and what one is called. */
    uint32_t (*starts)(const void *metal);
    const char *start_word;
    /* Readings due at `now_ms` (board's clock), at most TWIN_READINGS_MAX; NULL: the kind has no
     * such sensors.  Texts and audio live until the next call. */
    size_t (*read)(void *metal, int64_t now_ms, struct twin_reading *ret_readings);
};
#define TWIN_READINGS_MAX 8

/* NULL: there is no such kind.  NULL name: the first. */
const struct twin_kind *twin_kind_find(const char *name);
extern const struct twin_kind twin_espresso, twin_window;

/* ---- twin_flash.c: the journal's memory ---- */

#define TWIN_SECTOR_BYTES ((uint32_t)(32 * KIB))

struct twin_flash {
    uint8_t bytes[2 * TWIN_SECTOR_BYTES];
    int fd; /* -1: in memory only */
    struct file_lock lock;
};
/* `path` NULL: in memory.  ERR_CONFLICT: another process has it; ERR_INPUT: it is no journal. */
MUST_USE enum err twin_flash_open(struct twin_flash *flash, const char *path);
void twin_flash_close(struct twin_flash *flash);
MUST_USE enum err twin_flash_read(struct twin_flash *flash, uint32_t offset, void *dst, size_t len);
MUST_USE enum err twin_flash_write(struct twin_flash *flash, uint32_t offset, const void *src,
                                   size_t len);
MUST_USE enum err twin_flash_erase(struct twin_flash *flash, uint32_t sector);

/* ---- twin_faults.c ---- */

struct twin_fault {
    bool on, once;
};

struct twin_faults {
    uint32_t physics_once; /* bits to clear when the next order has ended */
    struct twin_fault reboot, journal_lost, link_loss;
    char reboot_at[48];
    uint32_t exchanges; /* while link_loss is on */
};
/* ERR_INPUT: no such fault.  Physics faults are set in `*physics_bits`. */
MUST_USE enum err twin_faults_add(struct twin_faults *faults, const struct twin_kind *kind,
                                  struct str text, uint32_t *physics_bits);

enum twin_loss { TWIN_LOSS_NONE, TWIN_LOSS_REQUEST, TWIN_LOSS_ANSWER };
/* What becomes of the next exchange. */
enum twin_loss twin_faults_draw(struct twin_faults *faults, struct rng *rng);

/* ---- the twin ---- */

struct twin {
    struct loop *loop;
    struct loop_timer *timer;
    char *id;
    struct device_options options; /* of the program */
    struct device device;
    const struct twin_kind *kind;
    void *metal;
    struct rng rng;
    struct twin_flash flash;
    struct twin_faults faults;
    struct twin_link *link;
    int actuations_fd; /* -1: none */

    /* time: `clock_ms` is the board's, which runs `speed` times faster than the real one */
    uint32_t speed;
    int64_t real_start_ms, clock_ms, physics_ms;
    int64_t due_ms; /* of the board's clock: when the program wants to be called */

    /* power */
    bool powered;
    int64_t power_on_ms; /* when it comes back */
    uint32_t boots;

    /* exchanges: ids as the program knows them; 0: none */
    uint64_t exchange[DEVICE_CHANNEL_COUNT];
    enum twin_loss loss[DEVICE_CHANNEL_COUNT];

    /* sensors */
    uint32_t sensor_s, audio_s; /* options */
    uint32_t published, publish_skipped;

    /* what is told about the metal */
    struct id128 moved_uid; /* the order whose first motion was recorded */
    uint32_t starts;
    bool was_acting;
    enum device_phase phase_told;
};

/* ---- twin_board.c ---- */
MUST_USE enum err twin_board_init(struct twin *twin);
void twin_board_step(struct twin *twin); /* everything due at twin->clock_ms */
void twin_board_power_off(struct twin *twin);
void twin_board_link_done(void *cookie, unsigned channel, uint32_t status, struct str body);

/* ---- twin_sensors.c ---- */
void twin_sensors_run(struct twin *twin); /* what is due now */

/* ---- twin_clock.c ---- */
/* Lets the board and the physics live until now. */
void twin_clock_run(struct twin *twin);
/* The clock goes on while the program waits for its flash: no control, but time. */
void twin_clock_wait(struct twin *twin);
void twin_clock_arm(struct twin *twin);

/* ---- twin_record.c ---- */
MUST_USE enum err twin_record_open(struct twin *twin, const char *path);
void twin_record_motion(struct twin *twin); /* an output is about to be driven */
void twin_record_starts(struct twin *twin);

#endif
