
# docs/config.md against the schema.
TESTS += tests/tools/check-config-doc.sh
EXTRA_DIST += tests/tools/check-config-doc.sh

# The house rules that a program can check. They run in the build directory and find the sources through srcdir.
TESTS += tests/tools/check-layering.sh tests/tools/check-headers.sh tests/tools/check-size.sh
EXTRA_DIST += tests/tools/check-layering.sh tests/tools/check-headers.sh tests/tools/check-size.sh
AM_TESTS_ENVIRONMENT += HALE_CC='$(CC)'; HALE_CPPFLAGS='$(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS)'; export HALE_CC HALE_CPPFLAGS;
EXTRA_DIST += tests/tools/coverage.sh tests/tools/cppcheck.suppress
