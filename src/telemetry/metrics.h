/* metrics: figures in Prometheus' text format (version 0.0.4), and histograms to keep them in.
 * Pure but for the buffer. */
#ifndef AUTOMAT_METRICS_H
#define AUTOMAT_METRICS_H

#include "base/base.h"
#include "sys/sys.h"

/* ---- a histogram with fixed bounds ---- */
#define METRICS_BUCKETS_MAX 16
struct metrics_histogram {
    const double *bounds; /* ascending upper bounds, without +Inf; outlives it */
    uint32_t bound_count;
    uint64_t bucket[METRICS_BUCKETS_MAX + 1];
    double sum;
    uint64_t count;
};
void metrics_histogram_init(struct metrics_histogram *histogram, const double *bounds,
                            uint32_t bound_count);
void metrics_observe(struct metrics_histogram *histogram, double value);
/* Seconds, from 100 us to 10 s: for latencies. */
extern const double metrics_latency_s[];
extern const uint32_t metrics_latency_s_count;

/* ---- the text ---- */
enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };
struct metrics_out {
    struct buf *dst;
    enum err err; /* the first failure; later calls do nothing */
};
/* "# HELP" and "# TYPE"; every sample of the family follows before the next family. */
void metrics_family(struct metrics_out *out, const char *name, enum metrics_type type,
                    const char *help);
struct metrics_label {
    const char *name;
    struct str value; /* escaped here */
};
void metrics_sample(struct metrics_out *out, const char *name, const struct metrics_label *labels,
                    uint32_t label_count, double value);
void metrics_histogram_out(struct metrics_out *out, const char *name,
                           const struct metrics_label *labels, uint32_t label_count,
                           const struct metrics_histogram *histogram);

#endif
