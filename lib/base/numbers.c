/* SPDX-License-Identifier: Apache-2.0
 * Numbers as text, with '.' whatever locale the program or its thread has chosen. What libc formats and reads for
 * attune goes through here. */
#define _GNU_SOURCE
#include "base.h"

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t c_locale;
static pthread_once_t made = PTHREAD_ONCE_INIT;

/* Never freed: it lives as long as the library, and takes no memory where libc has the C locale built in. */
static void make(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

void *numbers_begin(void)
{
    pthread_once(&made, make);
    return c_locale ? uselocale(c_locale) : NULL;
}

void numbers_end(void *before)
{
    if (before)
        uselocale(before);
}

int text_vprintf(char *text, size_t size, const char *format, va_list args)
{
    void *before = numbers_begin();
    int length = vsnprintf(text, size, format, args);
    numbers_end(before);
    return length;
}

int text_printf(char *text, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = text_vprintf(text, size, format, args);
    va_end(args);
    return length;
}

double read_double(const char *text, char **end)
{
    void *before = numbers_begin();
    double value = strtod(text, end);
    numbers_end(before);
    return value;
}

float read_float(const char *text, char **end)
{
    void *before = numbers_begin();
    float value = strtof(text, end);
    numbers_end(before);
    return value;
}

void format_double(double value, char *text)
{
    for (int digits = 1; digits <= 17; digits++) {
        text_printf(text, 32, "%.*g", digits, value);
        if (read_double(text, NULL) == value)
            break;
    }
}

void format_float(float value, char *text)
{
    for (int digits = 6; digits <= 9; digits++) {
        text_printf(text, 32, "%.*g", digits, (double)value);
        if (read_float(text, NULL) == value)
            break;
    }
}
