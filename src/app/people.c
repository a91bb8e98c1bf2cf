/* automat machine add, automat account add: what an admin asks a running server for. */
#include "app/app.h"
#include "app/remote.h"

#include <string.h>
#include <termios.h>
#include <unistd.h>

int app_machine(const struct options *options)
{
    if (options->word_count != 2 || strcmp(options->words[0], "add") != 0) {
        app_complain("usage: automat machine add ID --kind KIND --server URL");
        return 2;
    }
    json_error_t fault;
    json_t *config = options->machine_config != NULL
                         ? json_loads(options->machine_config, JSON_REJECT_DUPLICATES, &fault)
                         : NULL;
    if (options->machine_config != NULL && !json_is_object(config)) {
        app_complain("--machine-config (AUTOMAT_MACHINE_CONFIG): this is not a JSON object");
        json_decref(config);
        return 2;
    }
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:s, s:s*, s:o*}", "machine_id", options->words[1], "kind",
                             options->kind, "name", options->name, "config", config);
    bool good = body != NULL && remote_call(options, "/api/machines", body, &answer);
    json_decref(body);
    const char *token = json_string_value(json_object_get(answer, "token"));
    if (good && token != NULL)
        (void)printf("%s\n", token); /* once: the server has only its hash */
    json_decref(answer);
    return good && token != NULL ? 0 : 1;
}

/* One line from stdin, unseen when somebody types it. */
static bool read_password(char *dst, size_t dst_bytes)
{
    struct termios before, quiet;
    bool typed = tcgetattr(STDIN_FILENO, &before) == 0;
    if (typed) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        (void)fputs("Password: ", stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    const char *line = fgets(dst, (int)dst_bytes, stdin);
    if (typed) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        (void)fputc('\n', stderr);
    }
    if (line == NULL)
        return false;
    dst[strcspn(dst, "\r\n")] = 0;
    return dst[0] != 0;
}

int app_account(const struct options *options)
{
    char password[1026];
    if (options->word_count != 2 || strcmp(options->words[0], "add") != 0) {
        app_complain("usage: automat account add NAME --role ROLE --server URL < PASSWORD");
        return 2;
    }
    if (!read_password(password, sizeof(password))) {
        app_complain("a password is expected on stdin");
        return 2;
    }
    json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:s, s:s}", "name", options->words[1], "role", options->role,
                             "password", password);
    bool good = body != NULL && remote_call(options, "/api/accounts", body, &answer);
    json_decref(body);
    json_decref(answer);
    return good ? 0 : 1;
}
