/* Power that can go, flash that tears, and a machine that counts how often it was started. */
#ifndef AUTOMAT_TESTS_DEVICE_FAKE_BOARD_H
#define AUTOMAT_TESTS_DEVICE_FAKE_BOARD_H

#include "device/fake_types.h"

/* ---- power ---- */

static inline void fake_power_off(struct fake *fake)
{
    fake->powered = false;
    fake->acting = false; /* everything is de-energised; what was poured was poured */
    if (fake->running_code)
        longjmp(fake->power_gone, 1);
}

/* ---- flash ---- */

static inline enum err fake_read(void *context, uint32_t offset, void *dst, size_t len)
{
    struct fake *fake = context;
    CHECK(offset + len <= FAKE_FLASH_BYTES);
    if (fake->flash.read_fails)
        return ERR_IO;
    memcpy(dst, fake->flash.bytes + offset, len);
    return ERR_OK;
}

static inline bool fake_cut_now(struct fake *fake)
{
    fake->flash.ops++;
    return fake->flash.cut_at != 0 && fake->flash.ops == fake->flash.cut_at;
}

static inline enum err fake_write(void *context, uint32_t offset, const void *src, size_t len)
{
    struct fake *fake = context;
    struct fake_flash *flash = &fake->flash;
    CHECK(offset + len <= FAKE_FLASH_BYTES);
    for (size_t i = 0; i < len; i++)
        CHECK_EQ(flash->bytes[offset + i], 0xff); /* a byte is written once */
    bool cut = fake_cut_now(fake);
    if (cut && flash->cut == CUT_BEFORE)
        fake_power_off(fake);
    if (flash->write_fails)
        return ERR_IO;
    if (flash->write_lies)
        return ERR_OK;
    size_t kept = cut && flash->cut == CUT_TORN ? rng_below(&fake->rng, (uint32_t)len) : len;
    memcpy(flash->bytes + offset, src, kept);
    if (kept < len && rng_chance(&fake->rng, 0.5)) /* not always a clean cut */
        flash->bytes[offset + kept] = (uint8_t)rng_below(&fake->rng, 255);
    if (cut)
        fake_power_off(fake);
    return ERR_OK;
}

static inline enum err fake_erase(void *context, uint32_t sector)
{
    struct fake *fake = context;
    struct fake_flash *flash = &fake->flash;
    uint8_t *at = flash->bytes + (size_t)sector * FAKE_SECTOR_BYTES;
    CHECK(sector < 2);
    bool cut = fake_cut_now(fake);
    if (cut && flash->cut == CUT_BEFORE)
        fake_power_off(fake);
    if (flash->write_fails)
        return ERR_IO;
    size_t kept = cut && flash->cut == CUT_TORN ? rng_below(&fake->rng, FAKE_SECTOR_BYTES)
                                                : FAKE_SECTOR_BYTES;
    memset(at, 0xff, kept);
    if (cut)
        fake_power_off(fake);
    return ERR_OK;
}

/* ---- the machine: pours `act_ms` ml-thousandths, one a ms ---- */

static inline struct fake_command *fake_find(struct fake *fake, struct id128 uid)
{
    for (uint32_t i = 0; i < fake->command_count; i++) {
        if (id128_equal(fake->command[i].uid, uid))
            return &fake->command[i];
    }
    return NULL;
}

static inline void fake_kind_boot(void *kind)
{
    struct fake *fake = kind;
    fake->acting = false;
    fake->amount_milli = 0;
}

static inline void fake_kind_configure(void *kind, struct str config)
{
    struct fake *fake = kind;
    (void)config;
    CHECK(!fake->acting);
    fake->configured++;
}

static inline enum err fake_kind_prepare(void *kind, const struct device_command *command,
                                         const char **ret_reason)
{
    struct fake *fake = kind;
    CHECK(!fake->acting);
    CHECK(command->payload.at != NULL);
    fake->amount_milli = 0;
    if (fake->refuse == NULL)
        return ERR_OK;
    *ret_reason = fake->refuse;
    return fake->not_now ? ERR_AGAIN : ERR_REFUSED;
}

static inline void fake_kind_start(void *kind, const struct device_command *command)
{
    struct fake *fake = kind;
    struct fake_command *known = fake_find(fake, command->uid);
    CHECK(known != NULL);
    CHECK(!fake->acting);
    fake->acting = true;
    fake->asked_to_stop = false;
    fake->acting_uid = command->uid;
    fake->act_left_ms = fake->act_ms;
    fake->amount_milli = 0;
    fake->reason = "";
    known->starts++;
    CHECK_EQ(known->starts, 1); /* the rule everything here is about */
    /* Its record is on the flash before anything moves. */
    const struct journal_entry *entry = journal_find(&fake->device.journal, command->uid);
    CHECK(entry != NULL && entry->state == JOURNAL_STARTED);
}

static inline enum device_act fake_kind_step(void *kind, int64_t now_ms, uint32_t dt_ms)
{
    struct fake *fake = kind;
    (void)now_ms;
    if (!fake->acting)
        return DEVICE_IDLE;
    if ((fake->asked_to_stop && !fake->ignores_stop) || fake->cancels_itself) {
        fake->acting = false;
        return DEVICE_CANCELLED;
    }
    fake->act_left_ms -= dt_ms;
    fake->amount_milli += dt_ms;
    if (fake->act_left_ms > 0)
        return DEVICE_ACTING;
    fake->acting = false;
    fake_find(fake, fake->acting_uid)->endings++;
    fake->reason = fake->fail != NULL ? fake->fail : "";
    return fake->fail != NULL ? DEVICE_FAILED : DEVICE_COMPLETED;
}

static inline void fake_kind_stop(void *kind)
{
    struct fake *fake = kind;
    fake->asked_to_stop = true;
}

static inline void fake_kind_time_over(void *kind)
{
    struct fake *fake = kind;
    if (fake->ignores_time_over)
        return;
    fake->act_left_ms = 0;
    fake->fail = "timeout";
}

static inline void fake_kind_cut(void *kind)
{
    struct fake *fake = kind;
    fake->acting = false;
    fake->cuts++;
}

static inline void fake_kind_measure(void *kind, int64_t *ret_milli)
{
    struct fake *fake = kind;
    ret_milli[0] = fake->amount_milli;
}

static inline const char *fake_kind_reason(void *kind)
{
    struct fake *fake = kind;
    return fake->reason;
}

static inline const char *fake_kind_step_name(void *kind)
{
    struct fake *fake = kind;
    return fake->acting ? "pouring" : "idle";
}

static inline bool fake_kind_sample(void *kind, int32_t *ret_row)
{
    struct fake *fake = kind;
    if (fake->amount_milli % 100 != 0)
        return false;
    ret_row[0] = (int32_t)fake->amount_milli;
    ret_row[1] = (int32_t)fake->amount_milli;
    return true;
}

static inline void fake_kind_sensors(void *kind, struct text *text)
{
    (void)kind;
    text_add(text, STR("{\"glass\":true}"));
}

static const char *const fake_numbers[] = {"actual_volume_ml"};
static const char *const fake_columns[] = {"volume_ml"};
static const struct device_kind fake_kind = {
    .name = "fake",
    .act_period_ms = 20,
    .wind_down_ms = 200,
    .number_names = fake_numbers,
    .number_count = 1,
    .column_names = fake_columns,
    .column_count = 1,
    .boot = fake_kind_boot,
    .configure = fake_kind_configure,
    .prepare = fake_kind_prepare,
    .start = fake_kind_start,
    .step = fake_kind_step,
    .stop = fake_kind_stop,
    .time_over = fake_kind_time_over,
    .cut = fake_kind_cut,
    .measure = fake_kind_measure,
    .reason = fake_kind_reason,
    .step_name = fake_kind_step_name,
    .sample = fake_kind_sample,
    .sensors = fake_kind_sensors,
};

#endif
