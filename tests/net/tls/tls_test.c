/* The server's end against OpenSSL's own client, in memory. */
#include "kit/kit.h"
#include "net/tls/tls.h"
#include "net/tls/tls_certs.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

/* ---- a certificate of our own ---------------------------------------------------------------- */

struct identity {
    char *cert, *key;
};

static struct identity identity_make(void)
{
    const char *dir = kit_tempdir();
    struct identity identity = {(char *)(uintptr_t)kit_path(dir, "cert.pem"),
                                (char *)(uintptr_t)kit_path(dir, "key.pem")};
    struct cert cert = cert_make(&(struct cert_options){.name = "localhost"}, NULL);
    key_write(identity.key, cert.key, NULL);
    cert_write(identity.cert, &cert, NULL);
    cert_free(&cert);
    return identity;
}

/* ---- both ends in memory ----------------------------------------------------------------------
 */

struct pair {
    struct tls_context *context;
    void *filter;
    SSL_CTX *client_context;
    SSL *client;
    BIO *to_client, *from_client;
    char got[65536];
    size_t got_len;
    enum err end; /* what pull said beside ERR_OK and ERR_AGAIN */
};

static void pair_open_for(struct pair *pair, const struct identity *identity,
                          enum tls_protocol protocol)
{
    char why[TLS_WHY_BYTES];
    *pair = (struct pair){0};
    const struct tls_options options = {
        .cert_file = identity->cert, .key_file = identity->key, .protocol = protocol};
    CHECK_OK(tls_context_create(&options, why, &pair->context));
    CHECK_OK(tls_filter_ops.create(pair->context, &pair->filter));
    pair->client_context = SSL_CTX_new(TLS_client_method());
    pair->client = SSL_new(pair->client_context);
    pair->to_client = BIO_new(BIO_s_mem());
    pair->from_client = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(pair->to_client, -1);
    SSL_set_bio(pair->client, pair->to_client, pair->from_client);
    SSL_set_connect_state(pair->client);
}

static void pair_open(struct pair *pair, const struct identity *identity)
{
    pair_open_for(pair, identity, TLS_HTTP);
}

static void pair_close(struct pair *pair)
{
    tls_filter_ops.destroy(pair->filter);
    SSL_free(pair->client);
    SSL_CTX_free(pair->client_context);
    tls_context_destroy(pair->context);
    ERR_clear_error();
}

static void server_takes(struct pair *pair, const char *wire, size_t len)
{
    char *guarded = kit_guard_page(wire, len);
    CHECK_OK(tls_filter_ops.feed(pair->filter, (const uint8_t *)guarded, len));
    for (;;) {
        size_t plain;
        enum err err = tls_filter_ops.pull(pair->filter, (uint8_t *)pair->got + pair->got_len,
                                           sizeof(pair->got) - pair->got_len, &plain);
        if (err != ERR_OK) {
            if (err != ERR_AGAIN)
                pair->end = err;
            break;
        }
        pair->got_len += plain;
    }
    kit_free_guard(guarded);
}

/* Carry bytes both ways, `step` at a time, until neither has any. */
static void carry(struct pair *pair, size_t step)
{
    char wire[4096];
    CHECK(step <= sizeof(wire));
    for (bool moved = true; moved;) {
        int len = BIO_read(pair->from_client, wire, (int)step);
        moved = len > 0;
        if (len > 0 && pair->end == ERR_OK)
            server_takes(pair, wire, (size_t)len);
        struct str out = tls_filter_ops.wire(pair->filter);
        size_t take = out.len < step ? out.len : step;
        if (take != 0) {
            CHECK_EQ(BIO_write(pair->to_client, out.at, (int)take), (int)take);
            tls_filter_ops.drained(pair->filter, take);
            moved = true;
        }
        if (SSL_get_verify_result(pair->client) >= 0 && !SSL_is_init_finished(pair->client))
            SSL_do_handshake(pair->client);
    }
}

static size_t client_read(struct pair *pair, char *dst, size_t bytes)
{
    size_t at = 0, got;
    while (at < bytes && SSL_read_ex(pair->client, dst + at, bytes - at, &got) == 1)
        at += got;
    return at;
}

static void handshake(struct pair *pair, size_t step)
{
    SSL_do_handshake(pair->client);
    carry(pair, step);
    CHECK(SSL_is_init_finished(pair->client));
}

TEST_KEEPS(words_go_both_ways_in_pieces_of_any_size)
{
    static const size_t steps[] = {1, 7, 100, 4096};
    struct identity identity = identity_make();
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        static struct pair pair;
        char got[64];
        size_t sent;
        pair_open(&pair, &identity);
        CHECK_ERR(tls_filter_ops.push(pair.filter, (const uint8_t *)"early", 5), ERR_AGAIN);
        handshake(&pair, steps[i]);
        CHECK_EQ(SSL_version(pair.client), TLS1_3_VERSION);
        CHECK_EQ(SSL_write_ex(pair.client, "hello", 5, &sent), 1);
        carry(&pair, steps[i]);
        CHECK_EQ(pair.got_len, 5);
        CHECK_BYTES(pair.got, "hello", 5);
        CHECK_OK(tls_filter_ops.push(pair.filter, (const uint8_t *)"world", 5));
        carry(&pair, steps[i]);
        CHECK_EQ(client_read(&pair, got, sizeof(got)), 5);
        CHECK_BYTES(got, "world", 5);
        CHECK_EQ(tls_filter_ops.wire(pair.filter).len, 0);
        /* Goodbye, theirs and ours. */
        SSL_shutdown(pair.client);
        carry(&pair, steps[i]);
        CHECK_ERR(pair.end, ERR_CLOSED);
        tls_filter_ops.finish(pair.filter);
        carry(&pair, steps[i]);
        CHECK_EQ(client_read(&pair, got, sizeof(got)), 0);
        CHECK_EQ(SSL_get_shutdown(pair.client), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        pair_close(&pair);
    }
}

TEST_KEEPS(a_large_answer)
{
    static struct pair pair;
    static char large[100000], got[100000];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 7);
    struct identity identity = identity_make();
    pair_open(&pair, &identity);
    handshake(&pair, 4096);
    CHECK_OK(tls_filter_ops.push(pair.filter, (const uint8_t *)large, sizeof(large)));
    carry(&pair, 4096);
    CHECK_EQ(client_read(&pair, got, sizeof(got)), sizeof(got));
    CHECK_BYTES(got, large, sizeof(large));
    pair_close(&pair);
}

TEST_KEEPS(old_versions_and_foreign_protocols_are_refused)
{
    static struct pair pair;
    struct identity identity = identity_make();
    pair_open(&pair, &identity);
    SSL_set_min_proto_version(pair.client, TLS1_2_VERSION);
    SSL_set_max_proto_version(pair.client, TLS1_2_VERSION);
    handshake(&pair, 4096);
    CHECK_EQ(SSL_version(pair.client), TLS1_2_VERSION);
    pair_close(&pair);

    pair_open(&pair, &identity);
    SSL_set_security_level(pair.client, 0);
    SSL_set_min_proto_version(pair.client, TLS1_VERSION);
    SSL_set_max_proto_version(pair.client, TLS1_1_VERSION);
    SSL_do_handshake(pair.client);
    carry(&pair, 4096);
    CHECK(!SSL_is_init_finished(pair.client));
    pair_close(&pair);

    pair_open(&pair, &identity);
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    SSL_set_alpn_protos(pair.client, both, sizeof(both) - 1);
    handshake(&pair, 4096);
    const unsigned char *chosen;
    unsigned chosen_len;
    SSL_get0_alpn_selected(pair.client, &chosen, &chosen_len);
    CHECK_EQ(chosen_len, 8);
    CHECK_BYTES(chosen, "http/1.1", 8);
    pair_close(&pair);

    pair_open(&pair, &identity);
    static const unsigned char h2[] = "\x02h2";
    SSL_set_alpn_protos(pair.client, h2, sizeof(h2) - 1);
    SSL_do_handshake(pair.client);
    carry(&pair, 4096);
    CHECK(!SSL_is_init_finished(pair.client));
    CHECK_ERR(pair.end, ERR_INPUT);
    pair_close(&pair);
}

TEST_KEEPS(a_listener_speaks_one_protocol)
{
    static const unsigned char http[] = "\x08http/1.1", mqtt[] = "\x04mqtt";
    static const unsigned char both[] = "\x08http/1.1\x04mqtt";
    static const struct {
        enum tls_protocol protocol;
        const unsigned char *offers;
        unsigned offers_len;
        const char *chosen; /* NULL: refused; "": none */
    } table[] = {
        {TLS_MQTT, mqtt, sizeof(mqtt) - 1, "mqtt"},
        {TLS_MQTT, both, sizeof(both) - 1, "mqtt"},
        {TLS_MQTT, http, sizeof(http) - 1, NULL},
        {TLS_HTTP, mqtt, sizeof(mqtt) - 1, NULL},
        {TLS_MQTT, NULL, 0, ""},
        {TLS_HTTP, both, sizeof(both) - 1, "http/1.1"},
    };
    struct identity identity = identity_make();
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        static struct pair pair;
        const unsigned char *chosen;
        unsigned chosen_len;
        NOTE("row %zu", i);
        pair_open_for(&pair, &identity, table[i].protocol);
        if (table[i].offers != NULL)
            SSL_set_alpn_protos(pair.client, table[i].offers, table[i].offers_len);
        SSL_do_handshake(pair.client);
        carry(&pair, 4096);
        CHECK_EQ(SSL_is_init_finished(pair.client), table[i].chosen != NULL);
        SSL_get0_alpn_selected(pair.client, &chosen, &chosen_len);
        if (table[i].chosen != NULL) {
            CHECK_EQ(chosen_len, strlen(table[i].chosen));
            CHECK_BYTES(chosen, table[i].chosen, chosen_len);
        }
        pair_close(&pair);
    }
}

TEST_KEEPS(a_handshake_is_not_begun_anew)
{
    static struct pair pair;
    size_t sent;
    struct identity identity = identity_make();
    pair_open(&pair, &identity);
    SSL_set_max_proto_version(pair.client, TLS1_2_VERSION);
    handshake(&pair, 4096);
    CHECK_EQ(SSL_renegotiate(pair.client), 1);
    SSL_do_handshake(pair.client);
    carry(&pair, 4096);
    /* No answer of a handshake: what is said meanwhile belongs to the first one, or to none. */
    CHECK(SSL_write_ex(pair.client, "again", 5, &sent) != 1 || pair.end != ERR_OK);
    CHECK_EQ(pair.got_len, 0);
    pair_close(&pair);
}

TEST_KEEPS(plain_words_are_no_tls)
{
    static struct pair pair;
    struct identity identity = identity_make();
    pair_open(&pair, &identity);
    static const char plain[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    server_takes(&pair, plain, sizeof(plain) - 1);
    CHECK_ERR(pair.end, ERR_INPUT);
    CHECK_ERR(tls_filter_ops.push(pair.filter, (const uint8_t *)"x", 1), ERR_INPUT);
    pair_close(&pair);
}

TEST_KEEPS(bad_files_are_named)
{
    char why[TLS_WHY_BYTES];
    struct tls_context *context = NULL;
    const char *dir = kit_tempdir();
    struct identity good = identity_make(), another = identity_make();
    EVP_PKEY *key = key_make();
    const char *locked = kit_path(dir, "locked.pem"), *none = kit_path(dir, "none.pem");
    const char *words = kit_path(dir, "words.pem");
    key_write(locked, key, "secret");
    EVP_PKEY_free(key);
    CHECK_OK(file_write_atomic(words, "not a key", 9, 0600));
    const struct {
        const char *cert, *key;
        enum err err;
        const char *names, *says;
    } table[] = {
        {none, good.key, ERR_NOT_FOUND, none, "cannot be read"},
        {good.cert, none, ERR_NOT_FOUND, none, "cannot be read"},
        {words, good.key, ERR_INPUT, words, ""},
        {good.cert, words, ERR_INPUT, words, ""},
        {good.key, good.key, ERR_INPUT, good.key, ""},
        {good.cert, locked, ERR_INPUT, locked, "passphrase"},
        {good.cert, another.key, ERR_INPUT, another.key, ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        const struct tls_options options = {.cert_file = table[i].cert, .key_file = table[i].key};
        NOTE("row %zu: %s", i, why);
        CHECK_ERR(tls_context_create(&options, why, &context), table[i].err);
        CHECK(strstr(why, table[i].names) != NULL);
        CHECK(strstr(why, table[i].says) != NULL);
        CHECK_EQ(ERR_peek_error(), 0);
    }
    const struct tls_options options = {.cert_file = good.cert, .key_file = good.key};
    const struct tls_options wrong = {.cert_file = good.cert, .key_file = none};
    CHECK_OK(tls_context_create(&options, why, &context));
    CHECK_ERR(tls_context_reload(context, &wrong, why), ERR_NOT_FOUND);
    CHECK_OK(tls_context_reload(context, &options, why));
    void *filter;
    CHECK_OK(tls_filter_ops.create(context, &filter));
    tls_context_destroy(context); /* connections may outlive it */
    tls_filter_ops.destroy(filter);
}

TEST_KEEPS(our_failed_allocations)
{
    struct identity identity = identity_make();
    for (uint32_t nth = 1; nth < 40; nth++) {
        static struct pair pair;
        char why[TLS_WHY_BYTES], got[64];
        pair = (struct pair){0};
        const struct tls_options options = {.cert_file = identity.cert, .key_file = identity.key};
        mem_fail_at(nth);
        enum err err = tls_context_create(&options, why, &pair.context);
        if (err == ERR_OK) {
            err = tls_filter_ops.create(pair.context, &pair.filter);
            if (err == ERR_OK)
                tls_filter_ops.destroy(pair.filter);
            tls_context_destroy(pair.context);
        }
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);

        pair_open(&pair, &identity);
        mem_fail_at(nth);
        SSL_do_handshake(pair.client);
        carry(&pair, 4096);
        enum err pushed = tls_filter_ops.push(pair.filter, (const uint8_t *)"x", 1);
        CHECK(!fired || pushed != ERR_IO);
        carry(&pair, 4096);
        (void)client_read(&pair, got, sizeof(got));
        mem_fail_at(0);
        pair_close(&pair);
    }
}
