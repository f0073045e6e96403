#include "cli/commands_local.h"
#include "cli/text.h"
#include "common/json/write.h"

#include <errno.h>

/* Prints a finished text or table; returns the exit code. */
static int
finish(struct command *c, int r)
{
	struct err e = {0};

	if (r < 0) {
		err_errno(&e, -r, "printing the answer");
		session_complain(c->session, &e);
	}
	return (int)e.code;
}

static int
finish_json(struct jw *w, FILE *to)
{
	int r = jw_done(w);

	if (r == 0)
		fwrite(w->p, 1, w->n, to);
	return r;
}

int
command_finish(struct command *c, struct jw *w, const struct table *t)
{
	FILE *out = c->session->out;

	return finish(
	    c, c->args->choice[OPT_FORMAT] ? finish_json(w, out) : table_print(t, out));
}

void
command_version(bool json, FILE *to)
{
	CLEANUP(jw_free) struct jw w = {0};

	if (!json) {
		fprintf(to, "bulkhead %s\n", BULKHEAD_VERSION);
		return;
	}
	jw_object(&w);
	jw_key(&w, "Version");
	jw_str(&w, BULKHEAD_VERSION);
	jw_end(&w, '}');
	if (finish_json(&w, to) < 0)
		fputs("{}\n", to);
}

struct fsinfo {
	struct msg_cli_fsinfo_row row;
	char root[LIMIT_PATH + 1]; /* row.root dies with its packet */
};

static int
take_fsinfo(void *arg, struct ipc_msg *m, struct err *e)
{
	struct fsinfo *f = arg;

	if (m->type != MSG_cli_fsinfo_row)
		return command_unexpected(m, e);
	f->row = m->cli_fsinfo_row;
	if (!span_to_str(f->row.root, f->root, sizeof(f->root)))
		f->root[0] = 0;
	return 0;
}

static void
fsinfo_show(const struct fsinfo *f, struct jw *w, struct table *t)
{
	const struct {
		const char *key, *label;
		uint64_t value;
		bool bytes;
	} rows[] = {
	    {"Images", "images", f->row.images, false},
	    {"Layers", "layers", f->row.layers, false},
	    {"UsedBytes", "used by layers", f->row.bytes, true},
	    {"TotalBytes", "file system", f->row.total, true},
	    {"FreeBytes", "free", f->row.free, true},
	    {"Inodes", "inodes", f->row.inodes, false},
	    {"InodesFree", "inodes free", f->row.inodes_free, false},
	};

	jw_object(w);
	jw_key(w, "GraphRoot");
	jw_str(w, f->root);
	table_cell(t, "graph root");
	table_cell(t, f->root);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[TEXT_SIZE];
		jw_key(w, rows[i].key);
		jw_uint(w, rows[i].value);
		table_cell(t, rows[i].label);
		if (rows[i].bytes)
			text_size(rows[i].value, text);
		else
			snprintf(text, sizeof(text), "%llu",
			    (unsigned long long)rows[i].value);
		table_cell(t, text);
	}
	jw_end(w, '}');
}

int
command_fsinfo(struct command *c)
{
	struct fsinfo f = {0};
	struct ipc_msg m = IPC_MSG(cli_fsinfo, .req = 0);
	CLEANUP(jw_free) struct jw w = {0};
	CLEANUP(table_release) struct table t;

	table_init(&t, 2);
	int code = command_ask(c, &m, take_fsinfo, &f, 0);
	if (code)
		return code;
	fsinfo_show(&f, &w, &t);
	return command_finish(c, &w, &t);
}

struct status {
	struct jw *w;
	struct table *t;
	size_t rows;
};

#define STATUS_ROWS 65536

static void
status_cell(struct status *s, const char *key, struct span text)
{
	char cell[2048 + 1];

	jw_key(s->w, key);
	jw_text(s->w, text);
	if (!span_to_str(text, cell, sizeof(cell)))
		cell[0] = 0;
	table_cell(s->t, cell);
}

static int
take_status(void *arg, struct ipc_msg *m, struct err *e)
{
	struct status *s = arg;

	if (m->type != MSG_cli_status_row || s->rows++ == STATUS_ROWS)
		return command_unexpected(m, e);
	jw_object(s->w);
	status_cell(s, "room", m->cli_status_row.room);
	status_cell(s, "key", m->cli_status_row.key);
	status_cell(s, "value", m->cli_status_row.value);
	jw_end(s->w, '}');
	return 0;
}

int
command_status(struct command *c)
{
	CLEANUP(jw_free) struct jw w = {0};
	CLEANUP(table_release) struct table t;
	struct status s = {.w = &w, .t = &t};
	struct ipc_msg m = IPC_MSG(cli_status, .req = 0);

	table_init(&t, 3);
	table_cell(&t, "ROOM");
	table_cell(&t, "KEY");
	table_cell(&t, "VALUE");
	jw_array(&w);
	int code = command_ask(c, &m, take_status, &s, 0);
	if (code)
		return code;
	jw_end(&w, ']');
	return command_finish(c, &w, &t);
}
