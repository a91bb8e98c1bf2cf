/* generation.json. */
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <string.h>

TEST(what_is_written_is_read)
{
    const struct lm_generation made = {
        true,
        {.temperature = 0.7F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F, .repetition = 1.1F},
        192};
    struct lm_generation read;
    struct lm_fault fault;
    const char *path = kit_path(kit_tempdir(), "generation.json");
    CHECK_OK(lm_generation_write(&made, path));
    CHECK_OK(lm_generation_read(path, &fault, &read));
    CHECK(read.has_sampling);
    CHECK_NEAR(read.sampling.temperature, made.sampling.temperature, 0);
    CHECK_EQ(read.sampling.top_k, 40);
    CHECK_NEAR(read.sampling.top_p, made.sampling.top_p, 0);
    CHECK_NEAR(read.sampling.min_p, made.sampling.min_p, 0);
    CHECK_NEAR(read.sampling.repetition, made.sampling.repetition, 0);
    CHECK_EQ(read.prompt_max, 192);
    /* The length alone says nothing about sampling. */
    CHECK_OK(lm_generation_write(&(struct lm_generation){.prompt_max = 7}, path));
    CHECK_OK(lm_generation_read(path, &fault, &read));
    CHECK(!read.has_sampling);
    CHECK_EQ(read.prompt_max, 7);
}

static void check_refused(const char *json, const char *why)
{
    struct lm_generation read;
    struct lm_fault fault;
    const char *path = kit_path(kit_tempdir(), "generation.json");
    CHECK_OK(file_write_atomic(path, json, strlen(json), 0600));
    CHECK_ERR(lm_generation_read(path, &fault, &read), ERR_INPUT);
    NOTE("%s: %s", json, fault.why);
    CHECK(strstr(fault.why, why) != NULL);
}

TEST(a_wrong_field_is_named)
{
    struct lm_generation read;
    struct lm_fault fault;
    check_refused("{\"top_k\": -1}", "top_k");
    check_refused("{\"top_k\": 1.5}", "top_k");
    check_refused("{\"temperature\": \"hot\"}", "temperature");
    check_refused("{\"temperature\": -1}", "temperature");
    check_refused("{\"top_p\": 2}", "top_p");
    check_refused("{\"prompt_max\": -1}", "prompt_max");
    check_refused("{\"prompt_max\": \"all\"}", "prompt_max");
    check_refused("[]", "object");
    check_refused("{", "line 1");
    check_refused("", "line 1");
    CHECK_ERR(lm_generation_read(kit_path(kit_tempdir(), "none"), &fault, &read), ERR_NOT_FOUND);
}
