/* config.json: out and in, and what is refused by name. */
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <stdio.h>
#include <string.h>

#define GOOD                                                                                       \
    "\"vocab_size\": 300, \"hidden_size\": 16, \"num_hidden_layers\": 2, "                         \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"intermediate_size\": 24, "          \
    "\"max_position_embeddings\": 32"

static void check_same(const struct lm_config *a, const struct lm_config *b)
{
    struct buf left, right;
    buf_init(&left, 16 * KIB);
    buf_init(&right, 16 * KIB);
    CHECK_OK(lm_config_json(a, &left));
    CHECK_OK(lm_config_json(b, &right));
    CHECK_EQ(left.len, right.len);
    CHECK_BYTES(left.at, right.at, left.len);
    buf_finish(&left);
    buf_finish(&right);
    CHECK_EQ(memcmp(&a->rope_theta, &b->rope_theta, sizeof(float)), 0);
    CHECK_EQ(memcmp(&a->norm_eps, &b->norm_eps, sizeof(float)), 0);
    CHECK_EQ(memcmp(&a->dropout, &b->dropout, sizeof(float)), 0);
}

TEST(each_size_comes_back)
{
    static const char *const names[] = {"tanka", "villanelle", "ode"};
    const char *path = kit_path(kit_tempdir(), "config.json");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct lm_config config, read;
        struct lm_fault fault;
        CHECK(lm_config_named(str_from(names[i]), &config));
        config.vocab_used = 8192;
        config.dropout = 0.123456789F;
        config.norm = i == 2 ? LM_NORM_POST : LM_NORM_PRE;
        CHECK_OK(lm_config_write(&config, path));
        CHECK_OK(lm_config_read(path, &fault, &read));
        check_same(&config, &read);
        CHECK_STR(read.name, names[i]);
    }
}

TEST(what_others_leave_out_has_its_preset)
{
    struct lm_config config;
    struct lm_fault fault;
    CHECK_OK(lm_config_parse(STR("{" GOOD ", \"architectures\": [\"X\"], \"eos\": null}"), &fault,
                             &config));
    CHECK_EQ(config.vocab_used, 300);
    CHECK_EQ(config.experts, 0);
    CHECK_EQ(config.domains, 8);
    CHECK_NEAR(config.rope_theta, 10000, 0);
    CHECK_NEAR(config.norm_eps, 1e-6, 1e-12);
    CHECK_EQ(config.norm, LM_NORM_PRE);
}

static void check_refused(const char *json, const char *field)
{
    struct lm_config config;
    struct lm_fault fault;
    NOTE("%s", json);
    CHECK_ERR(lm_config_parse(str_from(json), &fault, &config), ERR_INPUT);
    NOTE("%s: %s", json, fault.why);
    CHECK(strstr(fault.why, field) != NULL);
}

TEST(a_wrong_field_is_named)
{
    check_refused("{}", "vocab_size is missing");
    check_refused("[]", "object");
    check_refused("{" GOOD ", \"vocab_used\": 301}", "vocab_used");
    check_refused("{" GOOD ", \"vocab_used\": \"8\"}", "vocab_used");
    check_refused("{" GOOD ", \"vocab_used\": -1}", "vocab_used");
    check_refused("{" GOOD ", \"vocab_used\": 4294967297}", "vocab_used");
    check_refused("{" GOOD ", \"vocab_used\": 99999999999999999999}", "too big");
    check_refused("{" GOOD ", \"vocab_used\": 2.0}", "vocab_used");
    check_refused("{" GOOD ", \"norm\": \"rms\"}", "norm");
    check_refused("{" GOOD ", \"norm\": 1}", "norm");
    check_refused("{" GOOD ", \"hidden_act\": \"relu\"}", "hidden_act");
    check_refused("{" GOOD ", \"tie_word_embeddings\": false}", "tie_word_embeddings");
    check_refused("{" GOOD ", \"rope_theta\": \"x\"}", "rope_theta");
    check_refused("{" GOOD ", \"rope_theta\": 0}", "rope_theta");
    check_refused("{" GOOD ", \"dropout\": 1e300}", "dropout");
    check_refused("{" GOOD ", \"model_type\": 7}", "model_type");
    check_refused("{" GOOD ", \"model_type\": \"0123456789012345678901234567890123\"}",
                  "model_type");
    check_refused("{" GOOD ", \"hidden_size\": 16}", "duplicate");
    check_refused("{" GOOD ", \"num_local_experts\": 65}", "num_local_experts");
    check_refused("{" GOOD ",", "line 1");
}

TEST(every_prefix_is_refused_without_reading_on)
{
    struct lm_config config;
    struct lm_fault fault;
    struct str whole = STR("{" GOOD ", \"model_type\": \"toy\"}");
    for (size_t len = 0; len <= whole.len; len++) {
        char *copy = kit_guard_page(whole.at, len);
        CHECK_ERR(lm_config_parse((struct str){copy, len}, &fault, &config),
                  len < whole.len ? ERR_INPUT : ERR_OK);
        kit_free_guard(copy);
    }
    CHECK_ERR(lm_config_read(kit_path(kit_tempdir(), "none"), &fault, &config), ERR_NOT_FOUND);
    CHECK(fault.why[0] != '\0');
}
