/* No column store. */
#include "telemetry/telemetry_int.h"

static enum err null_create(const struct telemetry_sink_options *options,
                            struct telemetry_sink **ret_sink)
{
    (void)options;
    *ret_sink = NULL;
    return ERR_OK;
}

static void null_kick(struct telemetry_sink *sink)
{
    (void)sink;
}

static void null_tick(struct telemetry_sink *sink, int64_t mono_ms)
{
    (void)sink;
    (void)mono_ms;
}

static void null_stats(const struct telemetry_sink *sink, struct telemetry_sink_stats *ret_stats)
{
    (void)sink;
    *ret_stats = (struct telemetry_sink_stats){0};
}

static void null_destroy(struct telemetry_sink *sink)
{
    (void)sink;
}

const struct telemetry_sink_ops telemetry_sink_null = {
    .create = null_create,
    .kick = null_kick,
    .tick = null_tick,
    .stats = null_stats,
    .destroy = null_destroy,
};
