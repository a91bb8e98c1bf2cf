/* Introducing ourselves, and asking for work. */
#include "device/device_int.h"

/* ---- hello ---- */

static void add_entries(const struct device *device, struct wire_hello *hello)
{
    const struct journal *journal = &device->journal;
    for (uint32_t i = 0; i < journal->entry_count && hello->entry_count < WIRE_JOURNAL_MAX; i++) {
        const struct journal_entry *entry = &journal->entry[i];
        if (entry->state == JOURNAL_HEARD)
            continue;
        hello->entry[hello->entry_count++] = (struct wire_journal_entry){
            .uid = entry->uid,
            .claim_id = entry->claim_id,
            .command_id = entry->command_id,
            .done = entry->state == JOURNAL_DONE,
        };
    }
}

void device_send_hello(struct device *device)
{
    struct wire_hello hello = {
        .boot_id = device->boot_id,
        .journal_id = device->journal.id,
        .capabilities = str_from(device->options.capabilities),
    };
    struct text body;
    text_init(&body, device->control_body, sizeof(device->control_body));
    if (str_copy(hello.firmware, sizeof(hello.firmware), str_from(device->options.firmware)) !=
        ERR_OK)
        hello.firmware[0] = '\0';
    add_entries(device, &hello);
    if (wire_hello_encode(&hello, &body) != ERR_OK) {
        device_back_off(device); /* capabilities beyond the buffer; take_options cannot know */
        return;
    }
    device->greet = false;
    struct text path = device_path(device, DEVICE_CONTROL);
    wire_path_hello(&path, str_from(device->options.machine_id));
    (void)device_send(device, DEVICE_CONTROL, DEVICE_POST, (struct str){body.at, body.len},
                      device->options.timeout_ms);
}

void device_on_hello(struct device *device, uint32_t status, struct str body)
{
    struct wire_welcome welcome;
    const struct device_kind *kind = device->options.kind;
    if ((status != 200 && status != 202) || wire_welcome_decode(body, &welcome, NULL) != ERR_OK) {
        device->stats.bad_answers += status == 200;
        device_back_off(device);
        return;
    }
    device->failures = 0;
    if (status == 202 || welcome.admission != WIRE_ADMITTED) {
        device->admitted = false;
        device_pause(device, device->options.poll_ms); /* staff have to let us in first */
        return;
    }
    device->admitted = true;
    if (welcome.config.at != NULL && kind->configure != NULL)
        kind->configure(device->options.kind_context, welcome.config);
    /* What the server believes is running is not needed from here: the check below shows the same
     * to the journal that claimed it, and it is asked only when our own reports are out. */
    device_next(device);
}

void device_unwelcome(struct device *device)
{
    device->admitted = false;
    device->phase = DEVICE_HELLO;
    device_back_off(device);
}

/* ---- check ---- */

void device_send_check(struct device *device)
{
    uint32_t wait_s = device->options.wait_s;
    struct text path = device_path(device, DEVICE_CONTROL);
    wire_path_check(&path, str_from(device->options.machine_id), wait_s);
    device->asked_ms = device_now(device);
    (void)device_send(device, DEVICE_CONTROL, DEVICE_GET, STR_NONE,
                      device->options.timeout_ms + wait_s * 1000);
}

/* A long-poll that came back by itself is asked again at once; one that came back at once did not
 * wait at all, and is treated as plain polling. */
static void nothing_to_do(struct device *device)
{
    int64_t took = device_now(device) - device->asked_ms;
    bool waited = device->options.wait_s != 0 && took >= device_scaled(device, 1000);
    device_pause(device, waited ? 100 : device->options.poll_ms);
}

/* Our own claim is running, and we are not: we lost power, or its grant never reached us. */
static void account_for(struct device *device, const struct wire_offer *offer,
                        const struct journal_entry *entry)
{
    struct device_outcome outcome;
    if (!offer->has_claim) {
        nothing_to_do(device);
        return;
    }
    if (entry != NULL)
        outcome = device_outcome_of(entry);
    else
        outcome = device_outcome_plain(offer->command_id, offer->uid, WIRE_FAILED, "not_started");
    outcome.claimed = true;
    outcome.claim_id = offer->claim_id;
    device_settle(device, &outcome);
}

/* The server offers what this board has already begun once: its database is older than our journal.
 * A pending command cannot become complete, so it is refused, with what was measured beside it. */
static void refuse_repeat(struct device *device, const struct wire_offer *offer,
                          const struct journal_entry *entry)
{
    struct device_outcome outcome = device_outcome_of(entry);
    device->stats.duplicates++;
    outcome.command_id = offer->command_id;
    outcome.status = WIRE_REJECTED;
    outcome.claimed = false;
    outcome.journalled = false;
    base_copy(outcome.reason, "already_done", sizeof("already_done"));
    device_settle(device, &outcome);
}

static void consider(struct device *device, const struct wire_offer *offer)
{
    const struct device_kind *kind = device->options.kind;
    const struct device_command command = {
        .command_id = offer->command_id,
        .uid = offer->uid,
        .name = str_from(offer->command),
        .payload = offer->payload,
        .instructions = offer->instructions,
    };
    const char *reason = NULL;
    if (!offer->execute_allowed) {
        nothing_to_do(device);
        return;
    }
    enum err err = kind->prepare(device->options.kind_context, &command, &reason);
    if (err == ERR_OK) {
        device_claim_begin(device, offer);
        return;
    }
    if (err == ERR_AGAIN) {
        device_pause(device, device->options.poll_ms);
        return;
    }
    struct device_outcome outcome = device_outcome_plain(
        offer->command_id, offer->uid, WIRE_REJECTED, reason != NULL ? reason : "refused");
    device_settle(device, &outcome);
}

static void on_offer(struct device *device, struct str body)
{
    struct wire_offer offer;
    if (wire_offer_decode(body, &offer, NULL) != ERR_OK) {
        device->stats.bad_answers++;
        device_back_off(device);
        return;
    }
    device->failures = 0;
    const struct journal_entry *entry = journal_find(&device->journal, offer.uid);
    if (offer.running)
        account_for(device, &offer, entry);
    else if (entry != NULL)
        refuse_repeat(device, &offer, entry);
    else
        consider(device, &offer);
}

void device_on_check(struct device *device, uint32_t status, struct str body)
{
    if (status == 200) {
        on_offer(device, body);
    } else if (status == 204) {
        device->failures = 0;
        nothing_to_do(device);
    } else if (status == 401 || status == 403 || status == 404) {
        device_unwelcome(device);
    } else {
        device_back_off(device);
    }
}
