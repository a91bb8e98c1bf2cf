/* The room: heat, vapour, CO2.  People and sound are in window_room_life.c.
 *
 * (1) Air through an open window, from one side: de Gids and Phaff (1982), whose constants EN
 * 16798-7 keeps: q = A/2 * sqrt(0.001 u^2 + 0.0035 H |dT| + 0.01)      m3/s; u wind, H height of
 * opening (2) Heat balance, two nodes (air; mass), each C dT/dt = sum of conductance * difference +
 * gains (3) Vapour pressure at saturation, Magnus with the constants of the WMO (Guide No. 8): e =
 * 611.2 exp(17.62 t / (243.12 + t)) Pa (4) A seated person: 70 W sensible, 50 g/h vapour (between
 * the seated rows of ASHRAE Fundamentals, chapter 18), and 18 l/h CO2 (ASTM D6245 has about 0.005
 * l/s for light activity)
 *
 * The balances are solved implicitly, so that no length of step overshoots and what goes in is what
 * is stored, to rounding. */
#include "machine/window/window_room.h"

#include "machine/window/window_math_int.h"
#include "machine/window/window_room_int.h"

#define AIR_KG_M3       1.2
#define AIR_J_KG_K      1005.0
#define PRESSURE_PA     101325.0
#define PERSON_W        70.0
#define PERSON_KG_S     (0.050 / 3600.0)
#define PERSON_CO2_M3_S (0.018 / 3600.0)
#define COFFEE_KG_S     (0.15 / 3600.0) /* steam of cups and machines while open */
#define OUTSIDE_CO2_PPM 420.0
#define HEATER_W_K      10000.0 /* proportional band: full power 0.6 K below */
#define NIGHT_C         17.0
#define SUB_STEP_MS     10000U

static double or_preset(double value, double preset)
{
    return value > 0.0 ? value : preset;
}

static struct window_room_options complete(const struct window_room_options *options)
{
    static const struct window_room_options none;
    struct window_room_options o = options != NULL ? *options : none;
    o.volume_m3 = or_preset(o.volume_m3, 240.0);
    o.window_m2 = or_preset(o.window_m2, 2.0);
    o.window_height_m = or_preset(o.window_height_m, 1.2);
    o.envelope_w_k = or_preset(o.envelope_w_k, 110.0);
    o.air_j_k = or_preset(o.air_j_k, 1.2e6);
    o.mass_j_k = or_preset(o.mass_j_k, 2.4e7);
    o.mass_w_k = or_preset(o.mass_w_k, 700.0);
    o.glass_m2 = or_preset(o.glass_m2, 4.0);
    o.infiltration_h = or_preset(o.infiltration_h, 0.3);
    o.moisture_buffer = or_preset(o.moisture_buffer, 3.0);
    o.equipment_w = or_preset(o.equipment_w, 1000.0);
    o.heater_w_max = or_preset(o.heater_w_max, 6000.0);
    o.setpoint_c = or_preset(o.setpoint_c, 21.5);
    o.absorption_m2 = or_preset(o.absorption_m2, 90.0);
    o.capacity = o.capacity != 0 ? o.capacity : 30;
    o.open_hour = o.open_hour != 0 ? o.open_hour : 7;
    o.close_hour = o.close_hour != 0 ? o.close_hour : 19;
    return o;
}

/* ---- air and vapour ---- */

static double saturation_pa(double temperature_c)
{
    return 611.2 * window_math_exp(17.62 * temperature_c / (243.12 + temperature_c));
}

double window_room_vapour(double temperature_c, double humidity_pct)
{
    double pa = saturation_pa(temperature_c) * humidity_pct / 100.0;
    return 0.622 * pa / (PRESSURE_PA - pa);
}

double window_room_humidity(double temperature_c, double vapour)
{
    double pa = PRESSURE_PA * vapour / (0.622 + vapour);
    return 100.0 * pa / saturation_pa(temperature_c);
}

double window_room_air_m3_s(const struct window_room_options *options, double opening,
                            double wind_m_s, double difference_k)
{
    double difference = difference_k < 0.0 ? -difference_k : difference_k;
    double mean = window_math_sqrt(0.001 * wind_m_s * wind_m_s +
                                   0.0035 * options->window_height_m * difference + 0.01);
    double leak = options->infiltration_h * options->volume_m3 / 3600.0;
    return leak + 0.5 * options->window_m2 * window_math_clamp(opening, 0.0, 1.0) * mean;
}

/* ---- one step ---- */

static double heater_w(const struct window_room *room)
{
    uint64_t hour = room->now_ms % WINDOW_DAY_MS / WINDOW_HOUR_MS;
    /* Warm when the first guest comes. */
    bool day = hour + 1 >= room->options.open_hour && hour < room->options.close_hour;
    double setpoint = day ? room->options.setpoint_c : NIGHT_C;
    double wanted = (setpoint - room->temperature_c) * HEATER_W_K;
    return window_math_clamp(wanted, 0.0, room->options.heater_w_max);
}

static void heat_step(struct window_room *room, double dt_s)
{
    const struct window_room_options *o = &room->options;
    double outside = room->outside.temperature_c;
    double people_w = PERSON_W * room->people;
    double equipment_w = room->open ? o->equipment_w : 0.1 * o->equipment_w;
    double sun_w = o->glass_m2 * 0.5 * room->outside.sun_w_m2; /* a wall sees about half of it */
    room->heating_w = heater_w(room);
    /* Radiation warms what it falls on: half of sun and heater goes to the mass. */
    double air_w = people_w + equipment_w + 0.5 * room->heating_w + 0.5 * sun_w;
    double mass_w = 0.5 * room->heating_w + 0.5 * sun_w;
    double loss_w_k = o->envelope_w_k + AIR_KG_M3 * AIR_J_KG_K * room->air_m3_s;
    /* (a)  (Ca/dt + loss + link) Ta - link Tm = Ca/dt Ta0 + loss To + air_w
     * (b)  -link Ta + (Cm/dt + link) Tm       = Cm/dt Tm0 + mass_w */
    double ca = o->air_j_k / dt_s;
    double cm = o->mass_j_k / dt_s;
    double a = ca + loss_w_k + o->mass_w_k;
    double b = cm + o->mass_w_k;
    double right_a = ca * room->temperature_c + loss_w_k * outside + air_w;
    double right_b = cm * room->mass_c + mass_w;
    double determinant = a * b - o->mass_w_k * o->mass_w_k;
    double air_c = (right_a * b + o->mass_w_k * right_b) / determinant;
    double mass_c = (a * right_b + o->mass_w_k * right_a) / determinant;
    room->heat_in_j += dt_s * (air_w + mass_w + loss_w_k * (outside - air_c));
    room->heating_j += dt_s * room->heating_w;
    room->temperature_c = air_c;
    room->mass_c = mass_c;
}

static void air_step(struct window_room *room, double dt_s)
{
    const struct window_room_options *o = &room->options;
    double store_kg = AIR_KG_M3 * o->volume_m3 * o->moisture_buffer;
    double flow_kg = AIR_KG_M3 * room->air_m3_s * dt_s;
    double outside = window_room_vapour(room->outside.temperature_c, room->outside.humidity_pct);
    double made_kg = (PERSON_KG_S * room->people + (room->open ? COFFEE_KG_S : 0.0)) * dt_s;
    double vapour = (store_kg * room->vapour + flow_kg * outside + made_kg) / (store_kg + flow_kg);
    double most = window_room_vapour(room->temperature_c, 100.0);
    if (vapour > most)
        vapour = most; /* the rest runs down the panes */
    room->moisture_in_kg += store_kg * (vapour - room->vapour);
    room->vapour = vapour;
    room->humidity_pct = window_room_humidity(room->temperature_c, vapour);

    double exchanged = room->air_m3_s * dt_s;
    double co2_m3 = PERSON_CO2_M3_S * room->people * dt_s;
    room->co2_ppm = (o->volume_m3 * room->co2_ppm + exchanged * OUTSIDE_CO2_PPM + 1e6 * co2_m3) /
                    (o->volume_m3 + exchanged);
}

static void sub_step(struct window_room *room, double opening, uint32_t dt_ms)
{
    double dt_s = dt_ms / 1000.0;
    uint64_t hour = room->now_ms % WINDOW_DAY_MS / WINDOW_HOUR_MS;
    room->opening = opening;
    room->open = hour >= room->options.open_hour && hour < room->options.close_hour;
    room->outside = window_weather_at(&room->weather, room->now_ms);
    window_room_people(room, dt_s);
    room->air_m3_s = window_room_air_m3_s(&room->options, opening, room->outside.wind_m_s,
                                          room->outside.temperature_c - room->temperature_c);
    heat_step(room, dt_s);
    air_step(room, dt_s);
    window_room_sound(room, dt_s);
    room->now_ms += dt_ms;
}

void window_room_step(struct window_room *room, double opening, uint32_t dt_ms)
{
    opening = window_math_clamp(opening, 0.0, 1.0);
    while (dt_ms > 0) {
        uint32_t slice = dt_ms < SUB_STEP_MS ? dt_ms : SUB_STEP_MS;
        sub_step(room, opening, slice);
        dt_ms -= slice;
    }
}

void window_room_init(struct window_room *room, const struct window_weather *weather, uint64_t seed,
                      uint32_t hour, const struct window_room_options *options)
{
    base_zero(room, sizeof(*room));
    rng_init(&room->rng, seed);
    room->options = complete(options);
    room->weather = *weather;
    if (!(room->options.crowd > 0.0) && !(room->options.crowd < 0.0))
        room->options.crowd = 0.6 + 0.8 * rng_unit(&room->rng);
    room->now_ms = (uint64_t)(hour % 24) * WINDOW_HOUR_MS;
    room->outside = window_weather_at(weather, room->now_ms);
    /* What is heavy remembers the days before: near the setpoint, warmer after warm days. */
    double afternoon_c = window_weather_at(weather, 15 * WINDOW_HOUR_MS).temperature_c;
    room->mass_c = window_math_clamp(room->options.setpoint_c - 0.7 + 0.35 * (afternoon_c - 18.0),
                                     room->options.setpoint_c - 0.7, 26.0);
    room->temperature_c = room->mass_c - 0.3;
    room->vapour =
        window_room_vapour(room->outside.temperature_c, room->outside.humidity_pct) + 0.0005;
    double most = window_room_vapour(room->temperature_c, 70.0);
    if (room->vapour > most)
        room->vapour = most;
    room->humidity_pct = window_room_humidity(room->temperature_c, room->vapour);
    room->co2_ppm = OUTSIDE_CO2_PPM + 30.0;
    window_room_people(room, 0.0);
    window_room_sound(room, 1.0);
}

/* ---- comfort ---- */

static double beyond(double value, double low, double high, double scale)
{
    double off = value < low ? low - value : value > high ? value - high : 0.0;
    return off < scale ? off / scale : 1.0;
}

struct window_comfort window_room_comfort(const struct window_room *room)
{
    uint64_t hour = room->now_ms % WINDOW_DAY_MS / WINDOW_HOUR_MS;
    double temperature =
        beyond(room->temperature_c, WINDOW_COMFORT_MIN_C, WINDOW_COMFORT_MAX_C, 3.0);
    double humidity =
        beyond(room->humidity_pct, WINDOW_COMFORT_MIN_PCT, WINDOW_COMFORT_MAX_PCT, 20.0);
    double co2 = beyond(room->co2_ppm, 0.0, WINDOW_COMFORT_CO2_PPM, 1000.0);
    double sound = beyond(room->sound_db, 0.0, WINDOW_COMFORT_SOUND_DB, 10.0);
    struct window_comfort comfort = {
        .counts = hour >= room->options.open_hour && hour < room->options.close_hour,
        .temperature = !(temperature > 0.0),
        .humidity = !(humidity > 0.0),
        .co2 = !(co2 > 0.0),
        .sound = !(sound > 0.0),
        .cost = 0.40 * temperature + 0.10 * humidity + 0.35 * co2 + 0.15 * sound,
    };
    comfort.all = comfort.temperature && comfort.humidity && comfort.co2 && comfort.sound;
    return comfort;
}

void window_comfort_add(struct window_comfort_total *total, const struct window_room *room,
                        uint32_t dt_ms)
{
    double dt_s = dt_ms / 1000.0;
    struct window_comfort comfort = window_room_comfort(room);
    if (!comfort.counts)
        return;
    total->counted_s += dt_s;
    total->all_s += comfort.all ? dt_s : 0.0;
    total->temperature_s += comfort.temperature ? dt_s : 0.0;
    total->humidity_s += comfort.humidity ? dt_s : 0.0;
    total->co2_s += comfort.co2 ? dt_s : 0.0;
    total->sound_s += comfort.sound ? dt_s : 0.0;
    total->cost_s += comfort.cost * dt_s;
}

double window_comfort_share(const struct window_comfort_total *total)
{
    return total->counted_s > 0.0 ? total->all_s / total->counted_s : 0.0;
}
