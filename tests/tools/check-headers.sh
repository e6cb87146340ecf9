#!/bin/sh
# check-headers.sh: every header compiles alone, so that the order of includes never matters, and has a guard.
# Environment: srcdir, HALE_CC, HALE_CPPFLAGS, HALE_CFLAGS; runs in the build directory.
set -u
srcdir=${srcdir:-.}
failed=0
src=$(cd "$srcdir" && pwd)
rooms=$(for d in "$src"/src/*/; do printf ' -I%s' "${d%/}"; done)

for header in $(cd "$src" && find include src -name '*.h' | sort); do
	# shellcheck disable=SC2086 # flags are words
	if ! ${HALE_CC:-cc} ${HALE_CPPFLAGS:--I. -I$src/include} $rooms -std=gnu11 -Wall -Wextra -Werror -fsyntax-only \
		-x c "$src/$header"; then
		echo "headers: $header does not compile alone"
		failed=1
	fi
	grep -q '^#ifndef [A-Z0-9_]*_H$' "$src/$header" || { echo "headers: $header has no guard"; failed=1; }
done
exit $failed
