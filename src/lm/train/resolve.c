/* What a training run was told, with its presets filled in, and whether it can be done. */
#include "lm/train/train_int.h"

#include <math.h>
#include <stdio.h>

static enum err refuse(struct lm_fault *fault, const char *what, double value, const char *rule)
{
    (void)snprintf(fault->why, sizeof(fault->why), "%s is %g; it must be %s", what, value, rule);
    return ERR_INPUT;
}

static void presets(struct lm_train_options *o)
{
    o->batch = o->batch != 0 ? o->batch : 8;
    o->length = o->length != 0 ? o->length : 256;
    o->accumulate = o->accumulate != 0 ? o->accumulate : 1;
    o->patience = o->patience != 0 ? o->patience : 3;
    if (o->learning_rate == 0)
        o->learning_rate = 6e-4;
    if (o->weight_decay < 0)
        o->weight_decay = 0.01;
    if (o->warmup < 0)
        o->warmup = 0.02;
    if (o->clip == 0)
        o->clip = 1;
    if (o->dropout < 0)
        o->dropout = (double)o->config.dropout;
}

enum err lm_train_resolve(const struct lm_train_options *given,
                          struct lm_train_options *ret_options, struct lm_fault *fault)
{
    struct lm_train_options o = *given;
    enum err err = lm_config_check(&o.config, fault);
    if (err != ERR_OK)
        return err;
    presets(&o);
    if (o.length < 2 || o.length > o.config.context)
        return refuse(fault, "length", o.length, "2 or more, and not above the model's context");
    if (o.batch > 4096)
        return refuse(fault, "batch", o.batch, "4096 or less");
    if (o.accumulate > 4096)
        return refuse(fault, "accumulate", o.accumulate, "4096 or less");
    if (!isfinite(o.learning_rate) || o.learning_rate < 0)
        return refuse(fault, "learning rate", o.learning_rate, "a number above 0");
    if (!isfinite(o.weight_decay))
        return refuse(fault, "weight decay", o.weight_decay, "a number");
    if (!(o.warmup <= 1))
        return refuse(fault, "warm-up", o.warmup, "a share, 0 to 1");
    if (!(o.clip > 0))
        return refuse(fault, "clip", o.clip, "a number above 0");
    if (!(o.dropout < 1))
        return refuse(fault, "dropout", o.dropout, "a share, 0 to below 1");
    if (o.steps_max == 0 && !(o.epochs > 0 && o.epochs <= 1e6))
        return refuse(fault, "epochs", o.epochs, "a number above 0");
    *ret_options = o;
    return ERR_OK;
}
