#include "tests/apply/tarball.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
tar_bytes(struct tarball *t, const void *p, size_t n)
{
	if (t->n + n > t->cap) {
		t->cap = (t->n + n) * 2 + 4096;
		t->p = realloc(t->p, t->cap);
		assert(t->p);
	}
	if (p)
		memcpy(t->p + t->n, p, n);
	else
		memset(t->p + t->n, 0, n);
	t->n += n;
}

void
tar_zeros(struct tarball *t, size_t n)
{
	tar_bytes(t, NULL, n);
}

void
tar_pad(struct tarball *t)
{
	tar_zeros(t, -t->n & 511);
}

static void
put_sum(uint8_t *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	h[155] = ' ';
}

static void
put_octal(uint8_t *p, int n, uint64_t v)
{
	char text[32];

	snprintf(text, sizeof(text), "%0*llo", n - 1, (unsigned long long)v);
	memcpy(p, text, (size_t)n);
}

static void
put_text(uint8_t *p, size_t n, const char *s)
{
	if (s)
		memcpy(p, s, strlen(s) < n ? strlen(s) : n);
}

void
tar_head(struct tarball *t, struct tar_head h)
{
	t->header = t->n;
	tar_zeros(t, 512);
	uint8_t *b = t->p + t->header;
	put_text(b, 100, h.name);
	put_octal(b + 100, 8, h.mode ? h.mode : 0644);
	put_octal(b + 108, 8, h.uid);
	put_octal(b + 116, 8, h.gid);
	put_octal(b + 124, 12, h.size);
	put_octal(b + 136, 12, h.mtime ? (uint64_t)h.mtime : 1600000000);
	b[156] = (uint8_t)h.type;
	put_text(b + 157, 100, h.link);
	memcpy(b + 257, h.magic ? h.magic : "ustar\00000", 8);
	put_octal(b + 329, 8, h.major);
	put_octal(b + 337, 8, h.minor);
	put_text(b + 345, 155, h.prefix);
	put_sum(b);
}

void
tar_poke(struct tarball *t, size_t at, const void *p, size_t n)
{
	memcpy(t->p + t->header + at, p, n);
	put_sum(t->p + t->header);
}

void
tar_free(struct tarball *t)
{
	free(t->p);
	*t = (struct tarball){0};
}

void
tar_file(struct tarball *t, const char *name, const char *content)
{
	tar_head(
	    t, (struct tar_head){.name = name, .type = '0', .size = strlen(content)});
	tar_bytes(t, content, strlen(content));
	tar_pad(t);
}

void
tar_dir(struct tarball *t, const char *name)
{
	tar_head(t, (struct tar_head){.name = name, .type = '5', .mode = 0755});
}

void
tar_node(struct tarball *t, const char *name, char type, const char *link)
{
	tar_head(t, (struct tar_head){.name = name, .type = type, .link = link});
}

void
tar_long(struct tarball *t, char type, const void *body, size_t n)
{
	tar_head(
	    t, (struct tar_head){
		   .name = "././@LongLink", .type = type, .size = n, .magic = "ustar  "});
	tar_bytes(t, body, n);
	tar_pad(t);
}

void
tar_pax(struct tarball *t, char type, const void *body, size_t n)
{
	tar_head(t, (struct tar_head){.name = "PaxHeaders/x", .type = type, .size = n});
	tar_bytes(t, body, n);
	tar_pad(t);
}

void
pax_record(struct tarball *body, const char *key, const void *value, size_t n)
{
	size_t rest = strlen(key) + n + 3, len = rest + 1;
	char text[32];

	while (len != rest + (size_t)snprintf(text, sizeof(text), "%zu", len))
		len++;
	tar_bytes(body, text, strlen(text));
	tar_bytes(body, " ", 1);
	tar_bytes(body, key, strlen(key));
	tar_bytes(body, "=", 1);
	tar_bytes(body, value, n);
	tar_bytes(body, "\n", 1);
}

void
tar_pax_records(struct tarball *t, ...)
{
	struct tarball body = {0};
	va_list ap;
	const char *key;

	va_start(ap, t);
	while ((key = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);
		pax_record(&body, key, value, strlen(value));
	}
	va_end(ap);
	tar_pax(t, 'x', body.p, body.n);
	tar_free(&body);
}

void
tar_end(struct tarball *t)
{
	tar_zeros(t, 1024);
}
