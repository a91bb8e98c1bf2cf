/* Inside twin: what its files share. */
#ifndef AUTOMAT_TWIN_INT_H
#define AUTOMAT_TWIN_INT_H

#include <stdio.h>

#include "device/device_espresso.h"
#include "machine/espresso/espresso_physics.h"
#include "sys/sys.h"
#include "twin/twin.h"

/* ---- twin_http.c: one request a channel over libcurl, on the loop ---- */

struct twin_http;

struct twin_request {
    enum device_channel channel;
    bool post;
    const char *path;       /* copied */
    const char *journal_id; /* or NULL; copied */
    struct str body;        /* copied */
    uint32_t timeout_ms;
};

/* `done` is called on the loop, later than twin_http_send, at most once a request: status 0 means
 * that no whole answer came.  The body lives until it returns.  A newer request on a channel calls
 * the older one off. */
typedef void twin_http_done(void *cookie, enum device_channel channel, uint32_t status,
                            struct str body);
MUST_USE enum err twin_http_create(struct loop *loop, const char *server_url, const char *token,
                                   const char *cacert, twin_http_done *done, void *cookie,
                                   struct twin_http **ret_http);
void twin_http_destroy(struct twin_http *http);
MUST_USE enum err twin_http_send(struct twin_http *http, const struct twin_request *request);
void twin_http_cancel(struct twin_http *http); /* all channels; done is not called */

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
MUST_USE enum err twin_faults_add(struct twin_faults *faults, struct str text,
                                  uint32_t *physics_bits);

enum twin_loss { TWIN_LOSS_NONE, TWIN_LOSS_REQUEST, TWIN_LOSS_ANSWER };
/* What becomes of the next exchange. */
enum twin_loss twin_faults_draw(struct twin_faults *faults, struct rng *rng);

/* ---- the twin ---- */

struct twin {
    struct loop *loop;
    struct loop_timer *timer;
    char *id, *capabilities;
    struct device_options options; /* of the program */
    struct device device;
    struct device_espresso espresso;
    struct espresso_physics physics;
    struct espresso_outputs outputs; /* as driven now */
    struct rng rng;
    struct twin_flash flash;
    struct twin_faults faults;
    struct twin_http *http;
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

    /* what is told about the metal */
    struct id128 moved_uid; /* the order whose first motion was recorded */
    uint32_t pump_starts;
    bool was_acting;
    enum device_phase phase_told;
};

/* ---- twin_board.c ---- */
MUST_USE enum err twin_board_init(struct twin *twin);
void twin_board_step(struct twin *twin); /* everything due at twin->clock_ms */
void twin_board_power_off(struct twin *twin);
void twin_board_http_done(void *cookie, enum device_channel channel, uint32_t status,
                          struct str body);

/* ---- twin_clock.c ---- */
/* Lets the board and the physics live until now. */
void twin_clock_run(struct twin *twin);
/* The clock goes on while the program waits for its flash: no control, but time. */
void twin_clock_wait(struct twin *twin);
void twin_clock_arm(struct twin *twin);

/* ---- twin_record.c ---- */
MUST_USE enum err twin_record_open(struct twin *twin, const char *path);
void twin_record_motion(struct twin *twin);
void twin_record_pump(struct twin *twin);

#endif
