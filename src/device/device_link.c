/* Exchanges: one a channel, each answered at most once. */
#include "device/device_int.h"

/* How much longer than its own timeout the host may take before we believe that it forgot. */
#define HOST_GRACE_MS 5000

void device_pause(struct device *device, int64_t ms)
{
    uint32_t quarter = (uint32_t)(ms / 4);
    int64_t jitter = (int64_t)rng_below(&device->rng, 2 * quarter + 1) - (int64_t)quarter;
    device->due_ms = device_now(device) + device_scaled(device, ms + jitter);
}

void device_back_off(struct device *device)
{
    uint64_t ms = device->options.backoff_ms;
    for (uint32_t i = 0; i < device->failures && ms < device->options.backoff_ms_max; i++)
        ms *= 2;
    if (ms > device->options.backoff_ms_max)
        ms = device->options.backoff_ms_max;
    if (device->failures < UINT32_MAX)
        device->failures++;
    device_pause(device, (int64_t)ms);
}

struct text device_path(struct device *device, enum device_channel channel)
{
    struct text text;
    struct device_link *link = &device->link[channel];
    text_init(&text, link->path, sizeof(link->path));
    return text;
}

bool device_send(struct device *device, enum device_channel channel, enum device_method method,
                 struct str body, uint32_t timeout_ms)
{
    struct device_link *link = &device->link[channel];
    struct device_exchange exchange = {
        .id = device->exchange_next++,
        .channel = channel,
        .method = method,
        .path = link->path,
        .journal_id = device->journal.ready ? device->journal_text : NULL,
        .body = body,
        .timeout_ms = timeout_ms,
    };
    link->exchange_id = exchange.id;
    link->give_up_ms =
        device_now(device) + device_scaled(device, (int64_t)timeout_ms + HOST_GRACE_MS);
    if (device->hal.send(device->hal.context, &exchange) == ERR_OK)
        return true;
    device_on_link_error(device, exchange.id);
    return false;
}

/* ---- refusals ---- */

struct wire_problem device_problem(struct str body)
{
    struct wire_problem problem;
    if (wire_problem_decode(body, &problem, NULL) != ERR_OK)
        problem.code[0] = '\0';
    return problem;
}

bool device_problem_is(struct str body, const char *code)
{
    struct wire_problem problem = device_problem(body);
    return str_equal(str_from(problem.code), str_from(code));
}

bool device_refused(uint32_t status, struct str body)
{
    bool passes = status == 401 || status == 403 || status == 408 || status == 425 || status == 429;
    return status >= 400 && status < 500 && !passes && device_problem(body).code[0] != '\0';
}

/* ---- answers ---- */

static bool take(struct device *device, uint64_t exchange_id, enum device_channel *ret_channel)
{
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++) {
        if (exchange_id != 0 && device->link[i].exchange_id == exchange_id) {
            device->link[i].exchange_id = 0;
            *ret_channel = (enum device_channel)i;
            return true;
        }
    }
    return false;
}

void device_on_response(struct device *device, uint64_t exchange_id, uint32_t status,
                        struct str body)
{
    enum device_channel channel;
    if (!take(device, exchange_id, &channel))
        return;
    if (channel == DEVICE_PROGRESS) {
        device_on_progress(device, status, body);
        return;
    }
    switch (device->phase) {
    case DEVICE_HELLO:
        device_on_hello(device, status, body);
        break;
    case DEVICE_POLL:
        device_on_check(device, status, body);
        break;
    case DEVICE_CLAIM:
        device_on_claim(device, status, body);
        break;
    case DEVICE_REPORT:
        device_on_report(device, status, body);
        break;
    case DEVICE_BOOT: /* these two have nothing under way */
    case DEVICE_ACT:
    case DEVICE_PHASE_COUNT:
        break;
    }
}

void device_on_link_error(struct device *device, uint64_t exchange_id)
{
    enum device_channel channel;
    if (!take(device, exchange_id, &channel))
        return;
    device->stats.link_errors++;
    if (channel == DEVICE_PROGRESS)
        device_on_progress_error(device);
    else
        device_back_off(device);
}

/* ---- roads that push ---- */

void device_hurry(struct device *device)
{
    if (device->phase == DEVICE_POLL && device->failures == 0)
        device->due_ms = device_now(device);
}

/* A check under way is called off: nothing is lost with it. */
static void greet_now(struct device *device)
{
    device->link[DEVICE_CONTROL].exchange_id = 0;
    device->phase = DEVICE_HELLO;
    device->due_ms = device_now(device);
}

void device_greet(struct device *device)
{
    device->greet = true;
    if (device->phase == DEVICE_POLL)
        greet_now(device);
    else if (device->phase == DEVICE_HELLO)
        device->due_ms = device_now(device);
}

void device_road_switch(struct device *device)
{
    for (unsigned i = 0; i < DEVICE_CHANNEL_COUNT; i++)
        device_on_link_error(device, device->link[i].exchange_id);
    device->failures = 0;
    device->due_ms = device_now(device);
    device->quiet_ms = device->due_ms;
    device_greet(device);
}
