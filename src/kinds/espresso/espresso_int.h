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

#endif
