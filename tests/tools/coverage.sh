#!/bin/sh
# coverage.sh DIRECTORY: lines run by the tests of a --coverage build, per source file and in all.
set -eu
cd "$1"
find src -name '*.gcda' | sort | while read -r data; do gcov -n -o "$(dirname "$data")" "$data" 2>/dev/null; done | awk '
	/^File / { file = $2; gsub(/\x27/, "", file) }
	/^Lines executed:/ && file ~ /^src\/.*\.c$/ {
		split($2, part, /[:%]/)
		run = part[2] * $NF / 100
		printf "%6.1f %%  %5d  %s\n", part[2], $NF, file
		lines += $NF
		done += run
		file = ""
	}
	END { if (lines) printf "%6.1f %%  %5d  in all\n", 100 * done / lines, lines }
'
