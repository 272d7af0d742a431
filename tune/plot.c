/* SPDX-License-Identifier: Apache-2.0 */
#include "plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pixels. */
#define PANEL_WIDTH 420
#define PANEL_HEIGHT 300
#define MARGIN_LEFT 62
#define MARGIN_RIGHT 16
#define MARGIN_TOP 40
#define MARGIN_BOTTOM 52
#define HEAD 46
#define LEGEND_ROW 22
#define LEGEND_CHAR 7.2
#define LEGEND_GAP 60

#define MAX_COLUMNS 3
#define MAX_POINTS 300 /* of a line */
#define TICK_GAP 16
#define LEAST_TOP 1.2
#define MOST_TOP 1000.0
#define NEAR 1.05

/* Okabe and Ito's palette without its yellow, which white swallows: told apart by most colour-blind people. Lines
 * beyond it are dashed. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
#define NUM_COLOURS (sizeof colours / sizeof *colours)
static const char *const dashes[] = {"", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 2\""};
#define NUM_DASHES (sizeof dashes / sizeof *dashes)

struct panel {
    FILE *file;
    const struct runs *runs;
    const char *space;
    double left, top, width, height; /* of the axes */
    int32_t tests;
    double ratio; /* best / optimum at the top */
    double *sorted;
};

struct quartiles {
    double low, mid, high; /* best / optimum; INFINITY before the first success */
};

static void put_text(FILE *file, const char *text)
{
    for (; *text; text++)
        if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
            fprintf(file, "&#%d;", *text);
        else
            fputc(*text, file);
}

/* ---- data */

static int compare_ratios(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double share)
{
    double at = share * (double)(count - 1);
    size_t below = (size_t)at;
    if (below + 1 == count || sorted[below] == sorted[below + 1])
        return sorted[below];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* Of the label's runs after t tests; false where none goes so far. */
static bool quartiles_at(const struct panel *panel, const char *label, int32_t t, struct quartiles *out)
{
    size_t count = 0;
    for (size_t i = 0; i < panel->runs->count; i++) {
        const struct run *run = &panel->runs->items[i];
        if (run->num_tests < t || strcmp(run->space, panel->space) != 0 || strcmp(run->label, label) != 0)
            continue;
        panel->sorted[count++] = run->best[t - 1] > 0 ? run->best[t - 1] / run->optimum : INFINITY;
    }
    if (!count)
        return false;
    qsort(panel->sorted, count, sizeof *panel->sorted, compare_ratios);
    out->low = quantile(panel->sorted, count, 0.25);
    out->mid = quantile(panel->sorted, count, 0.5);
    out->high = quantile(panel->sorted, count, 0.75);
    return true;
}

static int32_t step_of(const struct panel *panel)
{
    return 1 + (panel->tests - 1) / MAX_POINTS;
}

/* The panel holds the medians of all lines, from the third test on: the first ones may be anything. */
static void fit(struct panel *panel, const struct text_list *labels)
{
    panel->tests = 1;
    for (size_t i = 0; i < panel->runs->count; i++)
        if (!strcmp(panel->runs->items[i].space, panel->space) && panel->runs->items[i].num_tests > panel->tests)
            panel->tests = panel->runs->items[i].num_tests;
    panel->ratio = LEAST_TOP;
    int32_t from = panel->tests < 3 ? panel->tests : 3;
    for (size_t k = 0; k < labels->count; k++)
        for (int32_t t = from; t <= panel->tests; t += step_of(panel)) {
            struct quartiles q;
            if (quartiles_at(panel, labels->items[k], t, &q) && isfinite(q.mid) && q.mid > panel->ratio)
                panel->ratio = q.mid;
        }
    panel->ratio = panel->ratio * 1.05 < MOST_TOP ? panel->ratio * 1.05 : MOST_TOP;
}

/* ---- axes */

static double x_of(const struct panel *panel, double test)
{
    return panel->left + (panel->tests > 1 ? (test - 1) / (panel->tests - 1) : 0) * panel->width;
}

static double y_of(const struct panel *panel, double ratio)
{
    double share = log(ratio) / log(panel->ratio);
    return panel->top + (1 - (share < 0 ? 0 : share > 1 ? 1 : share)) * panel->height;
}

static void put_label(const struct panel *panel, double x, double y, const char *anchor, const char *text)
{
    fprintf(panel->file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    put_text(panel->file, text);
    fprintf(panel->file, "</text>\n");
}

static void put_line(const struct panel *panel, double x1, double y1, double x2, double y2, const char *style)
{
    fprintf(panel->file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style);
}

static void put_y_axis(const struct panel *panel)
{
    static const double steps[] = {1,  1.1, 1.2, 1.3, 1.5, 2,  2.5, 3,   4,   5,   7,
                                   10, 15,  20,  30,  50,  70, 100, 200, 300, 500, 1000};
    double right = panel->left + panel->width, last = INFINITY;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && steps[i] <= panel->ratio; i++) {
        double y = y_of(panel, steps[i]);
        char text[16];
        if (last - y < TICK_GAP)
            continue;
        last = y;
        snprintf(text, sizeof text, "%g", steps[i]);
        put_line(panel, panel->left, y, right, y, "stroke=\"#e4e4e4\"");
        put_label(panel, panel->left - 6, y + 4, "end", text);
    }
    put_line(panel, panel->left, y_of(panel, NEAR), right, y_of(panel, NEAR),
             "stroke=\"#777777\" stroke-dasharray=\"3 3\"");
    fprintf(panel->file,
            "<text transform=\"translate(%.1f %.1f) rotate(-90)\" text-anchor=\"middle\">"
            "best time / optimum</text>\n",
            panel->left - 42, panel->top + panel->height / 2);
}

static void put_x_axis(const struct panel *panel)
{
    double bottom = panel->top + panel->height;
    double magnitude = pow(10, floor(log10(panel->tests > 1 ? panel->tests : 1)));
    double step = panel->tests / magnitude >= 5   ? magnitude
                  : panel->tests / magnitude >= 2 ? magnitude / 2
                                                  : magnitude / 5;
    step = step < 1 ? 1 : step;
    for (double t = step; t <= panel->tests; t += step) {
        char text[16];
        snprintf(text, sizeof text, "%.0f", t);
        put_line(panel, x_of(panel, t), bottom, x_of(panel, t), bottom + 4, "stroke=\"#333333\"");
        put_label(panel, x_of(panel, t), bottom + 17, "middle", text);
    }
    put_label(panel, panel->left + panel->width / 2, bottom + 36, "middle", "tests");
}

/* ---- lines */

/* Upper edge there, lower edge back. */
static void put_band(const struct panel *panel, const char *label, const char *colour)
{
    struct quartiles q;
    fprintf(panel->file, "<polygon fill=\"%s\" fill-opacity=\"0.13\" points=\"", colour);
    int32_t step = step_of(panel), last = 1;
    for (int32_t t = 1; t <= panel->tests && quartiles_at(panel, label, t, &q); last = t, t += step)
        fprintf(panel->file, "%.1f,%.1f ", x_of(panel, t), y_of(panel, q.high));
    for (int32_t t = last; t >= 1 && quartiles_at(panel, label, t, &q); t -= step)
        fprintf(panel->file, "%.1f,%.1f ", x_of(panel, t), y_of(panel, q.low));
    fprintf(panel->file, "\"/>\n");
}

static void put_median(const struct panel *panel, const char *label, const char *colour, const char *dash)
{
    struct quartiles q;
    fprintf(panel->file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\"%s points=\"", colour, dash);
    for (int32_t t = 1; t <= panel->tests && quartiles_at(panel, label, t, &q); t += step_of(panel))
        if (q.mid <= panel->ratio)
            fprintf(panel->file, "%.1f,%.1f ", x_of(panel, t), y_of(panel, q.mid));
    fprintf(panel->file, "\"/>\n");
}

static void put_panel(struct panel *panel, const struct text_list *labels)
{
    fit(panel, labels);
    fprintf(panel->file, "<g>\n<text x=\"%.1f\" y=\"%.1f\" font-size=\"14\" font-weight=\"bold\">", panel->left,
            panel->top - 12);
    put_text(panel->file, panel->space);
    fprintf(panel->file, "</text>\n");
    put_y_axis(panel);
    put_x_axis(panel);
    for (size_t k = 0; k < labels->count; k++)
        put_band(panel, labels->items[k], colours[k % NUM_COLOURS]);
    for (size_t k = labels->count; k-- > 0;) /* the first on top */
        put_median(panel, labels->items[k], colours[k % NUM_COLOURS], dashes[k / NUM_COLOURS % NUM_DASHES]);
    fprintf(panel->file,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"#333333\"/>\n</g>\n",
            panel->left, panel->top, panel->width, panel->height);
}

/* ---- figure */

/* Returns the height; draws where file is not NULL. */
static double put_legend(FILE *file, const struct text_list *labels, double top, double width)
{
    double x = MARGIN_LEFT, y = top + LEGEND_ROW;
    for (size_t k = 0; k < labels->count; k++) {
        double needed = LEGEND_GAP + LEGEND_CHAR * (double)strlen(labels->items[k]);
        if (x + needed > width && x > MARGIN_LEFT) {
            x = MARGIN_LEFT;
            y += LEGEND_ROW;
        }
        if (file) {
            fprintf(file,
                    "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"2.5\"%s/>\n"
                    "<text x=\"%.1f\" y=\"%.1f\">",
                    x, y - 4, x + 28, y - 4, colours[k % NUM_COLOURS], dashes[k / NUM_COLOURS % NUM_DASHES], x + 34, y);
            put_text(file, labels->items[k]);
            fprintf(file, "</text>\n");
        }
        x += needed;
    }
    return y - top + LEGEND_ROW / 2;
}

static void put_figure(FILE *file, const struct runs *runs, const struct text_list *spaces,
                       const struct text_list *labels, double *sorted)
{
    size_t columns = spaces->count == 4 ? 2 : spaces->count < MAX_COLUMNS ? spaces->count : MAX_COLUMNS;
    size_t rows = (spaces->count + columns - 1) / columns;
    double width = (double)columns * PANEL_WIDTH, bottom = HEAD + (double)rows * PANEL_HEIGHT;
    double height = bottom + put_legend(NULL, labels, bottom, width);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
            "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222222\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
            "<text x=\"%d\" y=\"22\" font-size=\"16\" font-weight=\"bold\">Convergence</text>\n"
            "<text x=\"%d\" y=\"40\">median and quartiles of the runs; the dashed line is 5%% above the optimum"
            "</text>\n",
            width, height, width, height, MARGIN_LEFT, MARGIN_LEFT);
    for (size_t i = 0; i < spaces->count; i++) {
        struct panel panel = {.file = file,
                              .runs = runs,
                              .space = spaces->items[i],
                              .left = (double)(i % columns) * PANEL_WIDTH + MARGIN_LEFT,
                              .top = HEAD + (double)(i / columns) * PANEL_HEIGHT + MARGIN_TOP,
                              .width = PANEL_WIDTH - MARGIN_LEFT - MARGIN_RIGHT,
                              .height = PANEL_HEIGHT - MARGIN_TOP - MARGIN_BOTTOM,
                              .sorted = sorted};
        put_panel(&panel, labels);
    }
    put_legend(file, labels, bottom, width);
    fprintf(file, "</svg>\n");
}

enum exit_code plot_write(const struct runs *runs, const char *path)
{
    struct text_list spaces = {NULL, 0}, labels = {NULL, 0};
    double *sorted = malloc((runs->count + 1) * sizeof *sorted);
    enum exit_code code = EXIT_DONE;
    if (!sorted || !runs_names(runs, run_space, &spaces) || !runs_names(runs, run_label, &labels)) {
        cli_error("out of memory");
        code = EXIT_OTHER;
    } else {
        FILE *file = fopen(path, "w");
        if (file)
            put_figure(file, runs, &spaces, &labels, sorted);
        bool written = file && !ferror(file);
        if (file && fclose(file))
            written = false;
        if (!written) {
            cli_error("%s: cannot be written: %s", path, strerror(errno));
            code = EXIT_STORAGE;
        }
    }
    free(sorted);
    free(spaces.items);
    free(labels.items);
    return code;
}
