/* Is an answer right?  Without a model: slots, refusals and recipes are checked by the words. */
#include "barista/barista_int.h"

#include <math.h>
#include <string.h>

/* How an answer says that it does not know.  Every refusal of the corpus has one of these, and no
 * other answer has (a test holds both). */
static const char *const markers[] = {
    "don't know",   "do not know", "not something i know", "only know",      "my list doesn't",
    "in my list",   "not in my",   "can't find",           "fits, sorry",    "none of these",
    "nothing that", "no idea",     "outside what i know",  "one that fits.", "does sums",
};

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool word_byte(char c)
{
    c = fold(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c & '\x80') != 0;
}

/* Position of `part` in `text` from `from` on, case aside; text.len when it is not there. */
static size_t find(struct str text, size_t from, struct str part)
{
    for (size_t i = from; i + part.len <= text.len; i++) {
        size_t k = 0;
        while (k < part.len && fold(text.at[i + k]) == fold(part.at[k]))
            k++;
        if (k == part.len)
            return i;
    }
    return text.len;
}

/* As a whole: "5" is not in "25", nor "0.5" in "0.55". */
bool barista_says(struct str text, struct str part)
{
    for (size_t at = 0; part.len > 0 && (at = find(text, at, part)) < text.len; at++) {
        size_t end = at + part.len;
        bool left = at == 0 || !word_byte(part.at[0]) || !word_byte(text.at[at - 1]);
        bool right =
            end == text.len || !word_byte(part.at[part.len - 1]) || !word_byte(text.at[end]);
        bool point = end + 1 < text.len && text.at[end] == '.' && text.at[end + 1] >= '0' &&
                     text.at[end + 1] <= '9';
        bool before =
            at > 1 && text.at[at - 1] == '.' && text.at[at - 2] >= '0' && text.at[at - 2] <= '9';
        if (left && right && !point && !before)
            return true;
    }
    return false;
}

bool barista_refuses(struct str answer)
{
    for (size_t i = 0; i < ARRAY_COUNT(markers); i++) {
        if (find(answer, 0, str_from(markers[i])) < answer.len)
            return true;
    }
    return false;
}

/* ---- claims that nothing in the prompt supports ---- */

static bool prompt_says(const struct barista_dialogue *dialogue, struct str word)
{
    for (size_t i = 0; i + 1 < dialogue->turn_count; i++) {
        if (barista_says(dialogue->turns[i].text, word))
            return true;
    }
    return false;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Words that begin with a capital without being names. */
static bool plain_capital(struct str word)
{
    static const char *const words[] = {"I", "I'd", "I'm", "I'll", "OK", "C"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (str_equal(word, str_from(words[i])))
            return true;
    }
    return false;
}

bool barista_unsupported(const struct barista_dialogue *dialogue, struct str answer)
{
    bool begins = true; /* of a sentence: a capital there says nothing */
    for (size_t i = 0; i < answer.len;) {
        size_t from = i;
        while (i < answer.len && (word_byte(answer.at[i]) || answer.at[i] == '\'' ||
                                  (answer.at[i] == '.' && i > from && digit(answer.at[i - 1]) &&
                                   i + 1 < answer.len && digit(answer.at[i + 1]))))
            i++;
        if (i == from) {
            begins = begins || strchr(".!?:\n", answer.at[i]) != NULL;
            i++;
            continue;
        }
        struct str word = str_slice(answer, from, i);
        bool capital = word.at[0] >= 'A' && word.at[0] <= 'Z' && !begins && !plain_capital(word);
        if ((capital || digit(word.at[0])) && !prompt_says(dialogue, word))
            return true;
        begins = false;
    }
    return false;
}

/* ---- sums ---- */

static void score_slots(const struct barista_label *label, struct str answer,
                        struct barista_score *sums)
{
    uint32_t found = 0;
    for (size_t i = 0; i < label->slot_count; i++)
        found += barista_says(answer, label->slots[i]);
    if (label->slot_count == 0)
        return;
    sums->slots += (uint32_t)label->slot_count;
    sums->slots_found += found;
    sums->slotted++;
    sums->slotted_all += found == label->slot_count;
}

static void score_classes(const struct barista_label *label, struct str answer,
                          struct barista_score *sums)
{
    for (size_t i = 0; i < BARISTA_FACETS_MAX && label->classes[i].at != NULL; i++) {
        size_t end = str_find(answer, ',');
        struct str given = str_slice(answer, 0, end);
        while (given.len > 0 && given.at[0] == ' ')
            given = str_slice(given, 1, given.len);
        sums->classes++;
        sums->classes_found += str_equal(given, label->classes[i]);
        answer = str_slice(answer, end < answer.len ? end + 1 : end, answer.len);
    }
}

void barista_score_add(const struct barista_dialogue *dialogue, struct str answer,
                       struct barista_score *sums)
{
    const struct barista_label *label = &dialogue->label;
    struct lm_fault fault;
    sums->dialogues++;
    if (dialogue->task == BARISTA_CLASSIFY) {
        score_classes(label, answer, sums);
        return;
    }
    score_slots(label, answer, sums);
    if (label->recipe) {
        sums->recipes++;
        sums->recipes_valid += barista_recipe_check(answer, &fault) == ERR_OK;
        return;
    }
    sums->answers++;
    sums->answers_unsupported += barista_unsupported(dialogue, answer);
    bool refuses = barista_refuses(answer);
    sums->must_refuse += label->refuses;
    sums->must_refuse_did += label->refuses && refuses;
    sums->must_not_refuse += !label->refuses;
    sums->must_not_refuse_did += !label->refuses && refuses;
}

static double share(uint32_t part, uint32_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

void barista_score_end(struct barista_score *sums)
{
    sums->slot_exact = share(sums->slots_found, sums->slots);
    sums->all_exact = share(sums->slotted_all, sums->slotted);
    sums->unsupported = share(sums->answers_unsupported, sums->answers);
    sums->refusal_right = share(sums->must_refuse_did, sums->must_refuse);
    sums->refusal_wrong = share(sums->must_not_refuse_did, sums->must_not_refuse);
    sums->recipe_valid = share(sums->recipes_valid, sums->recipes);
    sums->class_right = share(sums->classes_found, sums->classes);
    sums->class_calibration = 0;
    for (size_t i = 0; i < BARISTA_BINS && sums->judged > 0; i++)
        sums->class_calibration +=
            fabs(sums->bin_confidence[i] - sums->bin_right[i]) / sums->judged;
}

/* Interval after E. B. Wilson, "Probable inference, the law of succession, and statistical
 * inference", JASA 1927. */
void barista_interval(uint32_t part, uint32_t whole, double *ret_low, double *ret_high)
{
    double z = 1.959964, n = whole, p = share(part, whole);
    if (whole == 0) {
        *ret_low = 0;
        *ret_high = 1;
        return;
    }
    double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    *ret_low = centre - half > 0 ? centre - half : 0;
    *ret_high = centre + half < 1 ? centre + half : 1;
}

void barista_score_class(double confidence, bool right, struct barista_score *sums)
{
    double at = confidence * BARISTA_BINS;
    size_t bin = at >= BARISTA_BINS ? BARISTA_BINS - 1 : at > 0 ? (size_t)at : 0;
    sums->judged++;
    sums->bin_confidence[bin] += confidence;
    sums->bin_right[bin] += right ? 1 : 0;
}
