/* Which experts a token goes to.
 *
 * Where probabilities are equal, the choice is the reference's: that of a quickselect with the
 * median of three as pivot, which is what torch.topk does on a CPU for rows of fewer than 64 k.  So
 * a model whose router rows are equal gives the reference's numbers too. */
#include "lm/model/model_int.h"

#include <math.h>

struct pick {
    float p;
    uint32_t expert;
};

static void swap(struct pick *a, struct pick *b)
{
    struct pick kept = *a;
    *a = *b;
    *b = kept;
}

/* Not a number counts as the greatest, so that a broken model is routed all the same. */
static bool before(const struct pick *a, const struct pick *b)
{
    return (isnan(a->p) && !isnan(b->p)) || a->p > b->p;
}

static void median_to_front(struct pick *front, struct pick *a, struct pick *b, struct pick *c)
{
    if (before(a, b)) {
        struct pick *rest = before(a, c) ? c : a;
        swap(front, before(b, c) ? b : rest);
    } else {
        struct pick *rest = before(b, c) ? c : b;
        swap(front, before(a, c) ? a : rest);
    }
}

/* Splits first+1..last-1 by the pivot at `first`; returns where the second part begins. */
static uint32_t split(struct pick *picks, uint32_t first, uint32_t last)
{
    const struct pick *pivot = &picks[first];
    uint32_t low = first + 1;
    uint32_t high = last;
    for (;;) {
        while (before(&picks[low], pivot))
            low++;
        high--;
        while (before(pivot, &picks[high]))
            high--;
        if (low >= high)
            return low;
        swap(&picks[low], &picks[high]);
        low++;
    }
}

static void insertion_sort(struct pick *picks, uint32_t first, uint32_t last)
{
    for (uint32_t i = first + 1; i < last; i++)
        for (uint32_t j = i; j > first && before(&picks[j], &picks[j - 1]); j--)
            swap(&picks[j], &picks[j - 1]);
}

/* The k greatest come to the front, in no order.  Each pass leaves at least one pick out. */
static void select_greatest(struct pick *picks, uint32_t count, uint32_t k)
{
    uint32_t first = 0;
    uint32_t last = count;
    while (last - first > 3) {
        median_to_front(&picks[first], &picks[first + 1], &picks[first + (last - first) / 2],
                        &picks[last - 1]);
        uint32_t cut = split(picks, first, last);
        if (cut <= k - 1)
            first = cut;
        else
            last = cut;
    }
    insertion_sort(picks, first, last);
}

void lm_route(const float *p, uint32_t experts, uint32_t top_k, uint32_t *ret_expert,
              float *ret_weight)
{
    struct pick picks[LM_EXPERTS_MAX] = {{0}};
    bool chosen[LM_EXPERTS_MAX] = {0};
    float sum = 0;
    ASSERT(top_k >= 1 && top_k <= experts && experts <= LM_EXPERTS_MAX);
    for (uint32_t e = 0; e < experts; e++)
        picks[e] = (struct pick){p[e], e};
    select_greatest(picks, experts, top_k);
    for (uint32_t i = 0; i < top_k; i++)
        chosen[picks[i].expert] = true;
    for (uint32_t e = 0, i = 0; e < experts; e++) { /* by expert, so that sums have one order */
        if (!chosen[e])
            continue;
        ret_expert[i++] = e;
        sum += p[e];
    }
    for (uint32_t i = 0; i < top_k; i++)
        ret_weight[i] = p[ret_expert[i]] / sum;
}
