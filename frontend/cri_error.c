#include "frontend/cri_error.h"

#include <stdio.h>

static const struct {
	enum err_class class;
	enum grpc_code code;
	const char *begin;
} codes[] = {
    {ERR_OK, GRPC_OK, ""},
    {ERR_NOT_FOUND, GRPC_NOT_FOUND, ""},
    {ERR_IN_USE, GRPC_FAILED_PRECONDITION, ""},
    {ERR_POLICY, GRPC_UNKNOWN, "SignatureValidationFailed: "},
    {ERR_BLOCKED, GRPC_UNKNOWN, ""},
    {ERR_AUTH, GRPC_UNAUTHENTICATED, ""},
    {ERR_NETWORK, GRPC_UNKNOWN, "RegistryUnavailable: "},
    {ERR_NO_SPACE, GRPC_RESOURCE_EXHAUSTED, ""},
    {ERR_CONTENT, GRPC_FAILED_PRECONDITION, ""},
    {ERR_DEADLINE, GRPC_DEADLINE_EXCEEDED, ""},
    {ERR_USAGE, GRPC_INVALID_ARGUMENT, ""},
    {ERR_INTERNAL, GRPC_INTERNAL, ""},
};

enum grpc_code
cri_error(enum err_class class, struct span text, char dst[CRI_ERROR_TEXT])
{
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (codes[i].class != class)
			continue;
		snprintf(dst, CRI_ERROR_TEXT, "%s%.*s", codes[i].begin, (int)text.n,
		    (const char *)text.p);
		return codes[i].code;
	}
	snprintf(dst, CRI_ERROR_TEXT, "%.*s", (int)text.n, (const char *)text.p);
	return GRPC_UNKNOWN;
}
