/* Saying how it ended until somebody has heard it. */
#include "device/device_int.h"

struct device_outcome device_outcome_plain(uint64_t command_id, struct id128 uid,
                                           enum wire_status status, const char *reason)
{
    struct device_outcome outcome = {
        .open = true,
        .command_id = command_id,
        .uid = uid,
        .status = status,
        .duration_ms = -1,
    };
    if (str_copy(outcome.reason, sizeof(outcome.reason), str_from(reason)) != ERR_OK)
        outcome.reason[0] = '\0';
    return outcome;
}

struct device_outcome device_outcome_of(const struct journal_entry *entry)
{
    bool ended = entry->state != JOURNAL_STARTED &&
                 (entry->outcome == WIRE_COMPLETE || entry->outcome == WIRE_FAILED ||
                  entry->outcome == WIRE_CANCELLED);
    /* Heard of while it was still STARTED: it was interrupted, and that is how it was reported. */
    struct device_outcome outcome = device_outcome_plain(
        entry->command_id, entry->uid, ended ? (enum wire_status)entry->outcome : WIRE_FAILED,
        ended ? entry->reason : "interrupted");
    outcome.journalled = true;
    outcome.claimed = true;
    outcome.claim_id = entry->claim_id;
    outcome.duration_ms = entry->duration_ms;
    outcome.number_count = JOURNAL_NUMBERS_MAX;
    base_copy(outcome.warning, entry->warning, sizeof(outcome.warning));
    base_copy(outcome.number, entry->number, sizeof(outcome.number));
    return outcome;
}

void device_settle(struct device *device, const struct device_outcome *outcome)
{
    device->outcome = *outcome;
    device->phase = DEVICE_REPORT;
    device->failures = 0;
    device->due_ms = device_now(device);
}

void device_next(struct device *device)
{
    if (!device->admitted) {
        device->phase = DEVICE_HELLO;
        return;
    }
    device->due_ms = device_now(device);
    if (device->outcome.open) {
        device->phase = DEVICE_REPORT;
        return;
    }
    const struct journal_entry *entry = journal_unheard(&device->journal);
    if (entry == NULL) {
        device->phase = DEVICE_POLL;
        return;
    }
    struct device_outcome outcome = device_outcome_of(entry);
    device->stats.interrupted += entry->state == JOURNAL_STARTED;
    device_settle(device, &outcome);
}

/* ---- sending ---- */

static void add_numbers(const struct device *device, struct wire_report *report)
{
    const struct device_outcome *outcome = &device->outcome;
    const struct device_kind *kind = device->options.kind;
    for (uint32_t i = 0; i < outcome->number_count && i < kind->number_count; i++) {
        struct wire_number *number = &report->number[report->number_count];
        if (outcome->number[i] == JOURNAL_NO_NUMBER ||
            str_copy(number->name, sizeof(number->name), str_from(kind->number_names[i])) != ERR_OK)
            continue;
        number->milli = outcome->number[i];
        report->number_count++;
    }
}

/* The server takes samples only of a running command, so the last of them go first; but not for
 * long. */
static bool samples_first(struct device *device)
{
    int64_t now = device_now(device);
    const struct device_outcome *outcome = &device->outcome;
    if (!outcome->acted || now >= device->flush_by_ms)
        return false;
    if (device->sample_count == 0 && device->link[DEVICE_PROGRESS].exchange_id == 0)
        return false;
    device->due_ms = now + 10;
    return true;
}

void device_send_report(struct device *device)
{
    const struct device_outcome *outcome = &device->outcome;
    struct wire_report report = {
        .status = outcome->status,
        .has_claim = outcome->claimed,
        .claim_id = outcome->claim_id,
        .journal_id = device->journal.id,
        .uid = outcome->uid,
        .duration_ms = outcome->duration_ms,
    };
    struct text body;
    if (samples_first(device))
        return;
    base_copy(report.reason, outcome->reason, sizeof(outcome->reason));
    base_copy(report.warning, outcome->warning, sizeof(outcome->warning));
    add_numbers(device, &report);
    text_init(&body, device->control_body, sizeof(device->control_body));
    enum err err = wire_report_encode(&report, &body);
    ASSERT(err == ERR_OK); /* every part of it is bounded, and the buffer has room for the sum */
    device->stats.reports++;
    device->stats.reports_retried += device->failures > 0;
    struct text path = device_path(device, DEVICE_CONTROL);
    wire_path_update(&path, outcome->command_id);
    (void)device_send(device, DEVICE_CONTROL, DEVICE_POST, (struct str){body.at, body.len},
                      device->options.timeout_ms);
}

/* ---- heard ---- */

/* Only the server's own word ends a report: a page that a proxy or a portal put in its place is
 * silence. */
static bool is_final(const struct device *device, uint32_t status, struct str body)
{
    struct wire_answer answer;
    if (status >= 200 && status < 300)
        return wire_answer_decode(body, &answer, NULL) == ERR_OK &&
               answer.command_id == device->outcome.command_id;
    if (status == 403) /* the command is another machine's now: nothing we say about it counts */
        return device_problem_is(body, "foreign_command");
    return device_refused(status, body);
}

/* A command that became unknown takes no cancellation any more: that nobody can say what became of
 * it is over, and what was measured must not be lost with the word. */
static bool too_late_to_cancel(const struct device *device, uint32_t status, struct str body)
{
    return status == 409 && device->outcome.status == WIRE_CANCELLED && device->outcome.claimed &&
           device_problem_is(body, "wrong_transition");
}

static void report_as_failed(struct device *device)
{
    struct device_outcome *outcome = &device->outcome;
    const struct journal_entry *known =
        outcome->journalled ? journal_find(&device->journal, outcome->uid) : NULL;
    outcome->status = WIRE_FAILED;
    if (known != NULL && known->state == JOURNAL_DONE) {
        struct journal_entry entry = *known;
        entry.outcome = WIRE_FAILED;
        if (journal_put(&device->journal, &entry) != ERR_OK)
            device->stats.journal_errors++; /* after a boot it is found out once more */
    }
    device->failures = 0;
    device_pause(device, device->options.backoff_ms);
}

void device_on_report(struct device *device, uint32_t status, struct str body)
{
    if (too_late_to_cancel(device, status, body)) {
        report_as_failed(device);
        return;
    }
    if (!is_final(device, status, body)) {
        device->stats.bad_answers += status >= 200 && status < 300;
        if (status == 401 || status == 403)
            device_unwelcome(device);
        else
            device_back_off(device);
        return;
    }
    bool taken = status < 300;
    bool acted = device->outcome.acted;
    if (device->outcome.journalled)
        journal_hear(&device->journal, device->outcome.uid);
    device->outcome.open = false;
    device->failures = 0;
    device_next(device);
    if (device->phase == DEVICE_POLL && !(taken && acted))
        device_pause(device, taken ? device->options.backoff_ms : device->options.poll_ms);
}
