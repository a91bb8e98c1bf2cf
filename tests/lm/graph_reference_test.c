/* Forward and backward pass against numbers of the reference; the three sizes whole are in
 * graph_sizes_slow.c. */
#include "lm/graph_compare.h"

TEST(graph_toy_is_the_reference)
{
    compare_case("toy_dense", 1);
}

TEST(graph_norm_after_is_the_reference)
{
    compare_case("toy_post", 2);
}

TEST(graph_experts_are_the_reference)
{
    compare_case("toy_moe", 2);
    compare_case("toy_moe_post", 1);
}

TEST(graph_equal_router_rows_choose_as_the_reference)
{
    compare_case("toy_ties", 2);
}

/* More rows than one piece of the head, more queries than one block of attention. */
TEST(graph_long_texts_are_the_reference)
{
    compare_case("toy_long", 2);
}

/* Widths, heads and experts as they are; two layers and a thousand ids. */
TEST(graph_tanka_shortened_is_the_reference)
{
    compare_case("tanka_short", 2);
}

TEST(graph_villanelle_shortened_is_the_reference)
{
    compare_case("villanelle_short", 1);
}

TEST(graph_ode_shortened_is_the_reference)
{
    compare_case("ode_short", 2);
}
