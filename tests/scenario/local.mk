# Whole-daemon tests: pytest from Debian, on the programs of this build directory. New tests need no line here.
PYTHON3 = /usr/bin/python3
PYTEST_JOBS = 4
PYTEST_ARGS =
EXTRA_DIST += tests/scenario tests/lib

check-scenario: all
	$(top_srcdir)/tests/lib/sdk-setup '$(abs_top_builddir)/sdk'
	HALE_BUILDDIR='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON3) -m pytest -q -n $(PYTEST_JOBS) $(PYTEST_ARGS) $(top_srcdir)/tests/scenario
.PHONY: check-scenario
