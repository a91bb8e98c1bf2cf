/* Gradients against differences of the loss.  The loss is computed a second time here, in double
 * and in plain loops that share no code with the graph; every single parameter is moved. */
#include "lm/graph_case.h"

#define ROWS_MAX 10
#define WIDE_MAX 32 /* of any row */

struct toy {
    struct lm_weights lay; /* where the tensors are; its floats are what the graph gets */
    double *w;             /* the same block in double */
    const uint16_t *ids;
    const int32_t *targets;
    uint32_t batch, length;
};

static const double *twin(const struct toy *toy, const float *tensor)
{
    return toy->w + (tensor - toy->lay.block);
}

/* y (rows) = W (rows, columns) x */
static void apply(double *y, const double *w, const double *x, uint32_t rows, uint32_t columns)
{
    for (uint32_t i = 0; i < rows; i++) {
        y[i] = 0;
        for (uint32_t j = 0; j < columns; j++)
            y[i] += w[i * columns + j] * x[j];
    }
}

static void norm(double *y, const double *x, const double *gain, const double *bias, uint32_t n,
                 double eps)
{
    double mean = 0;
    double square = 0;
    for (uint32_t i = 0; i < n; i++)
        mean += x[i] / n;
    for (uint32_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / n;
    for (uint32_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(square + eps) * gain[i] + bias[i];
}

static void softmax(double *x, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp(x[i]);
    for (uint32_t i = 0; i < n; i++)
        x[i] = exp(x[i]) / sum;
}

static void rotate(double *x, uint32_t d, uint32_t t)
{
    uint32_t half = d / 2;
    for (uint32_t i = 0; i < half; i++) {
        double angle = t * pow(10000, -(double)i / half);
        double a = x[i];
        double b = x[half + i];
        x[i] = a * cos(angle) - b * sin(angle);
        x[half + i] = a * sin(angle) + b * cos(angle);
    }
}

/* out (T, h) of one text's in (T, h) */
static void attention(const struct toy *toy, const struct lm_layer_weights *w,
                      double (*in)[WIDE_MAX], double (*out)[WIDE_MAX])
{
    const struct lm_config *c = &toy->lay.config;
    uint32_t h = c->hidden;
    uint32_t d = h / c->heads;
    static double q[ROWS_MAX][WIDE_MAX], k[ROWS_MAX][WIDE_MAX], v[ROWS_MAX][WIDE_MAX];
    for (uint32_t t = 0; t < toy->length; t++) {
        apply(q[t], twin(toy, w->wq), in[t], h, h);
        apply(k[t], twin(toy, w->wk), in[t], c->kv_heads * d, h);
        apply(v[t], twin(toy, w->wv), in[t], c->kv_heads * d, h);
        for (uint32_t head = 0; head < c->heads; head++)
            rotate(q[t] + head * d, d, t);
        for (uint32_t head = 0; head < c->kv_heads; head++)
            rotate(k[t] + head * d, d, t);
    }
    CHECK(c->kv_heads > 0);
    uint32_t group = c->heads / c->kv_heads;
    CHECK(group > 0);
    for (uint32_t t = 0; t < toy->length; t++) {
        double said[WIDE_MAX] = {0};
        for (uint32_t head = 0; head < c->heads; head++) {
            uint32_t shared = head / group * d;
            double p[ROWS_MAX] = {0};
            for (uint32_t s = 0; s <= t; s++)
                for (uint32_t i = 0; i < d; i++)
                    p[s] += q[t][head * d + i] * k[s][shared + i] / sqrt(d);
            softmax(p, t + 1);
            for (uint32_t s = 0; s <= t; s++)
                for (uint32_t i = 0; i < d; i++)
                    said[head * d + i] += p[s] * v[s][shared + i];
        }
        apply(out[t], twin(toy, w->wo), said, h, h);
    }
}

static void domain(const struct toy *toy, const struct lm_layer_weights *w, double *x)
{
    const struct lm_config *c = &toy->lay.config;
    double mix[WIDE_MAX];
    double gate = 1 / (1 + exp(-*twin(toy, w->blend)));
    apply(mix, twin(toy, w->dom_w), x, c->domains, c->hidden);
    softmax(mix, c->domains);
    for (uint32_t i = 0; i < c->hidden; i++)
        for (uint32_t e = 0; e < c->domains; e++)
            x[i] += gate * mix[e] * twin(toy, w->dom)[e * c->hidden + i];
}

/* out += share * expert(in) */
static void expert(const struct toy *toy, const float *w1, const float *w2, const double *in,
                   double share, double *out)
{
    uint32_t h = toy->lay.config.hidden;
    uint32_t f = toy->lay.config.ffn;
    double ag[WIDE_MAX];
    double y[WIDE_MAX];
    double made[WIDE_MAX];
    apply(ag, twin(toy, w1), in, 2 * f, h);
    for (uint32_t i = 0; i < f; i++)
        y[i] = ag[i] * ag[f + i] / (1 + exp(-ag[f + i]));
    apply(made, twin(toy, w2), y, h, f);
    for (uint32_t i = 0; i < h; i++)
        out[i] += share * made[i];
}

/* What the load-balancing loss counts, over the rows of a layer. */
struct balance {
    double chance[LM_EXPERTS_MAX], picks[LM_EXPERTS_MAX];
};

static void feed(const struct toy *toy, const struct lm_layer_weights *w, const double *in,
                 double *out, struct balance *balance)
{
    const struct lm_config *c = &toy->lay.config;
    double p[LM_EXPERTS_MAX];
    bool taken[LM_EXPERTS_MAX] = {0};
    double chosen = 0;
    memset(out, 0, c->hidden * sizeof(*out));
    if (c->experts == 0) {
        expert(toy, w->w1[0], w->w2[0], in, 1, out);
        return;
    }
    apply(p, twin(toy, w->router), in, c->experts, c->hidden);
    softmax(p, c->experts);
    for (uint32_t k = 0; k < c->top_k; k++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t e = 0; e < c->experts; e++)
            if (!taken[e] && (best == UINT32_MAX || p[e] > p[best]))
                best = e;
        taken[best] = true;
        chosen += p[best];
    }
    for (uint32_t e = 0; e < c->experts; e++) {
        balance->chance[e] += p[e];
        balance->picks[e] += taken[e];
        if (taken[e])
            expert(toy, w->w1[e], w->w2[e], in, p[e] / chosen, out);
    }
}

static void add(double *x, const double *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] += y[i];
}

/* x (B T, h) through one layer; the layer's load-balancing loss. */
static double layer(const struct toy *toy, const struct lm_layer_weights *w, double (*x)[WIDE_MAX])
{
    const struct lm_config *c = &toy->lay.config;
    uint32_t h = c->hidden;
    uint32_t rows = toy->batch * toy->length;
    bool post = c->norm == LM_NORM_POST;
    double eps = (double)c->norm_eps;
    struct balance balance = {0};
    static double in[ROWS_MAX][WIDE_MAX], out[ROWS_MAX][WIDE_MAX];
    double aux = 0;
    for (uint32_t i = 0; i < rows; i++) {
        memcpy(in[i], x[i], sizeof(in[i]));
        if (!post)
            norm(in[i], x[i], twin(toy, w->ln1_w), twin(toy, w->ln1_b), h, eps);
    }
    for (uint32_t text = 0; text < toy->batch; text++)
        attention(toy, w, in + text * toy->length, out + text * toy->length);
    for (uint32_t i = 0; i < rows; i++) {
        double y[WIDE_MAX];
        add(x[i], out[i], h);
        if (post)
            norm(x[i], x[i], twin(toy, w->ln1_w), twin(toy, w->ln1_b), h, eps);
        domain(toy, w, x[i]);
        memcpy(y, x[i], sizeof(y));
        if (!post)
            norm(y, x[i], twin(toy, w->ln2_w), twin(toy, w->ln2_b), h, eps);
        feed(toy, w, y, out[i], &balance);
        add(x[i], out[i], h);
        if (post)
            norm(x[i], x[i], twin(toy, w->ln2_w), twin(toy, w->ln2_b), h, eps);
    }
    for (uint32_t e = 0; e < c->experts; e++)
        aux += c->experts * balance.chance[e] / rows * balance.picks[e] / rows / c->top_k;
    return aux;
}

static double loss_of(const struct toy *toy)
{
    const struct lm_config *c = &toy->lay.config;
    static double x[ROWS_MAX][WIDE_MAX];
    uint32_t scored = 0;
    double nats = 0;
    double aux = 0;
    for (uint32_t i = 0; i < toy->batch * toy->length; i++) {
        memcpy(x[i], twin(toy, toy->lay.tok) + toy->ids[i] * c->hidden,
               c->hidden * sizeof(x[i][0]));
        add(x[i], twin(toy, toy->lay.pos) + i % toy->length * c->hidden, c->hidden);
    }
    for (uint32_t l = 0; l < c->layers; l++)
        aux += layer(toy, &toy->lay.layer[l], x);
    for (uint32_t i = 0; i < toy->batch * toy->length; i++) {
        double logits[WIDE_MAX];
        if (toy->targets[i] < 0)
            continue;
        norm(x[i], x[i], twin(toy, toy->lay.norm_w), twin(toy, toy->lay.norm_b), c->hidden,
             (double)c->norm_eps);
        apply(logits, twin(toy, toy->lay.tok), x[i], c->vocab_used, c->hidden);
        softmax(logits, c->vocab_used);
        nats -= log(logits[toy->targets[i]]);
        scored++;
    }
    return nats / scored + (double)c->aux * aux / c->layers;
}

/* Central differences at two distances, so that the error of the fourth order is left. */
static double slope(const struct toy *toy, uint64_t i)
{
    double kept = toy->w[i];
    double found[2];
    for (uint32_t n = 0; n < 2; n++) {
        double step = 1e-4 * (n + 1);
        toy->w[i] = kept + step;
        double above = loss_of(toy);
        toy->w[i] = kept - step;
        double below = loss_of(toy);
        found[n] = (above - below) / (2 * step);
    }
    toy->w[i] = kept;
    return (4 * found[0] - found[1]) / 3;
}

static void differ(uint32_t experts, enum lm_norm norm_place, double scale)
{
    static const uint16_t ids[] = {3, 1, 8, 1, 0, 5, 3, 6, 2, 1};
    static const int32_t targets[] = {1, -1, 7, 0, 5, 3, 8, -5, 1, 4};
    struct lm_config config = {.hidden = 10,
                               .layers = 2,
                               .heads = 2,
                               .kv_heads = 1,
                               .ffn = 7,
                               .experts = experts,
                               .top_k = experts == 0 ? 0 : 2,
                               .domains = 3,
                               .context = 6,
                               .vocab = 11,
                               .vocab_used = 9,
                               .rope_theta = 10000,
                               .norm_eps = 1e-6F,
                               .aux = 0.1F,
                               .norm = norm_place};
    struct lm_graph_batch batch = {.ids = ids, .targets = targets, .scale = scale};
    struct toy toy = {.ids = ids, .targets = targets, .batch = 2, .length = 5};
    struct lm_graph_loss loss;
    struct lm_tensor tensor;
    struct graph_run run;
    uint64_t floats = lm_floats(&config);
    run_open(&(struct lm_graph_options){.config = config, .batch = 2, .length = 5}, 2, &run);
    toy.w = mem_alloc(floats * sizeof(*toy.w));
    CHECK(toy.w != NULL);
    case_fill(&config, false, run.block);
    for (uint64_t i = 0; i < floats; i++) {
        if (fabs((double)run.block[i]) < 0.07)
            run.block[i] *= 8; /* far from linear */
        toy.w[i] = (double)run.block[i];
    }
    toy.lay = run.weights;
    CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, &run.grads, &loss));
    CHECK_EQ(loss.scored, 8);
    CHECK_NEAR(loss.sum / 8 + loss.aux, loss_of(&toy), 1e-5);
    for (uint32_t t = 0; lm_tensor_at(&config, t, &tensor); t++) {
        double squares = 0;
        for (uint64_t i = 0; i < tensor.count; i++)
            squares += pow((double)run.grad_block[tensor.offset + i] / scale, 2);
        double typical = sqrt(squares / (double)tensor.count);
        for (uint64_t i = tensor.offset; i < tensor.offset + tensor.count; i++) {
            double expected = slope(&toy, i);
            double got = (double)run.grad_block[i] / scale;
            NOTE("%s[%llu]: %.9g, by differences %.9g", tensor.name,
                 (unsigned long long)(i - tensor.offset), got, expected);
            CHECK(fabs(got - expected) <= 1e-3 * fmax(typical, fabs(expected)) + 1e-7);
        }
    }
    mem_free(toy.w);
    run_close(&run);
}

TEST(graph_dense_gradients_are_slopes)
{
    differ(0, LM_NORM_PRE, 1);
}

TEST(graph_expert_gradients_are_slopes)
{
    differ(4, LM_NORM_PRE, 0.25);
}

TEST(graph_dense_gradients_are_slopes_with_the_norm_after)
{
    differ(0, LM_NORM_POST, 3);
}

TEST(graph_expert_gradients_are_slopes_with_the_norm_after)
{
    differ(3, LM_NORM_POST, 1);
}
