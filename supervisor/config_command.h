/* `bulkheadd config`: what the configuration says, for people. */
#ifndef BULKHEAD_SUPERVISOR_CONFIG_COMMAND_H
#define BULKHEAD_SUPERVISOR_CONFIG_COMMAND_H

#include "common/base/err.h"

#include <stdio.h>

struct sandbox_host;

/* Makes this process one that can start reader rooms. 0, or negative with *e. */
typedef int (*config_host_fn)(struct sandbox_host *h, struct err *e);

/* argv[0] is the word `config`. Returns the exit code. */
int config_command(int argc, char **argv, config_host_fn host);

/* A whole bulkhead.toml, every key commented out with its fallback: what --default and
 * the installed file are. */
void config_print_default(FILE *out);

/* The keys as the README's table: --table. */
void config_print_table(FILE *out);

#endif
