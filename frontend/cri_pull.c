/* PullImage. */
#include "frontend/cri.h"

#include "frontend/cri_auth.h"

#include <errno.h>
#include <string.h>

static void
pulled(struct waiter *w, enum err_class code, const uint8_t image[32], bool fresh,
    struct span text)
{
	struct op *op = w->arg;
	char hex[65];

	if (code == ERR_OK)
		op_answer(op, cri_pack_pulled(span_str(hex_encode(image, 32, hex))));
	else
		op_fail(op, code, text);
}

static const struct waiter_ops waits = {.done = pulled};

/* *op is NULL when the call is over. */
static int
join(struct op *op, const struct cri_request *request, struct cri_secret *secret,
    struct err *e)
{
	struct ref ref;

	if (!op->ref[0])
		return err_set(e, ERR_USAGE, "no image specified");
	if (request->namespace.n > LIMIT_NAMESPACE)
		return err_set(
		    e, ERR_USAGE, "the pod's namespace is longer than one can be");
	int r = ref_parse(span_str(op->ref), &ref, e);
	if (r < 0)
		return r;
	r = cri_auth_read(&request->auth, &ref, secret, e);
	if (r < 0)
		return r;
	struct pull_options o = {.name = span_str(op->ref),
	    .namespace = request->namespace,
	    .mode = PULL_ALWAYS,
	    .auth = secret->auth,
	    .secret_kind = secret->kind,
	    .secret = span_of(secret->bytes, secret->n),
	    /* Those of a short name kubelet has looked up as docker.io's. */
	    .secret_for = span_str(ref.domain),
	    .source = span_str(secret->auth == AUTH_GIVEN
				   ? "the credentials that came with the request"
				   : "")};
	op->pull.ops = &waits;
	op->pull.arg = op;
	return pull_join(op->f, &op->pull, &o, e);
}

void
cri_pull_image(struct call *c, struct span bytes)
{
	struct cri_request request = {0};
	struct op *op = op_new(c, CRI_PULL_IMAGE, bytes, &request);
	struct cri_secret secret;
	struct err e = {0};

	if (op && join(op, &request, &secret, &e) < 0)
		op_fail_err(op, &e);
	explicit_bzero(&secret, sizeof(secret));
	cri_request_free(&request);
}
