/* Static files: what is found, in which coding, and how it may be kept. */
#include "dialogue.h"
#include "net/http/http_static.h"
#include <sys/stat.h>

static struct client client;

struct site {
    struct http_static *files;
};

static void site_request(void *cookie, struct http_request *req)
{
    const struct site *site = cookie;
    const struct http_field policy = {STR("X-Policy"), STR("strict")};
    if (!http_static_answer(site->files, req, http_request_head(req)->path, &policy, 1))
        http_respond(req, &(struct http_answer){.status = 404});
}

static void put(const char *dir, const char *name, const char *text)
{
    CHECK_OK(file_write_atomic(kit_path(dir, name), text, strlen(text), 0644));
}

static const char *site_make(void)
{
    const char *dir = kit_tempdir(), *root = kit_path(dir, "site");
    CHECK_OK(dir_make(kit_path(root, "assets/deep"), 0755));
    put(root, "index.html", "<p>plain");
    put(root, "index.html.br", "brotli!");
    put(root, "index.html.gz", "gzip");
    put(root, "assets/app-1a2b.js", "app()");
    put(root, "assets/app-1a2b.js.gz", "zapp");
    put(root, "assets/deep/a b.svg", "<svg/>");
    put(root, ".secret", "no");
    put(dir, "outside.txt", "no");
    CHECK_EQ(symlink("../outside.txt", kit_path(root, "link.txt")), 0);
    return root;
}

static void ask(struct dialogue *dialogue, const char *method, const char *path, const char *fields)
{
    char request[512];
    client.len = 0;
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n", method, path, fields);
    client_send(dialogue, &client, request);
}

TEST(files_are_found_and_nothing_else)
{
    static const struct {
        const char *path, *type, *cache, *body;
    } table[] = {
        {"/", "text/html; charset=utf-8", "no-cache", "<p>plain"},
        {"/index.html", "text/html; charset=utf-8", "no-cache", "<p>plain"},
        {"/assets/app-1a2b.js", "text/javascript; charset=utf-8",
         "public, max-age=31536000, immutable", "app()"},
        {"/assets/app%2D1a2b.js", "text/javascript; charset=utf-8",
         "public, max-age=31536000, immutable", "app()"},
        {"/assets/deep/a%20b.svg", "image/svg+xml", "public, max-age=31536000, immutable",
         "<svg/>"},
    };
    static const char *const missing[] = {
        "/nope",
        "/index.html.br",
        "/.secret",
        "/link.txt",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/assets/../index.html",
        "/assets",
        "/assets/",
        "//index.html",
        "/index.html/",
        "/%00",
        "/index.html%00",
        "/assets/..%2findex.html",
        "/a%ff",
    };
    struct site site;
    struct dialogue dialogue;
    CHECK_OK(http_static_load(site_make(), NULL, &site.files));
    dialogue_open(&dialogue,
                  &(struct http_options){.handler = {.on_request = site_request}, .cookie = &site});
    client_open(&dialogue, &client);
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char expected[256];
        ask(&dialogue, "GET", table[i].path, "");
        client_expect(&dialogue, &client, "HTTP/1.1 200 OK\r\n");
        snprintf(expected, sizeof(expected), "Content-Type: %s\r\nETag: \"", table[i].type);
        client_expect(&dialogue, &client, expected);
        snprintf(
            expected, sizeof(expected),
            "\r\nCache-Control: %s\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n"
            "X-Policy: strict\r\nContent-Length: %zu\r\n\r\n%s",
            table[i].cache, strlen(table[i].body), table[i].body);
        client_expect(&dialogue, &client, expected);
        CHECK(http_static_has(site.files, str_from(table[i].path)));
    }
    for (size_t i = 0; i < ARRAY_COUNT(missing); i++) {
        ask(&dialogue, "GET", missing[i], "");
        client_expect(&dialogue, &client, "HTTP/1.1 404 ");
        client_expect(&dialogue, &client, "\r\n\r\n");
        CHECK(!http_static_has(site.files, str_from(missing[i])));
    }
    ask(&dialogue, "POST", "/", "");
    client_expect(&dialogue, &client, "HTTP/1.1 404 ");
    client_close(&client);
    dialogue_close(&dialogue);
    http_static_destroy(site.files);
}

TEST(the_coding_that_the_client_likes_best)
{
    static const struct {
        const char *accept, *coding, *body;
    } table[] = {
        {"", NULL, "<p>plain"},
        {"Accept-Encoding: gzip, deflate, br\r\n", "br", "brotli!"},
        {"Accept-Encoding: gzip\r\n", "gzip", "gzip"},
        {"Accept-Encoding: gzip, br;q=0.5\r\n", "gzip", "gzip"},
        {"Accept-Encoding: br;q=0, *\r\n", "gzip", "gzip"},
        {"Accept-Encoding: *\r\n", "br", "brotli!"},
        {"Accept-Encoding: gzip;q=0, br;q=0\r\n", NULL, "<p>plain"},
        {"Accept-Encoding: identity, gzip;q=0.5\r\n", NULL, "<p>plain"},
        {"Accept-Encoding: identity, gzip\r\n", "gzip", "gzip"},
        {"Accept-Encoding: deflate\r\n", NULL, "<p>plain"},
    };
    struct site site;
    struct dialogue dialogue;
    CHECK_OK(http_static_load(site_make(), NULL, &site.files));
    dialogue_open(&dialogue,
                  &(struct http_options){.handler = {.on_request = site_request}, .cookie = &site});
    client_open(&dialogue, &client);
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char expected[64];
        ask(&dialogue, "GET", "/", table[i].accept);
        client_expect(&dialogue, &client, "nosniff\r\n");
        if (table[i].coding != NULL) {
            snprintf(expected, sizeof(expected), "Content-Encoding: %s\r\n", table[i].coding);
            client_expect(&dialogue, &client, expected);
        }
        snprintf(expected, sizeof(expected), "X-Policy: strict\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(table[i].body), table[i].body);
        client_expect(&dialogue, &client, expected);
    }
    client_close(&client);
    dialogue_close(&dialogue);
    http_static_destroy(site.files);
}

TEST(what_the_client_has_is_not_sent_again)
{
    struct site site;
    struct dialogue dialogue;
    CHECK_OK(http_static_load(site_make(), NULL, &site.files));
    dialogue_open(&dialogue,
                  &(struct http_options){.handler = {.on_request = site_request}, .cookie = &site});
    client_open(&dialogue, &client);
    char etags[2][64], fields[256];
    for (int i = 0; i < 2; i++) {
        ask(&dialogue, "GET", "/", i == 0 ? "" : "Accept-Encoding: br\r\n");
        client_expect(&dialogue, &client, "ETag: ");
        snprintf(etags[i], sizeof(etags[i]), "%.*s", (int)strcspn(client.got, "\r"), client.got);
        client_expect(&dialogue, &client, "\r\n\r\n");
        client_expect(&dialogue, &client, i == 0 ? "<p>plain" : "brotli!");
    }
    CHECK(strcmp(etags[0], etags[1]) != 0); /* strong: the bytes differ */
    snprintf(fields, sizeof(fields), "If-None-Match: \"x\", %s\r\n", etags[0]);
    ask(&dialogue, "GET", "/", fields);
    client_expect(&dialogue, &client, "HTTP/1.1 304 Not Modified\r\n");
    client_expect(&dialogue, &client, "ETag: ");
    client_expect(&dialogue, &client, "X-Policy: strict\r\n\r\n");
    CHECK_STR(client.got, "");
    snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", etags[1]);
    ask(&dialogue, "GET", "/", fields);
    client_expect(&dialogue, &client, "HTTP/1.1 200 OK\r\n");
    client_expect(&dialogue, &client, "<p>plain");
    ask(&dialogue, "HEAD", "/", "Range: bytes=0-1\r\n");
    client_expect(&dialogue, &client, "HTTP/1.1 200 OK\r\n");
    client_expect(&dialogue, &client, "Content-Length: 8\r\n\r\n");
    CHECK_STR(client.got, "");
    client_close(&client);
    dialogue_close(&dialogue);
    http_static_destroy(site.files);
}

TEST(bounds_and_failed_allocations)
{
    struct http_static *files;
    const char *root = site_make();
    CHECK_ERR(http_static_load(kit_path(root, "nowhere"), NULL, &files), ERR_NOT_FOUND);
    CHECK_ERR(http_static_load(root, &(struct http_static_options){.bytes_max = 20}, &files),
              ERR_FULL);
    CHECK_ERR(http_static_load(root, &(struct http_static_options){.files_max = 2}, &files),
              ERR_FULL);
    CHECK_OK(http_static_load(root, &(struct http_static_options){.files_max = 3}, &files));
    http_static_destroy(files);
    const char *empty = kit_tempdir();
    CHECK_OK(http_static_load(empty, NULL, &files));
    CHECK(!http_static_has(files, STR("/")));
    http_static_destroy(files);
    for (uint32_t nth = 1;; nth++) {
        mem_fail_at(nth);
        enum err err = http_static_load(root, NULL, &files);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);
        if (err == ERR_OK)
            http_static_destroy(files);
        if (!fired)
            break;
    }
}
