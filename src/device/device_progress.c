/* What is only nice to know: the live curve, the step, the sensors.  Sent when the channel is free,
 * dropped when it is slow; the answers may carry a stop. */
#include "device/device_int.h"

#define BATCH_ROWS_MAX   50
#define BATCH_ROWS       10 /* a second of a 10 Hz curve; more in a twin whose seconds are short */
#define COMMAND_MS       1000 /* between batches when there are fewer */
#define CHANGE_MS        250  /* between two changes of step */
#define AFTER_FAILURE_MS 2000

void device_sample(struct device *device)
{
    const struct device_kind *kind = device->options.kind;
    int32_t row[1 + WIRE_COLUMNS_MAX] = {0};
    if (kind->sample == NULL || !kind->sample(device->options.kind_context, row))
        return;
    if (device->sample_count == DEVICE_SAMPLES_MAX) {
        device->sample_first = (device->sample_first + 1) % DEVICE_SAMPLES_MAX;
        device->sample_count--;
        device->stats.samples_dropped++;
    }
    uint32_t at = (device->sample_first + device->sample_count) % DEVICE_SAMPLES_MAX;
    base_copy(device->sample[at], row, sizeof(row));
    device->sample_count++;
}

struct str device_sensors(struct device *device)
{
    const struct device_kind *kind = device->options.kind;
    struct text text;
    if (kind->sensors == NULL)
        return STR_NONE;
    text_init(&text, device->sensors, sizeof(device->sensors));
    kind->sensors(device->options.kind_context, &text);
    return text.overflow || text.len == 0 ? STR_NONE : (struct str){text.at, text.len};
}

static const char *step_name(const struct device *device)
{
    return device->options.kind->step_name(device->options.kind_context);
}

static void copy_step(char dst[WIRE_NAME_BYTES], const char *step)
{
    if (str_copy(dst, WIRE_NAME_BYTES, str_from(step)) != ERR_OK)
        dst[0] = '\0';
}

/* ---- sending ---- */

static uint32_t take_rows(struct device *device, int32_t *rows)
{
    uint32_t width = 1 + device->options.kind->column_count;
    uint32_t count = device->sample_count < BATCH_ROWS_MAX ? device->sample_count : BATCH_ROWS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (device->sample_first + i) % DEVICE_SAMPLES_MAX;
        base_copy(rows + (size_t)i * width, device->sample[at], width * sizeof(int32_t));
    }
    device->sample_first = (device->sample_first + count) % DEVICE_SAMPLES_MAX;
    device->sample_count -= count;
    return count;
}

static void send_command_progress(struct device *device)
{
    const struct device_kind *kind = device->options.kind;
    int32_t rows[BATCH_ROWS_MAX * (1 + WIRE_COLUMNS_MAX)];
    struct wire_progress progress = {
        .claim_id = device->claim_id,
        .column_count = kind->column_count,
        .samples = rows,
    };
    struct text body;
    text_init(&body, device->progress_body, sizeof(device->progress_body));
    copy_step(progress.step, step_name(device));
    for (uint32_t i = 0; i < kind->column_count; i++)
        copy_step(progress.column[i], kind->column_names[i]);
    progress.sample_count = take_rows(device, rows);
    if (wire_progress_encode(&progress, &body) != ERR_OK) {
        device->stats.samples_dropped += progress.sample_count;
        return;
    }
    device->progress_command_id = device->command_id;
    struct text path = device_path(device, DEVICE_PROGRESS);
    wire_path_progress(&path, device->command_id);
    (void)device_send(device, DEVICE_PROGRESS, DEVICE_POST, (struct str){body.at, body.len},
                      device->options.timeout_ms);
}

static void send_machine_progress(struct device *device)
{
    struct wire_machine machine = {.sensors = device_sensors(device)};
    struct text body;
    text_init(&body, device->progress_body, sizeof(device->progress_body));
    if (device->phase == DEVICE_BOOT)
        machine.faults = STR("[\"journal_failed\"]");
    device->step_sent = step_name(device);
    copy_step(machine.step, device->step_sent);
    if (wire_machine_encode(&machine, &body) != ERR_OK)
        return;
    device->progress_command_id = 0;
    struct text path = device_path(device, DEVICE_PROGRESS);
    wire_path_machine(&path, str_from(device->options.machine_id));
    (void)device_send(device, DEVICE_PROGRESS, DEVICE_POST, (struct str){body.at, body.len},
                      device->options.timeout_ms);
}

/* ---- when ---- */

/* Of the command in hand, or of the one just ended while its report waits for this. */
static bool has_command(const struct device *device)
{
    return device->acting ||
           (device->phase == DEVICE_REPORT && device->outcome.acted && device->sample_count > 0);
}

static bool may_speak(const struct device *device)
{
    /* A board that is not admitted is told so by hello, once; a broken journal is worth telling. */
    return device->phase == DEVICE_BOOT || device->admitted;
}

static int64_t machine_due(const struct device *device)
{
    bool changed = device->step_sent == NULL ||
                   !str_equal(str_from(device->step_sent), str_from(step_name(device)));
    return changed ? device->machine_change_ms : device->machine_progress_ms;
}

static int64_t command_due(const struct device *device)
{
    uint32_t rows = BATCH_ROWS * device->options.clock_speed;
    if (rows > BATCH_ROWS_MAX)
        rows = BATCH_ROWS_MAX;
    return device->sample_count >= rows ? INT64_MIN : device->command_progress_ms;
}

void device_progress(struct device *device, int64_t now)
{
    if (device->link[DEVICE_PROGRESS].exchange_id != 0 || !may_speak(device) ||
        now < device->quiet_ms)
        return;
    bool command = has_command(device) && now >= command_due(device);
    bool machine = now >= machine_due(device);
    if (command && machine)
        command = !device->progress_command_last;
    else if (!command && !machine)
        return;
    device->progress_command_last = command;
    if (command) {
        device->command_progress_ms = now + device_scaled(device, COMMAND_MS);
        send_command_progress(device);
    } else {
        device->machine_progress_ms = now + device_scaled(device, device->options.machine_ms);
        device->machine_change_ms = now + device_scaled(device, CHANGE_MS);
        send_machine_progress(device);
    }
}

int64_t device_progress_wait(const struct device *device, int64_t now)
{
    const struct device_link *link = &device->link[DEVICE_PROGRESS];
    if (link->exchange_id != 0)
        return link->give_up_ms - now;
    if (!may_speak(device))
        return INT64_MAX;
    int64_t due = machine_due(device);
    if (has_command(device) && command_due(device) < due)
        due = command_due(device);
    if (due < device->quiet_ms)
        due = device->quiet_ms;
    return due > now ? due - now : 0;
}

/* ---- answers ---- */

/* Settled behind our back (another board said hello, staff looked at the machine): whoever did that
 * takes it for over, so it had better be. */
static bool asks_to_stop(uint32_t status, struct str body)
{
    struct wire_answer answer;
    if (status == 409)
        return device_problem_is(body, "already_settled");
    return status == 200 && wire_answer_decode(body, &answer, NULL) == ERR_OK && answer.stop;
}

static void stop_now(struct device *device)
{
    const struct device_kind *kind = device->options.kind;
    device->stop_told = true;
    if (kind->stop != NULL)
        kind->stop(device->options.kind_context);
}

void device_on_progress(struct device *device, uint32_t status, struct str body)
{
    uint64_t about = device->progress_command_id;
    if (status >= 500 || status == 429) {
        device_on_progress_error(device);
        return;
    }
    /* The answer may be about the command before this one. */
    if (about == 0 || !device->acting || about != device->command_id || device->stop_told ||
        !asks_to_stop(status, body))
        return;
    stop_now(device);
}

void device_stop(struct device *device, uint64_t command_id, struct id128 uid,
                 struct id128 claim_id)
{
    bool this_one = device->acting && device->command_id == command_id &&
                    (id128_is_zero(uid) || id128_equal(device->uid, uid)) &&
                    id128_equal(device->claim_id, claim_id);
    if (this_one && !device->stop_told)
        stop_now(device);
}

void device_on_progress_error(struct device *device)
{
    device->quiet_ms = device_now(device) + device_scaled(device, AFTER_FAILURE_MS);
}
