/* automat: one program; the first word says which. */
#include "app/app.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct subcommand {
    const char *name;
    enum options_command options;
    int (*run)(const struct options *options);
    const char *usage, *help;
} subcommands[] = {
    {"serve", OPTIONS_SERVE, app_serve, "serve [options]", "the server"},
    {"twin", OPTIONS_TWIN, app_twin, "twin --id ID --token TOKEN [options]",
     "a machine without metal"},
    {"machine", OPTIONS_MACHINE, app_machine, "machine add ID [options]",
     "register a machine; prints its token once"},
    {"account", OPTIONS_ACCOUNT, app_account, "account add NAME --role ROLE < PASSWORD",
     "make an account"},
    {"audit", OPTIONS_AUDIT, app_audit, "audit verify [options]", "walk the audit chain"},
    {"backup", OPTIONS_BACKUP, app_backup, "backup --data DIR --to FILE",
     "copy the database, also while the server runs"},
    {"restore", OPTIONS_RESTORE, app_restore, "restore --from FILE --data DIR",
     "begin a data folder from a copy"},
    {"load", OPTIONS_LOAD, app_load, "load [--mqtt HOST:PORT] [options]",
     "be many devices, and say what became of their messages"},
    {"monitor", OPTIONS_MONITOR, app_monitor, "monitor [options]",
     "machines, readings and alerts in the terminal"},
    {"validate", OPTIONS_VALIDATE, app_validate, "validate --mqtt HOST:PORT [options]",
     "follow marked readings all the way, and say what went missing"},
    {"climate", OPTIONS_CLIMATE, app_climate, "climate train|show|eval|rollback [options]",
     "teach, look at and judge the window model"},
    {"lm", OPTIONS_LM, app_lm, "lm VERB [options]",
     "language models: make, train, look at, ask and judge them"},
    {"demo", OPTIONS_DEMO, app_demo, "demo remove --data DIR", "remove what --demo seeded"},
};

void app_complain(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)fputs("automat: ", stderr);
    (void)vfprintf(stderr, format, values);
    (void)fputc('\n', stderr);
    va_end(values);
}

bool app_log_start(const struct options *options)
{
    enum log_level level = LOG_INFO;
    if (options->log_level != NULL &&
        log_level_parse(str_from(options->log_level), &level) != ERR_OK) {
        app_complain("--log-level (AUTOMAT_LOG_LEVEL): debug, info, warn or error, not \"%.40s\"",
                     options->log_level);
        return false;
    }
    bool json = isatty(STDERR_FILENO) == 0;
    if (options->log_format != NULL) {
        json = strcmp(options->log_format, "json") == 0;
        if (!json && strcmp(options->log_format, "text") != 0) {
            app_complain("--log-format (AUTOMAT_LOG_FORMAT): json or text, not \"%.40s\"",
                         options->log_format);
            return false;
        }
    }
    log_init(level, json);
    return true;
}

static int help(FILE *out)
{
    (void)fputs("automat: runs the machines of an unattended cafe\n\n", out);
    for (size_t i = 0; i < ARRAY_COUNT(subcommands); i++)
        (void)fprintf(out, "  automat %-40s %s\n", subcommands[i].usage, subcommands[i].help);
    (void)fputs("  automat version\n\nautomat COMMAND --help lists its options.  Each is also a "
                "variable (--log-level: AUTOMAT_LOG_LEVEL),\na line in ./.env, or one in the file "
                "that --config names.\n",
                out);
    return out == stderr ? 2 : 0;
}

static bool asks_help(int count, char *const *args)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(args[i], "--help") == 0 || strcmp(args[i], "-h") == 0)
            return true;
    }
    return false;
}

static int run(const struct subcommand *subcommand, int count, char *const *args)
{
    char why[512] = "";
    struct options options;
    if (asks_help(count, args)) {
        (void)printf("automat %s: %s\n\n", subcommand->usage, subcommand->help);
        options_help(stdout, subcommand->options);
        return 0;
    }
    int status = 2;
    if (options_read(&options, subcommand->options, count, args, why, sizeof(why)))
        status = subcommand->run(&options);
    else
        app_complain("%s", why);
    options_finish(&options);
    return status;
}

int main(int argc, char **argv)
{
    (void)umask(0077); /* databases, journals, tokens: the owner's alone */
    /* Writing to a peer that left, or to a disk that is full, is an error and not the end. */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (argc < 2)
        return help(stderr);
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        (void)puts("automat " AUTOMAT_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)
        return help(stdout);
    for (size_t i = 0; i < ARRAY_COUNT(subcommands); i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return run(&subcommands[i], argc - 2, argv + 2);
    }
    app_complain("there is no command \"%.40s\"", argv[1]);
    return help(stderr);
}
