/* A real ClickHouse for a test: Debian's clickhouse-server on a port of its own, in a folder of its
 * own, as the package's user, killed and started again at will.  Its time zone is far from UTC on
 * purpose. */
#ifndef AUTOMAT_TESTS_CLICKHOUSE_SERVER_H
#define AUTOMAT_TESTS_CLICKHOUSE_SERVER_H

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kit/kit.h"

#define CLICKHOUSE_PROGRAM         "/usr/sbin/clickhouse-server"
#define CLICKHOUSE_SERVER_PASSWORD "open sesame"

struct clickhouse_server {
    const char *dir;
    unsigned port;
    atomic_int pid; /* 0: not running */
    char answer[64 * 1024];
    size_t answer_len;
    CURL *easy;
};

static inline unsigned clickhouse_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, len), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline void clickhouse_write(const char *path, const char *format, ...) PRINTF_LIKE(2, 3);
static inline void clickhouse_write(const char *path, const char *format, ...)
{
    va_list arguments;
    FILE *file = fopen(path, "we");
    CHECK(file != NULL);
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    CHECK_EQ(fclose(file), 0);
}

static inline void clickhouse_configure(struct clickhouse_server *server)
{
    const char *dir = server->dir;
    server->port = clickhouse_free_port();
    clickhouse_write(
        kit_path(dir, "config.xml"),
        "<yandex><logger><level>error</level><log>%s/log</log><errorlog>%s/err</errorlog></logger>"
        "<http_port>%u</http_port><listen_host>127.0.0.1</listen_host><path>%s/data/</path>"
        "<tmp_path>%s/tmp/</tmp_path><users_config>users.xml</users_config>"
        "<timezone>Asia/Tokyo</timezone><mark_cache_size>16777216</mark_cache_size>"
        "<default_profile>default</default_profile><default_database>default</default_database>"
        "</yandex>\n",
        dir, dir, server->port, dir, dir);
    clickhouse_write(
        kit_path(dir, "users.xml"),
        "<yandex><profiles><default/></profiles><quotas><default/></quotas><users>"
        "<automat><password>%s</password><networks><ip>127.0.0.1</ip></networks>"
        "<profile>default</profile><quota>default</quota></automat></users></yandex>\n",
        CLICKHOUSE_SERVER_PASSWORD);
}

/* ---- asking ---- */

static inline size_t clickhouse_on_bytes(char *bytes, size_t size, size_t count, void *cookie)
{
    struct clickhouse_server *server = cookie;
    size_t len = size * count;
    if (len > sizeof(server->answer) - 1 - server->answer_len)
        return 0;
    memcpy(server->answer + server->answer_len, bytes, len);
    server->answer_len += len;
    return len;
}

/* The status; 0: no answer. */
static inline long clickhouse_try(struct clickhouse_server *server, const char *database,
                                  const char *sql)
{
    char url[128];
    long status = 0;
    struct curl_slist *headers = curl_slist_append(NULL, "X-ClickHouse-User: automat");
    headers = curl_slist_append(headers, "X-ClickHouse-Key: " CLICKHOUSE_SERVER_PASSWORD);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/?database=%s", server->port, database);
    server->answer_len = 0;
    curl_easy_setopt(server->easy, CURLOPT_URL, url);
    curl_easy_setopt(server->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(server->easy, CURLOPT_POSTFIELDS, sql);
    curl_easy_setopt(server->easy, CURLOPT_WRITEFUNCTION, clickhouse_on_bytes);
    curl_easy_setopt(server->easy, CURLOPT_WRITEDATA, server);
    curl_easy_setopt(server->easy, CURLOPT_NOPROXY, "*");
    if (curl_easy_perform(server->easy) == CURLE_OK)
        curl_easy_getinfo(server->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    while (server->answer_len > 0 && server->answer[server->answer_len - 1] == '\n')
        server->answer_len--;
    server->answer[server->answer_len] = '\0';
    return status;
}

/* The answer in TabSeparated without its last newline; lives until the next call. */
static inline const char *clickhouse_ask(struct clickhouse_server *server, const char *sql)
{
    long status = clickhouse_try(server, "automat", sql);
    NOTE("%s: %ld %s", sql, status, server->answer);
    CHECK_EQ(status, 200);
    return server->answer;
}

/* ---- living and dying ---- */

/* A child does not outlive the test, nor does it run as root. */
static inline void clickhouse_become(const char *dir, int out, const struct passwd *user,
                                     pid_t parent)
{
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir(dir) != 0)
        _exit(126);
    if (getuid() == 0 && (user == NULL || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 ||
                          setuid(user->pw_uid) != 0))
        _exit(126);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);
    execl(CLICKHOUSE_PROGRAM, CLICKHOUSE_PROGRAM, "--config-file=config.xml", (char *)NULL);
    _exit(127);
}

/* True when it answers; false when it ended (its port was taken in between). */
static inline bool clickhouse_start_once(struct clickhouse_server *server)
{
    pid_t parent = getpid();
    const struct passwd *user = getpwnam("clickhouse");
    int out = open(kit_path(server->dir, "out"), O_WRONLY | O_APPEND | O_CLOEXEC);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        clickhouse_become(server->dir, out, user, parent);
    close(out);
    for (;;) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return false;
        if (clickhouse_try(server, "default", "SELECT 1") == 200 &&
            strcmp(server->answer, "1") == 0)
            break;
        poll(NULL, 0, 20); /* nothing tells us when; ctest bounds it */
    }
    server->pid = pid;
    return true;
}

static inline void clickhouse_start(struct clickhouse_server *server)
{
    for (int tries = 0; tries < 5; tries++) {
        if (clickhouse_start_once(server))
            return;
    }
    NOTE("%s", kit_read_file(kit_path(server->dir, "out"), NULL));
    CHECK_STR("clickhouse-server", "started");
}

static inline void clickhouse_kill(struct clickhouse_server *server) /* -9; any thread */
{
    pid_t pid = atomic_exchange(&server->pid, 0);
    if (pid != 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static inline struct clickhouse_server *clickhouse_make(void)
{
    static struct clickhouse_server server;
    const struct passwd *user = getpwnam("clickhouse");
    const char *parts[] = {"data", "tmp", "out", "config.xml", "users.xml", ""};
    memset(&server, 0, sizeof(server));
    server.dir = kit_tempdir();
    server.easy = curl_easy_init();
    CHECK(server.easy != NULL);
    CHECK_EQ(mkdir(kit_path(server.dir, "data"), 0700), 0);
    CHECK_EQ(mkdir(kit_path(server.dir, "tmp"), 0700), 0);
    clickhouse_write(kit_path(server.dir, "out"), "%s", "");
    clickhouse_configure(&server);
    for (size_t i = 0; getuid() == 0 && i < ARRAY_COUNT(parts); i++) {
        CHECK(user != NULL);
        CHECK_EQ(chown(kit_path(server.dir, parts[i]), user->pw_uid, user->pw_gid), 0);
    }
    return &server;
}

static inline void clickhouse_end(struct clickhouse_server *server)
{
    clickhouse_kill(server);
    curl_easy_cleanup(server->easy);
    server->easy = NULL;
}

#endif
