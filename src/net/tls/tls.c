/* What both sides keep to, and a listener's context. */
#include "net/tls/tls_int.h"
#include <openssl/err.h>
#include <stdio.h>
#include <unistd.h>

/* ---- both sides ---- */

struct tls_alpn tls_alpn(enum tls_protocol protocol)
{
    static const unsigned char http[] = "\x08http/1.1", mqtt[] = "\x04mqtt";
    return protocol == TLS_MQTT ? (struct tls_alpn){mqtt, sizeof(mqtt) - 1}
                                : (struct tls_alpn){http, sizeof(http) - 1};
}

const char *tls_words(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    return words != NULL ? words : "unreadable";
}

enum err tls_fail(char why[TLS_WHY_BYTES], enum err err, const char *what, const char *words)
{
    (void)snprintf(why, TLS_WHY_BYTES, "%.160s: %s", what, words);
    ERR_clear_error();
    return err;
}

enum err tls_rules_set(SSL_CTX *ssl, char why[TLS_WHY_BYTES])
{
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        return tls_fail(why, ERR_INPUT, "TLS", tls_words());
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    return ERR_OK;
}

/* ---- a listener's context ---- */

static int alpn_select(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *cookie)
{
    const unsigned char *ours = cookie; /* a constant: it outlives every connection */
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, ours, ours[0] + 1u, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int no_passphrase(char *dst, int dst_bytes, int writing, void *cookie)
{
    (void)dst;
    (void)dst_bytes;
    (void)writing;
    *(bool *)cookie = true;
    return -1; /* 0 would be taken for an empty passphrase */
}

static enum err files_use(SSL_CTX *ssl, const struct tls_options *options, char why[TLS_WHY_BYTES])
{
    bool encrypted = false;
    if (access(options->cert_file, R_OK) != 0)
        return tls_fail(why, ERR_NOT_FOUND, options->cert_file, "cannot be read");
    if (access(options->key_file, R_OK) != 0)
        return tls_fail(why, ERR_NOT_FOUND, options->key_file, "cannot be read");
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, &encrypted);
    if (SSL_CTX_use_certificate_chain_file(ssl, options->cert_file) != 1)
        return tls_fail(why, ERR_INPUT, options->cert_file, tls_words());
    int used = SSL_CTX_use_PrivateKey_file(ssl, options->key_file, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
    if (encrypted)
        return tls_fail(why, ERR_INPUT, options->key_file,
                        "the key is encrypted; store it without a passphrase");
    if (used != 1)
        return tls_fail(why, ERR_INPUT, options->key_file, tls_words());
    if (SSL_CTX_check_private_key(ssl) != 1)
        return tls_fail(why, ERR_INPUT, options->key_file,
                        "this key does not belong to the certificate");
    return ERR_OK;
}

static enum err ssl_create(const struct tls_options *options, char why[TLS_WHY_BYTES],
                           SSL_CTX **ret_ssl)
{
    ERR_clear_error();
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL)
        return tls_fail(why, ERR_NOMEM, "TLS", "out of memory");
    enum err err = files_use(ssl, options, why);
    if (err != ERR_OK)
        goto undo_ssl;
    err = tls_rules_set(ssl, why);
    if (err != ERR_OK)
        goto undo_ssl;
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets resume without our memory */
    SSL_CTX_set_num_tickets(ssl, 1);
    SSL_CTX_set_alpn_select_cb(ssl, alpn_select, (void *)(uintptr_t)tls_alpn(options->protocol).at);
    *ret_ssl = ssl;
    return ERR_OK;

undo_ssl:
    SSL_CTX_free(ssl);
    return err;
}

enum err tls_context_create(const struct tls_options *options, char why[TLS_WHY_BYTES],
                            struct tls_context **ret_context)
{
    struct tls_context *context = mem_zalloc(sizeof(*context));
    if (context == NULL)
        return tls_fail(why, ERR_NOMEM, "TLS", "out of memory");
    enum err err = ssl_create(options, why, &context->ssl);
    if (err != ERR_OK) {
        mem_free(context);
        return err;
    }
    *ret_context = context;
    return ERR_OK;
}

enum err tls_context_reload(struct tls_context *context, const struct tls_options *options,
                            char why[TLS_WHY_BYTES])
{
    SSL_CTX *fresh;
    enum err err = ssl_create(options, why, &fresh);
    if (err != ERR_OK)
        return err;
    SSL_CTX_free(context->ssl); /* its connections hold references of their own */
    context->ssl = fresh;
    return ERR_OK;
}

void tls_context_destroy(struct tls_context *context)
{
    if (context == NULL)
        return;
    SSL_CTX_free(context->ssl);
    mem_free(context);
}
