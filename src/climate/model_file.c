/* The model's file: see climate_model.h for the layout. */
#include "climate/model_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAGIC       "AMWINDOW"
#define MAGIC_BYTES 8
#define FORMAT      1u
/* What a probe may differ by: another libm, not another model. */
#define PROBE_TOLERANCE 1e-6

static const struct climate_features probe_table[PROBES] = {
    {20.5, 40, 0.02}, {23.5, 55, 0.08}, {26, 60, 0.2}, {18, 35, 0.05}};

/* ---- writing ---- */

struct writer {
    struct buf *dst;
    enum err err;
};

static void put_bytes(struct writer *out, const void *bytes, size_t len)
{
    if (out->err == ERR_OK)
        out->err = buf_add(out->dst, bytes, len);
}

static void put_uint(struct writer *out, uint64_t value, size_t bytes)
{
    uint8_t raw[8];
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(value >> (8 * i));
    put_bytes(out, raw, bytes);
}

static void put_f64(struct writer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_uint(out, bits, 8);
}

static void put_f64s(struct writer *out, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_f64(out, values[i]);
}

static size_t file_bytes(uint32_t lessons)
{
    size_t doubles = (size_t)2 * CLIMATE_FEATURES + 1 + MODEL_WEIGHTS +
                     (size_t)lessons * (CLIMATE_FEATURES + 2) +
                     (size_t)PROBES * (CLIMATE_FEATURES + 3);
    return MAGIC_BYTES + 2 * 4 + 5 * 8 + 4 * 4 + doubles * 8 + 4;
}

static void put_head(struct writer *out, const struct climate_model_about *about)
{
    put_bytes(out, MAGIC, MAGIC_BYTES);
    put_uint(out, FORMAT, 4);
    put_uint(out, file_bytes(about->lessons), 4);
    put_uint(out, about->version, 8);
    put_uint(out, about->parent, 8);
    put_uint(out, (uint64_t)about->trained_at_ms, 8);
    put_uint(out, about->samples, 8);
    put_uint(out, about->samples_people, 8);
    put_uint(out, (uint64_t)about->origin, 4);
    put_uint(out, CLIMATE_FEATURES, 4);
    put_uint(out, CLIMATE_HIDDEN, 4);
    put_uint(out, about->lessons, 4);
}

static void put_probes(struct writer *out, const struct climate_model *model)
{
    for (size_t i = 0; i < PROBES; i++) {
        const struct climate_features *probe = &probe_table[i];
        struct climate_answer answer = climate_model_ask(model, probe);
        put_f64(out, probe->temperature_c);
        put_f64(out, probe->humidity_pct);
        put_f64(out, probe->sound_volume);
        put_f64(out, answer.position_pct);
        put_f64(out, answer.spread_pct);
        put_f64(out, answer.confidence);
    }
}

enum err climate_model_encode(const struct climate_model *model, struct buf *buf)
{
    struct writer out = {buf, ERR_OK};
    size_t start = buf->len;
    put_head(&out, &model->about);
    put_f64s(&out, model->centre, CLIMATE_FEATURES);
    put_f64s(&out, model->scale, CLIMATE_FEATURES);
    put_f64(&out, model->reach);
    put_f64s(&out, climate_model_flat_const(&model->weights), MODEL_WEIGHTS);
    for (uint32_t i = 0; i < model->about.lessons; i++) {
        put_f64s(&out, model->lesson[i].x, CLIMATE_FEATURES);
        put_f64(&out, model->lesson[i].y);
        put_f64(&out, model->lesson[i].by_hand ? 1 : 0);
    }
    put_probes(&out, model);
    if (out.err == ERR_OK)
        put_uint(&out, crc32c(0, buf->at + start, buf->len - start), 4);
    ASSERT(out.err != ERR_OK || buf->len - start == file_bytes(model->about.lessons));
    return out.err;
}

/* ---- reading ---- */

struct reader {
    struct str bytes; /* its length was checked before: no read can go beyond it */
    size_t at;
};

static uint64_t take_uint(struct reader *in, size_t bytes)
{
    uint64_t value = 0;
    ASSERT(in->bytes.len - in->at >= bytes);
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)(uint8_t)in->bytes.at[in->at + i] << (8 * i);
    in->at += bytes;
    return value;
}

static double take_f64(struct reader *in)
{
    uint64_t bits = take_uint(in, 8);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void take_f64s(struct reader *in, double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = take_f64(in);
}

static enum err refuse(char *why, size_t why_bytes, const char *sentence)
{
    (void)snprintf(why, why_bytes, "%s", sentence);
    return ERR_INPUT;
}

/* Length and checksum first: what follows may then be read without looking back. */
static enum err check_whole(struct str bytes, char *why, size_t why_bytes)
{
    struct reader in = {bytes, MAGIC_BYTES};
    if (bytes.len < file_bytes(0))
        return refuse(why, why_bytes, "the file is too short for a window model");
    if (memcmp(bytes.at, MAGIC, MAGIC_BYTES) != 0)
        return refuse(why, why_bytes, "the file is not a window model");
    if (take_uint(&in, 4) != FORMAT)
        return refuse(why, why_bytes, "the file has a format this program does not know");
    if (take_uint(&in, 4) != bytes.len)
        return refuse(why, why_bytes, "the file is not as long as it says: it was cut or extended");
    in.at = bytes.len - 4;
    if (take_uint(&in, 4) != crc32c(0, bytes.at, bytes.len - 4))
        return refuse(why, why_bytes, "the checksum is wrong: the file is damaged");
    return ERR_OK;
}

static enum err take_head(struct reader *in, struct climate_model_about *about, char *why,
                          size_t why_bytes)
{
    in->at = MAGIC_BYTES + 8;
    about->version = take_uint(in, 8);
    about->parent = take_uint(in, 8);
    about->trained_at_ms = (int64_t)take_uint(in, 8);
    about->samples = take_uint(in, 8);
    about->samples_people = take_uint(in, 8);
    uint64_t origin = take_uint(in, 4);
    uint64_t features = take_uint(in, 4), hidden = take_uint(in, 4), lessons = take_uint(in, 4);
    if (features != CLIMATE_FEATURES || hidden != CLIMATE_HIDDEN)
        return refuse(why, why_bytes, "the model has another shape than this program's");
    if (origin > CLIMATE_LEARNED)
        return refuse(why, why_bytes, "the model's origin is unknown");
    if (lessons > LESSONS_MAX || file_bytes((uint32_t)lessons) != in->bytes.len)
        return refuse(why, why_bytes, "the number of lessons does not fit the file's length");
    about->origin = (enum climate_origin)origin;
    about->lessons = (uint32_t)lessons;
    return ERR_OK;
}

static enum err take_body(struct reader *in, struct climate_model *model, char *why,
                          size_t why_bytes)
{
    take_f64s(in, model->centre, CLIMATE_FEATURES);
    take_f64s(in, model->scale, CLIMATE_FEATURES);
    model->reach = take_f64(in);
    take_f64s(in, climate_model_flat(&model->weights), MODEL_WEIGHTS);
    for (uint32_t i = 0; i < model->about.lessons; i++) {
        take_f64s(in, model->lesson[i].x, CLIMATE_FEATURES);
        model->lesson[i].y = take_f64(in);
        model->lesson[i].by_hand = take_f64(in) > 0.5;
    }
    if (!climate_model_finite(model))
        return refuse(why, why_bytes, "the model has a weight, scale or lesson that is no number");
    return ERR_OK;
}

static bool same(double a, double b)
{
    return fabs(a - b) <= PROBE_TOLERANCE; /* false for a NaN */
}

/* The same questions, the same answers as when it was written. */
static enum err take_probes(struct reader *in, const struct climate_model *model, char *why,
                            size_t why_bytes)
{
    for (size_t i = 0; i < PROBES; i++) {
        struct climate_features probe;
        probe.temperature_c = take_f64(in);
        probe.humidity_pct = take_f64(in);
        probe.sound_volume = take_f64(in);
        double position = take_f64(in), spread = take_f64(in), confidence = take_f64(in);
        struct climate_answer answer = climate_model_ask(model, &probe);
        if (!climate_features_valid(&probe) || !same(answer.position_pct, position) ||
            !same(answer.spread_pct, spread) || !same(answer.confidence, confidence))
            return refuse(why, why_bytes, "the model does not give the answers stored with it");
    }
    return ERR_OK;
}

enum err climate_model_decode(struct str bytes, char *why, size_t why_bytes,
                              struct climate_model **ret_model)
{
    struct reader in = {bytes, 0};
    enum err err = check_whole(bytes, why, why_bytes);
    if (err != ERR_OK)
        return err;
    struct climate_model *model = mem_zalloc(sizeof(*model));
    if (model == NULL) {
        (void)snprintf(why, why_bytes, "out of memory");
        return ERR_NOMEM;
    }
    err = take_head(&in, &model->about, why, why_bytes);
    if (err == ERR_OK)
        err = take_body(&in, model, why, why_bytes);
    if (err == ERR_OK)
        err = take_probes(&in, model, why, why_bytes);
    if (err != ERR_OK) {
        climate_model_destroy(model);
        return err;
    }
    *ret_model = model;
    return ERR_OK;
}

enum err climate_model_load(const char *path, char *why, size_t why_bytes,
                            struct climate_model **ret_model)
{
    struct buf bytes;
    enum err err = file_read(path, CLIMATE_MODEL_BYTES_MAX, &bytes);
    if (err != ERR_OK) {
        const char *reason = err == ERR_NOT_FOUND ? "there is no such file" : err_name(err);
        (void)snprintf(why, why_bytes, "%s", err == ERR_FULL ? "the file is too long" : reason);
        return err == ERR_FULL ? ERR_INPUT : err;
    }
    err = climate_model_decode(buf_str(&bytes), why, why_bytes, ret_model);
    buf_finish(&bytes);
    return err;
}

enum err climate_model_save(const struct climate_model *model, const char *path)
{
    struct buf bytes;
    buf_init(&bytes, CLIMATE_MODEL_BYTES_MAX);
    enum err err = climate_model_encode(model, &bytes);
    if (err == ERR_OK)
        err = file_write_atomic(path, bytes.at, bytes.len, 0600);
    buf_finish(&bytes);
    return err;
}
