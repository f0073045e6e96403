/* Pieces of the JSON texts that are made of an image's own documents. Lenient: what is of
 * the wrong kind is left out. Internal to document. */
#ifndef BULKHEAD_DOCUMENT_PUT_H
#define BULKHEAD_DOCUMENT_PUT_H

#include "common/json/tree.h"

/* The member if it is of the kind, else NULL. */
const struct jv *jv_member(const struct jv *o, const char *key, enum jv_kind kind);

/* Member `name` of what is being written, from the object's text `key`; "" when there is
 * none. _if: left out then. */
void put_text(struct jw *w, const char *name, const struct jv *o, const char *key);
void put_text_if(struct jw *w, const char *name, const struct jv *o, const char *key);
/* A text that is a time, as Go would write it. */
void put_moment(struct jw *w, const struct jv *v);

/* The members of an object sorted by key, as Go writes its maps; as_set: without their
 * values. */
void put_map(struct jw *w, const struct jv *o, bool as_set);
/* Members of the same name, left out when empty. */
void put_map_if(struct jw *w, const char *name, const struct jv *o, bool as_set);
void put_list_if(struct jw *w, const char *name, const struct jv *o);

/* What the image runs, and its history: the same in every form. */
void put_run_config(struct jw *w, const struct jv *run);
void put_history_list(struct jw *w, const struct jv *list);

const char *put_manifest_type(const struct jv *manifest);

/* The texts, within their limits, as trees. 0 or negative. */
int put_parse(struct span config, struct span manifest, struct span facts, struct jv **c,
    struct jv **m, struct err *e) MUST_CHECK;
/* Ends the text: 0 or negative with the reason. */
int put_finish(struct jw *w, struct err *e) MUST_CHECK;

#endif
