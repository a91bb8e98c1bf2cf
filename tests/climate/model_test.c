/* The window model: its arithmetic, its file, its training, and learning from people. */
#include "climate/model_int.h"
#include "climate_kit.h"

#include <stdlib.h>

static char *encode(const struct climate_model *model, size_t *ret_len)
{
    struct buf bytes;
    buf_init(&bytes, CLIMATE_MODEL_BYTES_MAX);
    CHECK_OK(climate_model_encode(model, &bytes));
    char *guarded = kit_guard_page(bytes.at, bytes.len);
    *ret_len = bytes.len;
    buf_finish(&bytes);
    return guarded;
}

TEST(the_gradient_is_that_of_the_loss)
{
    struct climate_model *model;
    struct model_example example = {{0.4, -0.7, 1.1}, 0.3, 1};
    struct model_weights gradient;
    CHECK_OK(climate_model_create(11, &model));
    memset(&gradient, 0, sizeof(gradient));
    (void)climate_model_gradient(&model->weights, &example, &gradient);
    double *w = climate_model_flat(&model->weights);
    const double *g = climate_model_flat_const(&gradient);
    double worst = 0;
    struct model_pass at;
    climate_model_forward(&model->weights, example.x, &at);
    for (size_t i = 0; i < MODEL_WEIGHTS; i++) {
        double loss[2], kept = w[i];
        for (int side = 0; side < 2; side++) {
            struct model_pass pass;
            w[i] = kept + (side == 0 ? 1e-5 : -1e-5);
            climate_model_forward(&model->weights, example.x, &pass);
            /* Each output has its own loss; the spread's takes the mean as given. */
            double error = pass.mean - example.y, given = at.mean - example.y;
            loss[side] = 4 * error * error +
                         0.5 * (pass.log_variance + given * given * exp(-pass.log_variance));
        }
        w[i] = kept;
        worst = fmax(worst, fabs((loss[0] - loss[1]) / 2e-5 - g[i]));
    }
    CHECK(worst < 1e-7);
    climate_model_destroy(model);
}

TEST(it_learns_the_position_and_how_sure_it_can_be)
{
    static struct climate_sample sample[3000];
    struct climate_model *model;
    struct rng rng;
    rng_init(&rng, 9);
    CHECK_OK(climate_model_create(1, &model));
    /* Where it is quiet the position is certain; where it is loud it varies by 25 points. */
    for (size_t i = 0; i < ARRAY_COUNT(sample); i++) {
        bool loud = rng_chance(&rng, 0.5);
        double t = 18 + 8 * rng_unit(&rng), noise = 50 * (rng_unit(&rng) - 0.5);
        sample[i].features =
            (struct climate_features){t, 40 + 10 * rng_unit(&rng), loud ? 0.1 : 0.005};
        double position = 50 + 10 * (t - 22) + (loud ? noise : 0);
        sample[i].position_pct = fmin(fmax(position, 0), 100);
    }
    CHECK_OK(climate_model_fit(model, sample, ARRAY_COUNT(sample),
                               &(struct climate_fit){.epochs = 60, .seed = 2}));
    for (double t = 19; t <= 25; t += 1) {
        struct climate_answer quiet =
            climate_model_ask(model, &(struct climate_features){t, 45, 0.005});
        struct climate_answer loud =
            climate_model_ask(model, &(struct climate_features){t, 45, 0.1});
        NOTE("%g C: %g +- %g, loud %g +- %g", t, quiet.position_pct, quiet.spread_pct,
             loud.position_pct, loud.spread_pct);
        CHECK_NEAR(quiet.position_pct, 50 + 10 * (t - 22), 6);
        CHECK_NEAR(loud.position_pct, 50 + 10 * (t - 22), 10);
        CHECK(quiet.spread_pct < 9); /* no surer than it may be */
        CHECK_NEAR(loud.spread_pct, 50 / sqrt(12), 6);
        CHECK(quiet.confidence > 0.9);
        CHECK(loud.confidence < quiet.confidence);
    }
    climate_model_destroy(model);
}

TEST(unlike_anything_seen_is_not_confident)
{
    struct climate_model *model = kit_model(1);
    struct climate_features known = {22, 45, 0.03};
    const struct climate_features strange[] = {
        {45, 45, 0.03}, {-20, 45, 0.03}, {22, 99, 0.03}, {22, 2, 0.03}, {22, 45, 0.9}};
    CHECK(climate_model_ask(model, &known).confidence > 0.8);
    for (size_t i = 0; i < ARRAY_COUNT(strange); i++) {
        struct climate_answer answer = climate_model_ask(model, &strange[i]);
        NOTE("%zu: %g", i, answer.confidence);
        CHECK(answer.confidence < 0.6);
        CHECK(answer.position_pct >= 0 && answer.position_pct <= 100);
    }
    climate_model_destroy(model);
}

TEST(nonsense_gets_no_confidence_and_a_number_all_the_same)
{
    struct climate_model *model = kit_model(1);
    const struct climate_features nonsense[] = {
        {NAN, 45, 0.03}, {22, NAN, 0.03}, {22, 45, NAN},    {INFINITY, 45, 0.03},
        {22, -1, 0.03},  {22, 45, -0.1},  {1e300, 45, .03}, {22, 45, -INFINITY}};
    for (size_t i = 0; i < ARRAY_COUNT(nonsense); i++) {
        struct climate_answer answer = climate_model_ask(model, &nonsense[i]);
        CHECK_NEAR(answer.confidence, 0, 0);
        CHECK(isfinite(answer.position_pct) && isfinite(answer.spread_pct));
    }
    climate_model_destroy(model);
}

TEST(untaught_it_is_never_confident)
{
    struct climate_model *model;
    CHECK_OK(climate_model_create(4, &model));
    struct climate_answer answer =
        climate_model_ask(model, &(struct climate_features){22, 45, 0.03});
    CHECK_NEAR(answer.confidence, 0, 0);
    climate_model_destroy(model);
}

TEST(a_file_comes_back_as_it_was)
{
    struct climate_model *model = kit_model(7), *back = NULL;
    char why[CLIMATE_MODEL_WHY_BYTES] = "";
    const char *path = kit_path(kit_tempdir(), "model-0007.bin");
    CHECK_OK(climate_model_save(model, path));
    CHECK_OK(climate_model_load(path, why, sizeof(why), &back));
    CHECK_EQ(climate_model_version(back), 7);
    CHECK_EQ(climate_model_about_get(back).trained_at_ms, T0);
    for (double t = 15; t < 30; t += 0.7) {
        struct climate_features features = {t, 30 + t, 0.001 * t};
        struct climate_answer a = climate_model_ask(model, &features);
        struct climate_answer b = climate_model_ask(back, &features);
        CHECK_BYTES(&a, &b, sizeof(a));
    }
    climate_model_destroy(model);
    climate_model_destroy(back);
}

TEST(every_flipped_byte_is_refused_with_a_sentence)
{
    struct climate_model *model = kit_model(1), *back = NULL;
    size_t len;
    char *bytes = encode(model, &len);
    for (size_t i = 0; i < len; i++) {
        char why[CLIMATE_MODEL_WHY_BYTES] = "";
        char kept = bytes[i];
        bytes[i] = (char)(kept ^ (1 << (i % 8)));
        NOTE("byte %zu", i);
        CHECK_ERR(climate_model_decode((struct str){bytes, len}, why, sizeof(why), &back),
                  ERR_INPUT);
        CHECK(strlen(why) > 10);
        bytes[i] = kept;
    }
    CHECK_OK(climate_model_decode((struct str){bytes, len}, NULL, 0, &back));
    kit_free_guard(bytes);
    climate_model_destroy(model);
    climate_model_destroy(back);
}

TEST(every_prefix_is_refused)
{
    struct climate_model *model = kit_model(1), *back = NULL;
    size_t len;
    char *bytes = encode(model, &len);
    char why[CLIMATE_MODEL_WHY_BYTES];
    for (size_t cut = 0; cut < len; cut += cut < 200 ? 1 : 37) {
        char *prefix = kit_guard_page(bytes, cut);
        why[0] = '\0';
        CHECK_ERR(climate_model_decode((struct str){prefix, cut}, why, sizeof(why), &back),
                  ERR_INPUT);
        CHECK(strlen(why) > 10);
        kit_free_guard(prefix);
    }
    kit_free_guard(bytes);
    climate_model_destroy(model);
}

/* A file whose checksum is right and whose contents are not. */
static enum err decode_with(const struct climate_model *model, size_t at, double value, char *why,
                            size_t why_bytes)
{
    size_t len;
    char *bytes = encode(model, &len);
    struct climate_model *back = NULL;
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    for (size_t i = 0; i < 8; i++)
        bytes[at + i] = (char)(uint8_t)(bits >> (8 * i));
    uint32_t sum = crc32c(0, bytes, len - 4);
    for (size_t i = 0; i < 4; i++)
        bytes[len - 4 + i] = (char)(uint8_t)(sum >> (8 * i));
    enum err err = climate_model_decode((struct str){bytes, len}, why, why_bytes, &back);
    kit_free_guard(bytes);
    climate_model_destroy(back);
    return err;
}

TEST(a_right_checksum_over_wrong_contents_is_refused_too)
{
    struct climate_model *model = kit_model(1);
    char why[CLIMATE_MODEL_WHY_BYTES];
    const size_t head = 8 + 8 + 5 * 8 + 4 * 4;
    const size_t weights = head + 7 * 8;
    CHECK_OK(decode_with(model, head, model->centre[0], why, sizeof(why)));
    CHECK_ERR(decode_with(model, head, NAN, why, sizeof(why)), ERR_INPUT);
    CHECK_ERR(decode_with(model, head + 3 * 8, 0, why, sizeof(why)), ERR_INPUT); /* a scale */
    CHECK_ERR(decode_with(model, weights, INFINITY, why, sizeof(why)), ERR_INPUT);
    CHECK(strstr(why, "no number") != NULL);
    CHECK_ERR(decode_with(model, weights, model->weights.hidden[0][0] + 0.5, why, sizeof(why)),
              ERR_INPUT);
    CHECK(strstr(why, "answers") != NULL);
    climate_model_destroy(model);
}

TEST(no_file_a_long_file_and_no_memory)
{
    struct climate_model *model = kit_model(1), *back = NULL;
    const char *dir = kit_tempdir(), *path = kit_path(dir, "m.bin");
    char why[CLIMATE_MODEL_WHY_BYTES] = "";
    static char big[CLIMATE_MODEL_BYTES_MAX + 1];
    CHECK_ERR(climate_model_load(path, why, sizeof(why), &back), ERR_NOT_FOUND);
    CHECK_OK(file_write_atomic(path, big, sizeof(big), 0600));
    CHECK_ERR(climate_model_load(path, why, sizeof(why), &back), ERR_INPUT);
    CHECK_OK(climate_model_save(model, path));
    for (uint32_t nth = 1;; nth++) {
        mem_fail_at(nth);
        enum err err = climate_model_load(path, why, sizeof(why), &back);
        if (!mem_fail_fired()) {
            CHECK_OK(err);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
    mem_fail_at(0);
    climate_model_destroy(model);
    climate_model_destroy(back);
}

/* ---- people ---- */

static void note_gate(const struct climate_gate *gate)
{
    NOTE("%s; shown %.1f -> %.1f, held out %.1f -> %.1f, taught %.1f -> %.1f",
         climate_verdict_text(gate->verdict), gate->shown_before, gate->shown_after,
         gate->held_out_before, gate->held_out_after, gate->taught_before, gate->taught_after);
}

static size_t by_hand(struct climate_sample *sample, size_t count, double position_pct)
{
    for (size_t i = 0; i < count; i++)
        sample[i] =
            (struct climate_sample){i + 1, {24.5 + 0.02 * (double)i, 55, 0.03}, position_pct};
    return count;
}

TEST(what_people_set_is_learned_and_the_rest_is_kept)
{
    struct climate_model *model = kit_model(1), *learned = NULL;
    struct climate_sample sample[24];
    struct climate_gate gate;
    size_t count = by_hand(sample, ARRAY_COUNT(sample), 20); /* it says about 100 there */
    struct climate_features there = {24.7, 55, 0.03}, cool = {19.5, 40, 0.01},
                            mild = {21, 35, 0.02};
    double before = climate_model_ask(model, &there).position_pct;
    CHECK(before > 80);
    CHECK_OK(climate_model_learn(model, sample, count, 3, &gate, &learned));
    note_gate(&gate);
    CHECK_EQ(gate.verdict, CLIMATE_ADOPT);
    CHECK(gate.held_out_after < gate.held_out_before);
    CHECK_NEAR(climate_model_ask(learned, &there).position_pct, 20, 12);
    CHECK_NEAR(climate_model_ask(learned, &cool).position_pct,
               climate_model_ask(model, &cool).position_pct, 8);
    CHECK_NEAR(climate_model_ask(learned, &mild).position_pct,
               climate_model_ask(model, &mild).position_pct, 8);
    climate_model_destroy(model);
    climate_model_destroy(learned);
}

TEST(one_setting_moves_it_a_bounded_way)
{
    struct climate_model *model = kit_model(1), *learned = NULL;
    struct climate_sample sample[1];
    struct climate_gate gate;
    (void)by_hand(sample, 1, 60);
    CHECK_OK(climate_model_learn(model, sample, 1, 3, &gate, &learned));
    note_gate(&gate);
    CHECK_EQ(gate.verdict, CLIMATE_ADOPT);
    double after = climate_model_ask(learned, &sample[0].features).position_pct;
    NOTE("%g", after);
    CHECK_NEAR(after, 60, 15);
    CHECK(gate.taught_after < 6);
    climate_model_destroy(model);
    climate_model_destroy(learned);
}

TEST(a_place_it_never_saw_becomes_known)
{
    struct climate_model *model = kit_model(1), *learned = NULL;
    struct climate_gate gate;
    struct climate_sample sample[6];
    struct climate_features hot = {33, 50, 0.03};
    CHECK(climate_model_ask(model, &hot).confidence < 0.6);
    for (size_t i = 0; i < 6; i++)
        sample[i] = (struct climate_sample){i + 1, {33 + 0.05 * (double)i, 50, 0.03}, 100};
    CHECK_OK(climate_model_learn(model, sample, 6, 3, &gate, &learned));
    CHECK(climate_model_ask(learned, &hot).confidence > 0.6);
    climate_model_destroy(model);
    climate_model_destroy(learned);
}

TEST(what_does_worse_on_settings_it_was_not_shown_is_discarded)
{
    struct climate_model *model = kit_model(1), *learned = NULL;
    struct climate_gate gate;
    struct climate_sample sample[30];
    /* Shown: shut.  Examined by: what the model says already. */
    (void)by_hand(sample, 30, 0);
    for (size_t i = 0; i < 30; i++) {
        if (sample[i].sample_id % CLIMATE_VALIDATE_EVERY == 0)
            sample[i].position_pct = 100;
    }
    CHECK_OK(climate_model_learn(model, sample, 30, 3, &gate, &learned));
    note_gate(&gate);
    CHECK_EQ(gate.verdict, CLIMATE_WORSE_ON_HELD_OUT);
    climate_model_destroy(model);
    climate_model_destroy(learned);
}

TEST(over_many_versions_it_never_drifts_further_than_it_may)
{
    struct climate_model *model = kit_model(1);
    struct climate_gate gate;
    struct climate_sample sample[200];
    struct rng rng;
    int refused = 0;
    rng_init(&rng, 4);
    for (int version = 2; version < 30; version++) {
        struct climate_model *learned = NULL;
        /* Somebody plays: anything for any air. */
        for (size_t i = 0; i < 200; i++) {
            struct climate_features f = {17 + 10 * rng_unit(&rng), 30 + 30 * rng_unit(&rng), 0.03};
            sample[i] = (struct climate_sample){i + 1, f, rng_chance(&rng, 0.5) ? 100 : 0};
        }
        CHECK_OK(climate_model_learn(model, sample, 200, 3, &gate, &learned));
        note_gate(&gate);
        refused += gate.verdict != CLIMATE_ADOPT;
        CHECK(gate.verdict != CLIMATE_ADOPT || !(gate.taught_after > 9));
        climate_model_destroy(gate.verdict == CLIMATE_ADOPT ? model : learned);
        model = gate.verdict == CLIMATE_ADOPT ? learned : model;
    }
    CHECK(refused > 0);
    climate_model_destroy(model);
}

TEST(learning_without_memory_or_without_a_lesson)
{
    struct climate_model *model = kit_model(1), *learned = NULL;
    struct climate_gate gate;
    struct climate_sample sample[1];
    (void)by_hand(sample, 1, 40);
    for (uint32_t nth = 1; nth < 4; nth++) {
        mem_fail_at(nth);
        enum err err = climate_model_learn(model, sample, 1, 3, &gate, &learned);
        if (!mem_fail_fired()) {
            CHECK_OK(err);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
    mem_fail_at(0);
    climate_model_destroy(learned);
    sample[0].sample_id = CLIMATE_VALIDATE_EVERY; /* it only examines */
    CHECK_ERR(climate_model_learn(model, sample, 1, 3, &gate, &learned), ERR_AGAIN);
    sample[0].sample_id = 1;
    sample[0].position_pct = NAN;
    CHECK_ERR(climate_model_learn(model, sample, 1, 3, &gate, &learned), ERR_AGAIN);
    climate_model_destroy(model);
}
