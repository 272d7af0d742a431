/* SPDX-License-Identifier: Apache-2.0
 * Prints what families declare, for private_bytes.py: a line "PRIVATE_BYTES TAB SOURCE TAB OPTIONS" for the default and
 * some random configurations of each family; the sources are written to the folder given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "family/family.h"

static void print_config(const char *source, const struct kernel_facts *facts, const struct kernel_config *config)
{
    char options[4096];
    struct kernel_resources resources;
    family_at(config->family)->resources(facts, config->values, &resources);
    if (kernel_options_format(facts, config, options, sizeof options))
        printf("%lld\t%s\t%s\n", (long long)resources.private_bytes, source, options);
}

static bool write_source(const struct family *family, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    fputs(family->source, file);
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    const struct kernel_facts facts[] = {{128, 128, 4, 1, 1, 1, 0, 1, 1, 1, 1, 32, 0, 0},
                                          {64, 64, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 0, 0},
                                          {128, 128, 4, 1, 1, 1, 1, 2, 2, 2, 1, 32, 0, 0},
                                          {64, 64, 1, 0, 0, 1, 0, 3, 3, 3, 2, 1, 2, 0},
                                          {128, 128, 7, 1, 1, 0, 1, 2, 2, 2, 1, 32, 0, 1}};
    struct rng rng;
    rng_seed(&rng, 7);
    if (argc != 2)
        return 2;
    for (int f = 0; f < family_count(); f++) {
        const struct family *family = family_at(f);
        char path[1024];
        snprintf(path, sizeof path, "%s/%s.cl", argv[1], family->name);
        if (!write_source(family, path))
            return 1;
        for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
            struct kernel_config config;
            const char *why;
            family_default_config(f, &config);
            if (family->valid(&facts[i], config.values, &why))
                print_config(path, &facts[i], &config);
            for (int drawn = 0, attempts = 0; drawn < 3 && attempts < 5000 && family->num_params; attempts++) {
                for (int p = 0; p < family->num_params; p++)
                    config.values[p] =
                        family->params[p].values[rng_below(&rng, (uint64_t)family->params[p].num_values)];
                if (!family->valid(&facts[i], config.values, &why))
                    continue;
                print_config(path, &facts[i], &config);
                drawn++;
            }
        }
    }
    return 0;
}
