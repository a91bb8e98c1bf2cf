/* loss.svg: the loss over the tokens seen, in training and on what was held out.  Legible on light
 * and on dark ground: nothing is filled, and the greys and colours keep their distance to both. */
#include "lm/train/train_int.h"

#include <math.h>

#define WIDTH  800.0
#define HEIGHT 420.0
#define LEFT   64.0
#define RIGHT  16.0
#define TOP    40.0
#define BOTTOM 52.0
#define LINES  8 /* at most so many lines of a grid */

struct frame {
    double x_max, y_min, y_max;
};

static double x_of(const struct frame *frame, double tokens)
{
    return LEFT + tokens / frame->x_max * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct frame *frame, double loss)
{
    double part = (loss - frame->y_min) / (frame->y_max - frame->y_min);
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that at most LINES of them span the range. */
static double pace(double range)
{
    double power = pow(10, floor(log10(range / LINES)));
    static const double times[] = {1, 2, 5, 10};
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        if (range / (power * times[i]) <= LINES)
            return power * times[i];
    }
    return power * 10;
}

static void reach(struct frame *frame, const struct lm_points *points)
{
    for (uint32_t i = 0; i < points->count; i++) {
        const struct lm_point *point = &points->at[i];
        if (!isfinite(point->loss))
            continue;
        frame->x_max = fmax(frame->x_max, point->tokens);
        frame->y_max = fmax(frame->y_max, point->loss);
        frame->y_min = fmin(frame->y_min, point->loss);
    }
}

static struct frame frame_of(const struct lm_points *train, const struct lm_points *valid)
{
    struct frame frame = {1, INFINITY, -INFINITY};
    reach(&frame, train);
    reach(&frame, valid);
    if (!(frame.y_min <= frame.y_max))
        frame = (struct frame){1, 0, 1};
    double step = pace(fmax(frame.y_max - frame.y_min, 0.01));
    frame.y_min = floor(frame.y_min / step) * step;
    frame.y_max = ceil(frame.y_max / step) * step;
    if (frame.y_max <= frame.y_min)
        frame.y_max = frame.y_min + step;
    return frame;
}

/* "1.5 M" */
static enum err add_count(struct buf *svg, double count)
{
    if (count >= 1e6)
        return buf_printf(svg, "%g M", count / 1e6);
    if (count >= 1e3)
        return buf_printf(svg, "%g k", count / 1e3);
    return buf_printf(svg, "%g", count);
}

static enum err draw_grid(struct buf *svg, const struct frame *frame)
{
    enum err err = ERR_OK;
    double step = pace(frame->y_max - frame->y_min);
    for (int i = 0; err == ERR_OK && frame->y_min + i * step <= frame->y_max + step / 1e6; i++) {
        double loss = frame->y_min + i * step, y = y_of(frame, loss);
        err = buf_printf(svg,
                         "<line class=\"g\" x1=\"%g\" y1=\"%.1f\" x2=\"%g\" y2=\"%.1f\"/>"
                         "<text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                         LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, loss);
    }
    step = pace(frame->x_max);
    for (int i = 0; err == ERR_OK && i * step <= frame->x_max; i++) {
        double x = x_of(frame, i * step);
        err = buf_printf(svg,
                         "<line class=\"g\" x1=\"%.1f\" y1=\"%g\" x2=\"%.1f\" y2=\"%g\"/>"
                         "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">",
                         x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, x, HEIGHT - BOTTOM + 20);
        if (err == ERR_OK)
            err = add_count(svg, i * step);
        if (err == ERR_OK)
            err = buf_add_str(svg, STR("</text>\n"));
    }
    return err;
}

static enum err draw_line(struct buf *svg, const struct frame *frame,
                          const struct lm_points *points, const char *of)
{
    enum err err = buf_printf(svg, "<polyline class=\"%s\" points=\"", of);
    for (uint32_t i = 0; err == ERR_OK && i < points->count; i++) {
        if (isfinite(points->at[i].loss))
            err = buf_printf(svg, "%.1f,%.1f ", x_of(frame, points->at[i].tokens),
                             y_of(frame, points->at[i].loss));
    }
    if (err == ERR_OK)
        err = buf_add_str(svg, STR("\"/>\n"));
    return err;
}

/* A single validation is a dot, as no line can be drawn through it. */
static enum err draw_dots(struct buf *svg, const struct frame *frame,
                          const struct lm_points *points)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && points->count <= 100 && i < points->count; i++) {
        if (isfinite(points->at[i].loss))
            err = buf_printf(svg, "<circle class=\"v\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n",
                             x_of(frame, points->at[i].tokens), y_of(frame, points->at[i].loss));
    }
    return err;
}

/* Names are our own and files' of a person; as text in XML. */
static enum err add_text(struct buf *svg, const char *text)
{
    enum err err = ERR_OK;
    for (; err == ERR_OK && *text != 0; text++) {
        bool plain = *text >= ' ' && *text < 127 && *text != '<' && *text != '>' && *text != '&';
        err = buf_printf(svg, "%c", plain ? *text : '_');
    }
    return err;
}

enum err lm_picture_draw(struct buf *svg, const char *name, const struct lm_points *train,
                         const struct lm_points *valid)
{
    struct frame frame = frame_of(train, valid);
    enum err err = buf_printf(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" role=\"img\">\n"
        "<title>Loss of training and validation over tokens</title>\n<style>"
        "text{font:13px sans-serif;fill:#808080}.g{stroke:#808080;stroke-opacity:.3}"
        ".t,.v{fill:none;stroke-width:1.5}.t{stroke:#3b82f6}.v{stroke:#e0701e;stroke-width:2.5}"
        "@media (prefers-color-scheme:dark){text{fill:#a0a0a0}}</style>\n",
        WIDTH, HEIGHT);
    if (err == ERR_OK)
        err = draw_grid(svg, &frame);
    if (err == ERR_OK)
        err = draw_line(svg, &frame, train, "t");
    if (err == ERR_OK)
        err = draw_line(svg, &frame, valid, "v");
    if (err == ERR_OK)
        err = draw_dots(svg, &frame, valid);
    if (err == ERR_OK)
        err = buf_printf(svg, "<text x=\"%g\" y=\"22\">loss (nats a token), ", LEFT);
    if (err == ERR_OK)
        err = add_text(svg, name);
    if (err == ERR_OK)
        err = buf_printf(svg,
                         "</text>\n<text x=\"%g\" y=\"%g\" text-anchor=\"end\">tokens seen</text>\n"
                         "<line class=\"t\" x1=\"%g\" y1=\"18\" x2=\"%g\" y2=\"18\"/>"
                         "<text x=\"%g\" y=\"22\">training</text>\n"
                         "<line class=\"v\" x1=\"%g\" y1=\"18\" x2=\"%g\" y2=\"18\"/>"
                         "<text x=\"%g\" y=\"22\">validation</text>\n</svg>\n",
                         WIDTH - RIGHT, HEIGHT - 10, WIDTH - 240, WIDTH - 216, WIDTH - 208,
                         WIDTH - 130, WIDTH - 106, WIDTH - 98);
    return err;
}
