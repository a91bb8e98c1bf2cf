/* One connection to the server's HTTP, kept open. */
#include "app/app.h"
#include "app/tool.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX (8 * MIB)
#define CALL_MS_MAX      10000L

static size_t receive(char *bytes, size_t size, size_t count, void *cookie)
{
    struct buf *answer = cookie;
    return buf_add(answer, bytes, size * count) == ERR_OK ? size * count : 0;
}

bool tool_http_open(struct tool_http *http, const struct options *options)
{
    *http = (struct tool_http){.options = options, .token = tool_token(options)};
    buf_init(&http->answer, ANSWER_BYTES_MAX);
    http->curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (http->curl == NULL)
        app_complain("out of memory");
    return http->curl != NULL;
}

void tool_http_close(struct tool_http *http)
{
    curl_easy_cleanup(http->curl);
    buf_finish(&http->answer);
    http->curl = NULL;
}

static bool configure(struct tool_http *http, const char *url, const char *body,
                      struct curl_slist *fields)
{
    CURL *curl = http->curl;
    curl_easy_reset(curl); /* connections stay */
    bool good = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CALL_MS_MAX) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive) == CURLE_OK &&
                curl_easy_setopt(curl, CURLOPT_WRITEDATA, &http->answer) == CURLE_OK;
    if (good && body != NULL)
        good = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) == CURLE_OK;
    if (good && http->options->cacert != NULL)
        good = curl_easy_setopt(curl, CURLOPT_CAINFO, http->options->cacert) == CURLE_OK;
    return good;
}

long tool_http_call(struct tool_http *http, const char *path, const char *token, const char *body)
{
    char url[1024], authorization[512];
    struct str server = str_from(http->options->server);
    while (server.len > 0 && server.at[server.len - 1] == '/')
        server.len--;
    (void)snprintf(url, sizeof(url), "%.*s%s", STR_ARG(server), path);
    if (token == NULL)
        token = http->token;
    (void)snprintf(authorization, sizeof(authorization), "%s%.400s",
                   token != NULL ? "Authorization: Bearer " : "X-Tool: automat",
                   token != NULL ? token : "");
    struct curl_slist *fields = curl_slist_append(NULL, authorization);
    struct curl_slist *more = curl_slist_append(fields, "Content-Type: application/json");
    http->answer.len = 0;
    http->why[0] = '\0';
    CURLcode code = more != NULL && configure(http, url, body, more) ? curl_easy_perform(http->curl)
                                                                     : CURLE_FAILED_INIT;
    curl_slist_free_all(more != NULL ? more : fields);
    long status = 0;
    if (code == CURLE_OK)
        (void)curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    else
        (void)snprintf(http->why, sizeof(http->why), "%s", curl_easy_strerror(code));
    return status;
}

json_t *tool_http_get(struct tool_http *http, const char *path)
{
    long status = tool_http_call(http, path, NULL, NULL);
    if (status == 0)
        return NULL;
    json_t *value = json_loadb(http->answer.at, http->answer.len, JSON_REJECT_DUPLICATES, NULL);
    if (status == 200 && json_is_object(value))
        return value;
    const char *detail = json_string_value(json_object_get(value, "detail"));
    (void)snprintf(http->why, sizeof(http->why), "%s answers %ld: %.160s", path, status,
                   detail != NULL ? detail : "not what was asked for");
    json_decref(value);
    return NULL;
}

/* "name{label="x"} 12.5" or "name 12.5" */
static bool sample_of(struct str line, struct str name, double *ret_value)
{
    if (!str_starts(line, name) || line.len <= name.len)
        return false;
    struct str rest = str_slice(line, name.len, line.len);
    if (rest.at[0] == '{')
        rest = str_slice(rest, str_find(rest, '}') + 1, rest.len);
    if (rest.len < 2 || rest.at[0] != ' ')
        return false;
    char number[64];
    if (str_copy(number, sizeof(number), str_slice(rest, 1, rest.len)) != ERR_OK)
        return false;
    *ret_value = strtod(number, NULL);
    return true;
}

bool tool_http_metric(struct tool_http *http, const char *name, double *ret_value)
{
    double sum = 0, value;
    bool found = false;
    if (tool_http_call(http, "/metrics", NULL, NULL) != 200)
        return false;
    struct str rest = buf_str(&http->answer);
    while (rest.len > 0) {
        size_t end = str_find(rest, '\n');
        if (sample_of(str_slice(rest, 0, end), str_from(name), &value)) {
            sum += value;
            found = true;
        }
        rest = str_slice(rest, end + 1, rest.len);
    }
    if (found)
        *ret_value = sum;
    return found;
}

bool tool_register(struct tool_http *http, const char *machine_id, char token[TOOL_TOKEN_BYTES])
{
    char body[200], path[160];
    (void)snprintf(body, sizeof(body), "{\"machine_id\":\"%s\",\"kind\":\"window\"}", machine_id);
    long status = tool_http_call(http, "/api/machines", NULL, body);
    if (status == 409) {
        (void)snprintf(path, sizeof(path), "/api/machines/%s/tokens", machine_id);
        status = tool_http_call(http, path, NULL, "{}");
    }
    json_t *answer = json_loadb(http->answer.at, http->answer.len, 0, NULL);
    const char *made = json_string_value(json_object_get(answer, "token"));
    bool good = (status == 200 || status == 201) && made != NULL &&
                str_copy(token, TOOL_TOKEN_BYTES, str_from(made)) == ERR_OK;
    if (!good)
        app_complain("%s: %s was not registered (%ld)%s%s", http->options->server, machine_id,
                     status, http->why[0] != '\0' ? ": " : "", http->why);
    json_decref(answer);
    return good;
}
