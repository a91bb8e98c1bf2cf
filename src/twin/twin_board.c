/* The board: wires to the physics, a link, flash, and power that can go. */
#include "twin/twin_int.h"

#define POWER_OFF_MS 1000 /* of the board's clock */

/* ---- what the program is brought ---- */

static int64_t hal_mono(void *context)
{
    const struct twin *twin = context;
    return twin->clock_ms;
}

static enum err hal_random(void *context, void *dst, size_t len)
{
    (void)context;
    return sys_random(dst, len);
}

static enum err hal_read(void *context, uint32_t offset, void *dst, size_t len)
{
    struct twin *twin = context;
    return twin_flash_read(&twin->flash, offset, dst, len);
}

static enum err hal_write(void *context, uint32_t offset, const void *src, size_t len)
{
    struct twin *twin = context;
    enum err err = twin_flash_write(&twin->flash, offset, src, len);
    twin_clock_wait(twin); /* a slow disk is a slow flash: deadlines go on meanwhile */
    return err;
}

static enum err hal_erase(void *context, uint32_t sector)
{
    struct twin *twin = context;
    enum err err = twin_flash_erase(&twin->flash, sector);
    twin_clock_wait(twin);
    return err;
}

static enum err hal_send(void *context, const struct device_exchange *exchange)
{
    struct twin *twin = context;
    enum twin_loss loss = twin_faults_draw(&twin->faults, &twin->rng);
    const struct twin_request request = {
        .channel = exchange->channel,
        .post = exchange->method == DEVICE_POST,
        .path = exchange->path,
        .journal_id = exchange->journal_id,
        .body = exchange->body,
        .timeout_ms = exchange->timeout_ms,
        .exchange_id = exchange->id,
        .answer_lost = loss == TWIN_LOSS_ANSWER,
    };
    if (loss == TWIN_LOSS_REQUEST)
        return ERR_IO;
    enum err err = twin->link->send(twin->link, &request);
    if (err != ERR_OK)
        return err;
    twin->exchange[exchange->channel] = exchange->id;
    twin->loss[exchange->channel] = loss;
    return ERR_OK;
}

void twin_board_link_done(void *cookie, unsigned channel, uint32_t status, struct str body)
{
    struct twin *twin = cookie;
    if (channel >= DEVICE_CHANNEL_COUNT)
        return; /* readings: volatile, nobody waits for their answer */
    /* First all that happened before this answer, so that the program hears it at its time. */
    twin_clock_run(twin);
    uint64_t exchange_id = twin->exchange[channel];
    twin->exchange[channel] = 0;
    if (!twin->powered || exchange_id == 0)
        return;
    if (status == 0 || twin->loss[channel] == TWIN_LOSS_ANSWER)
        device_on_link_error(&twin->device, exchange_id);
    else
        device_on_response(&twin->device, exchange_id, status, body);
    twin_board_step(twin);
    twin_clock_arm(twin);
}

/* ---- power ---- */

static void wipe_journal(struct twin *twin)
{
    if (!twin->faults.journal_lost.on || twin->boots == 0)
        return;
    twin->faults.journal_lost.on = false;
    for (uint32_t sector = 0; sector < 2; sector++) {
        if (twin_flash_erase(&twin->flash, sector) != ERR_OK)
            log_line(LOG_ERROR, "twin", "id", "%s", twin->id, "cannot", "%s", "wipe", NULL);
    }
}

static enum err boot(struct twin *twin)
{
    const struct device_hal hal = {
        .context = twin,
        .mono_ms = hal_mono,
        .random = hal_random,
        .send = hal_send,
        .flash = {.sector_bytes = TWIN_SECTOR_BYTES,
                  .read = hal_read,
                  .write = hal_write,
                  .erase = hal_erase},
    };
    wipe_journal(twin);
    twin->boots++;
    twin->powered = true;
    twin->phase_told = DEVICE_PHASE_COUNT;
    twin->options.kind_context = twin->kind->boot(twin->metal);
    enum err err = device_init(&twin->device, &twin->options, &hal);
    twin->due_ms = twin->clock_ms;
    if (err == ERR_OK && twin->link->boot != NULL)
        twin->link->boot(twin->link);
    return err;
}

void twin_board_power_off(struct twin *twin)
{
    if (!twin->powered)
        return;
    twin->powered = false;
    twin->power_on_ms = twin->clock_ms + POWER_OFF_MS;
    twin->due_ms = twin->power_on_ms;
    twin->kind->off(twin->metal);
    twin->device.acting = false;
    twin->link->cancel(twin->link);
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++)
        twin->exchange[i] = 0;
    log_line(LOG_INFO, "twin", "id", "%s", twin->id, "power", "%s", "off", NULL);
}

enum err twin_board_init(struct twin *twin)
{
    twin->options.kind = twin->kind->device;
    twin->options.machine_id = twin->id;
    twin->options.firmware = "automat-twin/1";
    twin->options.capabilities = twin->kind->capabilities;
    twin->options.clock_speed = twin->speed;
    return boot(twin);
}

/* ---- faults that wait for a moment ---- */

static void after_step(struct twin *twin)
{
    struct twin_faults *faults = &twin->faults;
    if (twin->was_acting && !twin->device.acting) {
        *twin->kind->faults(twin->metal) &= ~faults->physics_once;
        faults->physics_once = 0;
    }
    twin->was_acting = twin->device.acting;
    if (faults->reboot.on && twin->device.acting &&
        str_equal(str_from(faults->reboot_at), str_from(twin->kind->step_name(twin->metal)))) {
        faults->reboot.on = !faults->reboot.once;
        twin_board_power_off(twin);
    }
}

static void tell(struct twin *twin)
{
    if (twin->phase_told == twin->device.phase)
        return;
    twin->phase_told = twin->device.phase;
    log_line(LOG_DEBUG, "twin", "id", "%s", twin->id, "phase", "%s",
             device_phase_name(twin->device.phase), NULL);
}

void twin_board_step(struct twin *twin)
{
    if (!twin->powered) {
        if (twin->clock_ms < twin->power_on_ms)
            return;
        enum err err = boot(twin);
        ASSERT(err == ERR_OK); /* the same options were good at the first boot */
    }
    struct twin_link *link = twin->link;
    if (link->step != NULL)
        link->step(link);
    uint32_t wait_ms = device_step(&twin->device);
    if (link->wait != NULL && link->wait(link) < wait_ms)
        wait_ms = link->wait(link);
    twin->due_ms = twin->clock_ms + wait_ms;
    tell(twin);
    after_step(twin);
}
