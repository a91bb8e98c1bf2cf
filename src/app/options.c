#include "app/options.h"

#include <stdlib.h>
#include <string.h>

enum row_kind { ROW_TEXT, ROW_SWITCH, ROW_NUMBER, ROW_LIST, ROW_ADDRESS, ROW_RATE, ROW_REAL };

struct row {
    const char *name; /* flag --name, variable AUTOMAT_NAME */
    enum row_kind kind;
    int commands;
    size_t offset;
    uint32_t min, max; /* numbers, with and without a point */
    const char *value; /* how help calls it; NULL: a switch */
    const char *preset;
    const char *help;
    bool no_flag; /* a secret: arguments are seen by every user of the computer */
};

#define AT(field) offsetof(struct options, field)
#define LOCAL     (OPTIONS_SERVE | OPTIONS_AUDIT | OPTIONS_BACKUP | OPTIONS_RESTORE | OPTIONS_DEMO)
#define TOOLS     (OPTIONS_LOAD | OPTIONS_MONITOR | OPTIONS_VALIDATE)
#define REMOTE    (OPTIONS_TWIN | OPTIONS_MACHINE | OPTIONS_ACCOUNT | OPTIONS_CLIMATE | TOOLS)

static const struct row rows[] = {
    {"listen", ROW_ADDRESS, OPTIONS_SERVE, AT(listen), 0, 0, "HOST:PORT", "127.0.0.1:8000",
     "where HTTP is served; port 0 lets the kernel choose", false},
    {"mqtt", ROW_TEXT, OPTIONS_SERVE, AT(mqtt), 0, 0, "HOST:PORT|off", "off",
     "where MQTT is served", false},
    {"mqtt", ROW_TEXT, TOOLS, AT(mqtt), 0, 0, "HOST:PORT|off", NULL,
     "the server's MQTT; without it, or with off, HTTP", false},
    {"devices", ROW_NUMBER, OPTIONS_LOAD, AT(devices), 1, 20000, "N", "10",
     "how many devices to be", false},
    {"rate", ROW_NUMBER, OPTIONS_LOAD, AT(rate), 1, 10000, "N", "1",
     "messages a second of each device", false},
    {"seconds", ROW_NUMBER, OPTIONS_LOAD | OPTIONS_VALIDATE, AT(seconds), 1, 86400, "S", "10",
     "how long; of validate: how long to wait for what is missing", false},
    {"qos", ROW_NUMBER, OPTIONS_LOAD, AT(qos), 0, 1, "0|1", "1", "of what is published", false},
    {"interval", ROW_NUMBER, OPTIONS_MONITOR, AT(interval_s), 1, 3600, "S", "2",
     "seconds between two looks", false},
    {"count", ROW_NUMBER, OPTIONS_MONITOR | OPTIONS_VALIDATE, AT(count), 1, 1000, "N", NULL,
     "monitor: looks before it ends; validate: readings (10)", false},
    {"mqtt", ROW_TEXT, OPTIONS_TWIN, AT(mqtt), 0, 0, "HOST:PORT|off", NULL,
     "the server's MQTT; preferred while it is there, HTTP otherwise", false},
    {"mqtts", ROW_TEXT, OPTIONS_TWIN | TOOLS, AT(mqtts), 0, 0, "HOST:PORT|off", NULL,
     "the same over TLS, with --cacert or the system's; goes before --mqtt", false},
    {"mqtt-tls", ROW_TEXT, OPTIONS_SERVE, AT(mqtt_tls), 0, 0, "HOST:PORT|off", "off",
     "where MQTT over TLS is served, with --tls-cert", false},
    {"mqtt-volatile", ROW_TEXT, OPTIONS_SERVE, AT(mqtt_volatile), 0, 0, "FILTER[,FILTER...]", NULL,
     "further topics that are acknowledged without being stored", false},
    {"data", ROW_TEXT, LOCAL, AT(data), 0, 0, "DIR", "data", "folder of the database", false},
    {"demo", ROW_SWITCH, OPTIONS_SERVE, AT(demo), 0, 0, NULL, NULL,
     "seed the demo cafe and start its twins", false},
    {"demo-speed", ROW_NUMBER, OPTIONS_SERVE, AT(demo_speed), 1, 200, "N", "1",
     "how much faster the demo's twins live", false},
    {"open", ROW_SWITCH, OPTIONS_SERVE, AT(open), 0, 0, NULL, NULL,
     "callers without credentials are admin (loopback only)", false},
    {"ui", ROW_TEXT, OPTIONS_SERVE, AT(ui), 0, 0, "DIR", NULL, "folder of the built front end",
     false},
    {"docs", ROW_TEXT, OPTIONS_SERVE, AT(docs), 0, 0, "DIR", NULL, "folder with openapi.yaml",
     false},
    {"tls-cert", ROW_TEXT, OPTIONS_SERVE, AT(tls_cert), 0, 0, "FILE", NULL,
     "certificate chain (PEM); with --tls-key", false},
    {"tls-key", ROW_TEXT, OPTIONS_SERVE, AT(tls_key), 0, 0, "FILE", NULL, "its key (PEM)", false},
    {"cors-origin", ROW_TEXT, OPTIONS_SERVE, AT(cors_origin), 0, 0, "URL[,URL...]", NULL,
     "other origins whose pages may call", false},
    {"admin-token", ROW_TEXT, OPTIONS_SERVE | REMOTE | OPTIONS_AUDIT, AT(admin_token), 0, 0,
     "TOKEN", NULL, "an admin API token", true},
    {"clickhouse-url", ROW_TEXT, OPTIONS_SERVE, AT(clickhouse_url), 0, 0, "URL", NULL,
     "ClickHouse over HTTP, as a second home of readings", false},
    {"clickhouse-user", ROW_TEXT, OPTIONS_SERVE, AT(clickhouse_user), 0, 0, "NAME", NULL,
     "who writes there", false},
    {"clickhouse-password", ROW_TEXT, OPTIONS_SERVE, AT(clickhouse_password), 0, 0, "PASSWORD",
     NULL, "with this password", true},
    {"clickhouse-database", ROW_TEXT, OPTIONS_SERVE, AT(clickhouse_database), 0, 0, "NAME",
     "automat", "where its tables are", false},
    {"climate", ROW_TEXT, OPTIONS_SERVE, AT(climate), 0, 0, "own|external|off", "own",
     "who answers for the windows", false},
    {"climate-confidence", ROW_TEXT, OPTIONS_SERVE, AT(climate_confidence), 0, 0, "0..1", "0.6",
     "below it a window holds its position", false},
    {"climate-model", ROW_TEXT, OPTIONS_SERVE, AT(climate_model), 0, 0, "FILE", NULL,
     "the model to begin with", false},
    {"inactive-s", ROW_NUMBER, OPTIONS_SERVE, AT(inactive_s), 1, 86400, "S", "300",
     "silence of a machine before staff hears of it", false},
    {"connections-max", ROW_NUMBER, OPTIONS_SERVE, AT(connections_max), 1, 1000000, "N", "20000",
     "connections at once", false},
    {"parked-max", ROW_NUMBER, OPTIONS_SERVE, AT(parked_max), 1, 1000000, "N", "20000",
     "long polls at once", false},
    {"rate-read", ROW_RATE, OPTIONS_SERVE, AT(rate_read), 0, 0, "BURST/PER_MINUTE", NULL,
     "reading, a caller", false},
    {"rate-write", ROW_RATE, OPTIONS_SERVE, AT(rate_write), 0, 0, "BURST/PER_MINUTE", NULL,
     "changing, a caller", false},
    {"rate-login", ROW_RATE, OPTIONS_SERVE, AT(rate_login), 0, 0, "BURST/PER_MINUTE", NULL,
     "trying secrets, an address", false},
    {"rate-hello", ROW_RATE, OPTIONS_SERVE, AT(rate_hello), 0, 0, "BURST/PER_MINUTE", NULL,
     "unknown devices, an address", false},
    {"rate-ask", ROW_RATE, OPTIONS_SERVE, AT(rate_ask), 0, 0, "BURST/PER_MINUTE", NULL,
     "asking a language model, a caller", false},
    {"models", ROW_TEXT, OPTIONS_SERVE, AT(models), 0, 0, "DIR", NULL,
     "folder of the language models: DIR/NAME", false},
    {"corpus", ROW_TEXT, OPTIONS_SERVE, AT(lm.corpus), 0, 0, "DIR", NULL,
     "facts that the assistant answers from", false},
    {"lm-threads", ROW_NUMBER, OPTIONS_SERVE, AT(lm_threads), 1, 64, "N", NULL,
     "for the language models; one a core, at most 4, unless given", false},
    {"lm-queue", ROW_NUMBER, OPTIONS_SERVE, AT(lm_queue), 1, 10000, "N", "32",
     "questions that may wait; more get 503", false},
    {"grace", ROW_NUMBER, OPTIONS_SERVE, AT(grace_s), 1, 3600, "S", "30",
     "silence after a command's time before it is unknown", false},
    {"online-s", ROW_NUMBER, OPTIONS_SERVE, AT(online_s), 1, 3600, "S", "30",
     "a machine heard of within is online", false},
    {"group-max", ROW_NUMBER, OPTIONS_SERVE, AT(group_max), 1, 4096, "N", "256",
     "changes in one transaction; 1 switches group commit off", false},
    {"pending-max", ROW_NUMBER, OPTIONS_SERVE, AT(pending_max), 1, 100000, "N", "1000",
     "commands waiting, a machine", false},
    {"log-level", ROW_TEXT, OPTIONS_SERVE | OPTIONS_TWIN | TOOLS, AT(log_level), 0, 0, "LEVEL",
     "info", "debug, info, warn or error", false},
    {"log-format", ROW_TEXT, OPTIONS_SERVE | OPTIONS_TWIN | TOOLS, AT(log_format), 0, 0, "FORMAT",
     NULL, "json or text; text on a terminal", false},
    {"kind", ROW_TEXT, OPTIONS_TWIN | OPTIONS_MACHINE, AT(kind), 0, 0, "KIND", "espresso",
     "machine kind", false},
    {"id", ROW_TEXT, OPTIONS_TWIN | OPTIONS_LOAD | OPTIONS_VALIDATE, AT(id), 0, 0, "ID", NULL,
     "machine id; of load: what its devices' ids begin with", false},
    {"server", ROW_TEXT, REMOTE, AT(server), 0, 0, "URL", "http://127.0.0.1:8000", "the server",
     false},
    {"server", ROW_TEXT, OPTIONS_AUDIT, AT(server), 0, 0, "URL", NULL,
     "ask this server instead of reading --data", false},
    {"token", ROW_TEXT, OPTIONS_TWIN | TOOLS, AT(token), 0, 0, "TOKEN", NULL,
     "the device's token; of load and monitor: an API token", false},
    {"cacert", ROW_TEXT, REMOTE | OPTIONS_AUDIT, AT(cacert), 0, 0, "FILE", NULL,
     "certificates to trust instead of the system's", false},
    {"speed", ROW_NUMBER, OPTIONS_TWIN, AT(speed), 1, 200, "N", "1",
     "how much faster the twin lives", false},
    {"fault", ROW_LIST, OPTIONS_TWIN, AT(fault), 0, 0, "NAME", NULL,
     "a fault to switch on; may be given several times", false},
    {"journal", ROW_TEXT, OPTIONS_TWIN, AT(journal), 0, 0, "FILE", NULL,
     "where the journal is kept; without it a reboot forgets", false},
    {"actuations", ROW_TEXT, OPTIONS_TWIN, AT(actuations), 0, 0, "FILE", NULL,
     "append one line for every start of an actuator", false},
    {"poll", ROW_NUMBER, OPTIONS_TWIN, AT(poll_s), 1, 3600, "SECONDS", NULL,
     "ask every so often instead of a long poll", false},
    {"long-poll", ROW_SWITCH, OPTIONS_TWIN, AT(long_poll), 0, 0, NULL, NULL,
     "wait at the server (preset)", false},
    {"seed", ROW_NUMBER, OPTIONS_TWIN, AT(seed), 0, UINT32_MAX, "N", NULL, "of the physics' chance",
     false},
    {"name", ROW_TEXT, OPTIONS_MACHINE | OPTIONS_ACCOUNT, AT(name), 0, 0, "TEXT", NULL,
     "what people call it", false},
    {"machine-config", ROW_TEXT, OPTIONS_MACHINE, AT(machine_config), 0, 0, "JSON", NULL,
     "its configuration", false},
    {"role", ROW_TEXT, OPTIONS_ACCOUNT, AT(role), 0, 0, "ROLE", "staff", "customer, staff or admin",
     false},
    {"seeds", ROW_NUMBER, OPTIONS_CLIMATE, AT(seeds), 1, 10000, "N", NULL,
     "days of weather and guests to teach or to examine with", false},
    {"hours", ROW_NUMBER, OPTIONS_CLIMATE, AT(hours), 1, 24, "N", NULL,
     "how long each is; 1 and 24 unless given", false},
    {"out", ROW_TEXT, OPTIONS_CLIMATE, AT(out), 0, 0, "FILE", NULL,
     "where the model, or the report, goes", false},
    {"data", ROW_TEXT, OPTIONS_LM, AT(data), 0, 0, "DIR", NULL,
     "token files (train.tok, valid.tok, tokenizer.json), texts (*.txt), or a corpus", false},
    {"corpus", ROW_TEXT, OPTIONS_LM, AT(lm.corpus), 0, 0, "DIR", "corpus",
     "facts and phrases: what is true, and how it is said", false},
    {"models", ROW_TEXT, OPTIONS_LM, AT(models), 0, 0, "DIR", "models",
     "folder of the models that are there: DIR/NAME", false},
    {"model", ROW_TEXT, OPTIONS_LM, AT(lm.model), 0, 0, "DIR|NAME", NULL,
     "config.json and model.safetensors; or tanka, villanelle, ode", false},
    {"out", ROW_TEXT, OPTIONS_LM, AT(out), 0, 0, "DIR", NULL, "where what is made goes", false},
    {"epochs", ROW_REAL, OPTIONS_LM, AT(lm.epochs), 0, 10000, "N", NULL,
     "passes over the training tokens; 1 unless given, fractions allowed", false},
    {"steps", ROW_NUMBER, OPTIONS_LM, AT(lm.steps), 1, 100000000, "N", NULL,
     "how many steps, instead of epochs", false},
    {"batch", ROW_NUMBER, OPTIONS_LM, AT(lm.batch), 1, 4096, "N", NULL,
     "rows of a micro-step; 8 unless given", false},
    {"length", ROW_NUMBER, OPTIONS_LM, AT(lm.length), 8, 8192, "N", NULL,
     "tokens of a row; 256 unless given", false},
    {"accumulate", ROW_NUMBER, OPTIONS_LM, AT(lm.accumulate), 1, 4096, "N", NULL,
     "micro-steps of a step; 1 unless given", false},
    {"learning-rate", ROW_REAL, OPTIONS_LM, AT(lm.learning_rate), 0, 1000, "R", NULL,
     "the highest; 6e-4 unless given", false},
    {"weight-decay", ROW_REAL, OPTIONS_LM, AT(lm.weight_decay), 0, 1000, "R", NULL,
     "of matrices; 0.01 unless given", false},
    {"warmup", ROW_REAL, OPTIONS_LM, AT(lm.warmup), 0, 1, "0..1", NULL,
     "share of the steps in which the learning rate rises; 0.02 unless given", false},
    {"clip", ROW_REAL, OPTIONS_LM, AT(lm.clip), 0, 1000000, "R", NULL,
     "longest gradient; 1 unless given", false},
    {"dropout", ROW_REAL, OPTIONS_LM, AT(lm.dropout), 0, 1, "0..1", NULL,
     "share of values left out in training; the model's own unless given", false},
    {"schedule", ROW_TEXT, OPTIONS_LM, AT(lm.schedule), 0, 0, "cosine|linear", "cosine",
     "how the learning rate falls", false},
    {"precision", ROW_TEXT, OPTIONS_LM, AT(lm.precision), 0, 0, "f32|bf16", "f32",
     "of matrix products in training", false},
    {"patience", ROW_NUMBER, OPTIONS_LM, AT(lm.patience), 1, 1000000, "N", NULL,
     "validations without improvement before training ends; 3 unless given", false},
    {"validate-every", ROW_NUMBER, OPTIONS_LM, AT(lm.validate_every), 1, 100000000, "N", NULL,
     "steps between two validations; a twentieth of all unless given", false},
    {"save-every", ROW_NUMBER, OPTIONS_LM, AT(lm.save_every), 1, 100000000, "N", NULL,
     "steps between two checkpoints; with each validation unless given", false},
    {"resume", ROW_SWITCH, OPTIONS_LM, AT(lm.resume), 0, 0, NULL, NULL,
     "go on from the last checkpoint in --out", false},
    {"seed", ROW_NUMBER, OPTIONS_LM, AT(seed), 0, UINT32_MAX, "N", NULL,
     "of all chance: the same seed, the same result; 1 unless given", false},
    {"threads", ROW_NUMBER, OPTIONS_LM, AT(lm.threads), 1, 64, "N", NULL,
     "one a core unless given; the result is the same", false},
    {"tokens", ROW_NUMBER, OPTIONS_LM, AT(lm.tokens), 1000, 2000000000, "N", NULL,
     "how much corpus to make; 5000000 unless given", false},
    {"vocab", ROW_NUMBER, OPTIONS_LM, AT(lm.vocab), 272, 30000, "N", NULL,
     "ids that the tokenizer may learn; 4096 unless given", false},
    {"text", ROW_SWITCH, OPTIONS_LM, AT(lm.text), 0, 0, NULL, NULL,
     "show what would be made, to read", false},
    {"json", ROW_SWITCH, OPTIONS_LM, AT(lm.json), 0, 0, NULL, NULL, "answer in JSON", false},
    {"count", ROW_NUMBER, OPTIONS_LM, AT(count), 1, 1000000, "N", NULL,
     "how many dialogues to show, or to examine with", false},
    {"ids", ROW_TEXT, OPTIONS_LM, AT(lm.ids), 0, 0, "N,N,...", NULL, "token ids", false},
    {"dtype", ROW_TEXT, OPTIONS_LM, AT(lm.dtype), 0, 0, "f32|bf16|int8|int4", NULL,
     "of the weights; as the file has them unless given", false},
    {"prompt", ROW_TEXT, OPTIONS_LM, AT(lm.prompt), 0, 0, "TEXT", NULL,
     "one question instead of a talk", false},
    {"max-tokens", ROW_NUMBER, OPTIONS_LM, AT(lm.max_tokens), 1, 8192, "N", NULL, "longest answer",
     false},
    {"temperature", ROW_REAL, OPTIONS_LM, AT(lm.temperature), 0, 10, "R", NULL,
     "0: always the likeliest", false},
    {"top-k", ROW_NUMBER, OPTIONS_LM, AT(lm.top_k), 1, 32768, "N", NULL,
     "choose among so many; no limit unless given", false},
    {"top-p", ROW_REAL, OPTIONS_LM, AT(lm.top_p), 0, 1, "0..1", NULL,
     "choose among what makes up this share; no limit unless given", false},
    {"min-p", ROW_REAL, OPTIONS_LM, AT(lm.min_p), 0, 1, "0..1", NULL,
     "leave out what is less likely than this share of the likeliest", false},
    {"repetition", ROW_REAL, OPTIONS_LM, AT(lm.repetition), 0, 10, "R", NULL,
     "above 1 makes what was said lately less likely", false},
    {"to", ROW_TEXT, OPTIONS_BACKUP, AT(to), 0, 0, "FILE", NULL, "the copy, which must not exist",
     false},
    {"from", ROW_TEXT, OPTIONS_RESTORE, AT(from), 0, 0, "FILE", NULL, "the copy", false},
    {"config", ROW_TEXT, LOCAL | REMOTE | OPTIONS_LM, AT(config), 0, 0, "FILE", NULL,
     "lines NAME = VALUE with these names", false},
};

static bool complain(char *why, size_t why_bytes, const char *name, const char *sentence)
{
    (void)snprintf(why, why_bytes, "--%s (AUTOMAT_*): %s", name, sentence);
    return false;
}

static bool set_switch(bool *target, const char *value)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off", ""};
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (strcmp(value, yes[i]) == 0) {
            *target = true;
            return true;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(no); i++) {
        if (strcmp(value, no[i]) == 0)
            return true;
    }
    return false;
}

static const char *value_fault(const struct row *row, const char *value)
{
    char host[256];
    uint16_t port;
    uint32_t burst, per_minute;
    if (row->kind == ROW_ADDRESS && !options_address(value, host, sizeof(host), &port))
        return "this is not HOST:PORT";
    if (row->kind == ROW_RATE && !options_rate(value, &burst, &per_minute))
        return "this is not BURST/PER_MINUTE, two whole numbers above zero";
    if (row->kind != ROW_SWITCH && value[0] == 0)
        return "a value is missing";
    return NULL;
}

static bool set_number(const struct row *row, uint32_t *target, const char *value, char *why,
                       size_t why_bytes)
{
    uint64_t number;
    if (str_to_u64(str_from(value), &number) != ERR_OK || number < row->min || number > row->max) {
        (void)snprintf(why, why_bytes,
                       "--%s: a whole number from %u to %u is wanted, not \"%.40s\"", row->name,
                       row->min, row->max, value);
        return false;
    }
    *target = (uint32_t)number;
    return true;
}

static bool set_real(const struct row *row, const char *value, char *why, size_t why_bytes)
{
    double number = options_real(value, -1);
    if (number < row->min || number > row->max) {
        (void)snprintf(why, why_bytes, "--%s: a number from %u to %u is wanted, not \"%.40s\"",
                       row->name, row->min, row->max, value);
        return false;
    }
    return true;
}

/* `value` stays where it is: arguments and environment live as long as the program. */
static bool set(struct options *options, const struct row *row, const char *value, char *why,
                size_t why_bytes)
{
    char *target = (char *)options + row->offset;
    const char *fault = value_fault(row, value);
    if (fault != NULL)
        return complain(why, why_bytes, row->name, fault);
    switch (row->kind) {
    case ROW_SWITCH:
        return set_switch((bool *)(void *)target, value) ||
               complain(why, why_bytes, row->name, "this is neither yes nor no");
    case ROW_NUMBER:
        return set_number(row, (uint32_t *)(void *)target, value, why, why_bytes);
    case ROW_REAL:
        if (!set_real(row, value, why, why_bytes))
            return false;
        *(const char **)(void *)target = value;
        return true;
    case ROW_LIST:
        if (options->fault_count == OPTIONS_FAULTS_MAX)
            return complain(why, why_bytes, row->name, "given too often");
        options->fault[options->fault_count++] = value;
        return true;
    case ROW_TEXT:
    case ROW_ADDRESS:
    case ROW_RATE:
    default:
        *(const char **)(void *)target = value;
        return true;
    }
}

static const struct row *row_find(struct str name, int command)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if ((command == 0 || (rows[i].commands & command) != 0) &&
            str_equal(str_from(rows[i].name), name))
            return &rows[i];
    }
    return NULL;
}

/* "AUTOMAT_LOG_LEVEL" and "log-level" are the same name. */
static struct str plain_name(struct str name, char storage[64])
{
    if (str_starts(name, STR("AUTOMAT_")))
        name = str_slice(name, 8, name.len);
    size_t len = name.len < 63 ? name.len : 63;
    for (size_t i = 0; i < len; i++) {
        char c = name.at[i];
        storage[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    storage[len] = 0;
    return (struct str){storage, len};
}

static struct str trim(struct str text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = str_slice(text, 1, text.len);
    while (text.len > 0 && strchr(" \t\r", text.at[text.len - 1]) != NULL)
        text = str_slice(text, 0, text.len - 1);
    if (text.len >= 2 && (text.at[0] == '"' || text.at[0] == '\'') &&
        text.at[text.len - 1] == text.at[0])
        text = str_slice(text, 1, text.len - 1);
    return text;
}

/* What was said so far, by row: the first source that names an option wins. */
struct said {
    bool row[ARRAY_COUNT(rows)];
};

static bool set_once(struct options *options, struct said *said, const struct row *row,
                     const char *value, char *why, size_t why_bytes)
{
    if (said->row[row - rows])
        return true;
    said->row[row - rows] = true;
    return set(options, row, value, why, why_bytes);
}

/* "value   # why": the rest of a line is for people. */
static struct str without_comment(struct str line)
{
    for (size_t i = 1; i < line.len; i++) {
        if (line.at[i] == '#' && (line.at[i - 1] == ' ' || line.at[i - 1] == '\t'))
            return str_slice(line, 0, i);
    }
    return line;
}

static bool read_line(struct options *options, int command, struct said *said, const char *path,
                      int line_number, struct str line, char *why, size_t why_bytes)
{
    line = trim(without_comment(line));
    if (line.len == 0 || line.at[0] == '#')
        return true;
    size_t equals = str_find(line, '=');
    char storage[64];
    struct str name = plain_name(trim(str_slice(line, 0, equals)), storage);
    const struct row *row = row_find(name, command); /* a name may mean another thing elsewhere */
    if (row == NULL)
        row = row_find(name, 0);
    if (equals == line.len || row == NULL) {
        (void)snprintf(why, why_bytes, "%s:%d: there is no option \"%.*s\"", path, line_number,
                       (int)name.len, name.at);
        return false;
    }
    if ((row->commands & command) == 0)
        return true; /* another command's: one file may serve them all */
    const char *value = arena_strdup(&options->memory, trim(str_slice(line, equals + 1, line.len)));
    if (value == NULL)
        return complain(why, why_bytes, row->name, "out of memory");
    return set_once(options, said, row, value, why, why_bytes);
}

static bool read_file(struct options *options, int command, struct said *said, const char *path,
                      char *why, size_t why_bytes)
{
    struct buf file;
    if (file_read(path, 64 * KIB, &file) != ERR_OK) {
        (void)snprintf(why, why_bytes, "%s: cannot be read", path);
        return false;
    }
    bool good = true;
    struct str rest = buf_str(&file);
    for (int line = 1; good && rest.len > 0; line++) {
        size_t end = str_find(rest, '\n');
        good =
            read_line(options, command, said, path, line, str_slice(rest, 0, end), why, why_bytes);
        rest = str_slice(rest, end + 1, rest.len);
    }
    buf_finish(&file);
    return good;
}

static bool read_environment(struct options *options, int command, struct said *said, char *why,
                             size_t why_bytes)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if ((rows[i].commands & command) == 0)
            continue;
        char name[64];
        (void)snprintf(name, sizeof(name), "AUTOMAT_%s", rows[i].name);
        for (char *c = name; *c != 0; c++)
            *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        const char *value = getenv(name);
        if (value != NULL && value[0] != 0 &&
            !set_once(options, said, &rows[i], value, why, why_bytes))
            return false;
    }
    return true;
}

static bool read_args(struct options *options, int command, struct said *said, int arg_count,
                      char *const *args, char *why, size_t why_bytes)
{
    for (int i = 0; i < arg_count; i++) {
        struct str arg = str_from(args[i]);
        if (!str_starts(arg, STR("--"))) {
            if (options->word_count == OPTIONS_WORDS_MAX) {
                (void)snprintf(why, why_bytes, "\"%.60s\": one word too many", args[i]);
                return false;
            }
            options->words[options->word_count++] = args[i];
            continue;
        }
        size_t equals = str_find(arg, '=');
        const struct row *row = row_find(str_slice(arg, 2, equals), command);
        if (row == NULL || row->no_flag) {
            (void)snprintf(why, why_bytes, "%.60s: %s", args[i],
                           row == NULL ? "there is no such option here"
                                       : "a secret is given by its variable only");
            return false;
        }
        const char *value = equals < arg.len          ? args[i] + equals + 1
                            : row->kind == ROW_SWITCH ? "1"
                            : i + 1 < arg_count       ? args[++i]
                                                      : "";
        /* The last one counts, so that a script can put its own after what it was given. */
        said->row[row - rows] = true;
        if (!set(options, row, value, why, why_bytes))
            return false;
    }
    return true;
}

bool options_read(struct options *options, enum options_command for_command, int arg_count,
                  char *const *args, char *why, size_t why_bytes)
{
    int command = (int)for_command;
    *options = (struct options){0};
    arena_init(&options->memory, 256 * KIB);
    struct said said = {{false}};
    if (!read_args(options, command, &said, arg_count, args, why, why_bytes) ||
        !read_environment(options, command, &said, why, why_bytes))
        return false;
    if (options->config != NULL &&
        !read_file(options, command, &said, options->config, why, why_bytes))
        return false;
    if (path_exists(".env") && !read_file(options, command, &said, ".env", why, why_bytes))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if ((rows[i].commands & command) != 0 && rows[i].preset != NULL &&
            !set_once(options, &said, &rows[i], rows[i].preset, why, why_bytes))
            return false;
    }
    return true;
}

void options_finish(struct options *options)
{
    arena_finish(&options->memory);
}

/* "AUTOMAT_ADMIN_TOKEN=TOKEN" */
static void variable_name(const struct row *row, char *dst, size_t dst_bytes)
{
    struct text text;
    text_init(&text, dst, dst_bytes);
    text_add(&text, STR("AUTOMAT_"));
    for (const char *at = row->name; *at != 0; at++) {
        char upper = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        text_add_char(&text, *at == '-' ? '_' : upper);
    }
    text_add_char(&text, '=');
    text_add(&text, str_from(row->value));
}

void options_help(FILE *out, enum options_command command)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        if ((row->commands & (int)command) == 0)
            continue;
        char left[64];
        if (row->no_flag)
            variable_name(row, left, sizeof(left));
        else
            (void)snprintf(left, sizeof(left), "--%s %s", row->name,
                           row->value != NULL ? row->value : "");
        (void)fprintf(out, "  %-30s %s", left, row->help);
        if (row->preset != NULL)
            (void)fprintf(out, " (%s)", row->preset);
        (void)fputc('\n', out);
    }
}
