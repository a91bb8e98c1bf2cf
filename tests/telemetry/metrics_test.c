/* The text Prometheus reads, and that its own tool finds nothing wrong with it. */
#include "kit/kit.h"
#include "telemetry/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define A_TEXT STR("a\\b\"c\nd")

TEST(samples_and_escapes)
{
    struct buf buf;
    buf_init(&buf, 64 * KIB);
    struct metrics_out out = {.dst = &buf};
    metrics_family(&out, "automat_x_total", METRICS_COUNTER, "How many\nx \\ y.");
    metrics_sample(&out, "automat_x_total", NULL, 0, 3);
    struct metrics_label labels[] = {{"machine", A_TEXT}, {"type", STR("t")}};
    metrics_sample(&out, "automat_x_total", labels, 2, 0.1);
    metrics_sample(&out, "automat_x_total", labels, 1, 12345678901234567.0);
    metrics_sample(&out, "automat_x_total", NULL, 0, NAN);
    metrics_sample(&out, "automat_x_total", NULL, 0, INFINITY);
    metrics_sample(&out, "automat_x_total", NULL, 0, -INFINITY);
    labels[0].value = STR("\xFF");
    metrics_sample(&out, "automat_x_total", labels, 1, -2.5e-7);
    CHECK_OK(out.err);
    CHECK_SLICE(buf_str(&buf), "# HELP automat_x_total How many\\nx \\\\ y.\n"
                               "# TYPE automat_x_total counter\n"
                               "automat_x_total 3\n"
                               "automat_x_total{machine=\"a\\\\b\\\"c\\nd\",type=\"t\"} 0.1\n"
                               "automat_x_total{machine=\"a\\\\b\\\"c\\nd\"} 12345678901234568\n"
                               "automat_x_total NaN\n"
                               "automat_x_total +Inf\n"
                               "automat_x_total -Inf\n"
                               "automat_x_total{machine=\"(not UTF-8)\"} -2.5e-07\n");
    buf_finish(&buf);
}

TEST(histograms_are_cumulative)
{
    static const double bounds[] = {0.1, 1, 10};
    struct metrics_histogram histogram;
    metrics_histogram_init(&histogram, bounds, 3);
    static const double values[] = {0.05, 0.1, 0.5, 5, 50, NAN};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        metrics_observe(&histogram, values[i]);
    struct buf buf;
    buf_init(&buf, 64 * KIB);
    struct metrics_out out = {.dst = &buf};
    struct metrics_label label = {"road", STR("mqtt")};
    metrics_histogram_out(&out, "x_seconds", &label, 1, &histogram);
    metrics_histogram_out(&out, "y_seconds", NULL, 0, &histogram);
    CHECK_OK(out.err);
    CHECK_SLICE(buf_str(&buf), "x_seconds_bucket{road=\"mqtt\",le=\"0.1\"} 2\n"
                               "x_seconds_bucket{road=\"mqtt\",le=\"1\"} 3\n"
                               "x_seconds_bucket{road=\"mqtt\",le=\"10\"} 4\n"
                               "x_seconds_bucket{road=\"mqtt\",le=\"+Inf\"} 5\n"
                               "x_seconds_sum{road=\"mqtt\"} 55.65\n"
                               "x_seconds_count{road=\"mqtt\"} 5\n"
                               "y_seconds_bucket{le=\"0.1\"} 2\n"
                               "y_seconds_bucket{le=\"1\"} 3\n"
                               "y_seconds_bucket{le=\"10\"} 4\n"
                               "y_seconds_bucket{le=\"+Inf\"} 5\n"
                               "y_seconds_sum 55.65\n"
                               "y_seconds_count 5\n");
    buf_finish(&buf);
}

TEST(the_first_failure_is_kept)
{
    struct buf buf;
    buf_init(&buf, 40);
    struct metrics_out out = {.dst = &buf};
    metrics_sample(&out, "short", NULL, 0, 1);
    CHECK_OK(out.err);
    metrics_family(&out, "automat_a_long_name_total", METRICS_COUNTER, "It does not fit.");
    CHECK_ERR(out.err, ERR_FULL);
    size_t len = buf.len;
    metrics_sample(&out, "x", NULL, 0, 1);
    CHECK_EQ(buf.len, len);
    buf_finish(&buf);
}

static int promtool(const char *text)
{
    char command[1024];
    const char *path = kit_path(kit_tempdir(), "metrics.txt");
    CHECK_OK(file_write_atomic(path, text, strlen(text), 0600));
    snprintf(command, sizeof(command), "promtool check metrics < %s > %s.out 2>&1", path, path);
    int status = system(command);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(promtool_finds_nothing)
{
    struct metrics_histogram histogram;
    struct buf buf;
    buf_init(&buf, 64 * KIB);
    struct metrics_out out = {.dst = &buf};
    metrics_histogram_init(&histogram, metrics_latency_s, metrics_latency_s_count);
    for (int i = 0; i < 1000; i++)
        metrics_observe(&histogram, i * 0.013);
    metrics_family(&out, "automat_readings_total", METRICS_COUNTER, "Readings stored.");
    struct metrics_label label = {"machine", A_TEXT};
    metrics_sample(&out, "automat_readings_total", &label, 1, 17);
    metrics_family(&out, "automat_series", METRICS_GAUGE, "Series known.");
    metrics_sample(&out, "automat_series", NULL, 0, 1e300);
    metrics_family(&out, "automat_commit_seconds", METRICS_HISTOGRAM, "Time of a commit.");
    metrics_histogram_out(&out, "automat_commit_seconds", NULL, 0, &histogram);
    CHECK_OK(out.err);
    CHECK_OK(buf_add(&buf, "", 1));
    CHECK_EQ(promtool(buf.at), 0);
    /* And it does look: the same tool on what is wrong. */
    CHECK(promtool("# TYPE x counter\nx{a=\"b\" 1\n") != 0);
    buf_finish(&buf);
}
