/* Inside device: what the program's files share. */
#ifndef AUTOMAT_DEVICE_INT_H
#define AUTOMAT_DEVICE_INT_H

#include "device/device.h"

#define FINAL_FLUSH_MS 1000 /* how long a report waits for the last samples */

int64_t device_now(const struct device *device);
/* A time of the server's clock in ms of ours. */
int64_t device_scaled(const struct device *device, int64_t ms);

/* ---- device_link.c ---- */

/* Pause for this many (server's) ms, a quarter more or less. */
void device_pause(struct device *device, int64_t ms);
/* Pause after a failure: longer each time in a row. */
void device_back_off(struct device *device);
/* Sends `body` on the channel under the path already in link[channel].path.  False: not sent; the
 * failure is taken care of. */
bool device_send(struct device *device, enum device_channel channel, enum device_method method,
                 struct str body, uint32_t timeout_ms);
/* The code of a problem document; "" when the body is none.  A refusal without one was not said by
 * the server: somebody on the way answered. */
struct wire_problem device_problem(struct str body);
bool device_problem_is(struct str body, const char *code);
/* The server itself refused, and asking again will not help. */
bool device_refused(uint32_t status, struct str body);
/* The writer of a channel's path, emptied. */
struct text device_path(struct device *device, enum device_channel channel);

/* ---- device_ask.c: hello and check ---- */
void device_send_hello(struct device *device);
void device_on_hello(struct device *device, uint32_t status, struct str body);
void device_send_check(struct device *device);
void device_on_check(struct device *device, uint32_t status, struct str body);
/* Our credentials are not taken any more: introduce ourselves again. */
void device_unwelcome(struct device *device);

/* ---- device_claim.c ---- */
void device_claim_begin(struct device *device, const struct wire_offer *offer);
void device_send_claim(struct device *device);
void device_on_claim(struct device *device, uint32_t status, struct str body);

/* ---- device_act.c ---- */
void device_act_begin(struct device *device, const struct device_command *command);
void device_control(struct device *device, int64_t now);
/* In how many ms the next control step is due; INT64_MAX: none. */
int64_t device_control_wait(const struct device *device, int64_t now);

/* ---- device_report.c ---- */

/* The next thing to do when nothing is in hand: report what is open, else ask for work. */
void device_next(struct device *device);
/* Makes `outcome` the one to report. */
void device_settle(struct device *device, const struct device_outcome *outcome);
/* As the journal knows it; an entry that never ended is failed/interrupted. */
struct device_outcome device_outcome_of(const struct journal_entry *entry);
/* An outcome of which nothing was measured. */
struct device_outcome device_outcome_plain(uint64_t command_id, struct id128 uid,
                                           enum wire_status status, const char *reason);
void device_send_report(struct device *device);
void device_on_report(struct device *device, uint32_t status, struct str body);

/* ---- device_progress.c ---- */
void device_sample(struct device *device);
void device_progress(struct device *device, int64_t now);
void device_on_progress(struct device *device, uint32_t status, struct str body);
void device_on_progress_error(struct device *device);
int64_t device_progress_wait(const struct device *device, int64_t now);
/* The sensors as JSON, in device->sensors; at NULL: the kind has none. */
struct str device_sensors(struct device *device);

#endif
