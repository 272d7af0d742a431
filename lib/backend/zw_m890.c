/* SPDX-License-Identifier: Apache-2.0
 *
 * T-Head's ZW-M890: the chip where its OpenCL device is present, else simulated on pocl. Simulation enforces the chip's
 * limits and models no timing.
 */
#define _GNU_SOURCE /* strcasestr */
#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is publicly known of the chip, in one table. ATTUNE_ZW_M890_LIMITS overrides it, as "local=49152,private=512".
 */
static const struct limit {
    const char *name;
    size_t member;
    int64_t value;
} chip_limits[] = {
    {"work_group", offsetof(struct device_limits, max_work_group_size), 1024},
    {"local", offsetof(struct device_limits, local_bytes), 256 << 10},
    {"private", offsetof(struct device_limits, private_bytes), 1024}, /* 255 registers of 32 bit */
    {"private_group", offsetof(struct device_limits, private_bytes_group), 256 << 10},
};
#define SUB_GROUP 32

/* Nothing public says what the chip's OpenCL driver calls itself; ATTUNE_ZW_M890_MATCH names other parts of its
 * device's or vendor's name, separated by commas. */
static const char default_patterns[] = "zw-m890,zw-810,zhenwu,t-head";

static bool named_like_the_chip(const struct cl_device *device)
{
    const char *patterns = env_get("ATTUNE_ZW_M890_MATCH");
    char text[512], *rest = text, *pattern;
    copy_string(text, sizeof text, patterns ? patterns : default_patterns);
    while ((pattern = strtok_r(rest, ",", &rest)))
        if (strcasestr(device->name, pattern) || strcasestr(device->vendor, pattern))
            return true;
    return false;
}

static bool match(const struct cl_device *device, char *simulated, size_t size)
{
    copy_string(simulated, size, "");
    if (named_like_the_chip(device))
        return true;
    if (!cl_device_is_pocl(device) || !(device->type & CL_DEVICE_TYPE_CPU))
        return false;
    /* "OpenCL 3.0 PoCL 3.1+debian Linux, Release, ..." */
    const char *version = strcasestr(device->platform_version, "pocl");
    int length = version ? (int)strcspn(version + 4, ",L") : 0;
    snprintf(simulated, size, "pocl%.*s", length, version ? version + 4 : "");
    size_t end = strlen(simulated);
    while (end && simulated[end - 1] == ' ')
        simulated[--end] = '\0';
    return true;
}

/* "NAME=NUMBER" of the table; NULL where it is not. */
static const struct limit *read_limit(const char *item, int64_t *value)
{
    for (size_t i = 0; i < sizeof chip_limits / sizeof chip_limits[0]; i++) {
        size_t length = strlen(chip_limits[i].name);
        if (strncmp(item, chip_limits[i].name, length) || item[length] != '=')
            continue;
        const char *digits = item + length + 1;
        size_t count = strspn(digits, "0123456789");
        *value = count >= 1 && count <= 15 && !digits[count] ? strtoll(digits, NULL, 10) : 0;
        return *value > 0 ? &chip_limits[i] : NULL;
    }
    return NULL;
}

/* Sets what the environment says in out, which may be NULL: what is wrong with it is found all the same. */
static attune_status apply_overrides(struct device_limits *out)
{
    const char *overrides = env_get("ATTUNE_ZW_M890_LIMITS");
    char text[512], *rest = text, *item;
    if (overrides && strlen(overrides) >= sizeof text)
        return set_error(ATTUNE_ERROR_SYNTAX, "ATTUNE_ZW_M890_LIMITS has %zu characters; at most %zu", strlen(overrides),
                         sizeof text - 1);
    copy_string(text, sizeof text, overrides ? overrides : "");
    while ((item = strtok_r(rest, ",", &rest))) {
        int64_t value;
        const struct limit *limit = read_limit(item, &value);
        if (!limit)
            return set_error(ATTUNE_ERROR_SYNTAX,
                             "ATTUNE_ZW_M890_LIMITS has \"%s\"; it must be work_group, local, private or private_group, = "
                             "and a whole number above 0",
                             item);
        if (out)
            *(int64_t *)((char *)out + limit->member) = value;
    }
    return ATTUNE_OK;
}

static attune_status check_environment(void)
{
    return apply_overrides(NULL);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void limits(const struct cl_device *device, struct device_limits *out)
{
    memset(out, 0, sizeof *out);
    out->work_group_multiple = SUB_GROUP;
    for (size_t i = 0; i < sizeof chip_limits / sizeof chip_limits[0]; i++)
        *(int64_t *)((char *)out + chip_limits[i].member) = chip_limits[i].value;
    apply_overrides(out);
    out->max_work_group_size = smaller(out->max_work_group_size, device->max_work_group_size);
    out->local_bytes = smaller(out->local_bytes, device->local_mem_bytes);
}

/* Those with a feature are for compilers that run the work-items of a group one after another. */
static const struct backend_default defaults[] = {
    {"decode_simt:VECS_PER_ITEM=2,MOST_SLICES=1", FEATURE_OPAQUE_LOOPS},
    {"decode_simt", 0},
    {"simt_tile:WG_SIZE=64,VEC=16,BLOCK_Q=64,BLOCK_KV=96,ROW_VECS=2,COLS_PER_ITEM=2,O_IN_LOCAL=1,UNIFORM=0,UNROLL=1",
     FEATURE_OPAQUE_LOOPS},
    {"simt_tile", 0},
    {"plain_row", 0},
    {NULL, 0}};

const struct backend backend_zw_m890 = {"zw-m890", match, limits, defaults, check_environment};
