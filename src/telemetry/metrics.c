/* Prometheus' text format, and histograms. */
#include "telemetry/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const double metrics_latency_s[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                    0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
const uint32_t metrics_latency_s_count = (uint32_t)ARRAY_COUNT(metrics_latency_s);

void metrics_histogram_init(struct metrics_histogram *histogram, const double *bounds,
                            uint32_t bound_count)
{
    ASSERT(bound_count <= METRICS_BUCKETS_MAX);
    *histogram = (struct metrics_histogram){.bounds = bounds, .bound_count = bound_count};
}

void metrics_observe(struct metrics_histogram *histogram, double value)
{
    uint32_t at = 0;
    if (isnan(value))
        return; /* it belongs in no bucket and would spoil the sum for ever */
    while (at < histogram->bound_count && value > histogram->bounds[at])
        at++;
    histogram->bucket[at]++;
    histogram->sum += value;
    histogram->count++;
}

static void add(struct metrics_out *out, struct str text)
{
    if (out->err == ERR_OK)
        out->err = buf_add_str(out->dst, text);
}

/* The shortest decimal that reads back as the same double. */
static void add_value(struct metrics_out *out, double value)
{
    char text[40];
    if (isnan(value)) {
        add(out, STR("NaN"));
        return;
    }
    if (isinf(value)) {
        add(out, value > 0 ? STR("+Inf") : STR("-Inf"));
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    char *comma = strchr(text, ','); /* what some locales put for a point */
    if (comma != NULL)
        *comma = '.';
    add(out, str_from(text));
}

/* A backslash and a line feed, and in a label's value the quote too, are escaped. */
static void add_escaped(struct metrics_out *out, struct str text, bool label)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c != '\\' && c != '\n' && !(label && c == '"'))
            continue;
        add(out, str_slice(text, from, i));
        add(out, c == '\\' ? STR("\\\\") : c == '\n' ? STR("\\n") : STR("\\\""));
        from = i + 1;
    }
    add(out, str_slice(text, from, text.len));
}

void metrics_family(struct metrics_out *out, const char *name, enum metrics_type type,
                    const char *help)
{
    static const char *const types[] = {[METRICS_COUNTER] = "counter",
                                        [METRICS_GAUGE] = "gauge",
                                        [METRICS_HISTOGRAM] = "histogram"};
    add(out, STR("# HELP "));
    add(out, str_from(name));
    add(out, STR(" "));
    add_escaped(out, str_from(help), false);
    add(out, STR("\n# TYPE "));
    add(out, str_from(name));
    add(out, STR(" "));
    add(out, str_from(types[type]));
    add(out, STR("\n"));
}

static void add_label(struct metrics_out *out, bool first, const char *name, struct str value)
{
    add(out, first ? STR("{") : STR(","));
    add(out, str_from(name));
    add(out, STR("=\""));
    /* A label must be UTF-8; a name from outside that is not says so instead of breaking all. */
    add_escaped(out, utf8_valid(value) ? value : STR("(not UTF-8)"), true);
    add(out, STR("\""));
}

/* `le`: one more label, or NULL. */
static void sample(struct metrics_out *out, const char *name, const char *suffix,
                   const struct metrics_label *labels, uint32_t label_count, const char *le,
                   double value)
{
    add(out, str_from(name));
    add(out, str_from(suffix));
    for (uint32_t i = 0; i < label_count; i++)
        add_label(out, i == 0, labels[i].name, labels[i].value);
    if (le != NULL)
        add_label(out, label_count == 0, "le", str_from(le));
    if (label_count > 0 || le != NULL)
        add(out, STR("}"));
    add(out, STR(" "));
    add_value(out, value);
    add(out, STR("\n"));
}

void metrics_sample(struct metrics_out *out, const char *name, const struct metrics_label *labels,
                    uint32_t label_count, double value)
{
    sample(out, name, "", labels, label_count, NULL, value);
}

void metrics_histogram_out(struct metrics_out *out, const char *name,
                           const struct metrics_label *labels, uint32_t label_count,
                           const struct metrics_histogram *histogram)
{
    uint64_t below = 0;
    for (uint32_t i = 0; i < histogram->bound_count; i++) {
        char le[40];
        below += histogram->bucket[i];
        (void)snprintf(le, sizeof(le), "%.9g", histogram->bounds[i]);
        sample(out, name, "_bucket", labels, label_count, le, (double)below);
    }
    sample(out, name, "_bucket", labels, label_count, "+Inf", (double)histogram->count);
    sample(out, name, "_sum", labels, label_count, NULL, histogram->sum);
    sample(out, name, "_count", labels, label_count, NULL, (double)histogram->count);
}
