/* tls: OpenSSL 3 as a filter between a connection and its protocol: bytes in, bytes out, no I/O of
 * its own. Server side, TLS 1.2 and newer, ALPN http/1.1.  Loop thread only. */
#ifndef AUTOMAT_TLS_H
#define AUTOMAT_TLS_H

#include "base/base.h"
#include "loop/stream.h"

struct tls_context; /* certificate and key of a listener; shared by its connections */

struct tls_options {
    const char *cert_file; /* PEM: the certificate, then its chain */
    const char *key_file;  /* PEM, without a passphrase */
};

/* On failure `why` says in words what is wrong with which file (NUL-terminated, never empty).
 * ERR_NOT_FOUND: a file is missing or unreadable.  ERR_INPUT: not PEM, an encrypted key, a key that
 * does not belong to the certificate, a certificate that is too weak. */
#define TLS_WHY_BYTES 256
MUST_USE enum err tls_context_create(const struct tls_options *options, char why[TLS_WHY_BYTES],
                                     struct tls_context **ret_context);
/* Read the files again, for connections made from now on.  On failure the old ones stay in use. */
MUST_USE enum err tls_context_reload(struct tls_context *context, const struct tls_options *options,
                                     char why[TLS_WHY_BYTES]);
void tls_context_destroy(
    struct tls_context *context); /* connections may outlive it.  NULL does nothing */

/* The filter; its `context` is a struct tls_context. */
extern const struct stream_filter_ops tls_filter_ops;

#endif
