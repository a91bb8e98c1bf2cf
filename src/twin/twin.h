/* twin: machines without metal.  The same program that runs on a board (room device), with the
 * physics of the machine behind its wires and libcurl behind its link.
 *
 * Loop thread only.  A twin talks to the server over real sockets, also to the one in its own
 * process.  Its clock runs `speed` times faster: control and physics see that clock, and every time
 * the server gives it (deadlines, pauses, time-outs) is counted in real time, so a faster twin is
 * as punctual as a slow one (README rule 3). */
#ifndef AUTOMAT_TWIN_H
#define AUTOMAT_TWIN_H

#include "base/base.h"
#include "loop/loop.h"

#define TWIN_FAULTS_MAX 16
#define TWIN_SPEED_MAX  200

struct twin; /* opaque */

/* Texts are copied.  Zero or NULL means what stands in brackets. */
struct twin_options {
    const char *kind;       /* "espresso" (that), "window" */
    const char *id;         /* machine id; needed */
    const char *server_url; /* "http://127.0.0.1:8000", "https://..."; needed */
    /* The device's token.  NULL or "auto": it makes one, keeps it beside the journal file
     * (FILE.token), introduces itself with it and waits for staff. */
    const char *token;
    const char *cacert; /* PEM file to trust instead of the system's */
    uint32_t speed;     /* (1) at most TWIN_SPEED_MAX */
    uint32_t poll_s;    /* ask every so often (0: long poll) */
    const char
        *journal_file; /* (in memory: a reboot by fault keeps it, the end of the process not) */
    const char *actuations_file; /* (none) one line of JSON for each physical start, synced */
    uint64_t seed;               /* of chance in the physics (from the kernel) */
    /* Each "NAME" or "NAME:once".  Physics: jam_pick, jam_insert, head_open, button_dead,
     * magazine_empty, water_low, sensor_stuck, pump_timeout, estop, over_temperature; once: until
     * the first order under it has ended.  For a window: obstacle, endstop_stuck, motor_dead,
     * encoder_slip, sensor_stuck, estop.  The board: reboot_at=STEP (power goes for a second when
     * an order gets there; once: the first time), journal_lost (the journal is wiped at the next
     * boot; once), link_loss (a third of the requests never leave and a third of the answers get
     * lost; once: for the first 8). */
    const char *faults[TWIN_FAULTS_MAX];
    size_t fault_count;
    /* Sensors of a room (kind window), in real seconds; 0: as the machine's configuration says,
     * UINT32_MAX: never.  Every reading goes out marked as simulated. */
    uint32_t sensor_s, audio_s;
    /* "HOST:PORT" of the server's MQTT (none).  Preferred while it is there; otherwise, from 5 s
     * after the start or at once when it is lost, the twin goes on over HTTP, and comes back. */
    const char *mqtt;
    /* The same over TLS, verified against `cacert`; goes before `mqtt`.  `server_url` is https://
     * then, so that losing MQTT does not mean losing TLS. */
    const char *mqtts;
};

/* Sound as 16-bit little-endian PCM in base64, in pieces, made while it is read.  Copy it to read
 * it again. */
struct twin_audio {
    uint64_t state[16];
    uint32_t rate_hz;
    size_t text_bytes; /* of base64, all in all */
    /* The next bytes of the text, 0 after the last. */
    size_t (*read)(struct twin_audio *audio, char *dst, size_t dst_bytes);
};

/* One value of one sensor.  `at` is when it is received: a board keeps no wall clock. */
struct twin_reading {
    const char *type; /* "temperature"; "audio": then `audio` is it */
    double value;
    const struct twin_audio *audio;
};

/* Starts when the loop runs.  ERR_INPUT, with a sentence in `why`: an option is unusable.
 * ERR_CONFLICT: another process has this journal.  ERR_IO, ERR_NOMEM: files, memory. */
MUST_USE enum err twin_create(struct loop *loop, const struct twin_options *options, char *why,
                              size_t why_bytes, struct twin **ret_twin);
/* Power off.  Before loop_destroy; NULL does nothing. */
void twin_destroy(struct twin *twin);

/* The whole of `automat twin`: one twin until SIGTERM or SIGINT, which are no error. */
MUST_USE enum err twin_run(struct loop *loop, const struct twin_options *options, char *why,
                           size_t why_bytes);

/* Switch a fault of the physics on or off, now.  ERR_NOT_FOUND: no such fault. */
MUST_USE enum err twin_fault_set(struct twin *twin, struct str name, bool on);
/* Take the power away for a second. */
void twin_reboot(struct twin *twin);
/* Turn to the other road and stay there, or back (twin_run: SIGUSR1).  Nothing without `mqtt`. */
void twin_road_toggle(struct twin *twin);

struct twin_status {
    const char *phase, *step; /* of the program; of the machine */
    const char *road;         /* "http", "mqtt" */
    bool acting;
    uint32_t boots, starts, pump_starts, reports, link_errors;
    uint32_t published, publish_skipped; /* readings */
};
struct twin_status twin_status_get(const struct twin *twin);

#endif
