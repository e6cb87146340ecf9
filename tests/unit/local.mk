# One program per stem: test_<stem>.c is a new file and one word here.
UNIT_TESTS += tests/unit/test_strbuf
tests_unit_test_strbuf_SOURCES = tests/unit/test_strbuf.c
tests_unit_test_strbuf_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/test_provider
tests_unit_test_provider_SOURCES = tests/unit/test_provider.c
tests_unit_test_provider_LDADD = $(UNIT_LDADD)
