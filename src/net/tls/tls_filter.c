/* OpenSSL between two byte queues.  What comes from the wire is a view of the caller's bytes; what
 * must go there is collected in `out`, which an idle connection does not hold. */
#include "net/tls/tls_int.h"
#include <openssl/bio.h>
#include <openssl/err.h>
#include <string.h>

#define OUT_BYTES_MAX (256 * KIB)

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

enum err tls_filter_create(SSL_CTX *context, struct tls_filter **ret_filter)
{
    struct tls_filter *filter = mem_zalloc(sizeof(*filter));
    if (filter == NULL)
        return ERR_NOMEM;
    buf_init(&filter->out, OUT_BYTES_MAX);
    filter->ssl = SSL_new(context);
    BIO_METHOD *method = wire_method();
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (filter->ssl == NULL || bio == NULL)
        goto fail;
    BIO_set_data(bio, filter);
    BIO_set_init(bio, 1);
    SSL_set_bio(filter->ssl, bio, bio);
    *ret_filter = filter;
    return ERR_OK;

fail:
    BIO_free(bio);
    SSL_free(filter->ssl);
    mem_free(filter);
    ERR_clear_error();
    return ERR_NOMEM;
}

static enum err server_create(void *context, void **ret_filter)
{
    struct tls_filter *filter;
    enum err err = tls_filter_create(((struct tls_context *)context)->ssl, &filter);
    if (err != ERR_OK)
        return err;
    SSL_set_accept_state(filter->ssl);
    *ret_filter = filter;
    return ERR_OK;
}

void tls_filter_destroy(void *cookie)
{
    struct tls_filter *filter = cookie;
    SSL_free(filter->ssl); /* and its BIO */
    buf_finish(&filter->out);
    mem_free(filter);
}

enum err tls_filter_feed(void *cookie, const uint8_t *wire, size_t len)
{
    struct tls_filter *filter = cookie;
    ASSERT(filter->in_len == 0); /* OpenSSL takes all of it before it asks for more */
    filter->in = wire;
    filter->in_len = len;
    return ERR_OK;
}

enum err tls_filter_pull(void *cookie, uint8_t *plain, size_t plain_bytes, size_t *ret_len)
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
    if (filter->client != NULL)
        tls_client_broken(filter->client, filter->ssl);
    ERR_clear_error();
    return ERR_INPUT;
}

enum err tls_filter_push(void *cookie, const uint8_t *plain, size_t len)
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

struct str tls_filter_wire(void *cookie)
{
    return buf_str(&((struct tls_filter *)cookie)->out);
}

void tls_filter_drained(void *cookie, size_t len)
{
    struct tls_filter *filter = cookie;
    if (len == filter->out.len)
        buf_finish(&filter->out); /* many connections wait with nothing to send */
    else
        buf_consume(&filter->out, len);
}

void tls_filter_finish(void *cookie)
{
    struct tls_filter *filter = cookie;
    if (filter->broken || !SSL_is_init_finished(filter->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(filter->ssl);
    ERR_clear_error();
}

const struct stream_filter_ops tls_filter_ops = {
    .create = server_create,
    .destroy = tls_filter_destroy,
    .feed = tls_filter_feed,
    .pull = tls_filter_pull,
    .push = tls_filter_push,
    .wire = tls_filter_wire,
    .drained = tls_filter_drained,
    .finish = tls_filter_finish,
};
