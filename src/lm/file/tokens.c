/* Token files: a header of 64 bytes, then ids.
 *
 *   0  "AUTOMTOK"   8  version 1   12 bytes of the header   16 ids of the vocabulary in use
 *   20 zero         24 count       32 zeros                 60 CRC-32C of the 60 bytes before */
#include "lm/file/file_int.h"

#include <stdio.h>
#include <string.h>

#define HEAD_BYTES 64
#define VERSION    1
#define ROOM       32768 /* ids held back before they are written */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are mapped as they are");

static const char magic[8] = {'A', 'U', 'T', 'O', 'M', 'T', 'O', 'K'};

struct lm_tokens {
    struct lm_map map;
    const uint16_t *ids;
    uint64_t count;
    uint32_t vocab_used;
};

struct lm_tokens_writer {
    struct lm_disk_out out;
    uint64_t count;
    uint32_t vocab_used, held;
    uint16_t ids[ROOM];
};

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(uint8_t)at[i] << (8 * i);
    return value;
}

static enum err check_head(struct str bytes, struct lm_fault *fault, struct lm_tokens *tokens)
{
    if (bytes.len < HEAD_BYTES)
        return lm_refuse(fault, "%zu bytes: too short for a token file", bytes.len);
    if (memcmp(bytes.at, magic, sizeof(magic)) != 0)
        return lm_refuse(fault, "not a token file");
    if (get(bytes.at + 60, 4) != crc32c(0, bytes.at, 60)) {
        fault->at_byte = 60;
        return lm_refuse(fault, "the header's checksum is wrong");
    }
    if (get(bytes.at + 8, 4) > VERSION) {
        (void)snprintf(fault->why, sizeof(fault->why), "version %llu; this program reads %d",
                       (unsigned long long)get(bytes.at + 8, 4), VERSION);
        return ERR_VERSION;
    }
    tokens->vocab_used = (uint32_t)get(bytes.at + 16, 4);
    tokens->count = get(bytes.at + 24, 8);
    if (get(bytes.at + 8, 4) != VERSION || get(bytes.at + 12, 4) != HEAD_BYTES ||
        tokens->vocab_used < 1 || tokens->vocab_used > LM_VOCAB_MAX)
        return lm_refuse(fault, "the header does not make sense");
    if ((bytes.len - HEAD_BYTES) % 2 != 0 || tokens->count != (bytes.len - HEAD_BYTES) / 2) {
        fault->at_byte = bytes.len;
        return lm_refuse(fault, "the header says %llu ids, the file has %zu bytes of them",
                         (unsigned long long)tokens->count, bytes.len - HEAD_BYTES);
    }
    return ERR_OK;
}

enum err lm_tokens_parse(struct str bytes, struct lm_fault *fault, struct lm_tokens **ret_tokens)
{
    struct lm_tokens read = {0};
    *fault = (struct lm_fault){0};
    enum err err = check_head(bytes, fault, &read);
    if (err != ERR_OK)
        return err;
    for (uint64_t i = 0; i < read.count; i++) {
        uint32_t id = (uint32_t)get(bytes.at + HEAD_BYTES + 2 * i, 2) & ~LM_TOKEN_QUIET;
        if (id >= read.vocab_used) {
            fault->at_byte = (size_t)(HEAD_BYTES + 2 * i);
            return lm_refuse(fault, "id %u is not below the %u in use", id, read.vocab_used);
        }
    }
    read.ids = (const uint16_t *)(const void *)(bytes.at + HEAD_BYTES);
    struct lm_tokens *tokens = mem_alloc(sizeof(*tokens));
    if (tokens == NULL)
        return ERR_NOMEM;
    *tokens = read;
    *ret_tokens = tokens;
    return ERR_OK;
}

enum err lm_tokens_open(const char *path, struct lm_fault *fault, struct lm_tokens **ret_tokens)
{
    struct lm_map map;
    *fault = (struct lm_fault){0};
    enum err err = lm_map_open(path, &map);
    if (err != ERR_OK)
        return lm_blame(fault, path, err);
    err = lm_tokens_parse((struct str){map.at, map.len}, fault, ret_tokens);
    if (err != ERR_OK) {
        lm_map_close(&map);
        return lm_blame(fault, path, err);
    }
    (*ret_tokens)->map = map;
    return ERR_OK;
}

void lm_tokens_close(struct lm_tokens *tokens)
{
    if (tokens == NULL)
        return;
    lm_map_close(&tokens->map);
    mem_free(tokens);
}

uint64_t lm_tokens_count(const struct lm_tokens *tokens)
{
    return tokens->count;
}

uint32_t lm_tokens_vocab(const struct lm_tokens *tokens)
{
    return tokens->vocab_used;
}

const uint16_t *lm_tokens_at(const struct lm_tokens *tokens)
{
    return tokens->ids;
}

/* ---- writing ---- */

static void head_of(const struct lm_tokens_writer *writer, uint8_t head[HEAD_BYTES])
{
    memset(head, 0, HEAD_BYTES);
    memcpy(head, magic, sizeof(magic));
    put(head + 8, VERSION, 4);
    put(head + 12, HEAD_BYTES, 4);
    put(head + 16, writer->vocab_used, 4);
    put(head + 24, writer->count, 8);
    put(head + 60, crc32c(0, head, 60), 4);
}

enum err lm_tokens_writer_create(const char *path, uint32_t vocab_used,
                                 struct lm_tokens_writer **ret_writer)
{
    uint8_t zeros[HEAD_BYTES] = {0}; /* no token file until it is finished */
    if (vocab_used < 1 || vocab_used > LM_VOCAB_MAX)
        return ERR_INPUT;
    struct lm_tokens_writer *writer = mem_zalloc(sizeof(*writer));
    if (writer == NULL)
        return ERR_NOMEM;
    writer->vocab_used = vocab_used;
    enum err err = lm_disk_begin(&writer->out, path);
    if (err == ERR_OK)
        err = lm_disk_add(&writer->out, zeros, sizeof(zeros));
    if (err != ERR_OK) {
        lm_tokens_writer_destroy(writer);
        return err;
    }
    *ret_writer = writer;
    return ERR_OK;
}

static enum err flush(struct lm_tokens_writer *writer)
{
    enum err err =
        lm_disk_add(&writer->out, writer->ids, (size_t)writer->held * sizeof(writer->ids[0]));
    writer->held = 0;
    return err;
}

enum err lm_tokens_writer_add(struct lm_tokens_writer *writer, const uint16_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((ids[i] & ~LM_TOKEN_QUIET) >= writer->vocab_used)
            return ERR_INPUT;
    }
    for (size_t i = 0; i < count; i++) {
        writer->ids[writer->held++] = ids[i];
        writer->count++;
        enum err err = writer->held == ROOM ? flush(writer) : ERR_OK;
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err lm_tokens_writer_finish(struct lm_tokens_writer *writer)
{
    uint8_t head[HEAD_BYTES];
    enum err err = flush(writer);
    head_of(writer, head);
    if (err == ERR_OK)
        err = lm_disk_again(&writer->out, 0, head, sizeof(head));
    if (err == ERR_OK)
        err = lm_disk_commit(&writer->out);
    lm_tokens_writer_destroy(writer);
    return err;
}

void lm_tokens_writer_destroy(struct lm_tokens_writer *writer)
{
    if (writer == NULL)
        return;
    lm_disk_abort(&writer->out);
    mem_free(writer);
}
