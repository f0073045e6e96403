/* Every fault that a check finds, one at a time, and none in a good store. */
#include "tests/store/fixture.h"

#include "worker-store/store/inspector.h"

#include <stdio.h>
#include <stdlib.h>

struct found {
	size_t n;
	char id[65], text[1000];
};

static void
take_finding(void *arg, const struct damage *d, const char *text)
{
	struct found *f = arg;

	f->n++;
	if (!span_to_str(d->id, f->id, sizeof(f->id)))
		f->id[0] = 0;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static void
look_through(struct inspector *in)
{
	struct err e = {0};
	int r = inspector_load(in, &e);

	if (r < 0)
		fail_msg("%s", e.text);
	if (r)
		return;
	for (size_t i = 0; i < in->look.view.images.n; i++)
		inspect_image(in, i);
	for (size_t i = 0; i < inspect_layers(in); i++)
		inspect_layer(in, i);
	for (size_t i = 0; i < INSPECT_DIRS; i++) {
		DIR *d = inspect_dir(in, i);
		assert_non_null(d);
		for (struct dirent *de; (de = readdir(d));)
			inspect_entry(in, i, de->d_name);
		closedir(d);
	}
}

static void
inspect(struct fixture *f, struct found *found, unsigned age)
{
	struct inspector in = {
	    .s = &f->s, .age_s = age, .found = take_finding, .arg = found};

	*found = (struct found){0};
	assert_int_equal(look_open(&in.look, &f->s), 0);
	look_through(&in);
	inspector_free(&in);
}

static void
fill(struct fixture *f)
{
	sh(f, 0,
	    "cd @D/G && find overlay -mindepth 1 -maxdepth 1 ! -name l ! -name '.*' "
	    "-exec rm -rf {} + && rm -rf overlay/l/* overlay-images/* "
	    "overlay-images/.tmp* "
	    "overlay-layers/* overlay-layers/.tmp* overlay-containers/*.json && cd - "
	    ">/dev/null && python3 tests/store/many.py @D/G 2 3 files");
}

/* $I image, $L its top layer, $M the layer below, $B the base of all. */
static const char *
names(struct fixture *f)
{
	static char text[600];

	snprintf(text, sizeof(text), "%s",
	    sh(f, 0,
		"python3 -c 'import json; a = json.load(open(\"@D/G/overlay-images/"
		"images.json\")); b = {x[\"id\"]: x for x in json.load(open(\"@D/G/"
		"overlay-layers/layers.json\"))}; t = a[0][\"layer\"]; p = b[t]"
		"[\"parent\"]; print(\"I=\" + a[0][\"id\"], \"L=\" + t, \"M=\" + p, "
		"\"B=\" + b[p][\"parent\"])'"));
	text[strcspn(text, "\n")] = 0;
	return text;
}

struct fault {
	const char *shell; /* in the graph root, with the names set */
	const char *edit;  /* or for edit.py */
	char about;	   /* whose ID the finding has: a letter of names, or 0 */
	const char *text;
	size_t more; /* findings that come with it */
};

static const struct fault faults[] = {
    {"rm overlay-images/$I/manifest", NULL, 'I', "cannot be found", 0},
    {"echo more >> overlay-images/$I/manifest", NULL, 'I', "should have", 0},
    {"rm -r overlay-images/$I", NULL, 'I', "cannot be found", 3},
    {NULL, "images[0][\"names\"].append(\"Bad\")", 'I', "left out of every list", 0},
    {NULL, "images[0][\"names\"] = images[1][\"names\"]", 'I', "once more", 0},
    {NULL, "images[0][\"layer\"] = sha(\"\")", 'I', "is not in the store", 0},
    {NULL, "images[0][\"big-data-sizes\"][\"manifest\"] = 5 << 20", 'I', "should have",
	1},
    {NULL, "images[0][\"big-data-names\"].append(\"x\" * 190 + \"?\")", 'I',
	"no file can have", 1},
    {NULL, "layers[2][\"flags\"] = {\"incomplete\": True}", 'L', "marked incomplete", 1},
    {NULL, "layers[2][\"parent\"] = sha(\"none\")", 'L', "is not in the store", 1},
    {NULL, "layers.append({\"id\": \"odd\", \"created\": layers[0][\"created\"]})", 0,
	"64 lower-case", 0},
    {"rm -r overlay/$L/diff", NULL, 'L', "diff is missing", 0},
    {"rm overlay/$L/link", NULL, 'L', "link is missing", 0},
    {"printf x > overlay/$L/link", NULL, 'L', "link is missing", 1},
    {"rm overlay/l/$(cat overlay/$L/link)", NULL, 'L', "leads elsewhere", 0},
    {"ln -sfn ../$M/diff overlay/l/$(cat overlay/$L/link)", NULL, 0, "short link", 1},
    {"rm overlay/$L/lower", NULL, 'L', "lower does not name", 0},
    {"cp overlay/$M/lower overlay/$L/lower", NULL, 'L', "lower does not name", 0},
    {"cp overlay/$L/lower overlay/$B/lower", NULL, 'B', "lower does not name", 2},
    {"rm overlay-layers/$L.tar-split.gz", NULL, 'L', "tar-split", 0},
    {": > overlay-layers/$L.tar-split.gz", NULL, 'L', "missing or empty", 0},
    {"cp -r overlay/$L overlay/$I", NULL, 'I', "belongs to no layer", 0},
    {"ln -s ../$I/diff overlay/l/AAAAAAAAAAAAAAAAAAAAAAAAAA", NULL, 'I', "to no layer",
	0},
    {"ln -s ../$L/diff overlay/l/AAAAAAAAAAAAAAAAAAAAAAAAAA", NULL, 'L', "second", 0},
    {"mkdir overlay-images/$L", NULL, 'L', "belongs to no image", 0},
    {": > overlay-images/.tmp-images.json123", NULL, 0, "half written", 0},
    {": > overlay-layers/.tmp-layers.json123", NULL, 0, "half written", 0},
    {": > overlay-layers/$I.tar-split.gz", NULL, 'I', "belongs to no layer", 0},
    {"mkdir overlay-layers/$I", NULL, 'I', "belongs to no layer", 0},
    {"mkdir bulkhead/0123456789abcdef0123456789abcdef", NULL, 0, "staging", 0},
    {"echo '[{' > overlay-images/images.json", NULL, 0, "images.json", 0},
    {"echo '[{' > overlay-layers/layers.json", NULL, 0, "layers.json", 0},
    {"echo '{}' > overlay-containers/containers.json", NULL, 0, "containers.json", 0},
};

static void
wants(const struct fault *x, const struct found *found, const char *ids)
{
	const char *what = x->shell ? x->shell : x->edit;
	char name[4] = {x->about, '=', 0};

	if (found->n != 1 + x->more)
		fail_msg("%s: %zu findings, the last: %s", what, found->n, found->text);
	if (!strstr(found->text, x->text) && !x->more)
		fail_msg("%s: %s", what, found->text);
	if (!x->more && !x->about && id_is(span_str(found->id)))
		fail_msg("%s: about %s", what, found->id);
	if (!x->more && x->about && strncmp(strstr(ids, name) + 2, found->id, 64) != 0)
		fail_msg("%s: about %s", what, found->id);
}

static void
test_each_fault(void **state)
{
	struct fixture *f = *state;
	struct found found;

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		const struct fault *x = &faults[i];
		fill(f);
		const char *ids = names(f);
		inspect(f, &found, 0);
		if (found.n)
			fail_msg("a good store: %s", found.text);
		if (x->shell)
			sh(f, 0, "cd @D/G && %s && %s", ids, x->shell);
		else
			sh(f, 0, "python3 tests/store/edit.py @D/G '%s'", x->edit);
		inspect(f, &found, 0);
		wants(x, &found, ids);
		sh(f, 0, "rm -rf @D/G/bulkhead/0123456789abcdef0123456789abcdef");
	}
}

/* What is only just there may be somebody's work: no finding for some seconds. */
static void
test_young(void **state)
{
	struct fixture *f = *state;
	struct found found;

	fill(f);
	sh(f, 0,
	    "cd @D/G && %s && mkdir overlay/$I overlay-images/$L bulkhead/"
	    "0123456789abcdef0123456789abcdef; : > overlay-layers/.tmp-x; "
	    ": > overlay-images/.tmp-x; : > overlay-layers/$I.tar-split.gz; "
	    "ln -s ../$I/diff overlay/l/AAAAAAAAAAAAAAAAAAAAAAAAAA",
	    names(f));
	inspect(f, &found, 60);
	assert_int_equal(found.n, 0);
	inspect(f, &found, 0);
	assert_int_equal(found.n, 7);
}

/* Containers' layers have no tar-split file, may be volatile, and may lie on a layer of
 * an additional store. The staging of those that live is theirs. */
static void
test_no_false_alarm(void **state)
{
	struct fixture *f = *state;
	struct found found;
	struct store other;
	struct err e = {0};

	fill(f);
	sh(f, 0,
	    "cd @D/G && %s && C=%064d && mkdir -p overlay/$C/diff && "
	    "printf AAAAAAAAAAAAAAAAAAAAAAAAAA > overlay/$C/link && "
	    "printf l/$(cat overlay/$L/link):$(cat overlay/$L/lower) > overlay/$C/lower "
	    "&& "
	    "ln -s ../$C/diff overlay/l/AAAAAAAAAAAAAAAAAAAAAAAAAA && "
	    "echo '[{\"id\":\"'$C'\",\"parent\":\"'$L'\",\"created\":"
	    "\"2026-01-01T00:00:00Z\"}]' > overlay-layers/volatile-layers.json && "
	    "echo '[{\"id\":\"'$I'\",\"layer\":\"'$C'\",\"image\":\"'$I'\"}]' > "
	    "overlay-containers/volatile-containers.json",
	    names(f), 7);
	assert_int_equal(store_open(&other, f->graph, f->run, -1, &e), 0);
	inspect(f, &found, 0);
	if (found.n)
		fail_msg("%s", found.text);
	store_close(&other);
	/* The layer below is in another store. */
	sh(f, 0,
	    "cd @D/G && sed -i 's/\"parent\":\"[^\"]*\"/\"parent\":\"%064d\"/' "
	    "overlay-layers/volatile-layers.json",
	    8);
	inspect(f, &found, 0);
	if (found.n)
		fail_msg("%s", found.text);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_new, fixture_free)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_each_fault), T(test_young), T(test_no_false_alarm)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
