/* Keys and certificates made on the spot, for the tests of tls. */
#ifndef TESTS_NET_TLS_TLS_CERTS_H
#define TESTS_NET_TLS_TLS_CERTS_H

#include "kit/kit.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static inline EVP_PKEY *key_make(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(key != NULL);
    return key;
}

static inline void key_write(const char *path, EVP_PKEY *key, const char *passphrase)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK_EQ(PEM_write_PrivateKey(file, key, passphrase != NULL ? EVP_aes_128_cbc() : NULL, NULL, 0,
                                  NULL, (void *)(uintptr_t)passphrase),
             1);
    fclose(file);
}

/* A certificate and its key. */
struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

struct cert_options {
    const char *name; /* the subject's common name */
    const char *san;  /* "DNS:cafe.example,IP:127.0.0.1"; NULL: none */
    const char *use;  /* extendedKeyUsage; NULL: none */
    bool is_ca;
    long from_s, to_s; /* seconds from now; both 0: for an hour */
};

static inline void cert_extend(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    CHECK(extension != NULL);
    CHECK_EQ(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* `issuer` NULL: signed by itself. */
static inline struct cert cert_make(const struct cert_options *options, const struct cert *issuer)
{
    static long serial;
    struct cert cert = {X509_new(), key_make()};
    CHECK(cert.x509 != NULL);
    X509_set_version(cert.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(cert.x509), options->from_s);
    X509_gmtime_adj(X509_getm_notAfter(cert.x509),
                    options->from_s == 0 && options->to_s == 0 ? 3600 : options->to_s);
    X509_set_pubkey(cert.x509, cert.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.x509), "CN", MBSTRING_ASC,
                               (const unsigned char *)options->name, -1, -1, 0);
    X509_set_issuer_name(cert.x509,
                         X509_get_subject_name(issuer != NULL ? issuer->x509 : cert.x509));
    cert_extend(cert.x509, NID_basic_constraints, options->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (options->san != NULL)
        cert_extend(cert.x509, NID_subject_alt_name, options->san);
    if (options->use != NULL)
        cert_extend(cert.x509, NID_ext_key_usage, options->use);
    CHECK(X509_sign(cert.x509, issuer != NULL ? issuer->key : cert.key, EVP_sha256()) != 0);
    return cert;
}

static inline void cert_free(struct cert *cert)
{
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
}

/* One PEM file: the certificate, then `more` of its chain (may be NULL). */
static inline void cert_write(const char *path, const struct cert *cert, const struct cert *more)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK_EQ(PEM_write_X509(file, cert->x509), 1);
    if (more != NULL)
        CHECK_EQ(PEM_write_X509(file, more->x509), 1);
    fclose(file);
}

#endif
