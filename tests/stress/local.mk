# Built and run on demand: `make check-stress`, and by `make check-tsan` inside a thread-sanitizer build.
EXTRA_PROGRAMS += tests/stress/stress_htable tests/stress/tsan_htable
tests_stress_stress_htable_SOURCES = tests/stress/stress_htable.c
tests_stress_stress_htable_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_stress_stress_htable_LDADD = src/libshared.a $(HALE_LIBS)
tests_stress_tsan_htable_SOURCES = tests/stress/tsan_htable.c
tests_stress_tsan_htable_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_stress_tsan_htable_LDADD = src/libshared.a $(HALE_LIBS)
CLEANFILES += tests/stress/stress_htable tests/stress/tsan_htable

STRESS_SECONDS = 10
check-stress: tests/stress/stress_htable
	tests/stress/stress_htable $(STRESS_SECONDS)
	tests/stress/stress_htable 3 no-recheck
.PHONY: check-stress
