/* A client's end: whom it trusts, who it expects. */
#include "net/tls/tls_int.h"
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 256 /* SNI carries 255 */

struct tls_client {
    SSL_CTX *ssl;
    char server[NAME_BYTES];
    bool is_address; /* has no SNI (RFC 6066) */
    char why[TLS_WHY_BYTES];
};

/* ---- making ---- */

static enum err trust(SSL_CTX *ssl, const char *ca_file, char why[TLS_WHY_BYTES])
{
    if (ca_file == NULL)
        return SSL_CTX_set_default_verify_paths(ssl) == 1
                   ? ERR_OK
                   : tls_fail(why, ERR_INPUT, "the system's certificates", tls_words());
    if (access(ca_file, R_OK) != 0)
        return tls_fail(why, ERR_NOT_FOUND, ca_file, "cannot be read");
    if (SSL_CTX_load_verify_file(ssl, ca_file) != 1)
        return tls_fail(why, ERR_INPUT, ca_file, tls_words());
    return ERR_OK;
}

static bool is_address(const char *server)
{
    struct in6_addr any; /* room for either */
    return inet_pton(AF_INET, server, &any) == 1 || inet_pton(AF_INET6, server, &any) == 1;
}

static enum err expect(struct tls_client *client, const char *server, char why[TLS_WHY_BYTES])
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(client->ssl);
    struct str name = str_from(server != NULL ? server : "");
    if (name.len > 1 && name.at[name.len - 1] == '.')
        name.len--;                           /* the root, which certificates leave out */
    if (name.len == 0 || name.at[0] == '.' || /* OpenSSL would take any name below it */
        str_copy(client->server, sizeof(client->server), name) != ERR_OK)
        return tls_fail(why, ERR_INPUT, "the server's name", "one of 1 to 255 letters is needed");
    client->is_address = is_address(client->server);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int set = client->is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, client->server)
                                 : X509_VERIFY_PARAM_set1_host(param, client->server, 0);
    return set == 1 ? ERR_OK : tls_fail(why, ERR_INPUT, client->server, tls_words());
}

static enum err set_up(struct tls_client *client, const struct tls_client_options *options,
                       char why[TLS_WHY_BYTES])
{
    struct tls_alpn alpn = tls_alpn(options->protocol);
    enum err err = tls_rules_set(client->ssl, why);
    if (err == ERR_OK)
        err = trust(client->ssl, options->ca_file, why);
    if (err == ERR_OK)
        err = expect(client, options->server, why);
    if (err != ERR_OK)
        return err;
    if (SSL_CTX_set_alpn_protos(client->ssl, alpn.at, alpn.len) != 0)
        return tls_fail(why, ERR_NOMEM, "TLS", "out of memory");
    /* What the file names is trusted as it stands, also when it is no root: as libcurl does. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(client->ssl), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(client->ssl, SSL_VERIFY_PEER, NULL);
    return ERR_OK;
}

enum err tls_client_create(const struct tls_client_options *options, char why[TLS_WHY_BYTES],
                           struct tls_client **ret_client)
{
    ERR_clear_error();
    struct tls_client *client = mem_zalloc(sizeof(*client));
    if (client == NULL)
        return tls_fail(why, ERR_NOMEM, "TLS", "out of memory");
    client->ssl = SSL_CTX_new(TLS_client_method());
    enum err err = client->ssl != NULL ? set_up(client, options, why)
                                       : tls_fail(why, ERR_NOMEM, "TLS", "out of memory");
    if (err != ERR_OK) {
        tls_client_destroy(client);
        return err;
    }
    ERR_clear_error();
    *ret_client = client;
    return ERR_OK;
}

void tls_client_destroy(struct tls_client *client)
{
    if (client == NULL)
        return;
    SSL_CTX_free(client->ssl);
    mem_free(client);
}

const char *tls_client_why(const struct tls_client *client)
{
    return client->why;
}

/* ---- a connection ---- */

void tls_client_broken(struct tls_client *client, const SSL *ssl)
{
    long verdict = SSL_get_verify_result(ssl);
    const char *words = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : tls_words();
    (void)snprintf(client->why, sizeof(client->why), "%.100s: %.140s", client->server, words);
}

static enum err client_create(void *context, void **ret_filter)
{
    struct tls_client *client = context;
    struct tls_filter *filter;
    client->why[0] = '\0';
    enum err err = tls_filter_create(client->ssl, &filter);
    if (err != ERR_OK)
        return err;
    filter->client = client;
    SSL_set_connect_state(filter->ssl);
    ERR_clear_error();
    if (!client->is_address && SSL_set_tlsext_host_name(filter->ssl, client->server) != 1)
        goto fail;
    /* A client speaks first, and nobody feeds it before: its greeting is made here. */
    if (SSL_get_error(filter->ssl, SSL_do_handshake(filter->ssl)) != SSL_ERROR_WANT_READ)
        goto fail;
    *ret_filter = filter;
    return ERR_OK;

fail:
    ERR_clear_error();
    tls_filter_destroy(filter);
    return ERR_NOMEM;
}

const struct stream_filter_ops tls_client_filter_ops = {
    .create = client_create,
    .destroy = tls_filter_destroy,
    .feed = tls_filter_feed,
    .pull = tls_filter_pull,
    .push = tls_filter_push,
    .wire = tls_filter_wire,
    .drained = tls_filter_drained,
    .finish = tls_filter_finish,
};
