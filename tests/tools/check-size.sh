#!/bin/sh
# check-size.sh: files and functions stay small enough to hold in mind. Soft limits are named, hard limits fail.
# Tables are exempt by name. Tests may be long, their functions may not.
# Environment: srcdir.
set -u
cd "${srcdir:-.}" || exit 1
exempt='src/shared/conf_schema\.c'

find src include tests bench -name '*.[ch]' | sort | grep -vE "^($exempt)$" | xargs awk '
	FNR == 1 { if (file != "") whole(); file = FILENAME; open = 0 }
	{ lines = FNR }
	/^{/ { open = FNR }
	/^}/ && open {
		n = FNR - open + 1
		if (n > 120)
			hard("function of " n " lines at line " open ", at most 120")
		else if (n > 60 && file ~ /^src\//)
			soft("function of " n " lines at line " open ", better 60")
		open = 0
	}
	END { whole(); exit failed }
	function whole() {
		if (file ~ /\.h$/)
			limit(200, 250)
		else
			limit(600, 1000)
	}
	function limit(s, h) {
		if (lines > h && file !~ /^tests\//)
			hard(lines " lines, at most " h)
		else if (lines > s)
			soft(lines " lines, better " s)
	}
	function hard(what) { print "size: " file ": " what; failed = 1 }
	function soft(what) { print "size: (soft) " file ": " what }
'
