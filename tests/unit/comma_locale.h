/* SPDX-License-Identifier: Apache-2.0
 * Locales whose decimal point is not a point: made by localedef in a folder of their own. */
#ifndef ATTUNE_TESTS_COMMA_LOCALE_H
#define ATTUNE_TESTS_COMMA_LOCALE_H

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets the locale in the charset, as an engine with setlocale does. point is what it writes for the decimal point;
 * false where the locale cannot be made. The files in place are not needed after. */
static inline int set_comma_locale(const char *place, const char *name, const char *charset, const char *point)
{
    char command[800], number[32];
    snprintf(command, sizeof command, "localedef -i %s -f %s %s/%s.%s >/dev/null 2>&1", name, charset, place, name,
             charset);
    if (setenv("LOCPATH", place, 1) || system(command))
        return 0;
    snprintf(command, sizeof command, "%s.%s", name, charset);
    if (!setlocale(LC_ALL, command))
        return 0;
    snprintf(number, sizeof number, "%.1f", 1.5);
    return strstr(number, point) != NULL;
}

#endif
