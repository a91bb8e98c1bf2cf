/* OpenSSL between two byte queues.  What comes from the wire is a view of the caller's bytes; what
 * must go there is collected in `out`, which an idle connection does not hold. */
#include "net/tls/tls.h"
#include "sys/sys.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUT_BYTES_MAX (256 * KIB)

struct tls_context {
    SSL_CTX *ssl;
};

struct tls_filter {
    SSL *ssl;
    const uint8_t *in;
    size_t in_len;
    struct buf out;
    bool broken;
};

/* ---- context
 * -------------------------------------------------------------------------------------------------
 */

static int alpn_select(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *cookie)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)cookie;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
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

static const char *openssl_words(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    return words != NULL ? words : "unreadable";
}

static enum err fail(char why[TLS_WHY_BYTES], enum err err, const char *file, const char *words)
{
    snprintf(why, TLS_WHY_BYTES, "%.160s: %s", file, words);
    ERR_clear_error();
    return err;
}

static enum err files_use(SSL_CTX *ssl, const struct tls_options *options, char why[TLS_WHY_BYTES])
{
    bool encrypted = false;
    if (access(options->cert_file, R_OK) != 0)
        return fail(why, ERR_NOT_FOUND, options->cert_file, "cannot be read");
    if (access(options->key_file, R_OK) != 0)
        return fail(why, ERR_NOT_FOUND, options->key_file, "cannot be read");
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, &encrypted);
    if (SSL_CTX_use_certificate_chain_file(ssl, options->cert_file) != 1)
        return fail(why, ERR_INPUT, options->cert_file, openssl_words());
    int used = SSL_CTX_use_PrivateKey_file(ssl, options->key_file, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
    if (encrypted)
        return fail(why, ERR_INPUT, options->key_file,
                    "the key is encrypted; store it without a passphrase");
    if (used != 1)
        return fail(why, ERR_INPUT, options->key_file, openssl_words());
    if (SSL_CTX_check_private_key(ssl) != 1)
        return fail(why, ERR_INPUT, options->key_file,
                    "this key does not belong to the certificate");
    return ERR_OK;
}

static enum err ssl_create(const struct tls_options *options, char why[TLS_WHY_BYTES],
                           SSL_CTX **ret_ssl)
{
    ERR_clear_error();
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL)
        return fail(why, ERR_NOMEM, "TLS", "out of memory");
    enum err err = files_use(ssl, options, why);
    if (err != ERR_OK)
        goto undo_ssl;
    if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        err = fail(why, ERR_INPUT, "TLS", openssl_words());
        goto undo_ssl;
    }
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets resume without our memory */
    SSL_CTX_set_num_tickets(ssl, 1);
    SSL_CTX_set_alpn_select_cb(ssl, alpn_select, NULL);
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
        return fail(why, ERR_NOMEM, "TLS", "out of memory");
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

/* ---- OpenSSL's view of the wire
 * ------------------------------------------------------------------------------ */

static int wire_read(BIO *bio, char *dst, size_t dst_bytes, size_t *ret_len)
{
    struct tls_filter *filter = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (filter->in_len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t take = filter->in_len < dst_bytes ? filter->in_len : dst_bytes;
    memcpy(dst, filter->in, take);
    filter->in += take;
    filter->in_len -= take;
    *ret_len = take;
    return 1;
}

static int wire_write(BIO *bio, const char *bytes, size_t len, size_t *ret_len)
{
    struct tls_filter *filter = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (buf_add(&filter->out, bytes, len) != ERR_OK) {
        filter->broken = true;
        return 0;
    }
    *ret_len = len;
    return 1;
}

static long wire_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *wire_method(void)
{
    static BIO_METHOD *method; /* one for the process, never freed: connections come and go */
    if (method != NULL)
        return method;
    BIO_METHOD *fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (fresh == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(fresh, wire_read) != 1 ||
        BIO_meth_set_write_ex(fresh, wire_write) != 1 ||
        BIO_meth_set_ctrl(fresh, wire_control) != 1) {
        BIO_meth_free(fresh);
        return NULL;
    }
    method = fresh;
    return method;
}

/* ---- filter
 * --------------------------------------------------------------------------------------------------
 */

static enum err filter_create(void *context, void **ret_filter)
{
    struct tls_filter *filter = mem_zalloc(sizeof(*filter));
    if (filter == NULL)
        return ERR_NOMEM;
    buf_init(&filter->out, OUT_BYTES_MAX);
    filter->ssl = SSL_new(((struct tls_context *)context)->ssl);
    BIO_METHOD *method = wire_method();
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (filter->ssl == NULL || bio == NULL)
        goto fail;
    BIO_set_data(bio, filter);
    BIO_set_init(bio, 1);
    SSL_set_bio(filter->ssl, bio, bio);
    SSL_set_accept_state(filter->ssl);
    *ret_filter = filter;
    return ERR_OK;

fail:
    BIO_free(bio);
    SSL_free(filter->ssl);
    mem_free(filter);
    ERR_clear_error();
    return ERR_NOMEM;
}

static void filter_destroy(void *cookie)
{
    struct tls_filter *filter = cookie;
    SSL_free(filter->ssl); /* and its BIO */
    buf_finish(&filter->out);
    mem_free(filter);
}

static enum err filter_feed(void *cookie, const uint8_t *wire, size_t len)
{
    struct tls_filter *filter = cookie;
    ASSERT(filter->in_len == 0); /* OpenSSL takes all of it before it asks for more */
    filter->in = wire;
    filter->in_len = len;
    return ERR_OK;
}

static enum err filter_pull(void *cookie, uint8_t *plain, size_t plain_bytes, size_t *ret_len)
{
    struct tls_filter *filter = cookie;
    if (filter->broken)
        return ERR_INPUT;
    ERR_clear_error();
    if (SSL_read_ex(filter->ssl, plain, plain_bytes, ret_len) == 1)
        return ERR_OK;
    int error = SSL_get_error(filter->ssl, 0);
    if (error == SSL_ERROR_WANT_READ && !filter->broken)
        return ERR_AGAIN;
    filter->in_len = 0;
    if (error == SSL_ERROR_ZERO_RETURN)
        return ERR_CLOSED;
    filter->broken = true;
    ERR_clear_error();
    return ERR_INPUT;
}

static enum err filter_push(void *cookie, const uint8_t *plain, size_t len)
{
    struct tls_filter *filter = cookie;
    size_t written;
    if (filter->broken)
        return ERR_INPUT;
    if (!SSL_is_init_finished(filter->ssl))
        return ERR_AGAIN;
    if (len == 0)
        return ERR_OK;
    ERR_clear_error();
    if (SSL_write_ex(filter->ssl, plain, len, &written) == 1 && written == len)
        return ERR_OK;
    filter->broken = true;
    ERR_clear_error();
    return ERR_FULL;
}

static struct str filter_wire(void *cookie)
{
    return buf_str(&((struct tls_filter *)cookie)->out);
}

static void filter_drained(void *cookie, size_t len)
{
    struct tls_filter *filter = cookie;
    if (len == filter->out.len)
        buf_finish(&filter->out); /* many connections wait with nothing to send */
    else
        buf_consume(&filter->out, len);
}

static void filter_finish(void *cookie)
{
    struct tls_filter *filter = cookie;
    if (filter->broken || !SSL_is_init_finished(filter->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(filter->ssl);
    ERR_clear_error();
}

const struct stream_filter_ops tls_filter_ops = {
    .create = filter_create,
    .destroy = filter_destroy,
    .feed = filter_feed,
    .pull = filter_pull,
    .push = filter_push,
    .wire = filter_wire,
    .drained = filter_drained,
    .finish = filter_finish,
};
