#include "app/remote.h"
#include "app/app.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX MIB

static size_t receive(char *bytes, size_t size, size_t count, void *cookie)
{
    struct buf *answer = cookie;
    return buf_add(answer, bytes, size * count) == ERR_OK ? size * count : 0;
}

static bool configure(CURL *curl, const struct options *options, const char *path, const char *text,
                      struct curl_slist *fields, struct buf *answer)
{
    char url[1024];
    size_t len = strlen(options->server);
    while (len > 0 && options->server[len - 1] == '/')
        len--;
    (void)snprintf(url, sizeof(url), "%.*s%s", (int)len, options->server, path);
    bool good = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK;
    if (good && text != NULL)
        good = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text) == CURLE_OK;
    if (good && options->cacert != NULL)
        good = curl_easy_setopt(curl, CURLOPT_CAINFO, options->cacert) == CURLE_OK;
    return good;
}

/* What the server said, in its own words where it has some. */
static bool understand(const struct options *options, long status, const struct buf *answer,
                       json_t **ret_answer)
{
    json_t *value = json_loadb(answer->at, answer->len, JSON_REJECT_DUPLICATES, NULL);
    if (status >= 200 && status < 300 && json_is_object(value)) {
        *ret_answer = value;
        return true;
    }
    const char *detail = json_string_value(json_object_get(value, "detail"));
    const char *field = json_string_value(json_object_get(value, "field"));
    app_complain("%s answers %ld: %s%s%s", options->server, status,
                 detail != NULL ? detail : "not what was asked for", field != NULL ? " " : "",
                 field != NULL ? field : "");
    json_decref(value);
    return false;
}

bool remote_call(const struct options *options, const char *path, const json_t *body,
                 json_t **ret_answer)
{
    if (options->admin_token == NULL) {
        app_complain("AUTOMAT_ADMIN_TOKEN: an admin token is needed");
        return false;
    }
    struct buf answer;
    buf_init(&answer, ANSWER_BYTES_MAX);
    char authorization[512];
    (void)snprintf(authorization, sizeof(authorization), "Authorization: Bearer %.400s",
                   options->admin_token);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct curl_slist *fields = curl_slist_append(NULL, authorization);
    struct curl_slist *more = curl_slist_append(fields, "Content-Type: application/json");
    CURL *curl = curl_easy_init();
    bool good = curl != NULL && more != NULL && (body == NULL || text != NULL) &&
                configure(curl, options, path, text, more, &answer);
    CURLcode code = good ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
    long status = 0;
    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        good = understand(options, status, &answer, ret_answer);
    } else {
        app_complain("%s: %s", options->server, curl_easy_strerror(code));
        good = false;
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(more != NULL ? more : fields);
    free(text); /* jansson's own */
    buf_finish(&answer);
    return good;
}
