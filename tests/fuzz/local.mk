# fuzz_<name>.c is a libFuzzer target with seeds in corpus/fuzz_<name>. `make check` replays seeds and simple
# mutations of them; `make fuzz` builds the targets with clang, libFuzzer, ASan and UBSan and runs each for
# FUZZ_SECONDS. A new target: its word in FUZZ_TARGETS and two lines like those below.
FUZZ_SECONDS = 60
FUZZ_TARGETS = tests/fuzz/fuzz_conf tests/fuzz/fuzz_http_strict tests/fuzz/fuzz_http_server
FUZZ_LDADD = src/libworker.a src/libshared.a $(HALE_LIBS)
check_PROGRAMS += $(FUZZ_TARGETS)
TESTS += $(FUZZ_TARGETS)
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/run-fuzz tests/fuzz/fuzz_conf.dict

tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_conf_LDADD = $(FUZZ_LDADD)
tests_fuzz_fuzz_http_strict_SOURCES = tests/fuzz/fuzz_http_strict.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_http_strict_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/worker
tests_fuzz_fuzz_http_strict_LDADD = $(FUZZ_LDADD)
tests_fuzz_fuzz_http_server_SOURCES = tests/fuzz/fuzz_http_server.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_http_server_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/worker
tests_fuzz_fuzz_http_server_LDADD = $(FUZZ_LDADD)

fuzz:
	$(top_srcdir)/tests/fuzz/run-fuzz $(top_srcdir) $(top_builddir) $(FUZZ_SECONDS) $(FUZZ_TARGETS)
.PHONY: fuzz

FUZZ_TARGETS += tests/fuzz/fuzz_upstream_http
tests_fuzz_fuzz_upstream_http_SOURCES = tests/fuzz/fuzz_upstream_http.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_upstream_http_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_fuzz_fuzz_upstream_http_LDADD = $(FUZZ_LDADD)
FUZZ_TARGETS += tests/fuzz/fuzz_json_scan
tests_fuzz_fuzz_json_scan_SOURCES = tests/fuzz/fuzz_json_scan.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_json_scan_LDADD = $(FUZZ_LDADD)
FUZZ_TARGETS += tests/fuzz/fuzz_gemini
tests_fuzz_fuzz_gemini_SOURCES = tests/fuzz/fuzz_gemini.c tests/fuzz/fuzz_xlate.h tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_gemini_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_fuzz_fuzz_gemini_LDADD = $(FUZZ_LDADD)
FUZZ_TARGETS += tests/fuzz/fuzz_anthropic
tests_fuzz_fuzz_anthropic_SOURCES = tests/fuzz/fuzz_anthropic.c tests/fuzz/fuzz_xlate.h tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_anthropic_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_fuzz_fuzz_anthropic_LDADD = $(FUZZ_LDADD)
FUZZ_TARGETS += tests/fuzz/fuzz_cohere
tests_fuzz_fuzz_cohere_SOURCES = tests/fuzz/fuzz_cohere.c tests/fuzz/fuzz_xlate.h tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_cohere_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_fuzz_fuzz_cohere_LDADD = $(FUZZ_LDADD)
FUZZ_TARGETS += tests/fuzz/fuzz_prober_reply
tests_fuzz_fuzz_prober_reply_SOURCES = tests/fuzz/fuzz_prober_reply.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_prober_reply_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/prober
tests_fuzz_fuzz_prober_reply_LDADD = src/libprober.a src/libshared.a $(HALE_LIBS)
FUZZ_TARGETS += tests/fuzz/fuzz_multipart
tests_fuzz_fuzz_multipart_SOURCES = tests/fuzz/fuzz_multipart.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_multipart_LDADD = $(FUZZ_LDADD)
FUZZ_TARGETS += tests/fuzz/fuzz_aws_eventstream
tests_fuzz_fuzz_aws_eventstream_SOURCES = tests/fuzz/fuzz_aws_eventstream.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_aws_eventstream_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_fuzz_fuzz_aws_eventstream_LDADD = $(FUZZ_LDADD)
FUZZ_TARGETS += tests/fuzz/fuzz_messages
tests_fuzz_fuzz_messages_SOURCES = tests/fuzz/fuzz_messages.c tests/fuzz/fuzz_driver.c
tests_fuzz_fuzz_messages_LDADD = $(FUZZ_LDADD)
