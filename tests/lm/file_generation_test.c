/* generation.json. */
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <string.h>

TEST(what_is_written_is_read)
{
    const struct lm_sampling made = {
        .temperature = 0.7F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F, .repetition = 1.1F};
    struct lm_sampling read;
    struct lm_fault fault;
    const char *path = kit_path(kit_tempdir(), "generation.json");
    CHECK_OK(lm_sampling_write(&made, path));
    CHECK_OK(lm_sampling_read(path, &fault, &read));
    CHECK_NEAR(read.temperature, made.temperature, 0);
    CHECK_EQ(read.top_k, 40);
    CHECK_NEAR(read.top_p, made.top_p, 0);
    CHECK_NEAR(read.min_p, made.min_p, 0);
    CHECK_NEAR(read.repetition, made.repetition, 0);
}

static void check_refused(const char *json, const char *why)
{
    struct lm_sampling read;
    struct lm_fault fault;
    const char *path = kit_path(kit_tempdir(), "generation.json");
    CHECK_OK(file_write_atomic(path, json, strlen(json), 0600));
    CHECK_ERR(lm_sampling_read(path, &fault, &read), ERR_INPUT);
    NOTE("%s: %s", json, fault.why);
    CHECK(strstr(fault.why, why) != NULL);
}

TEST(a_wrong_field_is_named)
{
    struct lm_sampling read;
    struct lm_fault fault;
    check_refused("{\"top_k\": -1}", "top_k");
    check_refused("{\"top_k\": 1.5}", "top_k");
    check_refused("{\"temperature\": \"hot\"}", "temperature");
    check_refused("{\"temperature\": -1}", "temperature");
    check_refused("{\"top_p\": 2}", "top_p");
    check_refused("[]", "object");
    check_refused("{", "line 1");
    check_refused("", "line 1");
    CHECK_ERR(lm_sampling_read(kit_path(kit_tempdir(), "none"), &fault, &read), ERR_NOT_FOUND);
}
