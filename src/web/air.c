/* Events of rooms: what sensors say, what windows do.  Sensors may say more than a page can draw: a
 * machine is shown at most twice a second, with the latest of each of its types that is new. */
#include "web/hub_int.h"
#include "web/telemetry_int.h"

#include <string.h>

#define AIR_EVERY_MS  500
#define AIR_PLACES    256 /* machines that are watched at once; the quietest gives way */
#define EVENT_BYTES   (64 * KIB)
#define CLIMATE_DIRTY 64

struct air_place {
    char machine_id[FLEET_ID_BYTES];
    int64_t told_mono_ms; /* 0: never */
    int64_t newest_ms;    /* received_at of what was told last */
    bool dirty;
};

struct web_air {
    struct web *web;
    struct loop_timer *due;
    bool due_set;
    struct air_place place[AIR_PLACES];
    size_t place_count;
    char climate[CLIMATE_DIRTY][FLEET_ID_BYTES];
    size_t climate_count;
};

static bool watched(const struct web_air *air)
{
    return web_hub_count(air->web->hub) > 0;
}

static void event_send(struct web_air *air, struct json_out *out)
{
    out_close(out, '}');
    hub_broadcast(air->web->hub, ACCESS_TELEMETRY_READ, STR_NONE, out);
}

/* ---- readings ---- */

struct telling {
    struct json_out *out;
    int64_t after_ms, newest_ms;
    uint32_t count;
};

static bool tell_each(void *cookie, const struct telemetry_latest *latest)
{
    struct telling *telling = cookie;
    if (latest->received_at_ms <= telling->after_ms)
        return true;
    out_open(telling->out, NULL, '{');
    show_reading(telling->out, latest);
    out_close(telling->out, '}');
    telling->count++;
    if (latest->received_at_ms > telling->newest_ms)
        telling->newest_ms = latest->received_at_ms;
    return telling->out->err == ERR_OK;
}

static void readings_tell(struct web_air *air, struct air_place *place)
{
    struct buf buf;
    buf_init(&buf, EVENT_BYTES);
    struct json_out out = {&buf, ERR_OK};
    struct telling telling = {&out, place->newest_ms, place->newest_ms, 0};
    out_open(&out, NULL, '{');
    out_word(&out, "type", "reading");
    out_word(&out, "machine_id", place->machine_id);
    out_open(&out, "items", '[');
    telemetry_latest_each(air->web->telemetry, str_from(place->machine_id), tell_each, &telling);
    out_close(&out, ']');
    if (telling.count > 0)
        event_send(air, &out);
    buf_finish(&buf);
    place->newest_ms = telling.newest_ms;
    place->told_mono_ms = web_mono_ms(air->web);
    place->dirty = false;
}

static struct air_place *place_find(struct web_air *air, struct str machine_id)
{
    struct air_place *oldest = &air->place[0];
    for (size_t i = 0; i < air->place_count; i++) {
        if (str_equal(str_from(air->place[i].machine_id), machine_id))
            return &air->place[i];
        if (air->place[i].told_mono_ms < oldest->told_mono_ms)
            oldest = &air->place[i];
    }
    if (air->place_count < AIR_PLACES)
        oldest = &air->place[air->place_count++];
    *oldest = (struct air_place){.newest_ms = web_now_ms(air->web) - AIR_EVERY_MS};
    if (str_copy(oldest->machine_id, sizeof(oldest->machine_id), machine_id) != ERR_OK)
        oldest->machine_id[0] = 0;
    return oldest;
}

/* ---- windows ---- */

static void climate_tell(struct web_air *air, struct str machine_id)
{
    struct climate_window window;
    struct buf buf;
    if (!climate_window_get(air->web->climate, machine_id, &window))
        return;
    buf_init(&buf, EVENT_BYTES);
    struct json_out out = {&buf, ERR_OK};
    out_open(&out, NULL, '{');
    out_word(&out, "type", "climate");
    show_window(&out, air->web, &window);
    event_send(air, &out);
    buf_finish(&buf);
}

/* ---- time ---- */

static void due_at(struct web_air *air, int64_t due_ms)
{
    if (air->due_set)
        return;
    air->due_set = true;
    loop_timer_set(air->due, due_ms);
}

static void due_fire(void *cookie)
{
    struct web_air *air = cookie;
    int64_t now_ms = web_mono_ms(air->web), next_ms = INT64_MAX;
    size_t count = air->climate_count;
    air->due_set = false;
    air->climate_count = 0;
    for (size_t i = 0; i < count; i++)
        climate_tell(air, str_from(air->climate[i]));
    for (size_t i = 0; i < air->place_count; i++) {
        struct air_place *place = &air->place[i];
        int64_t due_ms = place->told_mono_ms + AIR_EVERY_MS;
        if (place->dirty && due_ms <= now_ms)
            readings_tell(air, place);
        else if (place->dirty && due_ms < next_ms)
            next_ms = due_ms;
    }
    if (next_ms != INT64_MAX)
        due_at(air, next_ms);
}

void web_air_reading(struct web_air *air, struct str machine_id)
{
    if (!watched(air))
        return;
    struct air_place *place = place_find(air, machine_id);
    if (place->dirty)
        return;
    place->dirty = true;
    int64_t due_ms = place->told_mono_ms + AIR_EVERY_MS, now_ms = web_mono_ms(air->web);
    air->due_set = air->due_set && due_ms > now_ms; /* it may be nearer than what is set */
    due_at(air, due_ms > now_ms ? due_ms : now_ms);
}

void web_air_climate(struct web_air *air, struct str machine_id)
{
    if (!watched(air))
        return;
    for (size_t i = 0; i < air->climate_count; i++) {
        if (str_equal(str_from(air->climate[i]), machine_id))
            return;
    }
    if (air->climate_count == CLIMATE_DIRTY)
        return; /* a page that asks anew sees it */
    if (str_copy(air->climate[air->climate_count], FLEET_ID_BYTES, machine_id) == ERR_OK)
        air->climate_count++;
    air->due_set = false;
    due_at(air, web_mono_ms(air->web) + 30);
}

enum err web_air_create(struct web *web, struct web_air **ret_air)
{
    struct web_air *air = mem_zalloc(sizeof(*air));
    if (air == NULL)
        return ERR_NOMEM;
    air->web = web;
    *ret_air = air; /* web_destroy takes it from here */
    return loop_timer_create(web->loop, due_fire, air, &air->due);
}

void web_air_destroy(struct web_air *air)
{
    if (air == NULL)
        return;
    loop_timer_destroy(air->due);
    mem_free(air);
}
