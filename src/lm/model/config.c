/* The three sizes, and what a configuration may be. */
#include "lm/lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Design section 6; a test counts the parameters of each. */
static const struct lm_config named[] = {
    {"tanka", 432, 7, 8, 2, 1296, 0, 2, 8, 1024, 30000, 30000, 10000, 1e-6F, 0.1F, 0, 0.01F,
     LM_NORM_PRE},
    {"villanelle", 592, 9, 8, 2, 592, 4, 2, 8, 1024, 30000, 30000, 10000, 1e-6F, 0.1F, 0, 0.01F,
     LM_NORM_PRE},
    {"ode", 776, 8, 8, 4, 388, 8, 2, 8, 1536, 30000, 30000, 10000, 1e-6F, 0.1F, 0, 0.01F,
     LM_NORM_PRE},
};

bool lm_config_named(struct str name, struct lm_config *ret_config)
{
    for (size_t i = 0; i < ARRAY_COUNT(named); i++) {
        if (str_equal(name, str_from(named[i].name))) {
            *ret_config = named[i];
            return true;
        }
    }
    return false;
}

struct bound {
    const char *field;
    uint32_t value, min, max;
};

static enum err refuse(struct lm_fault *fault, const char *field, uint32_t value, const char *rule)
{
    (void)snprintf(fault->why, sizeof(fault->why), "%s is %u; %s", field, value, rule);
    return ERR_INPUT;
}

static enum err check_fractions(const struct lm_config *c, struct lm_fault *fault)
{
    const struct {
        const char *field;
        float value, min, max;
    } fractions[] = {
        {"rope_theta", c->rope_theta, 1, 1e9F},
        {"layer_norm_eps", c->norm_eps, 1e-12F, 0.1F},
        {"dropout", c->dropout, 0, 0.9F},
        {"attention_dropout", c->dropout_attention, 0, 0.9F},
        {"router_aux_loss_coef", c->aux, 0, 100},
    };
    for (size_t i = 0; i < ARRAY_COUNT(fractions); i++) {
        if (!(fractions[i].value >= fractions[i].min && fractions[i].value <= fractions[i].max)) {
            (void)snprintf(fault->why, sizeof(fault->why), "%s is %g; it must be %g to %g",
                           fractions[i].field, (double)fractions[i].value, (double)fractions[i].min,
                           (double)fractions[i].max);
            return ERR_INPUT;
        }
    }
    return ERR_OK;
}

enum err lm_config_check(const struct lm_config *c, struct lm_fault *fault)
{
    *fault = (struct lm_fault){0};
    const struct bound bounds[] = {
        {"hidden_size", c->hidden, 8, LM_HIDDEN_MAX},
        {"num_hidden_layers", c->layers, 1, LM_LAYERS_MAX},
        {"num_attention_heads", c->heads, 1, 64},
        {"num_key_value_heads", c->kv_heads, 1, c->heads},
        {"intermediate_size", c->ffn, 1, 16384},
        {"num_local_experts", c->experts, 0, LM_EXPERTS_MAX},
        {"num_experts_per_tok", c->top_k, c->experts == 0 ? 0 : 1,
         c->experts == 0 ? 64 : c->experts},
        {"domains", c->domains, 1, 64},
        {"max_position_embeddings", c->context, 2, LM_CONTEXT_MAX},
        {"vocab_size", c->vocab, 2, LM_VOCAB_MAX},
        {"vocab_used", c->vocab_used, 2, c->vocab},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bounds); i++) {
        if (bounds[i].value < bounds[i].min || bounds[i].value > bounds[i].max) {
            (void)snprintf(fault->why, sizeof(fault->why), "%s is %u; it must be %u to %u",
                           bounds[i].field, bounds[i].value, bounds[i].min, bounds[i].max);
            return ERR_INPUT;
        }
    }
    if (c->hidden % c->heads != 0)
        return refuse(fault, "hidden_size", c->hidden, "it must be a multiple of the heads");
    if (c->hidden / c->heads < 2)
        return refuse(fault, "num_attention_heads", c->heads,
                      "a head needs two dimensions at least");
    if (c->heads % c->kv_heads != 0)
        return refuse(fault, "num_key_value_heads", c->kv_heads, "it must divide the heads");
    return check_fractions(c, fault);
}
