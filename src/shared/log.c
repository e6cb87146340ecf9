/* One line per event on stderr, written with one write() so that lines of several processes never mix. */
#include "hale/hale.h"

#include "hale/log.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "hale/clock.h"

#define LOG_LINE_MAX 4096
#define LOG_LIMIT_PER_SECOND 5

/* The only mutable globals of the project: what a process is called in its own log. */
static struct {
	char who[32];
	enum log_level level;
	bool journal;
} log_self = {"hale", LOG_LEVEL_INFO, false};

void
log_init(const char *role, int index, enum log_level level)
{
	if (index < 0)
		snprintf(log_self.who, sizeof(log_self.who), "hale %s", role);
	else
		snprintf(log_self.who, sizeof(log_self.who), "hale %s[%d]", role, index);
	log_self.level = level;
	log_self.journal = getenv("JOURNAL_STREAM") != NULL;
}

bool
log_is_debug(void)
{
	return log_self.level >= LOG_LEVEL_DEBUG;
}

static const char *
log_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR: return "ERROR";
	case LOG_LEVEL_WARNING: return "WARNING";
	case LOG_LEVEL_DEBUG: return "DEBUG";
	default: return "INFO";
	}
}

HALE_PRINTF(2, 0) static void
log_write(enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX], when[32];
	int saved = errno, n, m;

	if (level > log_self.level)
		return;
	if (log_self.journal) {
		n = snprintf(line, sizeof(line), "<%d>%s: ", (int)level, log_self.who);
	} else {
		clock_iso8601(clock_real_ns(), when, sizeof(when));
		n = snprintf(line, sizeof(line), "%s %-7s %s: ", when, log_word(level), log_self.who);
	}
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	n += m < (int)sizeof(line) - n - 1 ? m : (int)sizeof(line) - n - 2;
	for (int i = 0; i < n; i++) /* one event, one line, whatever a peer put into the text */
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) == -1) {
		/* nowhere left to say it */
	}
	errno = saved;
}

#define LOG_BODY(level) \
	do { \
		va_list ap; \
		va_start(ap, fmt); \
		log_write((level), fmt, ap); \
		va_end(ap); \
	} while (0)

void
log_error(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR);
}

void
log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARNING);
}

void
log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_INFO);
}

void
log_debug(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG);
}

void
log_fatal(int code, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR);
	_exit(code);
}

bool
log_limit_pass(struct log_limit *l, const char *where)
{
	uint64_t now = clock_mono_ns();

	if (l->window_ns == 0 || now - l->window_ns >= NS_PER_SEC) {
		if (l->suppressed)
			log_info("log lines left out site=%s suppressed=%u", where, l->suppressed);
		*l = (struct log_limit){.window_ns = now};
	}
	if (l->count < LOG_LIMIT_PER_SECOND) {
		l->count++;
		return true;
	}
	l->suppressed++;
	return false;
}

void
hale_panic(const char *file, int line, const char *what)
{
	log_error("panic: %s:%d: %s", file, line, what);
	abort();
}
