/* Included first by every file of the project: build configuration, attributes, assertions.
 *
 * HALE_ASSERT is for our own bugs only and is always compiled in. Input, peers, disk and memory
 * limits are never asserted: they are errors with a message.
 */
#ifndef HALE_HALE_H
#define HALE_HALE_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HALE_PRODUCT "hale/" PACKAGE_VERSION

#define HALE_MUST_USE __attribute__((warn_unused_result))
#define HALE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define HALE_NORETURN __attribute__((noreturn))
#define HALE_UNUSED __attribute__((unused))

#define HALE_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Prints "panic: file:line: expression" on stderr and aborts; the master writes the obituary. */
HALE_NORETURN void hale_panic(const char *file, int line, const char *what);

#define HALE_ASSERT(e) \
	do { \
		if (!(e)) \
			hale_panic(__FILE__, __LINE__, #e); \
	} while (0)

#include "hale/banned.h"

#endif
