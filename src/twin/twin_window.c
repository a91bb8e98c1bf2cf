/* A window: wires to its physics, and the room behind it, which the window changes. */
#include "twin/twin_int.h"

#include "device/device_window.h"
#include "machine/window/window_physics.h"
#include "machine/window/window_room.h"

#include <string.h>

#define ROOM_STEP_MS 1000 /* of the board's clock */
#define MORNING_HOUR 8    /* the cafe is open, and some guests are there */
#define NUMBERS      4
#define MOVED_MPCT   1000 /* a position is told at once when it differs by so much ... */
#define MOVED_MS     1000 /* ... but not more often than this, of the server's time */

struct metal {
    struct twin *twin;
    struct device_window window;
    struct window_physics physics;
    struct window_outputs outputs; /* as driven now */
    uint32_t silent_ms;            /* since the board said so */
    struct window_room room;
    uint32_t room_behind_ms;
    double open_ms; /* opening times ms of what the room is behind */
    /* sensors */
    struct rng noise;
    struct window_sense sense; /* as read last */
    double co2_ppm;
    int64_t numbers_due_ms, audio_due_ms, position_due_ms;
    int32_t position_told_mpct;
    uint64_t audio_seed;
    struct twin_audio audio;
};

static void read_wires(void *context, struct window_input *ret_input)
{
    const struct metal *metal = context;
    *ret_input = window_physics_read(&metal->physics);
}

static void drive_wires(void *context, const struct window_outputs *outputs)
{
    struct metal *metal = context;
    if (!window_outputs_off(outputs))
        twin_record_motion(metal->twin);
    metal->outputs = *outputs;
    metal->silent_ms = 0;
}

static void init(void *context, struct twin *twin, uint64_t seed)
{
    struct metal *metal = context;
    struct window_weather weather;
    metal->twin = twin;
    metal->audio_seed = seed;
    rng_init(&metal->noise, seed + 1);
    window_physics_init(&metal->physics);
    window_weather_init(&weather, seed);
    window_room_init(&metal->room, &weather, seed, MORNING_HOUR, NULL);
}

static void *boot(void *context)
{
    struct metal *metal = context;
    const struct device_window_wires wires = {
        .context = metal,
        .read = read_wires,
        .drive = drive_wires,
        .provenance = "simulated",
    };
    window_physics_power(&metal->physics);
    device_window_init(&metal->window, &wires);
    metal->numbers_due_ms = metal->audio_due_ms = metal->position_due_ms = 0;
    metal->position_told_mpct = WINDOW_UNKNOWN;
    return &metal->window;
}

static void off(void *context)
{
    struct metal *metal = context;
    metal->outputs = (struct window_outputs){0};
}

static void step(void *context, uint32_t dt_ms, struct rng *rng)
{
    struct metal *metal = context;
    /* A motor driver has a watchdog: when the program is held up, the sash does not go on. */
    metal->silent_ms += dt_ms;
    if (metal->silent_ms > WINDOW_WATCHDOG_MS)
        metal->outputs = (struct window_outputs){0};
    window_physics_step(&metal->physics, &metal->outputs, dt_ms, rng);
    metal->open_ms += window_physics_opening(&metal->physics) * dt_ms;
    metal->room_behind_ms += dt_ms;
    if (metal->room_behind_ms < ROOM_STEP_MS)
        return;
    window_room_step(&metal->room, metal->open_ms / metal->room_behind_ms, metal->room_behind_ms);
    metal->room_behind_ms = 0;
    metal->open_ms = 0.0;
}

static uint32_t *faults(void *context)
{
    struct metal *metal = context;
    return &metal->physics.faults;
}

static const char *step_at(unsigned index)
{
    return index < WINDOW_STATE_COUNT ? window_state_name((enum window_state)index) : NULL;
}

static const char *step_name(const void *context)
{
    const struct metal *metal = context;
    return window_state_name(metal->window.machine.state);
}

static uint32_t starts(const void *context)
{
    const struct metal *metal = context;
    return metal->physics.travels;
}

/* ---- sensors ---- */

static size_t audio_read(struct twin_audio *audio, char *dst, size_t dst_bytes)
{
    struct window_audio sound;
    memcpy(&sound, audio->state, sizeof(sound));
    size_t bytes = window_audio_base64(&sound, dst, dst_bytes);
    memcpy(audio->state, &sound, sizeof(sound));
    return bytes;
}

static void sound_take(struct metal *metal)
{
    struct window_audio sound;
    _Static_assert(sizeof(sound) <= sizeof(metal->audio.state), "room for the generator");
    window_audio_init(&sound, metal->sense.sound_volume, metal->audio_seed++);
    metal->audio = (struct twin_audio){
        .rate_hz = WINDOW_AUDIO_RATE_HZ, .text_bytes = WINDOW_AUDIO_TEXT_BYTES, .read = audio_read};
    memcpy(metal->audio.state, &sound, sizeof(sound));
}

/* When it is due, and when it will be next; `option_s` comes before what is configured.  Both are
 * the server's seconds, which the board's clock runs through faster. */
static bool due(const struct metal *metal, int64_t now_ms, uint32_t option_s, uint32_t configured_s,
                int64_t *due_ms)
{
    uint32_t every_s = option_s != 0 ? option_s : configured_s;
    if (every_s == 0 || every_s == UINT32_MAX || now_ms < *due_ms)
        return false;
    *due_ms = now_ms + (int64_t)every_s * 1000 * metal->twin->speed;
    return true;
}

/* Where the sash is, as its own encoder says: with the other numbers, and while it moves. */
static bool position_read(struct metal *metal, int64_t now_ms, bool numbers,
                          struct twin_reading *ret_reading)
{
    int32_t mpct = window_position_mpct(&metal->window.machine);
    if (mpct == WINDOW_UNKNOWN || metal->twin->sensor_s == UINT32_MAX)
        return false;
    int32_t told = metal->position_told_mpct;
    bool far = told == WINDOW_UNKNOWN || mpct - told >= MOVED_MPCT || told - mpct >= MOVED_MPCT;
    if (!numbers && !(far && now_ms >= metal->position_due_ms))
        return false;
    metal->position_told_mpct = mpct;
    metal->position_due_ms = now_ms + (int64_t)MOVED_MS * metal->twin->speed;
    *ret_reading = (struct twin_reading){.type = "position", .value = mpct / 1000.0};
    return true;
}

static size_t sensors_read(void *context, int64_t now_ms, struct twin_reading *ret_readings)
{
    struct metal *metal = context;
    const struct twin *twin = metal->twin;
    const struct device_window_sensors *sensors = &metal->window.sensors;
    bool stuck = (metal->physics.faults & WINDOW_FAULT_SENSOR_STUCK) != 0;
    size_t count = 0;
    bool numbers = due(metal, now_ms, twin->sensor_s, sensors->interval_s, &metal->numbers_due_ms);
    bool audio = due(metal, now_ms, twin->audio_s, sensors->audio_s, &metal->audio_due_ms);
    if ((numbers || audio) && !stuck) {
        metal->sense = window_room_sense(&metal->room, &metal->noise);
        metal->co2_ppm = metal->room.co2_ppm;
    }
    if (numbers) {
        ret_readings[count++] =
            (struct twin_reading){.type = "temperature", .value = metal->sense.temperature_c};
        ret_readings[count++] =
            (struct twin_reading){.type = "humidity", .value = metal->sense.humidity_pct};
        ret_readings[count++] = (struct twin_reading){.type = "co2", .value = metal->co2_ppm};
        _Static_assert(NUMBERS + 1 <= TWIN_READINGS_MAX, "room for audio, too");
    }
    if (position_read(metal, now_ms, numbers, &ret_readings[count]))
        count++;
    if (audio) {
        sound_take(metal);
        ret_readings[count++] = (struct twin_reading){
            .type = "audio", .value = metal->sense.sound_volume, .audio = &metal->audio};
    }
    return count;
}

const struct twin_kind twin_window = {
    .device = &device_window_kind,
    .capabilities = "{\"kind\":\"window\",\"commands\":[\"set_position\"],\"claims\":true,"
                    "\"journal\":true,\"progress\":true,\"sensors\":[\"temperature\","
                    "\"humidity\",\"co2\",\"position\",\"audio\"],\"simulated\":true}",
    .metal_bytes = sizeof(struct metal),
    .init = init,
    .boot = boot,
    .off = off,
    .step = step,
    .fault_from = window_fault_from,
    .faults = faults,
    .step_at = step_at,
    .step_name = step_name,
    .starts = starts,
    .start_word = "travel",
    .read = sensors_read,
};
