/* SPDX-License-Identifier: Apache-2.0
 * The table of runs: strategies by space, and their means. */
#include "runs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUM_POINTS 3

static const int32_t points[NUM_POINTS] = {50, 100, 200}; /* tests */

struct standing {
    double score;             /* mean; NaN = not known */
    double share[NUM_POINTS]; /* of the runs within 5% after so many tests; NaN where a run had fewer */
    int32_t count;            /* of runs, or spaces */
};

static struct standing standing_of(const struct runs *runs, const char *space, const char *label)
{
    struct standing s = {0, {0}, 0};
    for (size_t i = 0; i < runs->count; i++) {
        const struct run *run = &runs->items[i];
        if (strcmp(run->space, space) != 0 || strcmp(run->label, label) != 0)
            continue;
        s.count++;
        s.score += run->score;
        for (int p = 0; p < NUM_POINTS; p++)
            s.share[p] += run->num_tests < points[p] ? NAN : run->within5_at > 0 && run->within5_at <= points[p];
    }
    s.score /= s.count;
    for (int p = 0; p < NUM_POINTS; p++)
        s.share[p] /= s.count;
    return s;
}

static struct standing mean_of(const struct runs *runs, const struct text_list *spaces, const char *label)
{
    struct standing mean = {0, {0}, 0};
    for (size_t i = 0; i < spaces->count; i++) {
        struct standing s = standing_of(runs, spaces->items[i], label);
        if (!s.count)
            continue;
        mean.count++;
        mean.score += s.score;
        for (int p = 0; p < NUM_POINTS; p++)
            mean.share[p] += s.share[p];
    }
    mean.score /= mean.count;
    for (int p = 0; p < NUM_POINTS; p++)
        mean.share[p] /= mean.count;
    return mean;
}

static void print_standing(const char *label, int width, const struct standing *s, const char *of)
{
    char score[16] = "-";
    if (isfinite(s->score))
        snprintf(score, sizeof score, "%.3f", s->score);
    printf("  %-*s %7s ", width, label, score);
    for (int p = 0; p < NUM_POINTS; p++)
        if (isfinite(s->share[p]))
            printf(" %5.0f%%", 100 * s->share[p]);
        else
            printf("      -");
    printf("  %6d %s\n", (int)s->count, of);
}

static int width_of(const struct text_list *labels)
{
    int width = 8;
    for (size_t k = 0; k < labels->count; k++)
        if ((int)strlen(labels->items[k]) > width)
            width = (int)strlen(labels->items[k]);
    return width;
}

static void print_table(const struct runs *runs, const struct text_list *spaces, const struct text_list *labels)
{
    int width = width_of(labels);
    printf("score: 0 = random, 1 = the optimum at once; then the share of runs within 5%% of the optimum after so many "
           "tests\n");
    for (size_t i = 0; i <= spaces->count; i++) {
        bool is_mean = i == spaces->count;
        if (is_mean && spaces->count == 1)
            break;
        printf("\n%s\n  %-*s %7s  %5d  %5d  %5d\n", is_mean ? "mean over spaces" : spaces->items[i], width, "strategy",
               "score", (int)points[0], (int)points[1], (int)points[2]);
        for (size_t k = 0; k < labels->count; k++) {
            struct standing s = is_mean ? mean_of(runs, spaces, labels->items[k])
                                        : standing_of(runs, spaces->items[i], labels->items[k]);
            if (s.count)
                print_standing(labels->items[k], width, &s, is_mean ? "spaces" : "runs");
        }
    }
}

bool runs_print(const struct runs *runs)
{
    struct text_list spaces, labels;
    bool enough = runs_names(runs, run_space, &spaces);
    enough = runs_names(runs, run_label, &labels) && enough;
    if (enough)
        print_table(runs, &spaces, &labels);
    else
        cli_error("out of memory");
    free(spaces.items);
    free(labels.items);
    return enough;
}
