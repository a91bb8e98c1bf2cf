/* The made-up world's parts: flash, server, network, board. */
#ifndef AUTOMAT_TESTS_DEVICE_FAKE_TYPES_H
#define AUTOMAT_TESTS_DEVICE_FAKE_TYPES_H

#include <setjmp.h>
#include <string.h>

#include "device/device.h"
#include "kit/kit.h"

#define FAKE_SECTOR_BYTES  JOURNAL_SECTOR_BYTES_MIN
#define FAKE_FLASH_BYTES   (2 * FAKE_SECTOR_BYTES)
#define FAKE_COMMANDS_MAX  512
#define FAKE_EXCHANGES_MAX 16
#define FAKE_BODY_BYTES    9000

/* ---- flash ---- */

enum fake_cut { CUT_NONE, CUT_BEFORE, CUT_TORN, CUT_AFTER };

struct fake_flash {
    uint8_t bytes[FAKE_FLASH_BYTES];
    uint64_t ops;    /* writes and erasures so far */
    uint64_t cut_at; /* power goes at this one (1 is the first); 0: never */
    enum fake_cut cut;
    bool read_fails, write_fails; /* the memory is broken, the power is fine */
    bool write_lies;              /* says OK and keeps nothing */
};

/* ---- server ---- */

enum fake_state {
    FAKE_PENDING,
    FAKE_RUNNING,
    FAKE_COMPLETE,
    FAKE_FAILED,
    FAKE_REJECTED,
    FAKE_CANCELLED,
    FAKE_UNKNOWN,
};

struct fake_command {
    uint64_t command_id;
    struct id128 uid, claim_id, journal_id;
    enum fake_state state;
    int64_t claimed_ms;
    bool stop;
    char reason[WIRE_NAME_BYTES];
    int64_t volume_milli; /* as reported; -1: not */
    uint32_t starts;      /* what the machine really did */
    uint32_t endings;
};

enum fake_fault {
    FAULT_NONE,
    FAULT_LOST,        /* the request never arrives */
    FAULT_ANSWER_LOST, /* it is handled, and nobody hears */
    FAULT_500,         /* refused by a server in trouble, nothing done */
    FAULT_LATE,        /* handled long after the board gave up */
    FAULT_TWICE,       /* handled again later: somebody on the way repeated it */
    FAULT_SLOW,        /* answered just in time */
    FAULT_GARBAGE,     /* handled, and the answer is no JSON */
    FAULT_COUNT,
};

struct fake_exchange {
    bool used, handled, answered, error, garbage;
    uint64_t id;
    uint32_t boot;
    int64_t handle_ms, answer_ms, again_ms; /* again: handled a second time; 0: not */
    enum device_method method;
    char path[WIRE_PATH_BYTES];
    struct id128 journal_id;
    char body[FAKE_BODY_BYTES];
    size_t body_len;
    uint32_t status;
    char answer[2048];
};

struct fake {
    int64_t now_ms;
    uint32_t speed;   /* the board's clock runs so many times faster */
    uint32_t wait_s;  /* long-poll */
    uint32_t wait_ms; /* what the program asked for last */
    struct rng rng;
    struct fake_flash flash;
    struct device device;
    bool powered;
    uint32_t boot; /* how often it came on */
    jmp_buf power_gone;
    bool running_code; /* between setjmp and its end */

    /* the machine */
    uint32_t act_ms; /* how long one order takes */
    int64_t act_left_ms;
    bool acting, asked_to_stop, ignores_stop, ignores_time_over, cancels_itself;
    struct id128 acting_uid;
    int64_t amount_milli;
    const char *refuse; /* pre-flight says so */
    bool not_now;       /* and that it will pass */
    const char *fail;   /* acting ends so */
    const char *reason;
    uint32_t cuts, configured;

    /* the network */
    struct fake_exchange exchange[FAKE_EXCHANGES_MAX];
    enum fake_fault (*plan)(struct fake *fake, const struct device_exchange *exchange);
    uint64_t sent;     /* exchanges so far */
    uint64_t crash_at; /* power goes when this one is sent; 0: never */
    bool crash_unsent; /* just before, instead of just after */
    int64_t latency_ms;
    uint32_t timeout_ms; /* the program's option */

    /* the server */
    struct fake_command command[FAKE_COMMANDS_MAX];
    uint32_t command_count;
    int64_t start_within_ms;
    uint32_t max_duration_s;
    bool settled_elsewhere; /* staff may settle what still runs: it is over within a moment */
    bool waiting;           /* staff have not let it in */
    bool unauthorised;
    bool not_allowed;     /* offers come with execute_allowed false */
    bool other_board;     /* a clone with the same credentials claims what we are offered first */
    bool metal_elsewhere; /* a twin acts, not fake_kind: starts and endings are not counted here */
    const char *command_name, *payload; /* of every offer */
    uint32_t
        page_status;  /* 0: claims and reports arrive; otherwise somebody on the way answers so */
    const char *page; /* ... with this */
    bool answers_reduced; /* a repeated claim is told what is left, not what there was */
    uint32_t hellos, checks, claims, reports, progresses, machine_progresses, samples;
    uint32_t conflicts;
    char last_step[WIRE_NAME_BYTES];
};

#endif
