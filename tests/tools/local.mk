
# docs/config.md against the schema.
TESTS += tests/tools/check-config-doc.sh
EXTRA_DIST += tests/tools/check-config-doc.sh
