/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build.h"

#define SOURCE_MAX (1 << 20)
/* Files within files: what is deeper includes itself. */
#define MOST_DEPTH 16

struct flattening {
    const char *dir; /* of the file at hand: what it includes lies beside it */
    struct strbuf text;
    int depth;
};

static attune_status read_file(const char *path, char **out)
{
    FILE *file = fopen(path, "re");
    char *text = file ? calloc(1, SOURCE_MAX) : NULL;
    if (!text) {
        if (file)
            fclose(file);
        return set_error(ATTUNE_ERROR_IO, "kernel source %s cannot be read", path);
    }
    size_t size = fread(text, 1, SOURCE_MAX, file);
    fclose(file);
    if (size == 0 || size == SOURCE_MAX) {
        free(text);
        return set_error(ATTUNE_ERROR_IO, "kernel source %s is empty or over %d bytes", path, SOURCE_MAX - 1);
    }
    *out = text;
    return ATTUNE_OK;
}

static attune_status append_file(struct flattening *f, const char *name);

/* A line, or the file that it includes, whose own guard keeps it from counting twice. */
static attune_status append_line(struct flattening *f, const char *line, size_t length, const char *name, int number)
{
    static const char include[] = "#include \"";
    char file[256];
    const char *begin = line + sizeof include - 1, *end = NULL;
    if (length > sizeof include && !strncmp(line, include, sizeof include - 1))
        end = memchr(begin, '"', length - (sizeof include - 1));
    if (!end || (size_t)(end - begin) >= sizeof file) {
        strbuf_append(&f->text, line, length);
        return ATTUNE_OK;
    }
    memcpy(file, begin, (size_t)(end - begin));
    file[end - begin] = '\0';
    if (f->depth == MOST_DEPTH)
        return set_error(ATTUNE_ERROR_IO, "kernel source %s is included more than %d files deep", file, MOST_DEPTH);
    f->depth++;
    attune_status status = append_file(f, file);
    f->depth--;
    strbuf_printf(&f->text, "#line %d \"%s\"\n", number + 1, name);
    return status;
}

static attune_status append_lines(struct flattening *f, const char *path, const char *name)
{
    char *text = NULL;
    attune_status status = read_file(path, &text);
    strbuf_printf(&f->text, "#line 1 \"%s\"\n", name);
    int number = 1;
    for (const char *line = text; status == ATTUNE_OK && *line; number++) {
        size_t length = strcspn(line, "\n");
        length += line[length] == '\n';
        status = append_line(f, line, length, name, number);
        line += length;
    }
    free(text);
    return status;
}

static attune_status append_file(struct flattening *f, const char *name)
{
    const char *outer = f->dir;
    struct strbuf path = {0}, dir = {0};
    if (name[0] == '/') {
        strbuf_printf(&path, "%s", name);
        strbuf_append(&dir, name, (size_t)(strrchr(name, '/') - name));
        f->dir = dir.text ? dir.text : "";
    } else {
        strbuf_printf(&path, "%s/%s", f->dir, name);
    }
    attune_status status = append_lines(f, path.text ? path.text : "", name);
    f->dir = outer;
    strbuf_free(&path);
    strbuf_free(&dir);
    return status;
}

attune_status kernel_source_read(const char *dir, const char *name, char **out)
{
    struct flattening f = {.dir = dir};
    char file[64];
    *out = NULL;
    snprintf(file, sizeof file, "%.58s.cl", name);
    attune_status status = append_file(&f, file);
    char *text = strbuf_take(&f.text);
    if (status == ATTUNE_OK && !text)
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "out of memory for a kernel's source");
    if (status == ATTUNE_OK)
        *out = text;
    else
        free(text);
    return status;
}
