/* The table behind settings.h, for the files that know its fields. Internal. */
#ifndef BULKHEAD_SUPERVISOR_SETTINGS_TABLE_H
#define BULKHEAD_SUPERVISOR_SETTINGS_TABLE_H

#include "supervisor/config/keys.h"
#include "supervisor/settings.h"

/* One row of keys.def with its place in struct settings. */
struct setting {
	const char *key;
	enum setting_form form;
	uint64_t least, most;
	const char *fallback;
	size_t at, size;
	struct setting_info info;
};

extern const struct setting settings_table[KEY_COUNT];

#define LEVELS 4
extern const char *const level_words[LEVELS];
extern const unsigned levels[LEVELS]; /* syslog's, of each word */
extern const char *const format_words[2];
extern const char *const durability_words[2];
extern const char *const fallback_words[3];

/* The index of value among the words, or -EINVAL. */
int word_index(const char *const *words, size_t n, struct span value);

static inline const void *
setting_place(const struct settings *s, const struct setting *set)
{
	return (const char *)s + set->at;
}

#endif
