#include "cli/progress.h"
#include "cli/text.h"
#include "common/json/write.h"

#include <stdlib.h>

#define DRAW_MS 100
#define HEARTBEAT_MS 30000
#define LINE_MAX_CHARS 512
#define BAR 20

static const char *
stage_word(const struct progress_layer *l)
{
	static const char *const words[] = {"Downloading", "Checking", "Committing"};

	switch (l->state) {
	case PROGRESS_UNSEEN:
	case PROGRESS_QUEUED:
		return "Waiting";
	case PROGRESS_THERE:
		return "Already exists";
	case PROGRESS_READY:
		return "Pull complete";
	case PROGRESS_RUNNING:
		return words[l->stage];
	}
	return "";
}

/* "12.3 MB/s"; "" while nothing can be said. */
static char *
rate_text(uint64_t bytes, uint64_t started, uint64_t now, char dst[TEXT_SIZE + 2])
{
	char size[TEXT_SIZE];

	dst[0] = 0;
	if (now < started + 500 || bytes == 0)
		return dst;
	double per_second = (double)bytes * 1000 / (double)(now - started);
	snprintf(dst, TEXT_SIZE + 2, "%s/s", text_size((uint64_t)per_second, size));
	return dst;
}

static void
print_plain(struct progress *p, unsigned i)
{
	const struct progress_layer *l = &p->layers[i];
	char hex[2 * DIGEST_BYTES + 1], size[TEXT_SIZE];

	hex_encode(l->digest, DIGEST_BYTES, hex);
	fprintf(p->to, "%s: layer %u/%u %.12s (%s): %s\n", p->name, i + 1, p->count, hex,
	    text_size(l->size, size), stage_word(l));
}

/* One object a line, with the keys that readers of Docker's stream look for. */
static void
print_json(struct progress *p, unsigned i, uint64_t now)
{
	struct progress_layer *l = &p->layers[i];
	CLEANUP(jw_free) struct jw w = {.compact = true};
	char hex[2 * DIGEST_BYTES + 1];

	l->shown = now;
	hex_encode(l->digest, DIGEST_BYTES, hex);
	hex[12] = 0;
	jw_object(&w);
	jw_key(&w, "status");
	jw_str(&w, stage_word(l));
	jw_key(&w, "id");
	jw_str(&w, hex);
	jw_key(&w, "progressDetail");
	jw_object(&w);
	jw_key(&w, "current");
	jw_uint(&w, l->bytes);
	jw_key(&w, "total");
	jw_uint(&w, l->size);
	jw_end(&w, '}');
	jw_key(&w, "image");
	jw_str(&w, p->name);
	jw_key(&w, "layer");
	jw_uint(&w, i + 1);
	jw_key(&w, "layers");
	jw_uint(&w, p->count);
	jw_end(&w, '}');
	if (jw_done(&w) == 0)
		fprintf(p->to, "%.*s\n", (int)w.n, w.p);
}

struct totals {
	uint64_t bytes, size, ready;
};

static struct totals
sum(const struct progress *p)
{
	struct totals t = {0};

	for (unsigned i = 0; i < p->count; i++) {
		const struct progress_layer *l = &p->layers[i];
		if (l->state == PROGRESS_READY || l->state == PROGRESS_THERE)
			t.ready++;
		if (l->state == PROGRESS_THERE)
			continue;
		t.size += l->size;
		t.bytes += l->state == PROGRESS_READY ? l->size : l->bytes;
	}
	return t;
}

/* "3 of 7 layers, 120 MB of 300 MB, 12 MB/s". */
static void
total_text(const struct progress *p, uint64_t now, char *dst, size_t cap)
{
	struct totals t = sum(p);
	char bytes[TEXT_SIZE], size[TEXT_SIZE], rate[TEXT_SIZE + 2];

	if (p->count == 0) {
		snprintf(dst, cap, "asking the registry");
		return;
	}
	rate_text(t.bytes, p->started, now, rate);
	snprintf(dst, cap, "%s%llu of %u layers, %s of %s%s%s",
	    p->committing ? "committing, " : "", (unsigned long long)t.ready, p->count,
	    text_size(t.bytes, bytes), text_size(t.size, size), rate[0] ? ", " : "",
	    rate);
}

/* A line of the block, cut to the terminal's width. */
static void
draw_line(struct progress *p, const char *line)
{
	unsigned width = p->width > 1 ? p->width - 1 : 79;

	fprintf(p->to, "%.*s\n", (int)width, line);
	p->drawn++;
}

static void
bar_text(const struct progress_layer *l, char dst[BAR + 1])
{
	uint64_t size = l->size ? l->size : 1;
	uint64_t bytes = l->bytes < size ? l->bytes : size;
	unsigned full = (unsigned)((double)bytes * BAR / (double)size);

	memset(dst, ' ', BAR);
	memset(dst, '=', full);
	if (full < BAR)
		dst[full] = '>';
	dst[BAR] = 0;
}

static void
draw_layer(struct progress *p, unsigned i, uint64_t now)
{
	const struct progress_layer *l = &p->layers[i];
	char line[LINE_MAX_CHARS], hex[2 * DIGEST_BYTES + 1], bar[BAR + 1];
	char bytes[TEXT_SIZE], size[TEXT_SIZE], rate[TEXT_SIZE + 2];

	hex_encode(l->digest, DIGEST_BYTES, hex);
	bar_text(l, bar);
	rate_text(l->bytes, l->started, now, rate);
	if (l->stage != PROGRESS_FETCHING)
		snprintf(rate, sizeof(rate), "%s", stage_word(l));
	snprintf(line, sizeof(line), "layer %u/%u %.12s [%s] %s / %s  %s", i + 1,
	    p->count, hex, bar, text_size(l->bytes, bytes), text_size(l->size, size),
	    rate);
	draw_line(p, line);
}

static void
draw_block(struct progress *p, uint64_t now)
{
	unsigned room = p->rows > 4 ? p->rows - 2 : 2;
	char total[LINE_MAX_CHARS / 2], line[sizeof(p->name) + sizeof(total) + 2];

	progress_clear(p);
	for (unsigned i = 0; i < p->count && p->drawn < room; i++) {
		if (p->layers[i].state == PROGRESS_RUNNING)
			draw_layer(p, i, now);
	}
	total_text(p, now, total, sizeof(total));
	snprintf(line, sizeof(line), "%s: %s", p->name, total);
	draw_line(p, line);
	fflush(p->to);
	p->last = now;
}

void
progress_start(
    struct progress *p, enum progress_mode mode, FILE *to, struct span name, uint64_t now)
{
	unsigned width = p->width, rows = p->rows;
	CLEANUP(free_ptr) char *safe = text_safe_dup(name);

	memset(p, 0, sizeof(*p));
	*p = (struct progress){.mode = mode,
	    .to = to,
	    .width = width,
	    .rows = rows,
	    .started = now,
	    .last = now};
	snprintf(p->name, sizeof(p->name), "%s", safe ? safe : "");
	if (mode == PROGRESS_PLAIN)
		fprintf(to, "%s: asking the registry\n", p->name);
	if (mode == PROGRESS_BARS)
		draw_block(p, now);
}

/* A layer that has changed its state or stage. */
static void
tell(struct progress *p, unsigned i, uint64_t now)
{
	const struct progress_layer *l = &p->layers[i];
	bool over = l->state == PROGRESS_THERE || l->state == PROGRESS_READY;

	if (p->mode == PROGRESS_PLAIN && l->state != PROGRESS_QUEUED)
		print_plain(p, i);
	if (p->mode == PROGRESS_PLAIN)
		p->last = now;
	if (p->mode == PROGRESS_JSON)
		print_json(p, i, now);
	if (p->mode == PROGRESS_BARS && over) {
		/* Finished layers scroll away above the block. */
		progress_clear(p);
		print_plain(p, i);
		draw_block(p, now);
	}
}

void
progress_layer(struct progress *p, uint64_t index, uint64_t count,
    const uint8_t digest[DIGEST_BYTES], uint64_t size, enum progress_state state,
    uint64_t now)
{
	if (count > LIMIT_LAYERS || index >= count || (p->count && count != p->count))
		return;
	struct progress_layer *l = &p->layers[index];
	bool same = l->state == state;

	p->count = (unsigned)count;
	memcpy(l->digest, digest, DIGEST_BYTES);
	l->size = size;
	l->state = state;
	if (state == PROGRESS_READY)
		l->bytes = size;
	if (!same)
		tell(p, (unsigned)index, now);
}

void
progress_bytes(struct progress *p, uint64_t index, enum progress_stage stage,
    uint64_t bytes, uint64_t now)
{
	if (stage == PROGRESS_COMMITTING)
		p->committing = true;
	if (index >= p->count || p->layers[index].state == PROGRESS_READY)
		return;
	struct progress_layer *l = &p->layers[index];
	bool same = l->state == PROGRESS_RUNNING && l->stage == stage;

	if (l->state != PROGRESS_RUNNING || l->bytes == 0)
		l->started = now;
	l->state = PROGRESS_RUNNING;
	l->stage = stage;
	/* The later stages count other bytes, or none. */
	if (stage == PROGRESS_FETCHING)
		l->bytes = bytes;
	if (!same)
		tell(p, (unsigned)index, now);
	else if (p->mode == PROGRESS_JSON && now >= l->shown + DRAW_MS)
		print_json(p, (unsigned)index, now);
}

int
progress_tick(struct progress *p, uint64_t now)
{
	uint64_t every = p->mode == PROGRESS_BARS ? DRAW_MS : HEARTBEAT_MS;
	char total[LINE_MAX_CHARS / 2];

	if (p->mode != PROGRESS_BARS && p->mode != PROGRESS_PLAIN)
		return -1;
	if (now < p->last + every)
		return (int)(p->last + every - now);
	if (p->mode == PROGRESS_BARS) {
		draw_block(p, now);
		return DRAW_MS;
	}
	total_text(p, now, total, sizeof(total));
	fprintf(p->to, "%s: %s\n", p->name, total);
	fflush(p->to);
	p->last = now;
	return HEARTBEAT_MS;
}

void
progress_clear(struct progress *p)
{
	if (p->mode != PROGRESS_BARS || p->drawn == 0)
		return;
	fprintf(p->to, "\r\033[%uA\033[J", p->drawn);
	p->drawn = 0;
}
