/* libc calls that have a safer form: using one is a compile error that names the call. */
#ifndef HALE_BANNED_H
#define HALE_BANNED_H

/* The system headers that declare them come first, so that their own text is not touched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HALE_BANNED(f) hale_banned_##f##_use_a_bounded_call

#undef strcpy
#define strcpy(x, y) HALE_BANNED(strcpy)
#undef strcat
#define strcat(x, y) HALE_BANNED(strcat)
#undef strncpy
#define strncpy(x, y, n) HALE_BANNED(strncpy)
#undef strncat
#define strncat(x, y, n) HALE_BANNED(strncat)
#undef sprintf
#define sprintf(...) HALE_BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) HALE_BANNED(vsprintf)
#undef strtok
#define strtok(x, y) HALE_BANNED(strtok)
#undef gets
#define gets(x) HALE_BANNED(gets)
#undef atoi
#define atoi(x) HALE_BANNED(atoi)
#undef atol
#define atol(x) HALE_BANNED(atol)
#undef localtime
#define localtime(x) HALE_BANNED(localtime)
#undef gmtime
#define gmtime(x) HALE_BANNED(gmtime)

#endif
