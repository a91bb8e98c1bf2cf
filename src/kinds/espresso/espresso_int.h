/* Inside kinds/espresso only. */
#ifndef AUTOMAT_KINDS_ESPRESSO_INT_H
#define AUTOMAT_KINDS_ESPRESSO_INT_H

#include "kinds/kinds_int.h"
#include "machine/espresso/espresso.h"

extern const char *const espresso_curve_columns[];

enum err espresso_order_check(const struct kinds_order *order, struct arena *scratch,
                              struct kinds_accepted *ret_accepted,
                              struct kinds_refusal *ret_refusal);
enum err espresso_config_check(const json_t *config, struct kinds_refusal *ret_refusal);
json_t *espresso_describe(void);
enum err espresso_curve_append(struct store_db *db, uint64_t command_id,
                               const struct kinds_samples *samples, int64_t at_ms);
enum err espresso_curve_read(struct store_db *db, uint64_t command_id, struct buf *ret_json);

#endif
