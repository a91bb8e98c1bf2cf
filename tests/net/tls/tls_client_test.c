/* The client's end against the server's end, in memory: who is let through and who is not. */
#include "net/tls/tls.h"
#include "net/tls/tls_certs.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

/* ---- two ends and the wire between them ---- */

struct end {
    const struct stream_filter_ops *ops;
    void *filter;
    char got[4096];
    size_t got_len;
    enum err over; /* what pull said beside ERR_OK and ERR_AGAIN */
};

struct wire {
    struct end server, client;
    size_t to_client;       /* bytes so far */
    size_t cut_at, flip_at; /* of them: none goes further; one arrives changed.  SIZE_MAX: not */
};

static void end_takes(struct end *end, const char *bytes, size_t len)
{
    char *guarded = kit_guard_page(bytes, len);
    CHECK_OK(end->ops->feed(end->filter, (const uint8_t *)guarded, len));
    for (;;) {
        size_t plain;
        enum err err = end->ops->pull(end->filter, (uint8_t *)end->got + end->got_len,
                                      sizeof(end->got) - end->got_len, &plain);
        if (err != ERR_OK) {
            end->over = err == ERR_AGAIN ? ERR_OK : err;
            break;
        }
        end->got_len += plain;
    }
    kit_free_guard(guarded);
}

static bool carry_one(struct wire *wire, struct end *from, struct end *to, size_t step)
{
    char bytes[4096];
    struct str out = from->ops->wire(from->filter);
    size_t len = out.len < step ? out.len : step;
    if (len == 0)
        return false;
    CHECK(len <= sizeof(bytes));
    memcpy(bytes, out.at, len);
    from->ops->drained(from->filter, len);
    size_t arrives = len;
    if (to == &wire->client) {
        size_t begin = wire->to_client;
        wire->to_client += len;
        if (wire->flip_at >= begin && wire->flip_at - begin < len)
            bytes[wire->flip_at - begin] ^= 0x40;
        arrives = wire->cut_at >= wire->to_client ? len
                  : wire->cut_at > begin          ? wire->cut_at - begin
                                                  : 0;
    }
    if (arrives != 0 && to->over == ERR_OK)
        end_takes(to, bytes, arrives);
    return true;
}

static void carry(struct wire *wire, size_t step)
{
    bool moved = true;
    while (moved) {
        moved = carry_one(wire, &wire->client, &wire->server, step);
        moved = carry_one(wire, &wire->server, &wire->client, step) || moved;
    }
}

static struct wire wire_make(void)
{
    return (struct wire){.server = {.ops = &tls_filter_ops},
                         .client = {.ops = &tls_client_filter_ops},
                         .cut_at = SIZE_MAX,
                         .flip_at = SIZE_MAX};
}

static void wire_open(struct wire *wire, struct tls_context *context, struct tls_client *client)
{
    CHECK_OK(wire->server.ops->create(context, &wire->server.filter));
    CHECK_OK(wire->client.ops->create(client, &wire->client.filter));
}

static void wire_close(struct wire *wire)
{
    wire->server.ops->destroy(wire->server.filter);
    wire->client.ops->destroy(wire->client.filter);
}

static enum err says(struct end *end, const char *words)
{
    return end->ops->push(end->filter, (const uint8_t *)words, strlen(words));
}

/* ---- a house with certificates ---- */

static const char *dir, *ca_path, *cert_path, *key_path;
static struct cert ca;

static void house_open(void)
{
    dir = kit_tempdir();
    ca_path = kit_path(dir, "ca.pem");
    cert_path = kit_path(dir, "cert.pem");
    key_path = kit_path(dir, "key.pem");
    ca = cert_make(&(struct cert_options){.name = "Test CA", .is_ca = true}, NULL);
    cert_write(ca_path, &ca, NULL);
}

static void server_files(const struct cert *cert, const struct cert *more)
{
    cert_write(cert_path, cert, more);
    key_write(key_path, cert->key, NULL);
}

static void server_is(const struct cert_options *options, const struct cert *issuer)
{
    struct cert cert = cert_make(options, issuer);
    server_files(&cert, NULL);
    cert_free(&cert);
}

static struct tls_context *context_make(enum tls_protocol protocol)
{
    char why[TLS_WHY_BYTES];
    struct tls_context *context;
    const struct tls_options options = {
        .cert_file = cert_path, .key_file = key_path, .protocol = protocol};
    CHECK_OK(tls_context_create(&options, why, &context));
    return context;
}

static struct tls_client *client_make(const char *ca_file, const char *server)
{
    char why[TLS_WHY_BYTES];
    struct tls_client *client;
    const struct tls_client_options options = {
        .ca_file = ca_file, .server = server, .protocol = TLS_MQTT};
    CHECK_OK(tls_client_create(&options, why, &client));
    return client;
}

static const struct cert_options cafe = {.name = "cafe", .san = "DNS:cafe.example,IP:127.0.0.1"};

/* ---- */

TEST_KEEPS(words_go_both_ways_in_pieces_of_any_size)
{
    static const size_t steps[] = {1, 7, 100, 4096};
    house_open();
    server_is(&cafe, &ca);
    struct tls_context *context = context_make(TLS_MQTT);
    struct tls_client *client = client_make(ca_path, "cafe.example");
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        static struct wire wire;
        wire = wire_make();
        wire_open(&wire, context, client);
        CHECK(wire.client.ops->wire(wire.client.filter).len > 0); /* it speaks first */
        CHECK_ERR(says(&wire.client, "early"), ERR_AGAIN);
        carry(&wire, steps[i]);
        CHECK_OK(says(&wire.client, "hello"));
        CHECK_OK(says(&wire.server, "world"));
        carry(&wire, steps[i]);
        CHECK_EQ(wire.server.got_len, 5);
        CHECK_BYTES(wire.server.got, "hello", 5);
        CHECK_EQ(wire.client.got_len, 5);
        CHECK_BYTES(wire.client.got, "world", 5);
        CHECK_EQ(wire.client.ops->wire(wire.client.filter).len, 0);
        struct end *first = i % 2 != 0 ? &wire.client : &wire.server;
        struct end *second = i % 2 != 0 ? &wire.server : &wire.client;
        first->ops->finish(first->filter);
        carry(&wire, steps[i]);
        CHECK_ERR(second->over, ERR_CLOSED);
        CHECK_OK(first->over);
        second->ops->finish(second->filter);
        carry(&wire, steps[i]);
        CHECK_ERR(first->over, ERR_CLOSED);
        CHECK_STR(tls_client_why(client), ""); /* an end in order is no failure */
        wire_close(&wire);
    }
    tls_client_destroy(client);
    tls_context_destroy(context);
    cert_free(&ca);
}

/* One handshake: was it good, and if not, what is said of it? */
static void meets(const char *ca_file, const char *server, const char *says_why)
{
    static struct wire wire;
    struct tls_context *context = context_make(TLS_MQTT);
    struct tls_client *client = client_make(ca_file, server);
    wire = wire_make();
    wire_open(&wire, context, client);
    carry(&wire, 4096);
    NOTE("\"%s\": %s", server, tls_client_why(client));
    if (says_why == NULL) {
        CHECK_OK(says(&wire.client, "token"));
        CHECK_STR(tls_client_why(client), "");
    } else {
        CHECK_ERR(wire.client.over, ERR_INPUT);
        CHECK_ERR(says(&wire.client, "token"), ERR_INPUT);
        CHECK(strstr(tls_client_why(client), says_why) != NULL);
        CHECK_ERR(wire.server.over, ERR_INPUT); /* the alert arrived */
    }
    carry(&wire, 4096);
    CHECK_EQ(wire.server.got_len, says_why == NULL ? 5 : 0);
    CHECK_EQ(ERR_peek_error(), 0);
    wire_close(&wire);
    tls_client_destroy(client);
    tls_context_destroy(context);
}

TEST_KEEPS(names)
{
    static const struct {
        const char *san, *server;
        bool good;
    } table[] = {
        {"DNS:cafe.example", "cafe.example", true},
        {"DNS:cafe.example", "CAFE.example.", true},
        {"DNS:cafe.example", "cafe.example.evil", false},
        {"DNS:cafe.example", "evil.cafe.example", false},
        {"DNS:*.cafe.example", "a.cafe.example", true},
        {"DNS:*.cafe.example", "cafe.example", false},
        {"DNS:*.cafe.example", "a.b.cafe.example", false},
        {"DNS:b*.cafe.example", "bar.cafe.example", false},
        {"IP:127.0.0.1", "127.0.0.1", true},
        {"IP:127.0.0.1", "127.0.0.2", false},
        {"IP:127.0.0.1", "localhost", false},
        {"DNS:127.0.0.1", "127.0.0.1", false}, /* an address is no name */
        {"IP:::1", "::1", true},
        {"IP:::1", "0:0:0:0:0:0:0:1", true},
        {"IP:::1", "::2", false},
        {NULL, "cafe", false}, /* the common name counts for nothing */
        {"DNS:other.example,DNS:cafe.example,IP:10.0.0.1", "cafe.example", true},
    };
    house_open();
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        NOTE("row %zu", i);
        server_is(&(struct cert_options){.name = "cafe", .san = table[i].san}, &ca);
        meets(ca_path, table[i].server, table[i].good ? NULL : "mismatch");
    }
    cert_free(&ca);
}

TEST_KEEPS(chains_and_dates)
{
    static const struct cert_options ca_options = {.name = "Test CA", .is_ca = true};
    struct cert_options options = cafe;
    house_open();
    const char *other_path = kit_path(dir, "other.pem");
    struct cert other = cert_make(&ca_options, NULL); /* of the same name */
    cert_write(other_path, &other, NULL);

    server_is(&options, &ca);
    meets(ca_path, "cafe.example", NULL);
    meets(other_path, "cafe.example", "certificate");
    meets(NULL, "cafe.example", "issuer"); /* the system knows nothing of it */
    options.from_s = -7200;
    options.to_s = -3600;
    server_is(&options, &ca);
    meets(ca_path, "cafe.example", "expired");
    options.from_s = 3600;
    options.to_s = 7200;
    server_is(&options, &ca);
    meets(ca_path, "cafe.example", "not yet valid");
    options = cafe;
    options.use = "clientAuth";
    server_is(&options, &ca);
    meets(ca_path, "cafe.example", "purpose");
    cert_free(&other);
    cert_free(&ca);
}

TEST_KEEPS(links_of_a_chain)
{
    house_open();
    const char *leaf_path = kit_path(dir, "leaf.pem");
    struct cert middle = cert_make(&(struct cert_options){.name = "Middle CA", .is_ca = true}, &ca);
    struct cert leaf = cert_make(&cafe, &middle);
    cert_write(leaf_path, &leaf, NULL);
    server_files(&leaf, &middle);
    meets(ca_path, "cafe.example", NULL);
    server_files(&leaf, NULL); /* the link is missing */
    meets(ca_path, "cafe.example", "issuer");
    meets(leaf_path, "cafe.example", NULL); /* trusted as it stands */
    meets(leaf_path, "other.example", "mismatch");

    /* Issued by one that may not. */
    struct cert guest =
        cert_make(&(struct cert_options){.name = "guest", .san = "DNS:guest.example"}, &leaf);
    cert_write(ca_path, &ca, &middle);
    server_files(&guest, &leaf);
    meets(ca_path, "guest.example", "CA");
    cert_free(&guest);

    struct cert alone = cert_make(&cafe, NULL);
    server_files(&alone, NULL);
    meets(ca_path, "cafe.example", "self-signed");
    meets(cert_path, "cafe.example", NULL);
    cert_free(&alone);
    cert_free(&leaf);
    cert_free(&middle);
    cert_free(&ca);
}

TEST_KEEPS(another_protocol)
{
    static struct wire wire;
    house_open();
    server_is(&cafe, &ca);
    struct tls_context *context = context_make(TLS_HTTP);
    struct tls_client *client = client_make(ca_path, "cafe.example");
    wire = wire_make();
    wire_open(&wire, context, client);
    carry(&wire, 4096);
    CHECK_ERR(wire.client.over, ERR_INPUT);
    CHECK(strstr(tls_client_why(client), "application protocol") != NULL);
    wire_close(&wire);
    tls_client_destroy(client);
    tls_context_destroy(context);
    cert_free(&ca);
}

TEST_KEEPS(a_new_certificate_is_for_new_connections)
{
    static struct wire before, after;
    char why[TLS_WHY_BYTES];
    house_open();
    server_is(&cafe, &ca);
    struct tls_context *context = context_make(TLS_MQTT);
    struct tls_client *client = client_make(ca_path, "cafe.example");
    before = wire_make();
    wire_open(&before, context, client);
    carry(&before, 4096);
    server_is(&(struct cert_options){.name = "cafe", .san = "DNS:new.example"}, &ca);
    const struct tls_options options = {
        .cert_file = cert_path, .key_file = key_path, .protocol = TLS_MQTT};
    CHECK_OK(tls_context_reload(context, &options, why));
    CHECK_OK(says(&before.client, "still"));
    carry(&before, 4096);
    CHECK_EQ(before.server.got_len, 5);
    wire_close(&before);
    after = wire_make();
    wire_open(&after, context, client);
    carry(&after, 4096);
    CHECK(strstr(tls_client_why(client), "mismatch") != NULL);
    wire_close(&after);
    tls_client_destroy(client);
    client = client_make(ca_path, "new.example");
    after = wire_make();
    wire_open(&after, context, client);
    carry(&after, 4096);
    CHECK_OK(says(&after.client, "hello"));
    wire_close(&after);
    tls_client_destroy(client);
    tls_context_destroy(context);
    cert_free(&ca);
}

/* ---- what is damaged ---- */

/* A whole dialogue, of which the client is told `cut_at` bytes, or one of them wrongly. */
static size_t dialogue(struct tls_context *context, struct tls_client *client, size_t cut_at,
                       size_t flip_at, struct end *ret_client)
{
    static struct wire wire;
    wire = wire_make();
    wire.cut_at = cut_at;
    wire.flip_at = flip_at;
    wire_open(&wire, context, client);
    carry(&wire, 4096);
    if (says(&wire.client, "token") == ERR_OK)
        carry(&wire, 4096);
    if (says(&wire.server, "answer") == ERR_OK)
        carry(&wire, 4096);
    *ret_client = wire.client;
    if (cut_at < wire.to_client || flip_at < wire.to_client)
        CHECK(wire.client.got_len == 0 || memcmp(wire.client.got, "answer", 6) == 0);
    size_t all = wire.to_client;
    wire_close(&wire);
    return all;
}

TEST_KEEPS(a_dialogue_cut_anywhere)
{
    static struct end end;
    house_open();
    server_is(&cafe, &ca);
    struct tls_context *context = context_make(TLS_MQTT);
    struct tls_client *client = client_make(ca_path, "cafe.example");
    size_t all = dialogue(context, client, SIZE_MAX, SIZE_MAX, &end);
    CHECK_EQ(end.got_len, 6);
    for (size_t cut = 0; cut + 16 < all; cut += cut < 300 ? 1 : 7) {
        (void)dialogue(context, client, cut, SIZE_MAX, &end);
        NOTE("%zu of %zu", cut, all);
        CHECK_OK(end.over); /* it waits for more */
        CHECK_EQ(end.got_len, 0);
    }
    tls_client_destroy(client);
    tls_context_destroy(context);
    cert_free(&ca);
}

TEST_KEEPS(a_byte_changed_anywhere)
{
    static struct end end;
    unsigned refused = 0, tried = 0;
    house_open();
    server_is(&cafe, &ca);
    struct tls_context *context = context_make(TLS_MQTT);
    struct tls_client *client = client_make(ca_path, "cafe.example");
    size_t all = dialogue(context, client, SIZE_MAX, SIZE_MAX, &end);
    for (size_t flip = 0; flip + 16 < all; flip += 3) {
        (void)dialogue(context, client, SIZE_MAX, flip, &end);
        NOTE("%zu of %zu", flip, all);
        tried++;
        if (end.over != ERR_OK) {
            CHECK_ERR(end.over, ERR_INPUT);
            CHECK(tls_client_why(client)[0] != '\0');
            refused++;
        }
    }
    /* A record's version says nothing, and a longer length waits: all else is noticed. */
    CHECK(refused * 10 > tried * 9);
    tls_client_destroy(client);
    tls_context_destroy(context);
    cert_free(&ca);
}

TEST_KEEPS(what_is_no_tls)
{
    static const char *const table[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n", " \x02\x00\x00", /* CONNACK */
        "\x15\x03\x03\x00\x02\x02\x28",     "\x16\x03\x03\xff\xff garbage",
        "\x17\x03\x03\x00\x05plain",
    };
    house_open();
    struct tls_client *client = client_make(ca_path, "cafe.example");
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        static struct end end;
        char bytes[64] = {0};
        memcpy(bytes, table[i], strlen(table[i]));
        NOTE("row %zu", i);
        end = (struct end){.ops = &tls_client_filter_ops};
        CHECK_OK(end.ops->create(client, &end.filter));
        end_takes(&end, bytes, sizeof(bytes));
        CHECK_ERR(end.over, ERR_INPUT);
        CHECK_EQ(end.got_len, 0);
        CHECK_ERR(says(&end, "token"), ERR_INPUT);
        CHECK(tls_client_why(client)[0] != '\0');
        end.ops->finish(end.filter);
        end.ops->destroy(end.filter);
    }
    tls_client_destroy(client);
    cert_free(&ca);
}

/* ---- a server that is not ours ---- */

struct stranger {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out;
    char name[256]; /* SNI */
    unsigned char offers[64];
    unsigned offers_len;
};

static int noted(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                 const unsigned char *in, unsigned in_len, void *cookie)
{
    struct stranger *stranger = cookie;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)out;
    (void)out_len;
    (void)snprintf(stranger->name, sizeof(stranger->name), "%s", name != NULL ? name : "");
    CHECK(in_len <= sizeof(stranger->offers));
    memcpy(stranger->offers, in, in_len);
    stranger->offers_len = in_len;
    return SSL_TLSEXT_ERR_NOACK; /* many brokers choose nothing */
}

static void stranger_open(struct stranger *stranger, int version_max)
{
    *stranger = (struct stranger){.context = SSL_CTX_new(TLS_server_method())};
    SSL_CTX_set_security_level(stranger->context, 0);
    SSL_CTX_set_min_proto_version(stranger->context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(stranger->context, version_max);
    CHECK_EQ(SSL_CTX_use_certificate_chain_file(stranger->context, cert_path), 1);
    CHECK_EQ(SSL_CTX_use_PrivateKey_file(stranger->context, key_path, SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_alpn_select_cb(stranger->context, noted, stranger);
    stranger->ssl = SSL_new(stranger->context);
    stranger->in = BIO_new(BIO_s_mem());
    stranger->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(stranger->in, -1);
    SSL_set_bio(stranger->ssl, stranger->in, stranger->out);
    SSL_set_accept_state(stranger->ssl);
}

static void stranger_close(struct stranger *stranger)
{
    SSL_free(stranger->ssl);
    SSL_CTX_free(stranger->context);
    ERR_clear_error();
}

static void talk(struct stranger *stranger, struct end *end)
{
    char bytes[4096];
    for (bool moved = true; moved;) {
        struct str out = end->ops->wire(end->filter);
        moved = out.len != 0;
        if (out.len != 0) {
            CHECK_EQ(BIO_write(stranger->in, out.at, (int)out.len), (int)out.len);
            end->ops->drained(end->filter, out.len);
        }
        (void)SSL_read(stranger->ssl, bytes, sizeof(bytes));
        int len = BIO_read(stranger->out, bytes, sizeof(bytes));
        if (len > 0) {
            moved = true;
            if (end->over == ERR_OK)
                end_takes(end, bytes, (size_t)len);
        }
    }
}

TEST_KEEPS(what_a_server_is_told)
{
    static struct end end;
    struct stranger stranger;
    house_open();
    server_is(&cafe, &ca);
    static const char *const servers[] = {"cafe.example", "127.0.0.1"};
    for (size_t i = 0; i < ARRAY_COUNT(servers); i++) {
        struct tls_client *client = client_make(ca_path, servers[i]);
        stranger_open(&stranger, TLS1_3_VERSION);
        end = (struct end){.ops = &tls_client_filter_ops};
        CHECK_OK(end.ops->create(client, &end.filter));
        talk(&stranger, &end);
        CHECK_OK(says(&end, "hello")); /* no ALPN in the answer is good, too */
        CHECK_STR(stranger.name, i == 0 ? "cafe.example" : "");
        CHECK_EQ(stranger.offers_len, 5);
        CHECK_BYTES(stranger.offers, "\x04mqtt", 5);
        end.ops->destroy(end.filter);
        stranger_close(&stranger);
        tls_client_destroy(client);
    }
    cert_free(&ca);
}

TEST_KEEPS(versions_of_a_server)
{
    static const struct {
        int version_max;
        bool good;
    } table[] = {{TLS1_VERSION, false}, {TLS1_1_VERSION, false}, {TLS1_2_VERSION, true}};
    static struct end end;
    struct stranger stranger;
    house_open();
    server_is(&cafe, &ca);
    struct tls_client *client = client_make(ca_path, "cafe.example");
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        stranger_open(&stranger, table[i].version_max);
        end = (struct end){.ops = &tls_client_filter_ops};
        CHECK_OK(end.ops->create(client, &end.filter));
        talk(&stranger, &end);
        CHECK_EQ(SSL_is_init_finished(stranger.ssl), table[i].good);
        CHECK_EQ(says(&end, "hello") == ERR_OK, table[i].good);
        end.ops->destroy(end.filter);
        stranger_close(&stranger);
    }
    tls_client_destroy(client);
    cert_free(&ca);
}

TEST_KEEPS(a_handshake_is_not_begun_anew)
{
    static struct end end;
    struct stranger stranger;
    house_open();
    server_is(&cafe, &ca);
    struct tls_client *client = client_make(ca_path, "cafe.example");
    stranger_open(&stranger, TLS1_2_VERSION);
    end = (struct end){.ops = &tls_client_filter_ops};
    CHECK_OK(end.ops->create(client, &end.filter));
    talk(&stranger, &end);
    CHECK(SSL_is_init_finished(stranger.ssl));
    CHECK_EQ(SSL_renegotiate(stranger.ssl), 1);
    SSL_do_handshake(stranger.ssl); /* HelloRequest */
    SSL_do_handshake(stranger.ssl); /* now it waits for a ClientHello */
    talk(&stranger, &end);
    CHECK_EQ(SSL_total_renegotiations(stranger.ssl), 1);                       /* asked for ... */
    CHECK(SSL_in_before(stranger.ssl) || !SSL_is_init_finished(stranger.ssl)); /* ... in vain */
    CHECK_EQ(end.got_len, 0);
    end.ops->destroy(end.filter);
    stranger_close(&stranger);
    tls_client_destroy(client);
    cert_free(&ca);
}

/* ---- making ---- */

TEST_KEEPS(bad_options_are_named)
{
    static char longest[257];
    char why[TLS_WHY_BYTES];
    house_open();
    memset(longest, 'a', sizeof(longest) - 1);
    struct cert cert = cert_make(&cafe, &ca);
    key_write(key_path, cert.key, NULL);
    cert_free(&cert);
    const char *none = kit_path(dir, "none.pem");
    const char *words = kit_path(dir, "words.pem");
    CHECK_OK(file_write_atomic(words, "no certificate", 14, 0600));
    const struct {
        const char *ca_file, *server;
        enum err err;
        const char *says;
    } table[] = {
        {none, "cafe", ERR_NOT_FOUND, none},     {words, "cafe", ERR_INPUT, words},
        {key_path, "cafe", ERR_INPUT, key_path}, {ca_path, NULL, ERR_INPUT, "name"},
        {ca_path, "", ERR_INPUT, "name"},        {ca_path, ".", ERR_INPUT, "name"},
        {ca_path, ".cafe", ERR_INPUT, "name"},   {ca_path, longest, ERR_INPUT, "name"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct tls_client *client = NULL;
        const struct tls_client_options options = {.ca_file = table[i].ca_file,
                                                   .server = table[i].server};
        CHECK_ERR(tls_client_create(&options, why, &client), table[i].err);
        NOTE("row %zu: %s", i, why);
        CHECK(strstr(why, table[i].says) != NULL);
        CHECK(client == NULL);
        CHECK_EQ(ERR_peek_error(), 0);
    }
    tls_client_destroy(NULL);
    cert_free(&ca);
}

TEST_KEEPS(our_failed_allocations)
{
    bool fired = true;
    house_open();
    server_is(&cafe, &ca);
    struct tls_context *context = context_make(TLS_MQTT);
    for (uint32_t nth = 1; fired; nth++) {
        static struct wire wire;
        char why[TLS_WHY_BYTES];
        struct tls_client *client;
        const struct tls_client_options options = {
            .ca_file = ca_path, .server = "cafe.example", .protocol = TLS_MQTT};
        int64_t live = mem_live();
        wire = wire_make();
        CHECK_OK(wire.server.ops->create(context, &wire.server.filter));
        CHECK(nth < 100);
        mem_fail_at(nth);
        enum err err = tls_client_create(&options, why, &client);
        if (err == ERR_OK) {
            err = wire.client.ops->create(client, &wire.client.filter);
            if (err == ERR_OK) {
                carry(&wire, 4096);
                if (says(&wire.client, "token") == ERR_OK)
                    carry(&wire, 4096);
                fired = mem_fail_fired();
                CHECK_EQ(wire.server.got_len == 5 || fired, true);
                wire.client.ops->destroy(wire.client.filter);
            }
            tls_client_destroy(client);
        }
        fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK(err == ERR_OK || (fired && err == ERR_NOMEM));
        wire.server.ops->destroy(wire.server.filter);
        CHECK_EQ(mem_live(), live);
        CHECK_EQ(ERR_peek_error(), 0);
    }
    tls_context_destroy(context);
    cert_free(&ca);
}
