/* HTTP, TLS and WebSocket as the web room puts them together: over real sockets, against OpenSSL's
 * own client. */
#include "http/dialogue.h"
#include "http/http_test_handler.h"
#include "net/tls/tls.h"
#include "net/ws/ws.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define HOST "Host: cafe.example\r\n"

/* ---- a certificate of our own ---------------------------------------------------------------- */

static struct tls_context *context_make(void)
{
    const char *dir = kit_tempdir();
    const char *cert_path = kit_path(dir, "cert.pem"), *key_path = kit_path(dir, "key.pem");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    CHECK(key != NULL && cert != NULL);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)"cafe.example", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    CHECK(X509_sign(cert, key, EVP_sha256()) != 0);
    FILE *file = fopen(cert_path, "w");
    CHECK(file != NULL && PEM_write_X509(file, cert) == 1);
    fclose(file);
    file = fopen(key_path, "w");
    CHECK(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
    struct tls_context *context;
    char why[TLS_WHY_BYTES];
    const struct tls_options options = {.cert_file = cert_path, .key_file = key_path};
    CHECK_OK(tls_context_create(&options, why, &context));
    return context;
}

/* ---- a client that speaks TLS ------------------------------------------------------------------
 */

struct secret {
    struct client raw;
    SSL_CTX *context;
    SSL *ssl;
    char got[64 * 1024];
    size_t len;
    bool end;
};

static struct secret secret;

static void secret_open(struct dialogue *dialogue, struct secret *client)
{
    client_open(dialogue, &client->raw);
    client->len = 0;
    client->got[0] = '\0';
    client->end = false;
    client->context = SSL_CTX_new(TLS_client_method());
    client->ssl = SSL_new(client->context);
    CHECK_EQ(SSL_set_fd(client->ssl, client->raw.fd), 1);
    SSL_set_connect_state(client->ssl);
    while (SSL_do_handshake(client->ssl) != 1) {
        NOTE("the handshake");
        CHECK(SSL_get_error(client->ssl, -1) != SSL_ERROR_SSL);
        dialogue_turn(dialogue, client->raw.fd);
    }
}

static void secret_close(struct secret *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    client_close(&client->raw);
    ERR_clear_error();
}

static void secret_send_bytes(struct secret *client, const void *bytes, size_t len)
{
    size_t sent;
    CHECK_EQ(SSL_write_ex(client->ssl, bytes, len, &sent), 1);
    CHECK_EQ(sent, len);
}

static void secret_send(struct secret *client, const char *text)
{
    secret_send_bytes(client, text, strlen(text));
}

static void secret_receive(struct secret *client)
{
    size_t got;
    while (client->len < sizeof(client->got) - 1 &&
           SSL_read_ex(client->ssl, client->got + client->len,
                       sizeof(client->got) - 1 - client->len, &got) == 1)
        client->len += got;
    client->got[client->len] = '\0';
    client->end = (SSL_get_shutdown(client->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
    ERR_clear_error();
}

static void secret_expect(struct dialogue *dialogue, struct secret *client, const char *text)
{
    char *found;
    secret_receive(client);
    while ((found = strstr(client->got, text)) == NULL) {
        NOTE("waiting for \"%s\"; so far \"%s\"", text, client->got);
        CHECK(!client->end);
        dialogue_turn(dialogue, client->raw.fd);
        secret_receive(client);
    }
    size_t used = (size_t)(found - client->got) + strlen(text);
    memmove(client->got, client->got + used, client->len - used + 1);
    client->len -= used;
}

static void secret_expect_end(struct dialogue *dialogue, struct secret *client)
{
    secret_receive(client);
    while (!client->end) {
        NOTE("waiting for the end; so far \"%s\"", client->got);
        dialogue_turn(dialogue, client->raw.fd);
        secret_receive(client);
    }
    CHECK_STR(client->got, "");
    secret_close(client);
}

static struct http_options tls_options_of(struct cafe *cafe, struct tls_context *context)
{
    return (struct http_options){.handler = CAFE_HANDLER,
                                 .cookie = cafe,
                                 .filter = &tls_filter_ops,
                                 .filter_context = context};
}

TEST_KEEPS(requests_over_tls)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    struct tls_context *context = context_make();
    struct http_options options = tls_options_of(&cafe, context);
    dialogue_open(&dialogue, &options);
    secret_open(&dialogue, &secret);
    for (int i = 0; i < 3; i++) {
        secret_send(&secret, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        secret_expect(&dialogue, &secret, "HTTP/1.1 200 OK\r\n");
        secret_expect(&dialogue, &secret, "\r\n\r\nhello");
    }
    secret_send(&secret, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc");
    secret_send(&secret, "def"
                         "GET /park HTTP/1.1\r\n" HOST "\r\nGET /nothing HTTP/1.1\r\n" HOST "\r\n");
    secret_expect(&dialogue, &secret, "\r\n\r\nabcdef");
    while (cafe.parked_count == 0)
        dialogue_turn(&dialogue, -1);
    cafe_wake(&cafe, 0, "woken");
    secret_expect(&dialogue, &secret, "\r\n\r\nwoken");
    secret_expect(&dialogue, &secret, "HTTP/1.1 204 ");
    secret_send(&secret, "GET /end HTTP/1.1\r\n" HOST "\r\n");
    secret_expect(&dialogue, &secret, "\r\n\r\nhello");
    secret_expect_end(&dialogue, &secret); /* in order: close_notify */

    secret_open(&dialogue, &secret);
    secret_send(&secret, "GET / HTTP/1.1\r\nX : y\r\n\r\n");
    secret_expect(&dialogue, &secret, "HTTP/1.1 400 ");
    secret_expect(&dialogue, &secret, "\"}");
    secret_expect_end(&dialogue, &secret);
    dialogue_close(&dialogue);
    tls_context_destroy(context);
}

TEST_KEEPS(large_answers_and_streams_over_tls)
{
    struct cafe cafe = {.big_bytes = 8 * MIB};
    cafe.big = mem_alloc(cafe.big_bytes);
    CHECK(cafe.big != NULL);
    for (size_t i = 0; i < cafe.big_bytes; i++)
        cafe.big[i] = (char)(i * 31 + (i >> 12));
    struct dialogue dialogue;
    struct tls_context *context = context_make();
    struct http_options options = tls_options_of(&cafe, context);
    dialogue_open(&dialogue, &options);
    secret_open(&dialogue, &secret);
    secret_send(&secret, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    secret_expect(&dialogue, &secret, "\r\n\r\n");
    for (size_t at = 0; at < cafe.big_bytes;) {
        CHECK(at + secret.len <= cafe.big_bytes);
        CHECK_EQ(memcmp(secret.got, cafe.big + at, secret.len), 0);
        at += secret.len;
        secret.len = 0;
        if (at == cafe.big_bytes)
            break;
        dialogue_turn(&dialogue, secret.raw.fd);
        secret_receive(&secret);
    }
    CHECK_EQ(cafe.freed, 1);
    secret.got[0] = '\0';
    secret_send(&secret, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    secret_expect(&dialogue, &secret, "\r\n\r\n");
    size_t lumps = 0;
    while (http_stream_write(cafe.streaming, (struct str){cafe.big, 64 * KIB}) == ERR_OK)
        CHECK(++lumps < 1000);
    size_t seen = 0;
    while (cafe.room == 0) {
        dialogue_turn(&dialogue, secret.raw.fd);
        secret_receive(&secret);
        seen += secret.len;
        secret.len = 0;
    }
    http_stream_end(cafe.streaming);
    size_t total = lumps * (64 * KIB + sizeof("10000\r\n\r\n") - 1) + 5;
    while (seen < total) {
        dialogue_turn(&dialogue, secret.raw.fd);
        secret_receive(&secret);
        seen += secret.len;
        secret.len = 0;
    }
    CHECK_EQ(seen, total);
    secret_close(&secret);
    dialogue_close(&dialogue);
    tls_context_destroy(context);
    mem_free(cafe.big);
}

TEST_KEEPS(tls_clients_that_leave_or_dawdle)
{
    struct cafe cafe = {0};
    struct dialogue dialogue;
    struct tls_context *context = context_make();
    struct http_options options = tls_options_of(&cafe, context);
    options.head_timeout_ms = 60;
    dialogue_open(&dialogue, &options);
    secret_open(&dialogue, &secret);
    secret_send(&secret, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    while (cafe.parked_count == 0)
        dialogue_turn(&dialogue, -1);
    SSL_shutdown(secret.ssl);
    while (cafe.gone == 0)
        dialogue_turn(&dialogue, -1);
    secret_close(&secret);

    /* A handshake that does not go on, and one that is none. */
    static struct client raw;
    client_open(&dialogue, &raw);
    client_send_bytes(&dialogue, &raw, "\x16\x03\x01", 3);
    client_expect_end(&dialogue, &raw);
    client_open(&dialogue, &raw);
    client_send(&dialogue, &raw, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    while (!raw.eof) {
        dialogue_turn(&dialogue, raw.fd);
        client_receive(&raw);
    }
    CHECK(strstr(raw.got, "HTTP") == NULL);
    client_close(&raw);

    /* A head that stops under TLS. */
    secret_open(&dialogue, &secret);
    secret_send(&secret, "GET /hello HT");
    secret_expect(&dialogue, &secret, "HTTP/1.1 408 ");
    secret_expect(&dialogue, &secret, "\"}");
    secret_expect_end(&dialogue, &secret);
    struct http_stats stats;
    do { /* nobody is left over */
        dialogue_turn(&dialogue, -1);
        http_server_stats(dialogue.server, &stats);
    } while (stats.connections != 0);
    dialogue_close(&dialogue);
    tls_context_destroy(context);
}

static void note_stopped(void *cookie)
{
    ((struct dialogue *)cookie)->stopped = true;
}

TEST_KEEPS(stopping_under_tls)
{
    struct cafe cafe = {.answer_on_stop = true};
    struct dialogue dialogue;
    struct tls_context *context = context_make();
    struct http_options options = tls_options_of(&cafe, context);
    dialogue_open(&dialogue, &options);
    secret_open(&dialogue, &secret);
    secret_send(&secret, "GET /park HTTP/1.1\r\n" HOST "\r\n");
    while (cafe.parked_count == 0)
        dialogue_turn(&dialogue, -1);
    http_server_stop(dialogue.server, note_stopped, &dialogue);
    secret_expect(&dialogue, &secret, "HTTP/1.1 204 No Content\r\n");
    secret_expect(&dialogue, &secret, "Connection: close\r\n\r\n");
    secret_expect_end(&dialogue, &secret);
    while (!dialogue.stopped)
        dialogue_turn(&dialogue, -1);
    dialogue_close(&dialogue);
    tls_context_destroy(context);
}

/* ---- WebSocket over it all ----------------------------------------------------------------------
 */

struct hub {
    struct loop *loop;
    struct ws *ws;
    unsigned gone;
    uint16_t code;
};

static void hub_message(void *cookie, struct ws *ws, bool text, struct str message)
{
    (void)cookie;
    CHECK_OK(ws_send(ws, text, message));
}

static void hub_gone(void *cookie, struct ws *ws, uint16_t code)
{
    struct hub *hub = cookie;
    CHECK(ws == hub->ws);
    hub->gone++;
    hub->code = code;
    hub->ws = NULL;
}

static const struct ws_user hub_user = {hub_message, hub_gone};

static void hub_request(void *cookie, struct http_request *req)
{
    struct hub *hub = cookie;
    const struct http_head *head = http_request_head(req);
    const struct ws_request handshake = {.get = head->method == HTTP_GET && head->minor == 1,
                                         .upgrade = http_header(req, STR("upgrade")),
                                         .connection = http_header(req, STR("connection")),
                                         .version = http_header(req, STR("sec-websocket-version")),
                                         .key = http_header(req, STR("sec-websocket-key"))};
    char accept[WS_ACCEPT_BYTES];
    if (ws_handshake(&handshake, accept) != ERR_OK) {
        http_respond(req, &(struct http_answer){.status = 400});
        return;
    }
    const struct http_field fields[] = {{STR("Upgrade"), STR("websocket")},
                                        {STR("Sec-WebSocket-Accept"), str_from(accept)}};
    struct stream *stream = http_upgrade(req, fields, 2);
    CHECK_OK(ws_create(hub->loop, stream, NULL, &hub_user, hub, &hub->ws));
}

static size_t masked(uint8_t *dst, unsigned first, const char *payload)
{
    size_t len = strlen(payload);
    CHECK(len < 126);
    dst[0] = (uint8_t)first;
    dst[1] = (uint8_t)(0x80 | len);
    static const char mask[4] = {'m', 'a', 's', 'k'};
    memcpy(dst + 2, mask, sizeof(mask));
    for (size_t i = 0; i < len; i++)
        dst[6 + i] = (uint8_t)(payload[i] ^ mask[i % 4]);
    return 6 + len;
}

static void hub_talk(struct dialogue *dialogue, struct hub *hub, struct secret *client)
{
    uint8_t frame[256];
    secret_send(client, "GET /ws HTTP/1.1\r\n" HOST
                        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    secret_expect(dialogue, client, "HTTP/1.1 101 Switching Protocols\r\n");
    secret_expect(dialogue, client, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    secret_expect(dialogue, client, "\r\n\r\n");
    secret_send_bytes(client, frame, masked(frame, 0x81, "hello"));
    secret_expect(dialogue, client, "\x81\x05hello");
    secret_send_bytes(client, frame, masked(frame, 0x89, "ping"));
    secret_expect(dialogue, client, "\x8a\x04ping");
    CHECK_OK(ws_send(hub->ws, true, STR("from us")));
    secret_expect(dialogue, client,
                  "\x81\x07"
                  "from us");
}

TEST_KEEPS(web_sockets_over_tls)
{
    struct hub hub = {0};
    struct dialogue dialogue;
    struct tls_context *context = context_make();
    const struct http_options options = {.handler = {.on_request = hub_request},
                                         .cookie = &hub,
                                         .filter = &tls_filter_ops,
                                         .filter_context = context};
    uint8_t frame[64];
    dialogue_open(&dialogue, &options);
    hub.loop = dialogue.loop;
    secret_open(&dialogue, &secret);
    hub_talk(&dialogue, &hub, &secret);
    ws_close(hub.ws, WS_GOING_AWAY, STR(""));
    secret_expect(&dialogue, &secret, "\x88\x02\x03\xe9");
    secret_send_bytes(&secret, frame, masked(frame, 0x88, "\x03\xe9"));
    while (hub.gone == 0)
        dialogue_turn(&dialogue, -1);
    CHECK_EQ(hub.code, WS_GOING_AWAY);
    secret_expect_end(&dialogue, &secret);

    secret_open(&dialogue, &secret);
    hub_talk(&dialogue, &hub, &secret);
    secret_close(&secret);
    while (hub.gone == 1)
        dialogue_turn(&dialogue, -1);
    CHECK_EQ(hub.code, WS_LOST);

    /* The server ends under it: the hub hears of it. */
    secret_open(&dialogue, &secret);
    hub_talk(&dialogue, &hub, &secret);
    http_server_destroy(dialogue.server);
    dialogue.server = NULL;
    CHECK_EQ(hub.gone, 3);
    secret_close(&secret);
    dialogue_close(&dialogue);
    tls_context_destroy(context);
}
