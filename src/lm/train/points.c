/* The curve of a run of any length in a bounded array: when it is full, neighbours are averaged and
 * from then on as many more losses go into each point. */
#include "lm/train/train_int.h"

static void halve(struct lm_points *points)
{
    for (uint32_t i = 0; i < LM_POINTS_MAX / 2; i++) {
        const struct lm_point *a = &points->at[2 * i], *b = a + 1;
        points->at[i] = (struct lm_point){(a->tokens + b->tokens) / 2, (a->loss + b->loss) / 2};
    }
    points->count = LM_POINTS_MAX / 2;
    points->merged *= 2;
}

void lm_points_add(struct lm_points *points, double tokens, double loss)
{
    if (points->merged == 0)
        points->merged = 1;
    if (points->filling == 0) {
        if (points->count == LM_POINTS_MAX)
            halve(points);
        points->at[points->count++] = (struct lm_point){0, 0};
    }
    struct lm_point *last = &points->at[points->count - 1];
    points->filling++;
    last->tokens += (tokens - last->tokens) / points->filling;
    last->loss += (loss - last->loss) / points->filling;
    if (points->filling == points->merged)
        points->filling = 0;
}
