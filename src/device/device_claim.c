/* Claim, then act (queue rules 3, 4 and 6). */
#include "device/device_int.h"

/* A grant is good for seconds: an answer that got lost must be noticed, and asked for again, while
 * it still is. */
#define CLAIM_TIMEOUT_MS_MAX 4000u

/* An offer passed its pre-flight.  Every attempt to start has a claim id of its own. */
void device_claim_begin(struct device *device, const struct wire_offer *offer)
{
    struct id128 claim_id;
    if (device->hal.random(device->hal.context, claim_id.byte, sizeof(claim_id.byte)) != ERR_OK) {
        device_back_off(device);
        return;
    }
    device->command_id = offer->command_id;
    device->uid = offer->uid;
    device->claim_id = claim_id;
    base_copy(device->command_name, offer->command, sizeof(device->command_name));
    device->claim_sent = false;
    device->sample_count = 0;
    device->phase = DEVICE_CLAIM;
    device->due_ms = device_now(device);
    device->failures = 0;
}

/* Nothing was granted that we know of, so nothing will be started under this claim.  If the server
 * granted it all the same, the next check says so, and we account for it. */
static void give_up(struct device *device, bool backing_off)
{
    device->phase = DEVICE_POLL;
    if (backing_off)
        device_back_off(device);
    else
        device_pause(device, device->options.poll_ms);
}

void device_send_claim(struct device *device)
{
    struct wire_report claim = {
        .status = WIRE_CLAIM,
        .has_claim = true,
        .claim_id = device->claim_id,
        .journal_id = device->journal.id,
        .uid = device->uid,
        .duration_ms = -1,
        .sensors = device_sensors(device),
    };
    struct text body;
    int64_t now = device_now(device);
    if (!device->claim_sent) {
        /* Both deadlines count from here, also when the claim has to be asked again: whether the
         * server's answer is then about the first asking or the last, we are never later than it
         * thinks. */
        device->claim_first_ms = now;
        device->claim_sent = true;
    } else if (now - device->claim_first_ms >=
               device_scaled(device, device->options.claim_retry_ms)) {
        give_up(device, true);
        return;
    } else {
        device->stats.claims_retried++;
    }
    text_init(&body, device->control_body, sizeof(device->control_body));
    if (wire_report_encode(&claim, &body) != ERR_OK) {
        give_up(device, true);
        return;
    }
    device->stats.claims++;
    struct text path = device_path(device, DEVICE_CONTROL);
    wire_path_update(&path, device->command_id);
    uint32_t timeout_ms = device->options.timeout_ms < CLAIM_TIMEOUT_MS_MAX
                              ? device->options.timeout_ms
                              : CLAIM_TIMEOUT_MS_MAX;
    (void)device_send(device, DEVICE_CONTROL, DEVICE_POST, (struct str){body.at, body.len},
                      timeout_ms);
}

/* ---- granted ---- */

static bool too_late(const struct device *device)
{
    int64_t now = device_now(device);
    return now >= device->start_by_ms ||
           now >= device->end_by_ms - (int64_t)device->options.kind->wind_down_ms;
}

static struct device_outcome unstarted(const struct device *device, enum wire_status status,
                                       const char *reason)
{
    struct device_outcome outcome =
        device_outcome_plain(device->command_id, device->uid, status, reason);
    outcome.claimed = true;
    outcome.claim_id = device->claim_id;
    return outcome;
}

static void fill_numbers(struct device *device, int64_t number[JOURNAL_NUMBERS_MAX])
{
    const struct device_kind *kind = device->options.kind;
    for (unsigned i = 0; i < JOURNAL_NUMBERS_MAX; i++)
        number[i] = JOURNAL_NO_NUMBER;
    if (kind->number_count > 0)
        kind->measure(device->options.kind_context, number);
}

static enum err write_started(struct device *device, struct journal_entry *ret_entry)
{
    struct journal_entry entry = {
        .state = JOURNAL_STARTED,
        .command_id = device->command_id,
        .uid = device->uid,
        .claim_id = device->claim_id,
    };
    fill_numbers(device, entry.number);
    base_copy(device->noted, entry.number, sizeof(device->noted));
    enum err err = journal_put(&device->journal, &entry);
    *ret_entry = entry;
    return err;
}

/* Writing took longer than we had.  The entry says STARTED, so it has to end there, too. */
static void end_unstarted(struct device *device, struct journal_entry *entry)
{
    entry->state = JOURNAL_DONE;
    entry->outcome = WIRE_FAILED;
    base_copy(entry->reason, "not_started", sizeof("not_started"));
    if (journal_put(&device->journal, entry) != ERR_OK)
        device->stats.journal_errors++;
    struct device_outcome outcome = unstarted(device, WIRE_FAILED, "not_started");
    outcome.journalled = true;
    device_settle(device, &outcome);
}

static void on_grant(struct device *device, const struct wire_answer *grant)
{
    struct device_outcome outcome;
    struct journal_entry entry;
    device->start_by_ms = device->claim_first_ms + device_scaled(device, grant->start_within_ms);
    device->end_by_ms =
        device->claim_first_ms + device_scaled(device, (int64_t)grant->max_duration_s * 1000);
    if (grant->stop) {
        outcome = unstarted(device, WIRE_CANCELLED, "stopped");
        device_settle(device, &outcome);
        return;
    }
    if (too_late(device)) {
        device->stats.late_grants++;
        outcome = unstarted(device, WIRE_FAILED, "not_started");
        device_settle(device, &outcome);
        return;
    }
    if (write_started(device, &entry) != ERR_OK) {
        device->stats.journal_errors++;
        outcome = unstarted(device, WIRE_FAILED, "journal_failed");
        device_settle(device, &outcome);
        return;
    }
    if (too_late(device)) {
        device->stats.late_grants++;
        end_unstarted(device, &entry);
        return;
    }
    const struct device_command command = {
        .command_id = device->command_id,
        .uid = device->uid,
        .name = str_from(device->command_name),
    };
    device_act_begin(device, &command);
}

void device_on_claim(struct device *device, uint32_t status, struct str body)
{
    struct wire_answer answer;
    if (status == 200) {
        if (wire_answer_decode(body, &answer, NULL) == ERR_OK && answer.granted &&
            answer.start_within_ms <= (int64_t)WIRE_SECONDS_MAX * 1000) {
            device->failures = 0;
            on_grant(device, &answer);
            return;
        }
        device->stats.bad_answers++; /* granted or not, we cannot tell: ask again */
        device_back_off(device);
    } else if (status == 401 || status == 403) {
        device->stats.claims_refused++;
        device_unwelcome(device);
    } else if (device_refused(status, body)) {
        device->stats.claims_refused++;
        give_up(device, false);
    } else {
        device_back_off(device);
    }
}
