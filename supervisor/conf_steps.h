/* Between the two halves of reading the configuration: the reader of one file (conf.c)
 * and which file comes next (conf_steps.c). */
#ifndef BULKHEAD_SUPERVISOR_CONF_STEPS_H
#define BULKHEAD_SUPERVISOR_CONF_STEPS_H

#include "common/ipc/port.h"
#include "policy/sandbox/spawn.h"
#include "supervisor/conf.h"
#include "supervisor/files.h"

/* What comes next. */
enum step {
	STEP_OWN,
	STEP_STORAGE,
	STEP_REGISTRIES,
	STEP_ALIASES,
	STEP_AUTH,
	STEP_POLICY,
	STEP_END
};

struct conf_reading {
	struct loop *loop;
	struct sandbox_host *host;
	struct settings *settings;
	struct registry_rows *registries;
	struct secrets *secrets;
	struct policy_file *policy;
	conf_done_fn done;
	conf_note_fn note;
	void *arg;
	struct err err;
	enum step step;
	unsigned at;		   /* of the step's files: the one that is read now */
	struct config_files files; /* registries.conf and its drop-ins */
	/* The file that is read now. */
	int file;
	enum config_kind kind;
	bool trusted;  /* nobody but root could write it: it may name programs */
	bool optional; /* nobody has named it: it need not be of use */
	char path[LIMIT_PATH + LIMIT_COMPONENT + 2];
	unsigned messages;
	size_t bytes;
	/* Its reader. */
	bool running;
	struct sandbox_room room;
	struct loop_source early; /* the control fd before the first packet */
	struct port control;
	struct loop_timer timer; /* the file's time; also what begins the reading */
};

/* Starts the reader of what rd->path names: rd->file, or the policy. 0, or negative with
 * rd->err. */
int reader_start(struct conf_reading *rd, enum room room, enum config_kind kind);

/* A row as a reader gave it, or the path of the file whose rows follow. */
int reading_keep(struct conf_reading *rd, enum registry_row kind, unsigned flags,
    struct span name, struct span value);

/* The next file, or the end. 0: a reader is at work; 1: all is read; negative with
 * rd->err. */
int reading_step(struct conf_reading *rd);

#endif
