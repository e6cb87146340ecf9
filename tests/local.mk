# Unit tests are cmocka programs; each links the libraries that it tests through UNIT_LDADD.
UNIT_LDADD = src/libmaster.a src/libworker.a src/libprober.a src/libshared.a $(HALE_LIBS) $(CMOCKA_LIBS)

# Checks that need another build of everything: each in a copy of the distribution, so that they work from any build
# directory and show that the distribution is whole. CHECK_JOBS bounds their parallelism.
CHECK_JOBS = 2
CHECK_COPY = rm -rf check-copy && $(MAKE) $(AM_MAKEFLAGS) distdir distdir=check-copy >/dev/null && cd check-copy && \
	./configure -q CC='$(CC)'
CHECK_MAKE = $(MAKE) $(AM_MAKEFLAGS) -s -j$(CHECK_JOBS)

check-asan:
	$(CHECK_COPY) --with-sanitizer=address && $(CHECK_MAKE) check
check-ubsan:
	$(CHECK_COPY) --with-sanitizer=undefined && UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $(CHECK_MAKE) check
check-tsan:
	$(CHECK_COPY) --with-sanitizer=thread && $(CHECK_MAKE) tests/stress/tsan_htable && \
		TSAN_OPTIONS=halt_on_error=1 tests/stress/tsan_htable
coverage:
	$(CHECK_COPY) CFLAGS='-O0 -g --coverage' && $(CHECK_MAKE) check
	sh $(srcdir)/tests/tools/coverage.sh check-copy

# The unit tests under memcheck, in this build, without test_master: it counts descriptors, and valgrind has its own.
# Children that a test forks to see them die are not followed.
VALGRIND = valgrind -q --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=99 \
	--child-silent-after-fork=yes
check-valgrind:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS="$$(echo $(UNIT_TESTS) | tr ' ' '\n' | grep -v 'test_master$$' | tr '\n' ' ')" \
		LOG_COMPILER='$(VALGRIND)'

# Static analysis; findings fail. cppcheck reads everything, gcc -fanalyzer file by file, without its two checks that
# take table-driven code and bit sets for mistakes (gcc 12).
ANALYZER = -fanalyzer -Wno-analyzer-null-dereference -Wno-analyzer-use-of-uninitialized-value
lint:
	cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppressions-list=$(srcdir)/tests/tools/cppcheck.suppress -DHAVE_CONFIG_H -I$(top_builddir) \
		-I$(srcdir)/include -I/usr/include/bsd $(srcdir)/src
	for f in $$(cd $(srcdir) && find src -name '*.c' | sort); do \
		$(CC) $(DEFS) $(AM_CPPFLAGS) $(CPPFLAGS) -std=gnu11 -O1 $(ANALYZER) -Werror \
			-c -o /dev/null $(srcdir)/$$f || exit 1; \
	done

clean-local:
	rm -rf check-copy
.PHONY: check-asan check-ubsan check-tsan check-valgrind lint coverage
