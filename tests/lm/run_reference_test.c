/* Cached decode against the reference's numbers. */
#include "lm/run_kit.h"

TEST(run_dense_is_the_reference)
{
    session_case("toy_dense");
    session_case("toy_post");
}

TEST(run_experts_are_the_reference)
{
    session_case("toy_moe");
    session_case("toy_moe_post");
}

TEST(run_equal_router_rows_choose_as_the_reference)
{
    session_case("toy_ties");
}

TEST(run_long_texts_are_the_reference)
{
    session_case("toy_long");
}

TEST(run_tanka_shortened_is_the_reference)
{
    session_case("tanka_short");
}

TEST(run_villanelle_shortened_is_the_reference)
{
    session_case("villanelle_short");
}

/* Heads of 97. */
TEST(run_ode_shortened_is_the_reference)
{
    session_case("ode_short");
}

TEST(run_plain_kernels_are_the_reference)
{
    struct str best = str_from(lm_isa_name());
    CHECK(lm_isa_limit(STR("plain")));
    session_case("toy_moe");
    session_case("toy_dense");
    CHECK(lm_isa_limit(best));
}
