/* Validation: the same tokens every time, spread evenly over what is held out. */
#include "lm/train/train_int.h"

#include <stdio.h>

#define JUDGE_TOKENS 32768u

enum err lm_trainer_judge(struct lm_trainer *t, double *ret_loss)
{
    uint32_t rows = JUDGE_TOKENS / t->o.length, all = t->valid.row_count;
    struct lm_graph_loss loss;
    double sum = 0;
    uint64_t scored = 0;
    rows = rows < t->o.batch ? t->o.batch : rows;
    rows = rows < all ? rows : all;
    for (uint32_t row = 0; row < rows; row += t->o.batch) {
        for (uint32_t b = 0; b < t->o.batch; b++) {
            size_t at = (size_t)b * t->o.length;
            uint64_t wanted = (uint64_t)(row + b) * all / rows;
            uint32_t index = wanted < all ? (uint32_t)wanted : 0;
            (void)lm_data_row(&t->valid, index, t->ids + at, t->targets + at, t->starts + at);
            for (uint32_t i = 0; row + b >= rows && i < t->o.length; i++)
                t->targets[at + i] = -1; /* fills the last batch, and is not scored */
        }
        struct lm_graph_batch batch = {
            .ids = t->ids, .targets = t->targets, .starts = t->starts, .scale = 1};
        enum err err = lm_graph_run(t->judge, &t->weights, &batch, NULL, &loss);
        if (err != ERR_OK)
            return err;
        sum += loss.sum;
        scored += loss.scored;
    }
    *ret_loss = scored > 0 ? sum / (double)scored : 0;
    return ERR_OK;
}
