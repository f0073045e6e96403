#include "common/ref/pins.h"

#include <errno.h>
#include <strings.h>

enum pin_kind { PIN_EXACT, PIN_BEGIN, PIN_PART };

struct pin {
	enum pin_kind kind;
	size_t n;
	char text[REF_TEXT];
};

static int
refuse(struct err *e, struct span line, const char *why)
{
	char shown[200];

	return err_set(e, ERR_USAGE, "pinned_images: \"%s\" is ignored: %s",
	    span_escape(line, shown, sizeof(shown)), why);
}

/* "pause:3.10" is the docker.io/library/pause:3.10 that a store's record says. */
static void
complete(struct pin *pin)
{
	char text[REF_TEXT];
	struct ref ref;

	if (ref_parse(span_str(pin->text), &ref, NULL) < 0)
		return;
	ref_default_tag(&ref);
	if (!ref_print_record(&ref, text))
		return;
	memcpy(pin->text, text, sizeof(text));
	pin->n = strlen(text);
}

static int
pin_parse(struct span line, struct pin *pin, struct err *e)
{
	struct span text = line;

	pin->kind = PIN_EXACT;
	if (text.n && text.p[text.n - 1] == '*') {
		pin->kind = PIN_BEGIN;
		text.n--;
		if (text.n && text.p[0] == '*') {
			pin->kind = PIN_PART;
			text = span_from(text, 1);
		}
	}
	if (text.n && memchr(text.p, '*', text.n))
		return refuse(e, line, "a star stands at the end, or at both ends");
	if (!span_to_str(text, pin->text, sizeof(pin->text)))
		return refuse(e, line, "it is too long for a name");
	pin->n = text.n;
	if (pin->kind == PIN_EXACT)
		complete(pin);
	return 0;
}

int
pins_parse(struct span lines, struct pins *out, struct err *e)
{
	*out = (struct pins){0};
	struct pin *pin = calloc(LIMIT_PINS, sizeof(*pin));
	size_t n = 0;

	if (!pin)
		return -ENOMEM;
	while (lines.n) {
		const uint8_t *end = memchr(lines.p, '\n', lines.n);
		struct span line =
		    span_of(lines.p, end ? (size_t)(end - lines.p) : lines.n);
		lines = span_from(lines, line.n + (end ? 1 : 0));
		if (!line.n)
			continue;
		if (n == LIMIT_PINS)
			refuse(e, line, "there are too many patterns before it");
		else if (pin_parse(line, &pin[n], e) == 0)
			n++;
	}
	out->pin = n ? realloc(pin, n * sizeof(*pin)) : NULL;
	if (!n)
		free(pin);
	else if (!out->pin)
		out->pin = pin;
	out->n = n;
	return 0;
}

void
pins_free(struct pins *p)
{
	free(p->pin);
	*p = (struct pins){0};
}

static bool
pin_matches(const struct pin *pin, const char *name)
{
	switch (pin->kind) {
	case PIN_BEGIN:
		return strncasecmp(name, pin->text, pin->n) == 0;
	case PIN_PART:
		return strcasestr(name, pin->text) != NULL;
	default:
		return strcasecmp(name, pin->text) == 0;
	}
}

bool
pins_match(const struct pins *p, const struct ref *name)
{
	char full[REF_TEXT], familiar[REF_TEXT];

	if (!p->n)
		return false;
	ref_print(name, full);
	ref_print_familiar(name, familiar);
	for (size_t i = 0; i < p->n; i++) {
		if (pin_matches(&p->pin[i], full) || pin_matches(&p->pin[i], familiar))
			return true;
	}
	return false;
}
