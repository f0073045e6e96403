/* Prints the README's table of privilege from profiles.def. */
#include "policy/sandbox/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void
print_asked_by(unsigned bits)
{
	const char *sep = "";

	if (bits == 0)
		printf("nobody");
	for (int r = 0; r < ROOM_COUNT; r++)
		if (bits >> r & 1) {
			printf("%s%s", sep, room_name((enum room)r));
			sep = ", ";
		}
}

static void
print_caps(const struct profile *p)
{
	if (!p->caps->name)
		printf("none");
	for (const struct profile_cap *c = p->caps; c->name; c++)
		printf("%s%s", c == p->caps ? "" : ", ", c->name);
	if (p->namespaces & NS_USER)
		printf(" (child user namespace)");
}

static const char *
ids_text(enum profile_ids ids)
{
	switch (ids) {
	case IDS_ROOT:
		return "root";
	case IDS_OWN:
		return "own";
	case IDS_OWN_FSUID_0:
		return "own, files root's";
	case IDS_NOBODY:
		return "nobody";
	}
	return "?";
}

static const char *
root_text(enum profile_root root)
{
	switch (root) {
	case ROOT_HOST:
		return "the host's";
	case ROOT_EMPTY:
		return "empty";
	case ROOT_RESOLVER:
		return "hosts, resolv.conf, nsswitch.conf";
	case ROOT_TREE:
	case ROOT_TREE_NO_LINKS:
		return "the layer's tree";
	case ROOT_PROGRAM:
		return "/usr and /etc read-only, an empty /tmp";
	}
	return "?";
}

struct count {
	const char *seen[256];
	unsigned n;
};

static int
count_call(const struct profile_call *c, const char *group, void *arg)
{
	struct count *k = arg;

	if (c->error || c->nr < 0)
		return 0;
	for (unsigned i = 0; i < k->n; i++)
		if (strcmp(k->seen[i], c->name) == 0)
			return 0;
	if (k->n < ARRAY_LEN(k->seen))
		k->seen[k->n++] = c->name;
	return 0;
}

static void
print_row(const struct profile *p)
{
	struct count k = {.n = 0};

	profile_each_call(p, count_call, &k);
	printf("| `%s` | %s | %s | ", p->name, p->does, p->sees);
	print_asked_by(p->asked_by);
	printf(" | %s | ", ids_text(p->ids));
	print_caps(p);
	printf(" | %s | %s | ", root_text(p->root),
	    p->room == ROOM_CLI	     ? "the host's"
	    : p->namespaces & NS_NET ? "none"
				     : "the host's");
	if (p->seccomp == SECCOMP_LIST)
		printf("%u |\n", k.n);
	else
		printf("all but a list |\n");
}

static int
print_call(const struct profile_call *c, const char *group, void *arg)
{
	printf("- `%s`", c->name);
	for (unsigned i = 0; i < c->narg; i++)
		printf(" (argument %s)", c->arg[i].text);
	printf("%s: %s\n", c->error ? " fails" : "", c->why);
	return 0;
}

static void
print_details(const struct profile *p)
{
	printf("\n### %s\n\n%s\n\n", p->name, p->does);
	for (const struct profile_cap *c = p->caps; c->name; c++)
		printf("- CAP_%s: %s\n", c->name, c->why);
	for (const struct profile_limit *l = p->limits; l->name; l++)
		printf("- RLIMIT_%s = %" PRIu64 ": %s\n", l->name, l->value, l->why);
	for (const struct profile_fd *f = p->fds; f->name; f++)
		printf("- descriptor %d: %s\n", f->number, f->name);
	profile_each_call(p, print_call, NULL);
}

int
main(int argc, char **argv)
{
	size_t n;
	const struct profile *rows = profile_rows(&n);

	printf(
	    "| room | does | sees | started for | user | capabilities | root | network | "
	    "system calls |\n|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < n; i++)
		print_row(&rows[i]);
	if (argc > 1 && strcmp(argv[1], "--details") == 0)
		for (size_t i = 0; i < n; i++)
			print_details(&rows[i]);
	return 0;
}
