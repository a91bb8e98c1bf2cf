#include "machine/window/window_math_int.h"

#include "base/base.h"

#define LN2 0.69314718055994530942

double window_math_clamp(double value, double low, double high)
{
    if (value < low)
        return low;
    return value > high ? high : value;
}

/* Scaled by powers of four to 1/4..1, then Newton. */
double window_math_sqrt(double x)
{
    double scale = 1.0;
    if (!(x > 0.0))
        return 0.0;
    while (x > 1.0) {
        x *= 0.25;
        scale *= 2.0;
    }
    while (x < 0.25) {
        x *= 4.0;
        scale *= 0.5;
    }
    double y = 0.5 + 0.5 * x;
    for (int i = 0; i < 5; i++)
        y = 0.5 * (y + x / y);
    return y * scale;
}

double window_math_exp(double x)
{
    if (x < -700.0)
        return 0.0;
    x = window_math_clamp(x, -700.0, 700.0);
    int32_t twos = (int32_t)(x / LN2 + (x < 0 ? -0.5 : 0.5));
    double rest = x - twos * LN2; /* within +-0.35 */
    double term = 1.0;
    double sum = 1.0;
    for (int i = 1; i <= 13; i++) {
        term *= rest / i;
        sum += term;
    }
    for (; twos > 0; twos--)
        sum *= 2.0;
    for (; twos < 0; twos++)
        sum *= 0.5;
    return sum;
}

/* ln x = 2 artanh((x - 1) / (x + 1)) near one. */
double window_math_log(double x)
{
    double twos = 0.0;
    ASSERT(x > 0.0);
    while (x > 1.5) {
        x *= 0.5;
        twos += 1.0;
    }
    while (x < 0.75) {
        x *= 2.0;
        twos -= 1.0;
    }
    double u = (x - 1.0) / (x + 1.0);
    double square = u * u;
    double term = u;
    double sum = 0.0;
    for (int i = 1; i <= 25; i += 2) {
        sum += term / i;
        term *= square;
    }
    return 2.0 * sum + twos * LN2;
}

double window_math_sin(double x)
{
    double turns = x / (2.0 * WINDOW_PI);
    turns -= (double)(int64_t)turns;
    x = turns * 2.0 * WINDOW_PI; /* within +-2 pi */
    if (x > WINDOW_PI)
        x -= 2.0 * WINDOW_PI;
    if (x < -WINDOW_PI)
        x += 2.0 * WINDOW_PI;
    if (x > WINDOW_PI / 2.0)
        x = WINDOW_PI - x;
    if (x < -WINDOW_PI / 2.0)
        x = -WINDOW_PI - x;
    double term = x;
    double sum = x;
    for (int i = 1; i <= 9; i++) {
        term *= -x * x / (2.0 * i * (2.0 * i + 1.0));
        sum += term;
    }
    return sum;
}

double window_math_cos(double x)
{
    return window_math_sin(x + WINDOW_PI / 2.0);
}

double window_math_pow(double x, double y)
{
    return x > 0.0 ? window_math_exp(y * window_math_log(x)) : 0.0;
}
