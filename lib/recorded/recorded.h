/* SPDX-License-Identifier: Apache-2.0
 *
 * Recorded spaces in Kernel Tuner's cache format: unpack.c (bytes to text), params.c (values as the search sees them),
 * read.c (text to space), write.c, space.c (the public calls). Files are hostile until read.c has returned. */
#ifndef ATTUNE_RECORDED_RECORDED_H
#define ATTUNE_RECORDED_RECORDED_H

#include <jansson.h>

#include <attune/tune.h>

#include "base/base.h"

/* Thirty times the largest published files known; a file may need about ten times as much memory while it is read. */
#define RECORDED_MAX_BYTES (512u << 20)
/* Values of the document. It bounds the memory that a small file can claim: about 100 bytes a value. */
#define RECORDED_MAX_JSON_VALUES (16 << 20)
#define RECORDED_MAX_PARAMS 128   /* of a search */
#define RECORDED_MAX_VALUES 65535 /* of a parameter */

/* Parts of a test, in ms as the file has them. */
enum recorded_cost { RECORDED_COMPILE, RECORDED_VERIFY, RECORDED_BENCHMARK, RECORDED_NUM_COSTS };

struct recorded_param {
    char *name;
    json_t *values; /* array, as the file has it */
    json_t *index;  /* object: recorded_value_name of a value -> its number */
    int32_t *ints;  /* the search's values: whole numbers themselves, else the values' numbers in the list */
    char **texts;
    int32_t num_values;
    int32_t parent, parent_value; /* number of the parameter and its value in ints; -1 = always */
};

struct attune_space {
    char *path, *device, *kernel, *simulated;
    json_t *problem_size; /* NULL = not known */
    bool partial;

    int32_t num_params;
    struct recorded_param *params;
    attune_search_param *search_params; /* the same for callers */

    int32_t count, capacity;
    int32_t *values;                     /* [count][num_params] */
    uint8_t *outcome;                    /* [count] attune_outcome: OK, INVALID, BUILD_FAILED or FAILED */
    double *time_ms;                     /* [count]; 0 where not OK */
    double (*costs)[RECORDED_NUM_COSTS]; /* [count]; below 0 = not known */
    size_t *first_sample;                /* [count + 1] */
    double *samples;
    size_t num_samples, samples_capacity;

    int32_t *table; /* open addressing: configuration + 1, 0 = free */
    size_t table_size;

    int32_t num_failed;
    double optimum_ms, median_ms, slowest_ms;
};

/* ---- unpack.c: the text of a plain or gzip file, with its limits checked */
attune_status recorded_unpack(const void *data, size_t size, struct strbuf *text);

/* ---- params.c */
/* Text by which equal values are known: 1, 1.0 and true are equal, "1" is another. False where the value is of another
 * type.
 */
bool recorded_value_name(const json_t *value, struct strbuf *name);
/* As Kernel Tuner writes it in a record's key. */
void recorded_value_text(const json_t *value, struct strbuf *text);
/* Takes values; checks them. */
attune_status recorded_param_init(struct recorded_param *param, const char *name, const json_t *values);
void recorded_param_free(struct recorded_param *param);
/* Number of the value, or -1. */
int32_t recorded_param_find(const struct recorded_param *param, const json_t *value);
int32_t recorded_param_find_int(const struct recorded_param *param, int32_t value);

/* ---- read.c */
/* From a file's bytes; path is for texts. */
attune_status recorded_parse(const char *path, const void *data, size_t size, attune_space **out);

/* ---- space.c */
struct recorded_config {
    const int32_t *values; /* [num_params] */
    attune_outcome outcome;
    double time_ms;
    const double *samples;
    size_t num_samples;
    double costs[RECORDED_NUM_COSTS];
};
/* MISMATCH: the space has it already. */
attune_status recorded_add(attune_space *space, const struct recorded_config *config);
/* -1 = not there. */
int32_t recorded_find(const attune_space *space, const int32_t *values);
/* After the last configuration: optimum, median, slowest. */
attune_status recorded_finish(attune_space *space);
/* Whether params[param] means something where the values are these. */
bool recorded_active(const attune_space *space, const int32_t *values, int32_t param);

/* ---- write.c */
/* The bytes of the space's file. out is empty; strbuf_free it. INVALID_SIZE: too long to be read back. */
attune_status recorded_format(const attune_space *space, bool gzip, struct strbuf *out);

#endif
