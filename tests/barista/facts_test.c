/* Tables: read strictly, or refused with the place. */
#include "barista/barista_int.h"
#include "kit/kit.h"
#include "machine/espresso/espresso.h"

#include <string.h>

#define CORPUS AUTOMAT_SOURCE_DIR "/corpus"

static enum err parse(const char *text, struct arena *arena, struct lm_fault *fault,
                      struct barista_csv *ret_csv)
{
    return barista_csv_parse("t.csv", str_from(text), arena, fault, ret_csv);
}

TEST(csv_reads_bare_and_quoted_cells)
{
    struct arena arena;
    struct lm_fault fault;
    struct barista_csv csv;
    arena_init(&arena, MIB);
    CHECK_OK(parse("a,b\n1,\"x, \"\"y\"\"\"\r\n,\n", &arena, &fault, &csv));
    CHECK_EQ(csv.columns, 2);
    CHECK_EQ(csv.rows, 2);
    CHECK_SLICE(barista_csv_at(&csv, 0, 1), "x, \"y\"");
    CHECK_SLICE(barista_csv_at(&csv, 1, 0), "");
    CHECK_EQ(barista_csv_column(&csv, STR("b")), 1);
    CHECK_EQ(barista_csv_column(&csv, STR("c")), 2);
    CHECK_EQ(barista_csv_at(&csv, 2, 0).len, 0);
    arena_finish(&arena);
}

TEST(csv_says_where_it_is_wrong)
{
    static const struct {
        const char *text, *place;
    } wrong[] = {
        {"a,b\n1\n", "t.csv:3:1"},    {"a,b\n1,2,3\n", "t.csv:3:1"},
        {"a,a\n", "t.csv:2:1"},       {"a,\n", "t.csv:2:1"},
        {"a\nx\"y\n", "t.csv:2:2"},   {"a\n\"x\n", "t.csv:2:3"},
        {"a\n\"x\"y\n", "t.csv:2:4"}, {"a\nb", "t.csv:2:2"},
        {"a\nb\rc\n", "t.csv:2:2"},   {"", "t.csv:1:1"},
        {"a\n\xff\n", "t.csv:1:1"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct arena arena;
        struct lm_fault fault = {.at_byte = 0};
        struct barista_csv csv;
        arena_init(&arena, MIB);
        NOTE("case %zu", i);
        CHECK_ERR(parse(wrong[i].text, &arena, &fault, &csv), ERR_INPUT);
        NOTE("case %zu: %s", i, fault.why);
        CHECK(strncmp(fault.why, wrong[i].place, strlen(wrong[i].place)) == 0);
        arena_finish(&arena);
    }
}

TEST(csv_never_reads_past_any_prefix)
{
    static const char whole[] = "id,name\na,\"b\"\"c\"\r\nd,e\n";
    for (size_t len = 0; len < sizeof(whole); len++) {
        struct arena arena;
        struct lm_fault fault;
        struct barista_csv csv;
        char *copy = kit_guard_page(whole, len);
        arena_init(&arena, MIB);
        (void)!barista_csv_parse("t.csv", (struct str){copy, len}, &arena, &fault, &csv);
        arena_finish(&arena);
        kit_free_guard(copy);
    }
}

static struct barista_facts *load(void)
{
    struct lm_fault fault = {.at_byte = 0};
    struct barista_facts *facts = NULL;
    enum err err = barista_facts_load(CORPUS, &fault, &facts);
    NOTE("%s", fault.why);
    CHECK_OK(err);
    return facts;
}

TEST(corpus_rows_are_short_and_named)
{
    struct barista_facts *facts = load();
    CHECK(barista_facts_count(facts) > 100);
    for (size_t i = 0; i < facts->row_count; i++) {
        struct str text = facts->row[i].text;
        NOTE("%.*s", STR_ARG(text));
        CHECK(text.len > 5 && text.len < 140);
        CHECK(str_find(text, '\n') == text.len && str_find(text, ':') < text.len);
    }
    barista_facts_destroy(facts);
}

TEST(volumes_are_the_machines_own)
{
    struct barista_facts *facts = load();
    const struct barista_table *table = barista_table_find(facts, STR("volumes"));
    CHECK(table != NULL);
    CHECK_EQ(table->csv.rows, espresso_capsule_count);
    for (size_t i = 0; i < table->csv.rows; i++) {
        enum espresso_capsule_type type;
        uint64_t ml;
        struct str variant = barista_cell(table, i, "variant");
        CHECK_OK(espresso_capsule_type_from(barista_cell(table, i, "system"), &type));
        CHECK_OK(str_to_u64(barista_cell(table, i, "ml"), &ml));
        const struct espresso_capsule *capsule = espresso_capsule_find(type, variant);
        CHECK(capsule != NULL);
        CHECK_EQ(capsule->volume_ml, ml);
    }
    barista_facts_destroy(facts);
}

TEST(capsules_agree_with_the_volumes)
{
    struct barista_facts *facts = load();
    const struct barista_table *capsules = barista_table_find(facts, STR("capsules"));
    const struct barista_table *volumes = barista_table_find(facts, STR("volumes"));
    for (size_t i = 0; i < capsules->csv.rows; i++) {
        bool found = false;
        for (size_t k = 0; k < volumes->csv.rows; k++)
            found = found ||
                    (str_equal(barista_cell(capsules, i, "system"),
                               barista_cell(volumes, k, "system")) &&
                     str_equal(barista_cell(capsules, i, "cup"), barista_cell(volumes, k, "cup")) &&
                     str_equal(barista_cell(capsules, i, "ml"), barista_cell(volumes, k, "ml")));
        NOTE("%.*s", STR_ARG(barista_cell(capsules, i, "id")));
        CHECK(found);
    }
    barista_facts_destroy(facts);
}

TEST(every_science_row_says_whose_number_it_is)
{
    struct barista_facts *facts = load();
    const struct barista_table *table = barista_table_find(facts, STR("science"));
    for (size_t i = 0; i < table->csv.rows; i++)
        CHECK(barista_cell(table, i, "source").len > 0);
    barista_facts_destroy(facts);
}

TEST(facets_end_with_none)
{
    struct barista_facts *facts = load();
    const struct barista_facet *facet;
    CHECK_EQ(barista_facets(facts, &facet), 5);
    for (size_t i = 0; i < 5; i++) {
        CHECK(facet[i].label_count >= 2 && facet[i].label_count <= BARISTA_LABELS_MAX);
        CHECK_SLICE(facet[i].label[facet[i].label_count - 1], "none");
    }
    barista_facts_destroy(facts);
}

TEST(a_missing_folder_is_named)
{
    struct lm_fault fault = {.at_byte = 0};
    struct barista_facts *facts = NULL;
    CHECK_ERR(barista_facts_load("/nowhere", &fault, &facts), ERR_NOT_FOUND);
    CHECK(strstr(fault.why, "tables.csv") != NULL);
    CHECK(facts == NULL);
}

TEST(facts_survive_every_failed_allocation)
{
    for (uint32_t nth = 1;; nth++) {
        struct lm_fault fault;
        struct barista_facts *facts = NULL;
        int64_t live = mem_live();
        mem_fail_at(nth);
        enum err err = barista_facts_load(CORPUS, &fault, &facts);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (err == ERR_OK)
            barista_facts_destroy(facts);
        CHECK_EQ(mem_live(), live);
        if (!fired) {
            CHECK_OK(err);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
}
