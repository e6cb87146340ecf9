/* One line per event on stderr, for journald or a terminal.
 *
 * "<6>hale worker[2]: message key=value": the priority prefix is written when stderr is the
 * journal (JOURNAL_STREAM), otherwise a time stamp is. Call sites that a peer can trigger use
 * log_limited(), which lets 5 lines per second and call site through and counts the rest.
 * Secrets never reach these functions; text from an upstream passes redact() first.
 */
#ifndef HALE_LOG_H
#define HALE_LOG_H

#include "hale/hale.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* role: "master", "worker", "prober" ...; index < 0: none. Call once per process, after fork. */
void log_init(const char *role, int index, enum log_level level);
bool log_is_debug(void);

void log_error(const char *fmt, ...) HALE_PRINTF(1, 2);
void log_warn(const char *fmt, ...) HALE_PRINTF(1, 2);
void log_info(const char *fmt, ...) HALE_PRINTF(1, 2);
void log_debug(const char *fmt, ...) HALE_PRINTF(1, 2);
/* errno is kept by all of them. */

struct log_limit {
	uint64_t window_ns;
	unsigned count, suppressed;
};
/* true: print now. Prints "suppressed=N" itself when a window ends. */
bool log_limit_pass(struct log_limit *l, const char *where);
#define log_limited(fn, ...) \
	do { \
		static struct log_limit log_limit_; \
		if (log_limit_pass(&log_limit_, __func__)) \
			fn(__VA_ARGS__); \
	} while (0)

/* Ends the process with exit code `code` (see proc.h) after an error line. */
HALE_NORETURN void log_fatal(int code, const char *fmt, ...) HALE_PRINTF(2, 3);

#endif
