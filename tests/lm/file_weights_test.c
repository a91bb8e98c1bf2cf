/* A model's folder: floats, halves and quantised; weights of another model. */
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct lm_config toy(uint32_t experts)
{
    return (struct lm_config){.name = "toy",
                              .hidden = 72, /* one whole group and a short one */
                              .layers = 2,
                              .heads = 8,
                              .kv_heads = 2,
                              .ffn = 20,
                              .experts = experts,
                              .top_k = 2,
                              .domains = 3,
                              .context = 16,
                              .vocab = 90,
                              .vocab_used = 70,
                              .rope_theta = 10000,
                              .norm_eps = 1e-6F,
                              .aux = 0.01F};
}

static void make(uint32_t experts, struct lm_weights *weights)
{
    struct lm_config config = toy(experts);
    float *block = mem_alloc(lm_floats(&config) * sizeof(*block));
    CHECK(block != NULL);
    lm_weights_lay(&config, block, weights);
    lm_weights_random(weights, 5);
}

TEST(floats_come_back_bit_for_bit)
{
    struct lm_weights made, read;
    struct lm_fault fault;
    for (uint32_t experts = 0; experts <= 4; experts += 4) {
        const char *dir = kit_path(kit_tempdir(), "a/b");
        make(experts, &made);
        CHECK_OK(lm_weights_write(dir, &made, LM_F32));
        CHECK_OK(lm_weights_read(dir, &fault, &read));
        CHECK_EQ(lm_floats(&read.config), lm_floats(&made.config));
        CHECK_BYTES(read.block, made.block, lm_floats(&made.config) * sizeof(float));
        mem_free(made.block);
        mem_free(read.block);
    }
}

TEST(halves_are_the_nearest)
{
    struct lm_weights made, read;
    struct lm_fault fault;
    const char *dir = kit_tempdir();
    make(4, &made);
    CHECK_OK(lm_weights_write(dir, &made, LM_BF16));
    CHECK_OK(lm_weights_read(dir, &fault, &read));
    uint64_t floats = lm_floats(&made.config);
    for (uint64_t i = 0; i < floats; i++)
        CHECK_EQ(lm_to_bf16(made.block[i]), lm_to_bf16(read.block[i]));
    CHECK_ERR(lm_weights_write(dir, &made, LM_INT8), ERR_INPUT);
    mem_free(made.block);
    mem_free(read.block);
}

TEST(eight_bits_are_within_half_a_step)
{
    float w[3 * 100], scale[3 * 2];
    int8_t q[3 * 100];
    struct rng rng;
    rng_init(&rng, 3);
    for (size_t i = 0; i < ARRAY_COUNT(w); i++)
        w[i] = (float)(rng_unit(&rng) - 0.5);
    memset(w + 200, 0, 64 * sizeof(*w));
    lm_quant8(w, 3, 100, q, scale);
    for (size_t i = 0; i < ARRAY_COUNT(w); i++) {
        float step = scale[i / 100 * 2 + i % 100 / 64];
        CHECK(fabsf(w[i] - step * (float)q[i]) <= step * 0.5001F);
        CHECK(q[i] >= -127);
    }
    CHECK_NEAR(scale[4], 0, 0);
}

static double error4(const float *w, uint32_t k, const uint8_t *q, const float *scale)
{
    double sum = 0;
    for (uint32_t i = 0; i < k; i++) {
        int nibble = i % 2 == 0 ? q[i / 2] & 15 : q[i / 2] >> 4;
        double off = (double)w[i] - (double)scale[i / 64] * (nibble - 8);
        sum += off * off;
    }
    return sum;
}

TEST(four_bits_are_better_than_the_largest_number_alone_would_have_them)
{
    float w[128], scale[2];
    uint8_t q[64];
    struct rng rng;
    rng_init(&rng, 4);
    double searched = 0, plain = 0;
    for (int trial = 0; trial < 200; trial++) {
        for (size_t i = 0; i < ARRAY_COUNT(w); i++) {
            w[i] = 0;
            for (int n = 0; n < 6; n++)
                w[i] += (float)(rng_unit(&rng) - 0.5);
        }
        lm_quant4(w, 1, 128, q, scale);
        double here = error4(w, 128, q, scale), there = 0;
        for (uint32_t g = 0; g < 2; g++) {
            float most = 0;
            for (uint32_t i = 64 * g; i < 64 * g + 64; i++)
                most = fmaxf(most, fabsf(w[i]));
            for (uint32_t i = 64 * g; i < 64 * g + 64; i++) {
                double off = (double)w[i] - (double)(most / 7 * rintf(w[i] * 7 / most));
                there += off * off;
            }
        }
        CHECK(here <= there * 1.0001);
        searched += here;
        plain += there;
    }
    CHECK(searched < 0.8 * plain);
}

TEST(a_short_group_is_filled_with_zeros)
{
    const float w[66] = {[0] = -1, [64] = 0.5F, [65] = 0.25F};
    float scale[2];
    uint8_t q[64];
    lm_quant4(w, 1, 66, q, scale);
    CHECK_NEAR(error4(w, 66, q, scale), 0, 1e-6);
    for (size_t i = 33; i < 64; i++)
        CHECK_EQ(q[i], 0x88);
}

TEST(what_is_not_a_number_makes_no_nonsense)
{
    float w[64] = {NAN, INFINITY, -INFINITY, 1e38F, 1e-44F};
    float scale[1];
    int8_t q8[64];
    uint8_t q4[32];
    lm_quant8(w, 1, 64, q8, scale);
    lm_quant4(w, 1, 64, q4, scale);
    memset(w, 0, sizeof(w));
    lm_quant4(w, 1, 64, q4, scale);
    CHECK_NEAR(scale[0], 0, 0);
}

TEST(a_quantised_folder_is_read_and_holds_the_rest)
{
    struct lm_weights made, read;
    struct lm_fault fault;
    static const enum lm_dtype types[] = {LM_INT8, LM_INT4};
    for (uint32_t experts = 0; experts <= 4; experts += 4) {
        for (size_t d = 0; d < ARRAY_COUNT(types); d++) {
            const char *from = kit_tempdir(), *to = kit_path(kit_tempdir(), "q");
            struct lm_tensor tensor;
            make(experts, &made);
            CHECK_OK(lm_weights_write(from, &made, LM_F32));
            CHECK_OK(file_write_atomic(kit_path(from, "tokenizer.json"), "{}", 2, 0600));
            CHECK_OK(file_write_atomic(kit_path(from, "state.json"), "{}", 2, 0600));
            CHECK_OK(lm_model_quantise(from, to, types[d], &fault));
            CHECK(path_exists(kit_path(to, "tokenizer.json")));
            CHECK(!path_exists(kit_path(to, "state.json")));
            CHECK_OK(lm_weights_read(to, &fault, &read));
            for (uint32_t i = 0; lm_tensor_at(&made.config, i, &tensor); i++) {
                double off = 0, all = 0;
                uint64_t used = i == 0 ? 70 * 72 : tensor.count;
                for (uint64_t n = 0; n < tensor.count; n++) {
                    double a = (double)made.block[tensor.offset + n];
                    double b = (double)read.block[tensor.offset + n];
                    NOTE("%s %u", tensor.name, (unsigned)n);
                    CHECK(n < used || (i == 0 && b == 0));
                    off += n < used ? (a - b) * (a - b) : 0;
                    all += a * a;
                }
                bool kept = !lm_quant_applies(tensor.name);
                NOTE("%s %g of %g", tensor.name, off, all);
                CHECK(kept ? off == 0 : off < all * (types[d] == LM_INT8 ? 1e-4 : 0.02));
                CHECK(kept || off > 0);
            }
            CHECK_ERR(lm_model_quantise(to, kit_path(to, "again"), types[d], &fault), ERR_INPUT);
            CHECK(strstr(fault.why, "quantised already") != NULL);
            CHECK_ERR(lm_model_quantise(from, from, types[d], &fault), ERR_INPUT);
            mem_free(made.block);
            mem_free(read.block);
        }
    }
}

/* One folder's config.json over another's tensors. */
static void check_other(const struct lm_weights *made, const char *dir, struct lm_config other,
                        const char *why)
{
    struct lm_weights read;
    struct lm_fault fault;
    CHECK_OK(lm_weights_write(dir, made, LM_F32));
    CHECK_OK(lm_config_write(&other, kit_path(dir, "config.json")));
    CHECK_ERR(lm_weights_read(dir, &fault, &read), ERR_INPUT);
    NOTE("%s", fault.why);
    CHECK(strstr(fault.why, why) != NULL);
}

TEST(weights_of_another_model_are_refused_by_name)
{
    struct lm_weights made;
    const char *dir = kit_tempdir();
    make(0, &made);
    struct lm_config other = toy(0);
    other.layers = 1;
    check_other(&made, dir, other, "blocks.1.");
    other = toy(0);
    other.layers = 3;
    check_other(&made, dir, other, "blocks.2.dom: missing");
    other = toy(0);
    other.ffn = 21;
    check_other(&made, dir, other, "blocks.0.ff.w1.weight");
    other = toy(4);
    check_other(&made, dir, other, "blocks.0.ff.router.weight: missing");
    other = toy(0);
    other.vocab = 91;
    check_other(&made, dir, other, "tok.weight");
    made.layer[1].wq[7] = NAN;
    check_other(&made, dir, toy(0), "blocks.1.wq.weight: holds something that is not a number");
    mem_free(made.block);
}

TEST(a_missing_file_is_named)
{
    struct lm_weights made, read;
    struct lm_fault fault;
    const char *dir = kit_tempdir();
    CHECK_ERR(lm_weights_read(dir, &fault, &read), ERR_NOT_FOUND);
    CHECK(strstr(fault.why, "config.json") != NULL);
    make(0, &made);
    CHECK_OK(lm_weights_write(dir, &made, LM_F32));
    CHECK_EQ(unlink(kit_path(dir, "model.safetensors")), 0);
    CHECK_ERR(lm_weights_read(dir, &fault, &read), ERR_NOT_FOUND);
    CHECK(strstr(fault.why, "model.safetensors") != NULL);
    mem_free(made.block);
}

TEST(files_survive_failed_allocations)
{
    struct lm_weights made, read;
    struct lm_fault fault;
    const char *from = kit_tempdir(), *to = kit_path(kit_tempdir(), "q");
    make(4, &made);
    CHECK_OK(lm_weights_write(from, &made, LM_F32));
    int64_t live = mem_live();
    for (uint32_t nth = 1;; nth++) {
        mem_fail_at(nth);
        enum err err = lm_model_quantise(from, to, LM_INT4, &fault);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);
        CHECK_EQ(mem_live(), live);
        if (!fired)
            break;
    }
    CHECK_OK(lm_weights_read(to, &fault, &read));
    mem_free(read.block);
    mem_free(made.block);
}
