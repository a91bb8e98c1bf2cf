/* The window as a kind. */
#include "device/device_window.h"

#define ACT_MS       10
#define IDLE_MS      100
#define WIND_DOWN_MS 2000 /* to brake from full speed */

#define INTERVAL_S_MAX 3600

enum { POSITION, TRAVEL, PEAK_CURRENT, MOVED, NUMBER_COUNT };

static const char *const number_names[NUMBER_COUNT] = {
    [POSITION] = "position",
    [TRAVEL] = "travel_mm",
    [PEAK_CURRENT] = "peak_current_a",
    [MOVED] = "moved_ms",
};
_Static_assert(NUMBER_COUNT <= JOURNAL_NUMBERS_MAX, "room in the journal");

static const char *const column_names[] = {"position", "current_a"};

static const struct device_window_sensors sensors_preset = {.interval_s = 5, .audio_s = 30};

void device_window_init(struct device_window *window, const struct device_window_wires *wires)
{
    base_zero(window, sizeof(*window));
    window->wires = *wires;
    window->sensors = sensors_preset;
    window->calibration = window_calibration_preset();
    window_init(&window->machine, &window->calibration);
}

static void all_off(struct device_window *window)
{
    static const struct window_outputs off;
    window_init(&window->machine, &window->calibration);
    window->request = window->request_next = WINDOW_REQUEST_NONE;
    window->begun = false;
    window->wires.drive(window->wires.context, &off);
}

static void read_sensors(struct device_window *window)
{
    window->wires.read(window->wires.context, &window->input);
    window->input.request = WINDOW_REQUEST_NONE;
    window->input.order = NULL;
}

static void kind_boot(void *kind)
{
    struct device_window *window = kind;
    window->ended = false;
    all_off(window);
    read_sensors(window);
}

/* ---- configuration ---- */

static void set_calibration(struct window_calibration *calibration, struct wire_value object)
{
    struct wire_walk walk = wire_walk(object);
    struct wire_value key;
    struct wire_value value;
    char name[WIRE_NAME_BYTES];
    int64_t whole;
    /* A value this board does not know, or not in range, leaves the preset: the server has checked
     * them, and may be newer. */
    while (wire_walk_next(&walk, &key, &value)) {
        if (wire_get_text(key, name, sizeof(name)) != ERR_OK ||
            wire_get_i64(value, &whole) != ERR_OK || whole < INT32_MIN || whole > INT32_MAX ||
            window_calibration_set(calibration, str_from(name), (int32_t)whole) != ERR_OK)
            continue;
    }
}

static void set_interval(struct wire_value object, const char *name, uint32_t min, uint32_t *value)
{
    struct wire_value number;
    uint32_t whole;
    if (wire_find(object, name, &number) && wire_get_u32(number, &whole) == ERR_OK &&
        whole >= min && whole <= INTERVAL_S_MAX)
        *value = whole;
}

static void kind_configure(void *kind, struct str config)
{
    struct device_window *window = kind;
    struct wire_value root;
    struct wire_value value;
    struct window_calibration calibration = window_calibration_preset();
    struct device_window_sensors sensors = sensors_preset;
    if (wire_open(config, &root, NULL) != ERR_OK)
        return;
    if (wire_find(root, "calibration", &value) && value.type == WIRE_OBJECT)
        set_calibration(&calibration, value);
    if (window_calibration_fault(&calibration) != NULL)
        calibration = window_calibration_preset();
    if (wire_find(root, "sensors", &value) && value.type == WIRE_OBJECT) {
        set_interval(value, "interval_s", 1, &sensors.interval_s);
        set_interval(value, "audio_s", 0, &sensors.audio_s);
    }
    window->sensors = sensors;
    /* The ends that were found stay found, unless what they were found with is another. */
    if (base_equal(&calibration, &window->calibration, sizeof(calibration)))
        return;
    window->calibration = calibration;
    all_off(window);
}

/* ---- orders ---- */

enum err device_window_order(struct str payload, struct window_order *ret_order)
{
    struct wire_value root;
    struct wire_value number;
    int64_t milli;
    if (wire_open(payload, &root, NULL) != ERR_OK || root.type != WIRE_OBJECT ||
        !wire_find(root, "position", &number) || wire_get_milli(number, &milli) != ERR_OK ||
        milli < INT32_MIN || milli > INT32_MAX)
        return ERR_INPUT;
    ret_order->position_mpct = (int32_t)milli;
    return ERR_OK;
}

static enum err kind_prepare(void *kind, const struct device_command *command,
                             const char **ret_reason)
{
    struct device_window *window = kind;
    struct window_refusal refusal;
    struct window_order order;
    if (!str_equal(command->name, STR(WINDOW_COMMAND))) {
        *ret_reason = "unknown_command";
        return ERR_REFUSED;
    }
    if (device_window_order(command->payload, &order) != ERR_OK) {
        *ret_reason = "bad_payload";
        return ERR_INPUT;
    }
    read_sensors(window);
    if (!window_preflight(&window->machine, &window->input, &order, &refusal)) {
        *ret_reason = window_code_name(refusal.code);
        return refusal.code == WINDOW_BUSY ? ERR_AGAIN : ERR_REFUSED;
    }
    window->order = order;
    window->ended = false;
    window->begun = false;
    return ERR_OK;
}

static void kind_start(void *kind, const struct device_command *command)
{
    struct device_window *window = kind;
    (void)command; /* `prepare` has kept all of it */
    window->request = WINDOW_REQUEST_MOVE;
    window->request_next = WINDOW_REQUEST_NONE;
    window->begun = true;
}

static enum device_act act_of(const struct window_result *result)
{
    switch (result->outcome) {
    case WINDOW_OUTCOME_COMPLETE:
        return DEVICE_COMPLETED;
    case WINDOW_OUTCOME_CANCELLED:
        return DEVICE_CANCELLED;
    case WINDOW_OUTCOME_REJECTED:
        return DEVICE_REFUSED;
    case WINDOW_OUTCOME_FAILED:
    case WINDOW_OUTCOME_NONE:
    default:
        return DEVICE_FAILED;
    }
}

static enum device_act kind_step(void *kind, int64_t now_ms, uint32_t dt_ms)
{
    struct device_window *window = kind;
    (void)now_ms;
    read_sensors(window);
    window->input.request = window->request;
    window->input.order = &window->order;
    window->machine = window_step(window->machine, window->input, dt_ms);
    window->wires.drive(window->wires.context, &window->machine.outputs);
    window->request = window->request_next;
    if (!window->begun)
        return DEVICE_IDLE;
    if (!window->machine.result_ready)
        return DEVICE_ACTING;
    window->result = window->machine.result;
    window->ended = true;
    window->begun = false;
    window->request = window->request_next = WINDOW_REQUEST_NONE;
    return act_of(&window->result);
}

/* Heard at every step until the order has ended; the first step is the order itself, and a request
 * must not overtake what it ends. */
static void ask(struct device_window *window, enum window_request request)
{
    if (!window->begun || window->request_next == WINDOW_REQUEST_DEADLINE)
        return;
    window->request_next = request;
    if (window->request != WINDOW_REQUEST_MOVE)
        window->request = request;
}

static void kind_stop(void *kind)
{
    ask(kind, WINDOW_REQUEST_STOP);
}

static void kind_time_over(void *kind)
{
    ask(kind, WINDOW_REQUEST_DEADLINE);
}

static struct window_result result_now(const struct device_window *window)
{
    struct window_result now = window->machine.tally;
    now.position_mpct = window_position_mpct(&window->machine);
    now.travel_um = window->machine.travel_um;
    return now;
}

static void kind_cut(void *kind)
{
    struct device_window *window = kind;
    window->result = result_now(window);
    window->result.code = WINDOW_TIMEOUT;
    window->ended = true;
    all_off(window);
}

/* ---- looking ---- */

static void kind_measure(void *kind, int64_t *ret_milli)
{
    const struct device_window *window = kind;
    struct window_result now = {.position_mpct = window_position_mpct(&window->machine),
                                .travel_um = window->machine.travel_um};
    if (window->ended)
        now = window->result;
    else if (window->begun && window->machine.active)
        now = result_now(window);
    ret_milli[POSITION] =
        now.position_mpct == WINDOW_UNKNOWN ? JOURNAL_NO_NUMBER : now.position_mpct;
    ret_milli[TRAVEL] = now.travel_um == WINDOW_UNKNOWN ? JOURNAL_NO_NUMBER : now.travel_um;
    ret_milli[PEAK_CURRENT] = now.peak_current_ma;
    ret_milli[MOVED] = (int64_t)now.moved_ms * 1000;
}

static const char *kind_reason(void *kind)
{
    const struct device_window *window = kind;
    bool named = window->ended && window->result.code != WINDOW_OK;
    return named ? window_code_name(window->result.code) : "";
}

static const char *kind_step_name(void *kind)
{
    const struct device_window *window = kind;
    return window_state_name(window->machine.state);
}

/* Before the ends are found there is no position, and a row of the curve has no gaps. */
static bool kind_sample(void *kind, int32_t *ret_row)
{
    const struct device_window *window = kind;
    const struct window_sample *sample = &window->machine.sample;
    if (!window->machine.sample_ready || sample->position_mpct == WINDOW_UNKNOWN)
        return false;
    ret_row[0] = (int32_t)sample->t_ms;
    ret_row[1] = sample->position_mpct;
    ret_row[2] = sample->current_ma;
    return true;
}

static void put_bool(struct wire_writer *w, const char *name, bool value)
{
    wire_key(w, name);
    wire_put_bool(w, value);
}

static void kind_sensors(void *kind, struct text *text)
{
    const struct device_window *window = kind;
    const struct device_window_wires *wires = &window->wires;
    int32_t position_mpct = window_position_mpct(&window->machine);
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    if (position_mpct != WINDOW_UNKNOWN) {
        wire_key(&w, "position");
        wire_put_milli(&w, position_mpct);
    }
    put_bool(&w, "calibrated", window->machine.calibrated);
    put_bool(&w, "closed_switch", window->input.closed_switch);
    put_bool(&w, "open_switch", window->input.open_switch);
    put_bool(&w, "estop", window->input.estop);
    wire_key(&w, "current_a");
    wire_put_milli(&w, window->input.current_ma);
    wire_key(&w, "provenance");
    wire_put_text(&w, wires->provenance != NULL ? wires->provenance : "measured");
    wire_object_end(&w);
}

const struct device_kind device_window_kind = {
    .name = "window",
    .act_period_ms = ACT_MS,
    .idle_period_ms = IDLE_MS,
    .wind_down_ms = WIND_DOWN_MS,
    .number_names = number_names,
    .number_count = NUMBER_COUNT,
    .column_names = column_names,
    .column_count = ARRAY_COUNT(column_names),
    .boot = kind_boot,
    .configure = kind_configure,
    .prepare = kind_prepare,
    .start = kind_start,
    .step = kind_step,
    .stop = kind_stop,
    .time_over = kind_time_over,
    .cut = kind_cut,
    .measure = kind_measure,
    .reason = kind_reason,
    .step_name = kind_step_name,
    .sample = kind_sample,
    .sensors = kind_sensors,
};
