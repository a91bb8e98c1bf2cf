/* The espresso machine as a kind. */
#include "device/device_espresso.h"

#define ACT_MS       20
#define IDLE_MS      50
#define WIND_DOWN_MS 20000 /* to press the button again, eject and go home */

enum { VOLUME, BREW_MS, TEMPERATURE, PICKS, INSERTS, PRESSES, NUMBER_COUNT };

static const char *const number_names[NUMBER_COUNT] = {
    [VOLUME] = "actual_volume_ml",        [BREW_MS] = "brew_ms",
    [TEMPERATURE] = "mean_temperature_c", [PICKS] = "pick_attempts",
    [INSERTS] = "insert_attempts",        [PRESSES] = "button_presses",
};
_Static_assert(NUMBER_COUNT <= JOURNAL_NUMBERS_MAX, "room in the journal");

static const char *const column_names[] = {
    "temperature_c", "pressure_bar", "flow_ml_s", "current_a", "volume_ml",
};

void device_espresso_init(struct device_espresso *espresso, enum espresso_model model,
                          const struct device_espresso_wires *wires)
{
    base_zero(espresso, sizeof(*espresso));
    espresso->wires = *wires;
    espresso->model = model;
    espresso->calibration = espresso_calibration_preset();
    espresso_init(&espresso->machine, model, &espresso->calibration);
}

static void all_off(struct device_espresso *espresso)
{
    static const struct espresso_outputs off;
    espresso_init(&espresso->machine, espresso->model, &espresso->calibration);
    espresso->request = espresso->request_next = ESPRESSO_REQUEST_NONE;
    espresso->begun = false;
    espresso->wires.drive(espresso->wires.context, &off);
}

static void read_sensors(struct device_espresso *espresso)
{
    espresso->wires.read(espresso->wires.context, &espresso->input);
    espresso->input.request = ESPRESSO_REQUEST_NONE;
    espresso->input.order = NULL;
}

static void kind_boot(void *kind)
{
    struct device_espresso *espresso = kind;
    espresso->ended = false;
    all_off(espresso);
    read_sensors(espresso);
}

/* ---- configuration ---- */

static void set_calibration(struct espresso_calibration *calibration, struct wire_value object)
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
            espresso_calibration_set(calibration, str_from(name), (int32_t)whole) != ERR_OK)
            continue;
    }
}

static void kind_configure(void *kind, struct str config)
{
    struct device_espresso *espresso = kind;
    struct wire_value root;
    struct wire_value value;
    char word[WIRE_NAME_BYTES];
    struct espresso_calibration calibration = espresso_calibration_preset();
    enum espresso_model model = espresso->model;
    if (wire_open(config, &root, NULL) != ERR_OK)
        return;
    if (wire_find(root, "model", &value) && wire_get_text(value, word, sizeof(word)) == ERR_OK &&
        espresso_model_from(str_from(word), &model) != ERR_OK)
        model = ESPRESSO_ORIGINAL_ONLY; /* the one that refuses more */
    if (wire_find(root, "calibration", &value) && value.type == WIRE_OBJECT)
        set_calibration(&calibration, value);
    if (espresso_calibration_fault(&calibration) != NULL)
        calibration = espresso_calibration_preset();
    espresso->model = model;
    espresso->calibration = calibration;
    all_off(espresso);
}

/* ---- orders ---- */

static enum err kind_prepare(void *kind, const struct device_command *command,
                             const char **ret_reason)
{
    struct device_espresso *espresso = kind;
    struct espresso_refusal refusal;
    struct espresso_order order;
    uint8_t slot;
    if (!str_equal(command->name, STR("brew"))) {
        *ret_reason = "unknown_command";
        return ERR_REFUSED;
    }
    if (device_espresso_order(command->payload, command->instructions, &order) != ERR_OK) {
        *ret_reason = "bad_payload";
        return ERR_INPUT;
    }
    read_sensors(espresso);
    if (!espresso_check(&order, espresso->model, &refusal) ||
        !espresso_preflight(&espresso->machine, &espresso->input, &order, &slot, &refusal)) {
        *ret_reason = espresso_code_name(refusal.code);
        /* The brew before this one may still be dripping, also after a boot: nobody's order is lost
         * for that.  If it never ends, not_after does. */
        bool passes = refusal.code == ESPRESSO_PUMP_RUNNING || refusal.code == ESPRESSO_BUSY;
        return passes ? ERR_AGAIN : ERR_REFUSED;
    }
    espresso->order = order;
    espresso->ended = false;
    espresso->begun = false;
    return ERR_OK;
}

static void kind_start(void *kind, const struct device_command *command)
{
    struct device_espresso *espresso = kind;
    (void)command; /* `prepare` has kept all of it */
    espresso->request = ESPRESSO_REQUEST_BREW;
    espresso->request_next = ESPRESSO_REQUEST_NONE;
    espresso->begun = true;
}

static enum device_act act_of(const struct espresso_result *result)
{
    switch (result->outcome) {
    case ESPRESSO_OUTCOME_COMPLETE:
        return DEVICE_COMPLETED;
    case ESPRESSO_OUTCOME_CANCELLED:
        return DEVICE_CANCELLED;
    case ESPRESSO_OUTCOME_REJECTED:
        return DEVICE_REFUSED;
    case ESPRESSO_OUTCOME_FAILED:
    case ESPRESSO_OUTCOME_NONE:
    default:
        return DEVICE_FAILED;
    }
}

static enum device_act kind_step(void *kind, int64_t now_ms, uint32_t dt_ms)
{
    struct device_espresso *espresso = kind;
    (void)now_ms;
    read_sensors(espresso);
    espresso->input.request = espresso->request;
    espresso->input.order = &espresso->order;
    espresso->machine = espresso_step(espresso->machine, espresso->input, dt_ms);
    espresso->wires.drive(espresso->wires.context, &espresso->machine.outputs);
    espresso->request = espresso->request_next;
    if (!espresso->begun)
        return DEVICE_IDLE;
    if (!espresso->machine.result_ready)
        return DEVICE_ACTING;
    espresso->result = espresso->machine.result;
    espresso->ended = true;
    espresso->begun = false;
    espresso->request = espresso->request_next = ESPRESSO_REQUEST_NONE;
    return act_of(&espresso->result);
}

/* Heard at every step until the order has ended; the first step is the order itself, and a request
 * must not overtake what it ends. */
static void ask(struct device_espresso *espresso, enum espresso_request request)
{
    if (!espresso->begun || espresso->request_next == ESPRESSO_REQUEST_DEADLINE)
        return;
    espresso->request_next = request;
    if (espresso->request != ESPRESSO_REQUEST_BREW)
        espresso->request = request;
}

static void kind_stop(void *kind)
{
    ask(kind, ESPRESSO_REQUEST_STOP);
}

static void kind_time_over(void *kind)
{
    ask(kind, ESPRESSO_REQUEST_DEADLINE);
}

static void kind_cut(void *kind)
{
    struct device_espresso *espresso = kind;
    uint64_t volume_ul = espresso->machine.volume_nl / 1000;
    espresso->result = espresso->machine.tally;
    espresso->result.volume_ul = (uint32_t)volume_ul;
    espresso->result.code = ESPRESSO_TIMEOUT;
    espresso->result.temperature_mc = ESPRESSO_UNKNOWN;
    espresso->ended = true;
    all_off(espresso);
}

/* ---- looking ---- */

static void kind_measure(void *kind, int64_t *ret_milli)
{
    const struct device_espresso *espresso = kind;
    struct espresso_result now = {.temperature_mc = ESPRESSO_UNKNOWN};
    if (espresso->ended) {
        now = espresso->result;
    } else if (espresso->begun && espresso->machine.active) {
        now = espresso->machine.tally;
        now.volume_ul = (uint32_t)(espresso->machine.volume_nl / 1000);
        now.temperature_mc = ESPRESSO_UNKNOWN;
    }
    ret_milli[VOLUME] = now.volume_ul;
    ret_milli[BREW_MS] = (int64_t)now.brew_ms * 1000;
    ret_milli[TEMPERATURE] =
        now.temperature_mc == ESPRESSO_UNKNOWN ? JOURNAL_NO_NUMBER : now.temperature_mc;
    ret_milli[PICKS] = (int64_t)now.pick_attempts * 1000;
    ret_milli[INSERTS] = (int64_t)now.insert_attempts * 1000;
    ret_milli[PRESSES] = (int64_t)now.button_presses * 1000;
}

static const char *kind_reason(void *kind)
{
    const struct device_espresso *espresso = kind;
    bool named = espresso->ended && espresso->result.code != ESPRESSO_OK;
    return named ? espresso_code_name(espresso->result.code) : "";
}

static const char *kind_warning(void *kind)
{
    const struct device_espresso *espresso = kind;
    bool named = espresso->ended && espresso->result.warning != ESPRESSO_OK;
    return named ? espresso_code_name(espresso->result.warning) : "";
}

static const char *kind_step_name(void *kind)
{
    const struct device_espresso *espresso = kind;
    return espresso_state_name(espresso->machine.state);
}

static bool kind_sample(void *kind, int32_t *ret_row)
{
    const struct device_espresso *espresso = kind;
    const struct espresso_sample *sample = &espresso->machine.sample;
    if (!espresso->machine.sample_ready)
        return false;
    ret_row[0] = (int32_t)sample->t_ms;
    ret_row[1] = sample->temperature_mc;
    ret_row[2] = sample->pressure_mbar;
    ret_row[3] = sample->flow_uls;
    ret_row[4] = sample->current_ma;
    ret_row[5] = (int32_t)sample->volume_ul;
    for (unsigned i = 1; i <= ARRAY_COUNT(column_names); i++) {
        if (ret_row[i] == ESPRESSO_UNKNOWN)
            ret_row[i] = 0;
    }
    return true;
}

static uint32_t capsules_left(const struct espresso_magazine *magazine)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < ESPRESSO_SLOT_COUNT; i++)
        count += magazine->slot[i].loaded ? magazine->slot[i].count : 0;
    return count;
}

static void put_bool(struct wire_writer *w, const char *name, bool value)
{
    wire_key(w, name);
    wire_put_bool(w, value);
}

static void put_sensor(struct wire_writer *w, const char *name, int32_t milli)
{
    if (milli == ESPRESSO_UNKNOWN)
        return;
    wire_key(w, name);
    wire_put_milli(w, milli);
}

static void kind_sensors(void *kind, struct text *text)
{
    struct device_espresso *espresso = kind;
    const struct device_espresso_wires *wires = &espresso->wires;
    const struct espresso_input *in = &espresso->input;
    int32_t water_ml = wires->water_ml != NULL ? wires->water_ml(wires->context) : ESPRESSO_UNKNOWN;
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    if (in->magazine != NULL) {
        wire_key(&w, "magazine_count");
        wire_put_u64(&w, capsules_left(in->magazine));
    }
    if (water_ml != ESPRESSO_UNKNOWN) {
        wire_key(&w, "water_ml");
        wire_put_i64(&w, water_ml);
    }
    put_bool(&w, "water_low", in->water_low);
    put_bool(&w, "head_closed", in->head_closed);
    put_bool(&w, "home", in->picker_home && in->inserter_home);
    put_bool(&w, "estop", in->estop);
    put_bool(&w, "over_temperature", in->over_temperature);
    put_sensor(&w, "temperature_c", in->temperature_mc);
    put_sensor(&w, "current_a", in->current_ma);
    wire_key(&w, "provenance");
    wire_put_text(&w, wires->provenance != NULL ? wires->provenance : "measured");
    wire_object_end(&w);
}

const struct device_kind device_espresso_kind = {
    .name = "espresso",
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
    .warning = kind_warning,
    .step_name = kind_step_name,
    .sample = kind_sample,
    .sensors = kind_sensors,
};
