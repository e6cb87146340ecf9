#!/bin/sh
# check-layering.sh: the rooms know each other only through include/hale.
#
# nm over the libraries: worker, prober, master and cli objects never refer to each other's symbols, and shared
# refers to none of them. Headers that are a capability are included only by those who hold it.
# Environment: srcdir; runs in the build directory.
set -u
srcdir=${srcdir:-.}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0

complain() {
	echo "layering: $*"
	failed=1
}

rooms="worker prober master cli"
for lib in $rooms shared; do
	file=src/lib$lib.a
	[ -f "$file" ] || { complain "$file is missing (run make first)"; continue; }
	nm -g --defined-only "$file" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u >"$tmp/$lib.has"
	nm -u "$file" 2>/dev/null | awk 'NF == 2 { print $2 }' | sort -u | comm -23 - "$tmp/$lib.has" >"$tmp/$lib.needs"
done
[ $failed -eq 0 ] || exit 1
[ -s "$tmp/shared.has" ] || { complain "nm shows no symbols in src/libshared.a"; exit 1; }

for from in $rooms shared; do
	for to in $rooms; do
		[ "$from" = "$to" ] && continue
		for symbol in $(comm -12 "$tmp/$from.needs" "$tmp/$to.has"); do
			complain "lib$from refers to $symbol of lib$to"
		done
	done
done

# header, then where it may be included (extended regular expression over paths below srcdir)
holders() {
	(cd "$srcdir" && grep -rlE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]$1[>\"]" src include --include='*.[ch]') |
		grep -vE "$2" | while read -r file; do echo "layering: $file may not include $1"; done >"$tmp/bad"
	cat "$tmp/bad"
	[ ! -s "$tmp/bad" ] || failed=1
}
holders 'hale/htable_writer\.h' '^src/prober/|^src/shared/htable_writer\.c$'
holders 'hale/htable_master\.h' '^src/master/|^src/shared/htable_master\.c$'
holders '(\.\./shared/)?htable_layout\.h' '^src/shared/(htable[a-z_]*|outcome)\.[ch]$'
holders 'event2/http[a-z_]*\.h' '^src/worker/worker_http[a-z_]*\.[ch]$'
holders 'curl/[a-z]*\.h' '^src/(shared/upstream[a-z_]*|cli/[a-z_]*)\.[ch]$'
holders 'yaml\.h' '^src/shared/conf[a-z_]*\.[ch]$'
exit $failed
