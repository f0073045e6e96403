/* ps: what only a service that lives on can tell. */
#include "cli/commands_local.h"
#include "cli/text.h"
#include "common/json/write.h"

#include <errno.h>

/* Rows on their way into a text and a table, whichever is wanted. */
struct rows {
	struct jw *w;
	struct table *t;
	size_t n, most;
};

static void
head(struct table *t, const char *const *names, size_t n)
{
	table_init(t, n);
	for (size_t i = 0; i < n; i++)
		table_cell(t, names[i]);
}

static void
text_cell(struct rows *r, const char *key, struct span text)
{
	char cell[1024 + 1];

	jw_key(r->w, key);
	jw_text(r->w, text);
	if (!span_to_str(text, cell, sizeof(cell)))
		cell[0] = 0;
	table_cell(r->t, cell[0] ? cell : "-");
}

static void
number(struct rows *r, const char *key, uint64_t value)
{
	jw_key(r->w, key);
	jw_uint(r->w, value);
}

static int
take_ps(void *arg, struct ipc_msg *m, struct err *e)
{
	const struct msg_cli_ps_row *p = &m->cli_ps_row;
	char bytes[TEXT_SIZE], total[TEXT_SIZE], cell[3 * TEXT_SIZE];
	struct rows *r = arg;

	if (m->type != MSG_cli_ps_row || r->n++ == r->most)
		return command_unexpected(m, e);
	jw_object(r->w);
	number(r, "Id", p->pull);
	text_cell(r, "Image", p->name);
	text_cell(r, "Namespace", p->namespace);
	text_cell(r, "Stage", p->stage);
	number(r, "Layers", p->layers);
	number(r, "LayersDone", p->layers_done);
	snprintf(
	    cell, sizeof(cell), "%u/%u", (unsigned)p->layers_done, (unsigned)p->layers);
	table_cell(r->t, cell);
	number(r, "Bytes", p->bytes);
	number(r, "TotalBytes", p->total);
	snprintf(cell, sizeof(cell), "%s/%s", text_size(p->bytes, bytes),
	    text_size(p->total, total));
	table_cell(r->t, cell);
	number(r, "BytesPerSecond", p->rate);
	snprintf(cell, sizeof(cell), "%s/s", text_size(p->rate, bytes));
	table_cell(r->t, cell);
	number(r, "AgeMilliseconds", p->age_ms);
	snprintf(cell, sizeof(cell), "%llu s", (unsigned long long)p->age_ms / 1000);
	table_cell(r->t, cell);
	text_cell(r, "Endpoint", p->endpoint);
	text_cell(r, "Waiting", p->waiting);
	number(r, "Waiters", p->waiters);
	jw_end(r->w, '}');
	return 0;
}

int
command_ps(struct command *c)
{
	static const char *const names[] = {"IMAGE", "NAMESPACE", "STAGE", "LAYERS",
	    "BYTES", "RATE", "AGE", "ENDPOINT", "WAITING"};
	CLEANUP(jw_free) struct jw w = {0};
	CLEANUP(table_release) struct table t;
	struct rows r = {.w = &w, .t = &t, .most = LIMIT_PULLS};
	struct ipc_msg m = IPC_MSG(cli_ps, .req = 0);

	head(&t, names, ARRAY_LEN(names));
	jw_array(&w);
	int code = command_ask(c, &m, take_ps, &r, 0);
	if (code)
		return code;
	jw_end(&w, ']');
	return command_finish(c, &w, &t);
}
