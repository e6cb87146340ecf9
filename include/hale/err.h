/* Error codes of our own functions, and the list of messages a config run collects. */
#ifndef HALE_ERR_H
#define HALE_ERR_H

#include "hale/hale.h"

/* Functions return 0 or one of these. System calls keep errno; callers save it at once. */
enum hale_err {
	HALE_OK = 0,
	HALE_ESYS = -1,         /* a system call failed, errno says why */
	HALE_ENOMEM = -2,
	HALE_EINVAL = -3,       /* input has the wrong form */
	HALE_ERANGE = -4,       /* right form, outside the bounds */
	HALE_ENOENT = -5,       /* no such thing */
	HALE_ELIMIT = -6,       /* a configured bound was reached */
	HALE_EUNSUPPORTED = -7, /* this provider has no such mode */
	HALE_ECONF = -8,        /* configuration refused, messages are in the errlist */
	HALE_EBUSY = -9,
};

/* A fixed English phrase; never NULL. */
const char *err_text(int code);

#define ERRLIST_MAX 20

/* One message about one place. line and column count from 1; 0 = the file as a whole. */
struct err_entry {
	char *file, *key, *text; /* owned by the list */
	uint32_t line, column;
	bool warning;
};

/* Collects at most ERRLIST_MAX errors and as many warnings; more are only counted. */
struct errlist {
	struct err_entry error[ERRLIST_MAX], warning[ERRLIST_MAX];
	unsigned nerror, nwarning; /* may exceed ERRLIST_MAX: the number seen */
};

void errlist_init(struct errlist *l);
void errlist_release(struct errlist *l);
/* key may be NULL. All texts are copied. */
void errlist_add(struct errlist *l, bool warning, const char *file, uint32_t line, uint32_t column, const char *key,
                 const char *fmt, ...) HALE_PRINTF(7, 8);
/* Writes one entry as "file:line:column: key: text" without newline; truncates like snprintf. */
int errlist_format(const struct err_entry *e, char *buf, size_t size);

#endif
