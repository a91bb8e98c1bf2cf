/* Which rows belong to a question: BM25 over words, typos bridged by trigrams, and a threshold, for
 * a row that does not fit is worse than none.  Deterministic: ties go to the earlier row.
 *
 * S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. */
#include "barista/barista_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BM25_K1       1.2
#define BM25_B        0.3
#define HEAVY_WEIGHT  2.5F /* words of the column that names a row */
#define LIKENESS_MIN  0.42 /* of a misspelt word */
#define LIKENESS_LEN  4    /* shorter words are not guessed */
#define BEFORE_WEIGHT 0.25 /* words of the turns before */
#define COVERED_MIN   0.4  /* share of the question that the best row must explain */
#define UNKNOWN_SHARE 0.6  /* of the content that a word in no row could have had */
#define RELATIVE_MIN  0.55 /* of the best row's score: rows after it */
#define TERMS_MAX     48   /* of one question */
#define LOOKED_BYTES  2048 /* of a text's end: a stranger's text may be long */

struct triple {
    struct str word;
    uint32_t row;
    float weight;
};

static int str_order(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.at, b.at, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int triple_order(const void *a, const void *b)
{
    const struct triple *left = a, *right = b;
    int order = str_order(left->word, right->word);
    return order != 0 ? order : (left->row > right->row) - (left->row < right->row);
}

/* ---- the index ---- */

struct triples {
    struct triple *at;
    size_t count, max;
    struct arena *arena;
};

static enum err triples_add(struct triples *triples, struct str text, uint32_t row, float weight)
{
    struct barista_word word;
    for (size_t at = 0; barista_word_next(text, &at, &word);) {
        if (triples->count == triples->max)
            return ERR_FULL;
        char *copy = arena_strdup(triples->arena, (struct str){word.at, word.len});
        if (copy == NULL)
            return ERR_NOMEM;
        triples->at[triples->count++] = (struct triple){{copy, word.len}, row, weight};
    }
    return ERR_OK;
}

static enum err triples_fill(struct barista_facts *facts, struct triples *triples)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < facts->row_count && err == ERR_OK; i++) {
        const struct barista_table *table = &facts->table[facts->row_table[i]];
        size_t heavy = barista_csv_column(&table->csv, table->heavy);
        size_t local = i - table->first;
        err = triples_add(triples, facts->row[i].text, (uint32_t)i, 1);
        if (err == ERR_OK)
            err = triples_add(triples, barista_csv_at(&table->csv, local, heavy), (uint32_t)i,
                              HEAVY_WEIGHT);
        if (err == ERR_OK)
            err = triples_add(triples, barista_cell(table, local, "+words"), (uint32_t)i, 1);
    }
    return err;
}

/* Sorted triples to terms and postings, equal pairs added up. */
static void index_fold(struct barista_facts *facts, const struct triples *triples)
{
    size_t postings = 0;
    for (size_t i = 0; i < triples->count; i++) {
        const struct triple *triple = &triples->at[i];
        struct barista_term *term =
            facts->term_count > 0 ? &facts->term[facts->term_count - 1] : NULL;
        if (term == NULL || !str_equal(term->text, triple->word)) {
            term = &facts->term[facts->term_count++];
            *term = (struct barista_term){triple->word, (uint32_t)postings, 0, 0};
        }
        struct barista_posting *last = term->count > 0 ? &facts->posting[postings - 1] : NULL;
        facts->row_words[triple->row] += triple->weight;
        if (last != NULL && last->row == triple->row) {
            last->weight += triple->weight;
            continue;
        }
        facts->posting[postings++] = (struct barista_posting){triple->row, triple->weight};
        term->count++;
    }
}

enum err barista_index_build(struct barista_facts *facts)
{
    size_t words = 1;
    for (size_t i = 0; i < facts->row_count; i++) {
        const struct barista_table *table = &facts->table[facts->row_table[i]];
        size_t local = i - table->first;
        words += 2 * facts->row[i].text.len +
                 barista_cell(table, local, "+words").len; /* no more words than bytes */
    }
    struct triples triples = {.max = words, .arena = &facts->arena};
    triples.at = mem_alloc(sizeof(*triples.at) * words);
    if (triples.at == NULL)
        return ERR_NOMEM;
    enum err err = triples_fill(facts, &triples);
    if (err == ERR_OK) {
        qsort(triples.at, triples.count, sizeof(*triples.at), triple_order);
        facts->term = arena_alloc(&facts->arena, sizeof(*facts->term) * (triples.count + 1));
        facts->posting = arena_alloc(&facts->arena, sizeof(*facts->posting) * (triples.count + 1));
        err = facts->term == NULL || facts->posting == NULL ? ERR_NOMEM : ERR_OK;
    }
    if (err == ERR_OK)
        index_fold(facts, &triples);
    mem_free(triples.at);
    for (size_t i = 0; i < facts->term_count && err == ERR_OK; i++) {
        double df = facts->term[i].count, n = (double)facts->row_count;
        facts->term[i].idf = (float)log(1 + (n - df + 0.5) / (df + 0.5));
    }
    facts->words_mean = 1;
    for (size_t i = 0; i < facts->row_count; i++)
        facts->words_mean += (double)facts->row_words[i] / (double)facts->row_count;
    return err;
}

/* ---- a question ---- */

struct asked {
    const struct barista_term *term[TERMS_MAX];
    double weight[TERMS_MAX];
    size_t count;
    double content;                       /* idf of all that was asked for, known or not */
    struct barista_word heard[TERMS_MAX]; /* every word of the question, silent ones too */
    size_t heard_count;
};

static int term_order(const void *key, const void *term)
{
    const struct str *word = key;
    return str_order(*word, ((const struct barista_term *)term)->text);
}

static const struct barista_term *term_find(const struct barista_facts *facts, struct str word)
{
    return facts->term_count == 0
               ? NULL
               : bsearch(&word, facts->term, facts->term_count, sizeof(*facts->term), term_order);
}

/* What a word that is in no row and no list was meant to be: a term or a synonym's word. */
struct guess {
    const struct barista_term *term;
    const struct barista_synonym *synonym;
    double likeness;
};

static bool guess_better(struct str text, struct str word, double *likeness)
{
    if (text.len < LIKENESS_LEN || text.len + 2 < word.len || text.len > word.len + 2 ||
        text.at[0] != word.at[0])
        return false;
    double now = barista_word_likeness(text, word);
    if (now <= *likeness)
        return false;
    *likeness = now;
    return true;
}

static struct guess guess_word(const struct barista_facts *facts, struct str word)
{
    struct guess guess = {NULL, NULL, LIKENESS_MIN};
    if (word.len < LIKENESS_LEN || (word.at[0] >= '0' && word.at[0] <= '9'))
        return guess;
    for (size_t i = 0; i < facts->term_count; i++) {
        if (guess_better(facts->term[i].text, word, &guess.likeness))
            guess.term = &facts->term[i];
    }
    for (size_t i = 0; i < facts->synonym_count; i++) {
        if (guess_better(facts->synonym[i].word, word, &guess.likeness))
            guess.synonym = &facts->synonym[i];
    }
    if (guess.synonym != NULL)
        guess.term = NULL;
    return guess;
}

static void asked_add(struct asked *asked, const struct barista_term *term, double weight)
{
    for (size_t i = 0; i < asked->count; i++) {
        if (asked->term[i] == term) {
            if (weight > asked->weight[i])
                asked->weight[i] = weight;
            return;
        }
    }
    if (asked->count == TERMS_MAX)
        return;
    asked->term[asked->count] = term;
    asked->weight[asked->count++] = weight;
}

/* A word by way of the synonyms; the most informative of its meanings counts as its content. */
static double asked_means(const struct barista_facts *facts, struct asked *asked, struct str means,
                          double weight)
{
    struct barista_word word;
    double most = 0;
    for (size_t at = 0; barista_word_next(means, &at, &word);) {
        const struct barista_term *term = term_find(facts, (struct str){word.at, word.len});
        if (term == NULL)
            continue;
        asked_add(asked, term, weight);
        most = (double)term->idf > most ? (double)term->idf : most;
    }
    return most;
}

/* One word of a question; its content, which is none for words that say nothing and for numbers
 * that stand nowhere. */
static double asked_word(const struct barista_facts *facts, struct asked *asked, struct str word,
                         double weight, bool guessed)
{
    bool synonym;
    struct str means = barista_synonym_find(facts, word, &synonym);
    if (synonym)
        return means.len > 0 ? asked_means(facts, asked, means, weight) : 0;
    struct guess guess = {term_find(facts, word), NULL, 1};
    if (guess.term == NULL && guessed)
        guess = guess_word(facts, word);
    if (guess.synonym != NULL) {
        means = guess.synonym->means;
        return means.len > 0 ? asked_means(facts, asked, means, weight * guess.likeness) : 0;
    }
    if (guess.term != NULL) {
        asked_add(asked, guess.term, weight * guess.likeness);
        return (double)guess.term->idf;
    }
    return word.at[0] >= '0' && word.at[0] <= '9'
               ? 0
               : UNKNOWN_SHARE * log(1 + 2.0 * (double)facts->row_count);
}

/* The end of a text, from the beginning of a word on. */
static struct str text_end(struct str text)
{
    size_t at = text.len > LOOKED_BYTES ? text.len - LOOKED_BYTES : 0;
    while (at > 0 && at < text.len && text.at[at - 1] != ' ' && text.at[at - 1] != '\n')
        at++;
    return str_slice(text, at, text.len);
}

/* The last TERMS_MAX words of a question: each that is unknown is held against all there are. */
static struct str question_end(struct str text)
{
    struct barista_word word;
    size_t words = 0, from = 0;
    text = text_end(text);
    for (size_t at = 0; barista_word_next(text, &at, &word);)
        words++;
    for (; words > TERMS_MAX; words--)
        (void)barista_word_next(text, &from, &word);
    return str_slice(text, from, text.len);
}

static void asked_text(const struct barista_facts *facts, struct str text, double weight,
                       bool question, struct asked *asked)
{
    struct barista_word word;
    for (size_t at = 0; barista_word_next(text, &at, &word);) {
        struct str slice = {word.at, word.len};
        double content = asked_word(facts, asked, slice, weight, question);
        if (question && asked->heard_count < TERMS_MAX)
            asked->heard[asked->heard_count++] = word;
        asked->content += question ? content : 0;
    }
}

struct scored {
    double score, covered;
    uint32_t row;
};

static int scored_order(const void *a, const void *b)
{
    const struct scored *left = a, *right = b;
    if (left->score > right->score || left->score < right->score)
        return left->score > right->score ? -1 : 1;
    return (left->row > right->row) - (left->row < right->row);
}

static void score_rows(const struct barista_facts *facts, const struct asked *asked,
                       struct scored *scored)
{
    for (size_t i = 0; i < facts->row_count; i++)
        scored[i] = (struct scored){0, 0, (uint32_t)i};
    for (size_t i = 0; i < asked->count; i++) {
        const struct barista_term *term = asked->term[i];
        for (size_t k = 0; k < term->count; k++) {
            const struct barista_posting *posting = &facts->posting[term->first + k];
            double tf = (double)posting->weight;
            double length = (double)facts->row_words[posting->row] / facts->words_mean;
            double norm = tf + BM25_K1 * (1 - BM25_B + BM25_B * length);
            scored[posting->row].score +=
                asked->weight[i] * (double)term->idf * tf * (BM25_K1 + 1) / norm;
            scored[posting->row].covered += asked->weight[i] * (double)term->idf;
        }
    }
}

static bool heard(const struct asked *asked, struct str word)
{
    for (size_t i = 0; i < asked->heard_count; i++) {
        if (str_equal((struct str){asked->heard[i].at, asked->heard[i].len}, word))
            return true;
    }
    for (size_t i = 0; i < asked->count; i++) { /* misspelt, or another word for it */
        if (asked->weight[i] > BEFORE_WEIGHT && str_equal(asked->term[i]->text, word))
            return true;
    }
    return false;
}

/* A row whose name is in the question is spoken of, whatever else is said. */
static bool row_named(const struct barista_facts *facts, uint32_t row, const struct asked *asked)
{
    const struct barista_table *table = &facts->table[facts->row_table[row]];
    struct str name = barista_csv_at(&table->csv, row - table->first,
                                     barista_csv_column(&table->csv, table->heavy));
    struct barista_word word;
    size_t words = 0;
    for (size_t at = 0; barista_word_next(name, &at, &word); words++) {
        if (!heard(asked, (struct str){word.at, word.len}))
            return false;
    }
    return words > 0;
}

size_t barista_retrieve(const struct barista_facts *facts, struct str question, struct str before,
                        struct barista_row *ret_rows, size_t rows_max)
{
    struct asked asked = {.count = 0};
    size_t count = 0;
    asked_text(facts, question_end(question), 1, true, &asked);
    asked_text(facts, text_end(before), BEFORE_WEIGHT, false, &asked);
    if (asked.count == 0)
        return 0;
    struct scored *scored = mem_alloc(sizeof(*scored) * (facts->row_count + 1));
    if (scored == NULL)
        return 0; /* no rows: the answer is then "I don't know", which is true enough */
    score_rows(facts, &asked, scored);
    qsort(scored, facts->row_count, sizeof(*scored), scored_order);
    bool fits = scored[0].covered >= COVERED_MIN * asked.content;
    for (size_t i = 0; i < facts->row_count && count < rows_max && scored[i].score > 0; i++) {
        bool near = fits && scored[i].score >= RELATIVE_MIN * scored[0].score;
        if (!near && !row_named(facts, scored[i].row, &asked))
            continue;
        ret_rows[count] = facts->row[scored[i].row];
        ret_rows[count++].score = scored[i].score;
    }
    mem_free(scored);
    return count;
}
