# One program per stem: test_<stem>.c is a new file and one word here.
UNIT_TESTS += tests/unit/test_strbuf
tests_unit_test_strbuf_SOURCES = tests/unit/test_strbuf.c
tests_unit_test_strbuf_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/test_provider
tests_unit_test_provider_SOURCES = tests/unit/test_provider.c
tests_unit_test_provider_LDADD = $(UNIT_LDADD)
noinst_HEADERS += tests/unit/fixture.h
UNIT_TESTS += tests/unit/test_htable
tests_unit_test_htable_SOURCES = tests/unit/test_htable.c
tests_unit_test_htable_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_unit_test_htable_LDADD = $(UNIT_LDADD)
UNIT_TESTS += tests/unit/test_outcome
tests_unit_test_outcome_SOURCES = tests/unit/test_outcome.c
tests_unit_test_outcome_LDADD = $(UNIT_LDADD)
