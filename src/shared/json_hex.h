/* Hexadecimal digits of \u escapes. */
#ifndef HALE_JSON_HEX_H
#define HALE_JSON_HEX_H

#include "hale/hale.h"

static inline int
json_hex(unsigned char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch |= 0x20;
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Four hex digits; -1 when they are not. */
static inline int
json_hex4(const unsigned char *p, const unsigned char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = json_hex(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

#endif
