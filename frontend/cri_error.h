/* What a failure is to a client of the CRI. Pure. */
#ifndef BULKHEAD_FRONTEND_CRI_ERROR_H
#define BULKHEAD_FRONTEND_CRI_ERROR_H

#include "frontend/call.h"

#define CRI_ERROR_TEXT 2304

/* The status code for a class, and in dst the text that goes with it.
 *
 * kubelet knows two reasons of failed pulls by how the text begins
 * ("RegistryUnavailable", "SignatureValidationFailed"), and it sees the text alone only
 * when the code is UNKNOWN: with any other it puts the code in front. So the classes
 * ERR_NETWORK and ERR_POLICY are UNKNOWN with that beginning. A blocked registry has
 * nothing to do with signatures: as with CRI-O it is UNKNOWN, and the text is all. */
enum grpc_code cri_error(enum err_class code, struct span text, char dst[CRI_ERROR_TEXT]);

#endif
