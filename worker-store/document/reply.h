/* An answer as the message that carries it. */
#ifndef BULKHEAD_DOCUMENT_REPLY_H
#define BULKHEAD_DOCUMENT_REPLY_H

#include "common/ipc/msg.h"
#include "worker-store/document/document.h"

/* The message points into the rest: it must stay where it is until the message is sent.
 */
struct document_reply {
	struct ipc_msg msg;
	uint8_t digests[LIMIT_LAYERS * DIGEST_BYTES];
	uint8_t compressions[LIMIT_LAYERS];
};

/* The answer, which must live as long as the reply. */
void reply_answer(const struct document_answer *a, struct document_reply *out);

/* document_failed, from the reason. */
void reply_failed(const struct err *e, struct document_reply *out);

#endif
