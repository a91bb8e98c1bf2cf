/* What the files of tls share. */
#ifndef AUTOMAT_TLS_INT_H
#define AUTOMAT_TLS_INT_H

#include "net/tls/tls.h"
#include "sys/sys.h"
#include <openssl/ssl.h>

struct tls_context {
    SSL_CTX *ssl;
};

struct tls_filter {
    SSL *ssl;
    struct tls_client *client; /* NULL: a server's end */
    const uint8_t *in;
    size_t in_len;
    struct buf out;
    bool broken;
};

/* The protocol's name as ALPN writes it: its length, then its letters. */
struct tls_alpn {
    const unsigned char *at;
    unsigned len;
};
struct tls_alpn tls_alpn(enum tls_protocol protocol);

/* What OpenSSL complained about last. */
const char *tls_words(void);
/* `why` becomes "what: words"; returns `err`; OpenSSL's complaints are forgotten. */
MUST_USE enum err tls_fail(char why[TLS_WHY_BYTES], enum err err, const char *what,
                           const char *words);
/* What both sides keep to (README rule 1). */
MUST_USE enum err tls_rules_set(SSL_CTX *ssl, char why[TLS_WHY_BYTES]);

/* A filter without a side yet.  ERR_NOMEM. */
MUST_USE enum err tls_filter_create(SSL_CTX *context, struct tls_filter **ret_filter);
/* What both ends do alike; tls_client.c adds its own `create`. */
void tls_filter_destroy(void *filter);
MUST_USE enum err tls_filter_feed(void *filter, const uint8_t *wire, size_t len);
MUST_USE enum err tls_filter_pull(void *filter, uint8_t *plain, size_t plain_bytes,
                                  size_t *ret_len);
MUST_USE enum err tls_filter_push(void *filter, const uint8_t *plain, size_t len);
struct str tls_filter_wire(void *filter);
void tls_filter_drained(void *filter, size_t len);
void tls_filter_finish(void *filter);

/* A client's end broke, and OpenSSL still knows why. */
void tls_client_broken(struct tls_client *client, const SSL *ssl);

#endif
