/* Carrying out what was granted.  Nothing here waits for the link. */
#include "device/device_int.h"

#define STEP_MS_MAX 100 /* a longer gap is a hiccup of the host, not time the machine saw pass */

void device_act_begin(struct device *device, const struct device_command *command)
{
    int64_t now = device_now(device);
    device->phase = DEVICE_ACT;
    device->acting = true;
    device->started_ms = now;
    device->stop_told = false;
    device->time_over_told = false;
    device->note_due_ms = now + device->options.note_ms;
    device->step_last_ms = now;
    device->command_progress_ms = now;
    device->stats.starts++;
    device->options.kind->start(device->options.kind_context, command);
}

static void copy_word(char dst[JOURNAL_REASON_BYTES], const char *word)
{
    if (word == NULL || str_copy(dst, JOURNAL_REASON_BYTES, str_from(word)) != ERR_OK)
        dst[0] = '\0';
}

static void entry_now(struct device *device, struct journal_entry *ret_entry)
{
    const struct device_kind *kind = device->options.kind;
    *ret_entry = (struct journal_entry){
        .state = JOURNAL_STARTED,
        .command_id = device->command_id,
        .uid = device->uid,
        .claim_id = device->claim_id,
        .duration_ms = (uint32_t)(device_now(device) - device->started_ms),
    };
    for (unsigned i = 0; i < JOURNAL_NUMBERS_MAX; i++)
        ret_entry->number[i] = JOURNAL_NO_NUMBER;
    if (kind->number_count > 0)
        kind->measure(device->options.kind_context, ret_entry->number);
}

/* What was measured so far survives the loss of power, at most note_ms old. */
static void note(struct device *device, int64_t now)
{
    struct journal_entry entry;
    if (now < device->note_due_ms)
        return;
    device->note_due_ms = now + device->options.note_ms;
    entry_now(device, &entry);
    if (base_equal(entry.number, device->noted, sizeof(device->noted)))
        return;
    if (journal_put(&device->journal, &entry) != ERR_OK) {
        device->stats.journal_errors++;
        return;
    }
    base_copy(device->noted, entry.number, sizeof(device->noted));
}

static void end(struct device *device, enum wire_status status, const char *reason)
{
    const struct device_kind *kind = device->options.kind;
    struct journal_entry entry;
    entry_now(device, &entry);
    entry.state = JOURNAL_DONE;
    entry.outcome = (uint8_t)status;
    copy_word(entry.reason, reason);
    if (kind->warning != NULL)
        copy_word(entry.warning, kind->warning(device->options.kind_context));
    device->acting = false;
    /* If this cannot be written, the report still goes out; after a boot the journal would say
     * interrupted, which by then is settled. */
    if (journal_put(&device->journal, &entry) != ERR_OK)
        device->stats.journal_errors++;
    struct device_outcome outcome = device_outcome_of(&entry);
    outcome.acted = true;
    device->flush_by_ms = device_now(device) + device_scaled(device, FINAL_FLUSH_MS);
    device->command_progress_ms = device_now(device);
    device_settle(device, &outcome);
}

static const char *reason_or(struct device *device, const char *otherwise)
{
    const char *reason = device->options.kind->reason(device->options.kind_context);
    return reason != NULL && reason[0] != '\0' ? reason : otherwise;
}

static void on_act(struct device *device, enum device_act act, int64_t now)
{
    switch (act) {
    case DEVICE_ACTING:
        note(device, now);
        break;
    case DEVICE_COMPLETED:
        end(device, WIRE_COMPLETE, "");
        break;
    case DEVICE_CANCELLED:
        if (device->stop_told)
            end(device, WIRE_CANCELLED, reason_or(device, "stopped"));
        else
            end(device, WIRE_FAILED, reason_or(device, "failed"));
        break;
    case DEVICE_FAILED:
    case DEVICE_REFUSED: /* it was claimed: the server knows no refusal of a running command */
        end(device, WIRE_FAILED, reason_or(device, "failed"));
        break;
    case DEVICE_IDLE: /* the kind lost its order: nobody knows what became of it */
        end(device, WIRE_FAILED, "interrupted");
        break;
    }
}

/* Queue rule 6: when max_duration_s is over, the machine is safe, whatever the kind thinks. */
static bool time_over(struct device *device, int64_t now)
{
    const struct device_kind *kind = device->options.kind;
    if (now >= device->end_by_ms) {
        kind->cut(device->options.kind_context);
        end(device, WIRE_FAILED, "timeout");
        return true;
    }
    if (!device->time_over_told && now >= device->end_by_ms - (int64_t)kind->wind_down_ms) {
        device->time_over_told = true;
        if (kind->time_over != NULL)
            kind->time_over(device->options.kind_context);
    }
    return false;
}

static uint32_t period(const struct device *device)
{
    const struct device_kind *kind = device->options.kind;
    return device->acting ? kind->act_period_ms : kind->idle_period_ms;
}

void device_control(struct device *device, int64_t now)
{
    const struct device_kind *kind = device->options.kind;
    int64_t dt = now - device->step_last_ms;
    if (device->acting && time_over(device, now))
        return;
    if (period(device) == 0 || dt < (int64_t)period(device))
        return;
    device->step_last_ms = now;
    uint32_t dt_ms = dt > STEP_MS_MAX ? STEP_MS_MAX : (uint32_t)dt;
    enum device_act act = kind->step(device->options.kind_context, now, dt_ms);
    if (!device->acting)
        return;
    device_sample(device);
    on_act(device, act, now);
}

int64_t device_control_wait(const struct device *device, int64_t now)
{
    if (period(device) == 0)
        return INT64_MAX;
    int64_t wait = device->step_last_ms + (int64_t)period(device) - now;
    if (device->acting && device->end_by_ms - now < wait)
        wait = device->end_by_ms - now;
    return wait;
}
