#!/bin/sh
# docs/config.md is printed from the schema: fails when the committed file is not what the binary prints.
set -eu
: "${srcdir:=.}"
want=$(mktemp)
trap 'rm -f "$want"' EXIT
src/hale check --print-reference > "$want"
if ! diff -u "$srcdir/docs/config.md" "$want"; then
	echo "docs/config.md is not up to date: run src/hale check --print-reference > docs/config.md" >&2
	exit 1
fi
