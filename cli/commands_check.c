/* check: what is damaged, what becomes of it, and meanwhile how far it has come. */
#include "cli/commands_local.h"
#include "cli/text.h"
#include "common/base/fd.h"
#include "common/base/loop.h"
#include "common/ipc/values.h"
#include "common/json/write.h"

#include <errno.h>
#include <stdlib.h>

#define BAR_MS 100
#define LINE_MS 30000
#define FETCHED (CHECK_WANTED + 1) /* of ours: a pull has put it again */

struct finding {
	char id[64 + 1];
	unsigned state;
	char *text;
};

struct findings {
	struct command *c;
	struct finding *v;
	size_t n;
	char **names; /* to be pulled */
	size_t n_names;
	uint64_t shown; /* when progress was, last */
	bool drawn;
};

static void
findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].text);
	for (size_t i = 0; i < f->n_names; i++)
		free(f->names[i]);
	free(f->v);
	free(f->names);
}

/* Room for one more in an array that doubles. */
static int
grow(void **v, size_t n, size_t size)
{
	if (n & (n - 1))
		return 0;
	void *p = reallocarray(*v, n ? 2 * n : 1, size);
	if (!p)
		return -ENOMEM;
	*v = p;
	return 0;
}

static char *
text_of(struct span s)
{
	char *text = malloc(s.n + 1);

	if (text && !span_to_str(s, text, s.n + 1))
		text[0] = 0;
	return text;
}

static int
take_finding(struct findings *f, const struct msg_cli_check_row *m)
{
	void *v = f->v;

	if (grow(&v, f->n, sizeof(*f->v)) < 0)
		return -ENOMEM;
	f->v = v;
	struct finding *x = &f->v[f->n];
	*x = (struct finding){.state = (unsigned)m->state, .text = text_of(m->text)};
	if (!x->text)
		return -ENOMEM;
	if (!span_to_str(m->id, x->id, sizeof(x->id)))
		x->id[0] = 0;
	f->n++;
	return 0;
}

static int
take_name(struct findings *f, struct span name)
{
	void *v = f->names;

	for (size_t i = 0; i < f->n_names; i++)
		if (span_is(name, f->names[i]))
			return 0;
	if (grow(&v, f->n_names, sizeof(*f->names)) < 0)
		return -ENOMEM;
	f->names = v;
	f->names[f->n_names] = text_of(name);
	return f->names[f->n_names++] ? 0 : -ENOMEM;
}

/* ---- how far it has come ---- */

static void
progress_json_line(FILE *to, const struct msg_cli_check_progress *m)
{
	fprintf(to,
	    "{\"layersChecked\":%llu,\"layers\":%llu,\"bytesChecked\":%llu,"
	    "\"bytes\":%llu}\n",
	    (unsigned long long)m->layers, (unsigned long long)m->layers_all,
	    (unsigned long long)m->bytes, (unsigned long long)m->bytes_all);
}

static void
wipe(struct findings *f)
{
	if (f->drawn)
		fputs("\r\033[K", f->c->session->err);
	f->drawn = false;
}

static void
show(struct findings *f, const struct msg_cli_check_progress *m)
{
	FILE *to = f->c->session->err;
	bool bars = f->c->progress == PROGRESS_BARS;
	char done[TEXT_SIZE], all[TEXT_SIZE];
	uint64_t now = loop_now();

	if (f->c->progress == PROGRESS_NONE || f->c->session->interrupted ||
	    (f->shown && now - f->shown < (bars ? BAR_MS : LINE_MS) &&
		f->c->progress != PROGRESS_JSON))
		return;
	f->shown = now;
	if (f->c->progress == PROGRESS_JSON) {
		progress_json_line(to, m);
		return;
	}
	fprintf(to, "%schecked %llu of %llu layers, %s of %s%s", bars ? "\r\033[K" : "",
	    (unsigned long long)m->layers, (unsigned long long)m->layers_all,
	    text_size(m->bytes, done), text_size(m->bytes_all, all), bars ? "" : "\n");
	f->drawn = bars;
	fflush(to);
}

/* ---- asking ---- */

static int
take_answer(void *arg, struct ipc_msg *m, struct err *e)
{
	struct findings *f = arg;
	int r = 0;

	if (m->type == MSG_cli_check_progress)
		show(f, &m->cli_check_progress);
	else if (m->type == MSG_cli_check_fetch && f->n_names < LIMIT_STORE_RECORDS)
		r = take_name(f, m->cli_check_fetch.name);
	else if (m->type == MSG_cli_check_row && f->n < LIMIT_STORE_RECORDS)
		r = take_finding(f, &m->cli_check_row);
	else
		return command_unexpected(m, e);
	return r < 0 ? err_errno(e, -r, "the findings") : 0;
}

/* *e as the service said it; the line of progress is gone again. */
static int
ask(struct findings *f, bool deep, enum check_mend mend, struct err *e)
{
	struct ipc_msg m = IPC_MSG(cli_check, .deep = deep, .mend = mend);
	int r = session_ask(f->c->session, &m, take_answer, f, e);

	wipe(f);
	return r;
}

/* ---- the result ---- */

static bool
found_again(const struct findings *f, const char *id)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->v[i].id, id) == 0)
			return true;
	return false;
}

static void
print_one(struct jw *w, struct table *t, const struct finding *x)
{
	static const char *const states[] = {[CHECK_DAMAGED] = "damaged",
	    [CHECK_MENDED] = "mended",
	    [CHECK_REMOVED] = "removed",
	    [CHECK_KEPT] = "kept",
	    [CHECK_WANTED] = "damaged",
	    [FETCHED] = "fetched again"};
	const struct {
		const char *key, *value;
	} cells[] = {{"Id", x->id}, {"State", states[x->state]}, {"Finding", x->text}};

	jw_object(w);
	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		jw_key(w, cells[i].key);
		jw_str(w, cells[i].value);
		table_cell(t, cells[i].value[0] ? cells[i].value : "-");
	}
	jw_end(w, '}');
}

/* later: what a second look found, after pulls; or NULL. It is a quick one: what only a
 * deep one can find, and no pull was asked to put right, stays true. *left: so many. */
static int
print(
    struct command *c, struct findings *first, const struct findings *later, size_t *left)
{
	static const char *const names[] = {"ID", "STATE", "FINDING"};
	CLEANUP(jw_free) struct jw w = {0};
	CLEANUP(table_release) struct table t;
	size_t n = later ? later->n : 0;

	table_init(&t, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		table_cell(&t, names[i]);
	jw_array(&w);
	for (size_t i = 0; i < first->n; i++) {
		struct finding *x = &first->v[i];
		bool again = later && found_again(later, x->id);
		if (later && x->state == CHECK_WANTED && !again)
			x->state = FETCHED;
		if (again && x->state != CHECK_MENDED && x->state != CHECK_REMOVED)
			continue;
		print_one(&w, &t, x);
		*left += x->state == CHECK_DAMAGED;
		n++;
	}
	for (size_t i = 0; later && i < later->n; i++)
		print_one(&w, &t, &later->v[i]);
	jw_end(&w, ']');
	return n || c->args->choice[OPT_FORMAT] ? command_finish(c, &w, &t) : 0;
}

static int
refetch(struct command *c, struct findings *first)
{
	CLEANUP(findings_free) struct findings later = {.c = c};
	struct err e = {0};
	int pulled = 0;

	for (size_t i = 0; i < first->n_names; i++) {
		pulled = command_mend(c, first->names[i], pulled);
		if (c->session->interrupted || pulled == ERR_INTERNAL)
			return pulled;
	}
	int r = ask(&later, false, CHECK_REPAIR, &e);
	int code = command_failed(c, r, &e, 0);
	size_t left = 0;
	int printed = print(c, first, &later, &left);
	if (code == 0 && left) {
		err_set(&e, ERR_CONTENT, "%zu finding%s could not be put right", left,
		    left == 1 ? "" : "s");
		code = command_failed(c, -1, &e, 0);
	}
	return code ? code : printed;
}

/* The findings are the result, and printed whatever the end says. */
int
command_check_store(struct command *c)
{
	const struct args *a = c->args;
	CLEANUP(findings_free) struct findings first = {.c = c};
	struct err e = {0};
	enum check_mend mend = a->flag[OPT_REFETCH]  ? CHECK_REFETCH
			       : a->flag[OPT_REPAIR] ? CHECK_REPAIR
						     : CHECK_ONLY;

	int r = ask(&first, a->flag[OPT_DEEP], mend, &e);
	if (r == 0 || e.code == ERR_CONTENT) {
		if (mend == CHECK_REFETCH && r < 0 && !c->session->interrupted)
			return refetch(c, &first);
	}
	int code = command_failed(c, r, &e, 0);
	size_t left = 0;
	int printed = print(c, &first, NULL, &left);
	return code ? code : printed;
}
