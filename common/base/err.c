#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void PRINTF(3, 0)
    err_fill(struct err *e, enum err_class code, const char *fmt, va_list ap)
{
	e->code = code;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
}

static int
class_errno(enum err_class code)
{
	switch (code) {
	case ERR_OK:
		return 0;
	case ERR_NOT_FOUND:
		return -ENOENT;
	case ERR_IN_USE:
		return -EBUSY;
	case ERR_POLICY:
	case ERR_BLOCKED:
	case ERR_AUTH:
		return -EACCES;
	case ERR_NETWORK:
		return -EHOSTUNREACH;
	case ERR_NO_SPACE:
		return -ENOSPC;
	case ERR_CONTENT:
		return -EBADMSG;
	case ERR_DEADLINE:
		return -ETIMEDOUT;
	case ERR_USAGE:
		return -EINVAL;
	case ERR_INTERNAL:
		return -EIO;
	}
	return -EIO;
}

int
err_set(struct err *e, enum err_class code, const char *fmt, ...)
{
	va_list ap;

	if (e && e->code == ERR_OK) {
		va_start(ap, fmt);
		err_fill(e, code, fmt, ap);
		va_end(ap);
	}
	return class_errno(code);
}

int
err_errno(struct err *e, int errnum, const char *fmt, ...)
{
	va_list ap;

	errnum = errnum < 0 ? -errnum : errnum;
	if (e && e->code == ERR_OK) {
		bool full = errnum == ENOSPC || errnum == EDQUOT;
		va_start(ap, fmt);
		err_fill(e, full ? ERR_NO_SPACE : ERR_INTERNAL, fmt, ap);
		va_end(ap);
		size_t at = strlen(e->text);
		snprintf(e->text + at, sizeof(e->text) - at, ": %s", strerror(errnum));
	}
	return -errnum;
}
