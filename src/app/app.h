/* app: the program: one file a subcommand.  Each takes its arguments and returns an exit status: 0
 * well, 1 it failed, 2 it was called wrongly. */
#ifndef AUTOMAT_APP_H
#define AUTOMAT_APP_H

#include "app/options.h"

#define AUTOMAT_VERSION "0.1.0"

int app_serve(const struct options *options);
int app_twin(const struct options *options);
int app_machine(const struct options *options);
int app_account(const struct options *options);
int app_audit(const struct options *options);
int app_backup(const struct options *options);
int app_restore(const struct options *options);
int app_demo(const struct options *options);
int app_load(const struct options *options);
int app_monitor(const struct options *options);
int app_validate(const struct options *options);
int app_climate(const struct options *options);
int app_lm(const struct options *options);

/* "automat: ..." on stderr; for what a person at a terminal did wrong. */
void app_complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* From --log-level and --log-format, or what suits stderr. */
MUST_USE bool app_log_start(const struct options *options);
/* An --mqtt or --mqtts of who connects: NULL for none, and for the "off" that a variable says to
 * every command alike. */
const char *app_mqtt_given(const char *address);

#endif
