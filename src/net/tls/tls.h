/* tls: OpenSSL 3 as a filter between a connection and its protocol: bytes in, bytes out, no I/O of
 * its own. Both sides, TLS 1.2 and newer, ALPN.  Loop thread only. */
#ifndef AUTOMAT_TLS_H
#define AUTOMAT_TLS_H

#include "base/base.h"
#include "loop/stream.h"

/* What is spoken inside: ALPN, so that a client of one protocol never talks to a server of
 * another (RFC 7301). */
enum tls_protocol {
    TLS_HTTP, /* "http/1.1" */
    TLS_MQTT, /* "mqtt" */
};

/* `why` of every function below says in words what is wrong with what: NUL-terminated, never empty
 * after a failure. */
#define TLS_WHY_BYTES 256

/* ---- server ---- */

struct tls_context; /* certificate and key of a listener; shared by its connections */

struct tls_options {
    const char *cert_file;      /* PEM: the certificate, then its chain */
    const char *key_file;       /* PEM, without a passphrase */
    enum tls_protocol protocol; /* the listener's; clients without ALPN are served, too */
};

/* ERR_NOT_FOUND: a file is missing or unreadable.  ERR_INPUT: not PEM, an encrypted key, a key that
 * does not belong to the certificate, a certificate that is too weak. */
MUST_USE enum err tls_context_create(const struct tls_options *options, char why[TLS_WHY_BYTES],
                                     struct tls_context **ret_context);
/* Read the files again, for connections made from now on.  On failure the old ones stay in use. */
MUST_USE enum err tls_context_reload(struct tls_context *context, const struct tls_options *options,
                                     char why[TLS_WHY_BYTES]);
void tls_context_destroy(
    struct tls_context *context); /* connections may outlive it.  NULL does nothing */

/* The filter of a server's end; its `context` is a struct tls_context. */
extern const struct stream_filter_ops tls_filter_ops;

/* ---- client ---- */

struct tls_client; /* whom to trust and who is expected; shared by its connections */

struct tls_client_options {
    const char *ca_file;        /* PEM; NULL: the system's.  Read once, in tls_client_create */
    const char *server;         /* the name or IP address that the certificate must be for */
    enum tls_protocol protocol; /* what ALPN offers */
};

/* The server's certificate is always verified: its chain, its dates and its name (of
 * subjectAltName; a common name counts for nothing).  There is no switch for that.  Texts are
 * copied.  ERR_NOT_FOUND: the file is missing or unreadable.  ERR_INPUT: no certificate in it, or
 * no name that a server can have. */
MUST_USE enum err tls_client_create(const struct tls_client_options *options,
                                    char why[TLS_WHY_BYTES], struct tls_client **ret_client);
void tls_client_destroy(struct tls_client *client); /* after its connections.  NULL does nothing */
/* Why TLS broke the last connection that broke; "" when none did since the newest was made. */
const char *tls_client_why(const struct tls_client *client);

/* The filter of a client's end; its `context` is a struct tls_client.  It begins to speak by
 * itself: the first `wire` has the greeting. */
extern const struct stream_filter_ops tls_client_filter_ops;

#endif
