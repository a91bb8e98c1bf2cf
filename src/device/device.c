/* The program of a board.
 *
 *   BOOT ──journal read──> HELLO ──admitted──> [next]
 *   [next]:  an outcome is open ──> REPORT       otherwise ──> POLL
 *   POLL ──offer, pre-flight good──> CLAIM ──granted in time, STARTED written──> ACT
 *   POLL ──offer refused, or known from the journal──> REPORT
 *   CLAIM ──409, or asked for too long──> POLL      CLAIM ──too late, cannot write──> REPORT
 *   ACT ──ended, DONE written──> REPORT ──final answer──> [next]
 *   any ──credentials not taken──> HELLO      POLL ──another road, new configuration──> HELLO
 *
 * In POLL and CLAIM nothing is energised for a command.  ACT is only entered by way of a STARTED
 * record that was read back.  Only in REPORT is device->outcome open, and it stays open until the
 * server's answer to it is final. */
#include "device/device_int.h"

static const char *const phase_names[DEVICE_PHASE_COUNT] = {
    [DEVICE_BOOT] = "boot",   [DEVICE_HELLO] = "hello", [DEVICE_POLL] = "poll",
    [DEVICE_CLAIM] = "claim", [DEVICE_ACT] = "act",     [DEVICE_REPORT] = "report",
};

const char *device_phase_name(enum device_phase phase)
{
    ASSERT((size_t)phase < DEVICE_PHASE_COUNT);
    return phase_names[phase];
}

int64_t device_now(const struct device *device)
{
    return device->hal.mono_ms(device->hal.context);
}

int64_t device_scaled(const struct device *device, int64_t ms)
{
    return ms * (int64_t)device->options.clock_speed;
}

/* ---- options ---- */

static void preset(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0)
        *value = otherwise;
}

static bool kind_usable(const struct device_kind *kind)
{
    return kind != NULL && kind->name != NULL && kind->act_period_ms > 0 &&
           kind->number_count <= JOURNAL_NUMBERS_MAX && kind->column_count <= WIRE_COLUMNS_MAX &&
           (kind->number_count == 0 || (kind->number_names != NULL && kind->measure != NULL)) &&
           (kind->column_count == 0 || kind->column_names != NULL) && kind->boot != NULL &&
           kind->prepare != NULL && kind->start != NULL && kind->step != NULL &&
           kind->cut != NULL && kind->reason != NULL && kind->step_name != NULL;
}

static enum err take_options(struct device *device, const struct device_options *options)
{
    struct device_options *own = &device->options;
    *own = *options;
    preset(&own->poll_ms, 5000);
    preset(&own->timeout_ms, 10000);
    preset(&own->claim_retry_ms, 14000);
    preset(&own->backoff_ms, 500);
    preset(&own->backoff_ms_max, 60000);
    preset(&own->machine_ms, 5000);
    preset(&own->note_ms, 2000);
    preset(&own->clock_speed, 1);
    if (own->firmware == NULL)
        own->firmware = "automat-device/1";
    if (own->capabilities == NULL)
        own->capabilities = "{}";
    if (own->machine_id == NULL || !id_valid(str_from(own->machine_id)))
        return ERR_INPUT;
    if (!kind_usable(own->kind) || own->wait_s > 60 || own->clock_speed > 1000)
        return ERR_INPUT;
    if (str_from(own->firmware).len >= WIRE_NAME_BYTES || own->backoff_ms > own->backoff_ms_max)
        return ERR_INPUT;
    return ERR_OK;
}

/* ---- boot ---- */

static struct id128 random_id(struct device *device)
{
    struct id128 id;
    if (device->hal.random(device->hal.context, id.byte, sizeof(id.byte)) != ERR_OK)
        return (struct id128){{0}};
    return id;
}

/* The memory may only be slow to come up; while it cannot be read the board does not know what it
 * has done, and asks for nothing. */
static void open_journal(struct device *device)
{
    enum err err =
        journal_open(&device->journal, &device->hal.flash, device->hal.context, random_id(device));
    if (err != ERR_OK) {
        device->stats.journal_errors++;
        device_pause(device, 10000);
        return;
    }
    id128_text(device->journal.id, device->journal_text);
    device->phase = DEVICE_HELLO;
    device->due_ms = device_now(device);
}

enum err device_init(struct device *device, const struct device_options *options,
                     const struct device_hal *hal)
{
    base_zero(device, sizeof(*device));
    device->hal = *hal;
    if (hal->mono_ms == NULL || hal->random == NULL || hal->send == NULL ||
        hal->flash.sector_bytes < JOURNAL_SECTOR_BYTES_MIN)
        return ERR_INPUT;
    enum err err = take_options(device, options);
    if (err != ERR_OK)
        return err;
    const struct device_kind *kind = device->options.kind;
    kind->boot(device->options.kind_context);
    uint64_t seed = options->seed;
    if (seed == 0 && hal->random(hal->context, &seed, sizeof(seed)) != ERR_OK)
        seed = 1; /* only jitter hangs on it */
    rng_init(&device->rng, seed);
    device->boot_id = random_id(device);
    device->exchange_next = 1;
    device->step_last_ms = device_now(device);
    open_journal(device);
    return ERR_OK;
}

/* ---- running ---- */

static void control_channel(struct device *device, int64_t now)
{
    if (device->link[DEVICE_CONTROL].exchange_id != 0 || now < device->due_ms)
        return;
    switch (device->phase) {
    case DEVICE_BOOT:
        open_journal(device);
        break;
    case DEVICE_HELLO:
        device_send_hello(device);
        break;
    case DEVICE_POLL:
        if (device->greet) {
            device->phase = DEVICE_HELLO;
            device_send_hello(device);
            break;
        }
        device_send_check(device);
        break;
    case DEVICE_CLAIM:
        device_send_claim(device);
        break;
    case DEVICE_REPORT:
        device_send_report(device);
        break;
    case DEVICE_ACT:
    case DEVICE_PHASE_COUNT:
        break;
    }
}

static void give_up_late(struct device *device, int64_t now)
{
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++) {
        const struct device_link *link = &device->link[i];
        if (link->exchange_id != 0 && now >= link->give_up_ms)
            device_on_link_error(device, link->exchange_id);
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t control_channel_wait(const struct device *device, int64_t now)
{
    const struct device_link *link = &device->link[DEVICE_CONTROL];
    if (link->exchange_id != 0)
        return link->give_up_ms - now;
    return device->phase == DEVICE_ACT ? INT64_MAX : device->due_ms - now;
}

uint32_t device_step(struct device *device)
{
    int64_t now = device_now(device);
    device_control(device, now);
    give_up_late(device, now);
    control_channel(device, now);
    device_progress(device, now);
    int64_t wait = least(60000, device_control_wait(device, now));
    wait = least(wait, control_channel_wait(device, now));
    wait = least(wait, device_progress_wait(device, now));
    return wait < 1 ? 1 : (uint32_t)wait;
}
