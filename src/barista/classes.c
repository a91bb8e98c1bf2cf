/* What a text can be classified as: corpus/classes.csv. */
#include "barista/barista_int.h"

#include <string.h>

static struct barista_facet *facet_of(struct barista_facts *facts, struct str name)
{
    for (size_t i = 0; i < facts->facet_count; i++) {
        if (str_equal(facts->facet[i].name, name))
            return &facts->facet[i];
    }
    if (facts->facet_count == BARISTA_FACETS_MAX)
        return NULL;
    struct barista_facet *facet = &facts->facet[facts->facet_count++];
    *facet = (struct barista_facet){.name = name};
    return facet;
}

enum err barista_classes_load(const char *dir, struct barista_facts *facts, struct lm_fault *fault)
{
    struct barista_csv csv;
    enum err err = barista_csv_read(dir, "classes.csv", &facts->arena, fault, &csv);
    if (err != ERR_OK)
        return err;
    if (csv.columns != 2)
        return barista_fault(fault, "classes.csv:1:1: two columns are needed: facet, label");
    for (size_t i = 0; i < csv.rows; i++) {
        struct barista_facet *facet = facet_of(facts, barista_csv_at(&csv, i, 0));
        if (facet == NULL)
            return barista_fault(fault, "classes.csv:%zu:1: more than 8 facets", i + 2);
        struct str *labels = arena_alloc(&facts->arena, sizeof(*labels) * (facet->label_count + 1));
        if (labels == NULL)
            return ERR_NOMEM;
        if (facet->label_count > 0)
            memcpy(labels, facet->label, sizeof(*labels) * facet->label_count);
        labels[facet->label_count++] = barista_csv_at(&csv, i, 1);
        facet->label = labels;
    }
    for (size_t i = 0; i < facts->facet_count; i++) {
        const struct barista_facet *facet = &facts->facet[i];
        if (!str_equal(facet->label[facet->label_count - 1], STR("none")))
            return barista_fault(fault, "classes.csv: the last label of %.*s is not \"none\"",
                                 STR_ARG(facet->name));
    }
    return ERR_OK;
}

size_t barista_facets(const struct barista_facts *facts, const struct barista_facet **ret_facets)
{
    *ret_facets = facts->facet;
    return facts->facet_count;
}

struct str barista_class_lead(size_t facet)
{
    return facet == 0 ? STR_NONE : STR(",");
}

enum err barista_class_choice(size_t facet, struct str label, struct buf *ret_text)
{
    return buf_printf(ret_text, "%s%.*s", facet == 0 ? "" : " ", STR_ARG(label));
}
