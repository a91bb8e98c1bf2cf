/* Inside machine/window: the few functions a freestanding compiler has no library for.  Good to
 * about 1e-10 of the value, which is far more than any sensor; the same on every target. */
#ifndef AUTOMAT_MACHINE_WINDOW_MATH_INT_H
#define AUTOMAT_MACHINE_WINDOW_MATH_INT_H

#define WINDOW_PI 3.14159265358979323846

double window_math_sqrt(double x); /* 0 for x <= 0 */
double window_math_exp(double x);  /* 0 below -700; x at most 700 */
double window_math_log(double x);  /* natural; x > 0 */
double window_math_sin(double x);
double window_math_cos(double x);
double window_math_pow(double x, double y); /* 0 for x <= 0 */
double window_math_clamp(double value, double low, double high);

#endif
