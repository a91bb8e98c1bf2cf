/* safetensors: what is written is read, and what does not fit together is refused. */
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* A file in memory from its header and so many bytes of data. */
static struct str file_of(struct buf *buf, const char *head, size_t data_bytes)
{
    uint8_t length[8] = {0};
    for (unsigned i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)strlen(head) >> (8 * i));
    buf_init(buf, 64 * KIB);
    CHECK_OK(buf_add(buf, length, sizeof(length)));
    CHECK_OK(buf_add_str(buf, str_from(head)));
    for (size_t i = 0; i < data_bytes; i++) {
        uint8_t byte = (uint8_t)i;
        CHECK_OK(buf_add(buf, &byte, 1));
    }
    return buf_str(buf);
}

/* 64 bytes of header, so that the data is aligned. */
#define PAD "                                                                "

static void check_refused(const char *head, size_t data_bytes, const char *why)
{
    struct buf buf;
    struct lm_fault fault;
    struct lm_safetensors *file = NULL;
    char whole[512];
    (void)snprintf(whole, sizeof(whole), "%s%.*s", head, (int)((64 - strlen(head) % 64) % 64), PAD);
    struct str bytes = file_of(&buf, whole, data_bytes);
    NOTE("%s", head);
    CHECK_ERR(lm_safetensors_parse(bytes, &fault, &file), ERR_INPUT);
    NOTE("%s: %s", head, fault.why);
    CHECK(strstr(fault.why, why) != NULL);
    buf_finish(&buf);
}

TEST(what_is_written_is_read)
{
    static const float gain[3] = {1, -2.5F, 3};
    static const int8_t whole[2][2] = {{1, -1}, {127, -127}};
    static const uint8_t nibbles[5] = {1, 2, 3, 4, 5};
    static const uint16_t half[2] = {0x3C00, 0xC000};
    static const int64_t wide[1] = {-7};
    static const char *const meta[] = {"format", "pt", "said", "\"quoted\"\n", NULL};
    const struct lm_safetensors_out out[] = {
        {.name = "nibbles", .type = LM_STORED_U8, .rank = 1, .shape = {5}, .data = nibbles},
        {.name = "a.whole", .type = LM_STORED_I8, .rank = 2, .shape = {2, 2}, .data = whole},
        {.name = "half", .type = LM_STORED_F16, .rank = 1, .shape = {2}, .data = half},
        {.name = "gain", .type = LM_STORED_F32, .rank = 1, .shape = {3}, .data = gain},
        {.name = "none", .type = LM_STORED_F32, .rank = 2, .shape = {0, 4}, .data = gain},
        {.name = "wide", .type = LM_STORED_I64, .rank = 0, .data = wide},
    };
    const char *path = kit_path(kit_tempdir(), "x.safetensors");
    struct lm_fault fault;
    struct lm_safetensors *file;
    struct lm_safetensor tensor;
    CHECK_OK(lm_safetensors_write(path, out, ARRAY_COUNT(out), meta));
    CHECK_OK(lm_safetensors_open(path, &fault, &file));
    CHECK_EQ(lm_safetensors_count(file), ARRAY_COUNT(out));
    for (size_t i = 0; i < ARRAY_COUNT(out); i++) {
        NOTE("%s", out[i].name);
        CHECK(lm_safetensors_find(file, str_from(out[i].name), &tensor));
        CHECK_EQ(tensor.type, out[i].type);
        CHECK_EQ(tensor.rank, out[i].rank);
        CHECK_BYTES(tensor.shape, out[i].shape, sizeof(tensor.shape));
        CHECK_BYTES(tensor.data, out[i].data, tensor.bytes);
        CHECK_EQ((uintptr_t)tensor.data % lm_stored_bytes(tensor.type), 0);
    }
    CHECK(!lm_safetensors_find(file, STR("gai"), &tensor));
    CHECK(!lm_safetensors_find(file, STR("gainz"), &tensor));
    CHECK(!lm_safetensors_find(file, STR_NONE, &tensor));
    CHECK_SLICE(lm_safetensors_meta(file, STR("said")), "\"quoted\"\n");
    CHECK_EQ(lm_safetensors_meta(file, STR("other")).len, 0);
    lm_safetensors_close(file);
    CHECK(!path_exists(kit_path("", "x.safetensors.tmp")));
}

TEST(what_does_not_fit_together_is_refused)
{
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,7]}}", 8,
                  "has 7 bytes, its shape needs 8");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
                  "cut short");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9,
                  "1 bytes after the last tensor");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
                  "unused bytes before it");
    check_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
                  6, "shares bytes");
    check_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                  "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]}}",
                  5, "not aligned");
    check_refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                  "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                  2, "duplicate");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],"
                  "\"data_offsets\":[0,0]}}",
                  0, "overflows");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
                  "not a whole number");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4,
                  "not a whole number");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
                  "at most 4");
    check_refused("{\"a\":{\"dtype\":\"F8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype F8");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "rising");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "rising");
    check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "rising");
    check_refused("{\"a\":7}", 0, "not an object");
    check_refused("{\"__metadata__\":{\"a\":7}}", 0, "must be a text");
    check_refused("{\"__metadata__\":[]}", 0, "must be an object");
    check_refused("{\"a\":", 0, "header");
    check_refused(" {}", 0, "does not begin with {");
}

TEST(an_impossible_header_length_is_refused)
{
    struct lm_fault fault;
    struct lm_safetensors *file = NULL;
    char bytes[16];
    memset(bytes, 0xFF, sizeof(bytes));
    CHECK_ERR(lm_safetensors_parse((struct str){bytes, 16}, &fault, &file), ERR_INPUT);
    memset(bytes, 0, sizeof(bytes));
    bytes[0] = 9;
    CHECK_ERR(lm_safetensors_parse((struct str){bytes, 16}, &fault, &file), ERR_INPUT);
    CHECK_EQ(fault.at_byte, 16);
    bytes[0] = 0;
    CHECK_ERR(lm_safetensors_parse((struct str){bytes, 16}, &fault, &file), ERR_INPUT);
    CHECK_ERR(lm_safetensors_parse(STR_NONE, &fault, &file), ERR_INPUT);
}

TEST(every_prefix_is_refused_without_reading_on)
{
    struct buf buf;
    struct lm_fault fault;
    struct lm_safetensors *file = NULL;
    struct str bytes = file_of(&buf,
                               "{\"__metadata__\":{\"format\":\"pt\"},"
                               "\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
                               "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[6,8]}}   ",
                               8);
    for (size_t len = 0; len <= bytes.len; len++) {
        char *copy = kit_guard_page(bytes.at, len);
        enum err err = lm_safetensors_parse((struct str){copy, len}, &fault, &file);
        CHECK_ERR(err, len < bytes.len ? ERR_INPUT : ERR_OK);
        CHECK(err == ERR_OK || fault.why[0] != '\0');
        if (err == ERR_OK)
            lm_safetensors_close(file);
        kit_free_guard(copy);
    }
    buf_finish(&buf);
}

TEST(reading_survives_failed_allocations)
{
    struct buf buf;
    struct lm_fault fault;
    struct str bytes =
        file_of(&buf, "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
    for (uint32_t nth = 1;; nth++) {
        struct lm_safetensors *file = NULL;
        mem_fail_at(nth);
        enum err err = lm_safetensors_parse(bytes, &fault, &file);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);
        lm_safetensors_close(file);
        if (!fired)
            break;
    }
    buf_finish(&buf);
}

TEST(a_full_disk_keeps_the_old_file)
{
    static const float big[4096] = {1};
    static const uint8_t small[1] = {9};
    const char *dir = kit_tempdir();
    const char *path = kit_path(dir, "x.safetensors");
    struct lm_safetensors_out out = {
        .name = "a", .type = LM_STORED_U8, .rank = 1, .shape = {1}, .data = small};
    struct rlimit old, tight = {4096, 0};
    struct lm_fault fault;
    struct lm_safetensors *file;
    CHECK_OK(lm_safetensors_write(path, &out, 1, NULL));
    out = (struct lm_safetensors_out){
        .name = "b", .type = LM_STORED_F32, .rank = 1, .shape = {4096}, .data = big};
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight.rlim_max = old.rlim_max;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum err err = lm_safetensors_write(path, &out, 1, NULL);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, before);
    CHECK_ERR(err, ERR_IO);
    CHECK(!path_exists(kit_path(dir, "x.safetensors.tmp")));
    CHECK_OK(lm_safetensors_open(path, &fault, &file));
    struct lm_safetensor tensor;
    CHECK(lm_safetensors_find(file, STR("a"), &tensor));
    lm_safetensors_close(file);
}

TEST(what_is_not_there_is_said)
{
    struct lm_fault fault;
    struct lm_safetensors *file = NULL;
    const char *dir = kit_tempdir();
    CHECK_ERR(lm_safetensors_open(kit_path(dir, "none"), &fault, &file), ERR_NOT_FOUND);
    CHECK(strstr(fault.why, "none") != NULL);
    CHECK_ERR(lm_safetensors_open(dir, &fault, &file), ERR_IO);
    CHECK_OK(file_write_atomic(kit_path(dir, "empty"), "", 0, 0600));
    CHECK_ERR(lm_safetensors_open(kit_path(dir, "empty"), &fault, &file), ERR_INPUT);
}

TEST(halves_are_rounded_to_even)
{
    CHECK_EQ(lm_to_bf16(1.0F), 0x3F80);
    CHECK_EQ(lm_to_bf16(1.00390625F), 0x3F80); /* half way: the even one */
    CHECK_EQ(lm_to_bf16(1.01171875F), 0x3F82);
    CHECK_EQ(lm_to_bf16(-0.0F), 0x8000);
    CHECK_NEAR(lm_from_bf16(0x4049), 3.140625, 0);
    CHECK_NEAR(lm_from_f16(0x3C00), 1, 0);
    CHECK_NEAR(lm_from_f16(0xC100), -2.5, 0);
    CHECK_NEAR(lm_from_f16(0x0001), 5.9604644775390625e-8, 0);
    CHECK_NEAR(lm_from_f16(0x7BFF), 65504, 0);
    for (uint32_t bits = 0; bits < 0x7F80; bits++)
        CHECK_EQ(lm_to_bf16(lm_from_bf16((uint16_t)bits)), bits);
}
