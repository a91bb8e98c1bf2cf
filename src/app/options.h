/* options: what the program was told, from one table: flags, AUTOMAT_* variables, --config FILE,
 * ./.env; the first of these that names a value wins.  Every complaint names the option. */
#ifndef AUTOMAT_APP_OPTIONS_H
#define AUTOMAT_APP_OPTIONS_H

#include "base/base.h"
#include "sys/sys.h"

#include <stdio.h>

/* Who understands an option. */
enum options_command {
    OPTIONS_SERVE = 1,
    OPTIONS_TWIN = 2,
    OPTIONS_MACHINE = 4,
    OPTIONS_ACCOUNT = 8,
    OPTIONS_AUDIT = 16,
    OPTIONS_BACKUP = 32,
    OPTIONS_RESTORE = 64,
    OPTIONS_DEMO = 128,
    OPTIONS_LOAD = 256,
    OPTIONS_MONITOR = 512,
    OPTIONS_VALIDATE = 1024,
    OPTIONS_CLIMATE = 2048,
    OPTIONS_LM = 4096,
};

#define OPTIONS_FAULTS_MAX 16
#define OPTIONS_WORDS_MAX  4

/* What `automat lm` understands beside data, out, seed, seconds and count.  Numbers with a point
 * are texts that were checked: options_real reads them. */
struct options_lm {
    const char *model, *corpus; /* a folder or a name; facts and phrases */
    const char *epochs, *learning_rate, *weight_decay, *warmup, *clip, *dropout;
    const char *schedule, *precision, *dtype;
    const char *ids, *prompt, *temperature, *top_p, *min_p, *repetition;
    uint32_t steps, batch, length, accumulate, threads, tokens, vocab, max_tokens, top_k;
    uint32_t patience, validate_every, save_every;
    bool resume, text, json;
};

/* Zero or NULL: not given and without a preset.  Texts live as long as the options. */
struct options {
    /* serve */
    const char *listen, *mqtt, *data, *ui, *docs, *tls_cert, *tls_key, *log_level, *log_format;
    const char *cors_origin; /* comma list */
    const char *admin_token;
    /* MQTT, readings, windows */
    const char *mqtt_tls, *mqtt_volatile;
    const char *mqtts; /* of those that connect */
    const char *clickhouse_url, *clickhouse_user, *clickhouse_password, *clickhouse_database;
    const char *climate, *climate_confidence, *climate_model;
    uint32_t inactive_s;
    const char *rate_read, *rate_write, *rate_login, *rate_hello, *rate_ask; /* BURST/PER_MINUTE */
    bool demo, open;
    uint32_t demo_speed, connections_max, parked_max, grace_s, group_max, pending_max, online_s;
    /* twin, machine, account */
    const char *kind, *id, *server, *token, *journal, *cacert, *actuations, *name, *role,
        *machine_config;
    const char *fault[OPTIONS_FAULTS_MAX];
    size_t fault_count;
    uint32_t speed, poll_s, seed;
    bool long_poll;
    /* load, monitor, validate */
    uint32_t devices, rate, seconds, qos, interval_s, count;
    /* climate */
    uint32_t seeds, hours;
    const char *out;
    /* language models */
    struct options_lm lm;
    const char *models; /* folder of models: NAME/config.json ... */
    uint32_t lm_threads, lm_queue;
    /* restore, backup */
    const char *from, *to;
    const char *config; /* the file */

    const char *words[OPTIONS_WORDS_MAX]; /* what is left: "add", "espresso-2" */
    size_t word_count;
    struct arena memory;
};

/* `args` without the program's and the subcommand's name.  False: a sentence that names the option
 * is in `why`, and options_finish is still due. */
MUST_USE bool options_read(struct options *options, enum options_command command, int arg_count,
                           char *const *args, char *why, size_t why_bytes);
void options_finish(struct options *options);

/* The rows a command understands, as help shows them. */
void options_help(FILE *out, enum options_command command);

/* "HOST:PORT", "[::1]:PORT" or "PORT"; `host` without brackets. */
MUST_USE bool options_address(const char *text, char *host, size_t host_bytes, uint16_t *ret_port);
/* Does this host mean only this computer? */
bool options_loopback(const char *host);
/* "0.6": a number from 0 to 1. */
MUST_USE bool options_fraction(const char *text, double *ret_value);
/* A decimal number that is not negative, "3e-4" too; `otherwise` when text is NULL or none. */
double options_real(const char *text, double otherwise);
/* "BURST/PER_MINUTE" */
MUST_USE bool options_rate(const char *text, uint32_t *ret_burst, uint32_t *ret_per_minute);

#endif
