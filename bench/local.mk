# Cost of the upstream client alone; built on request.
EXTRA_PROGRAMS += bench/upstream_loop
bench_upstream_loop_SOURCES = bench/upstream_loop.c
bench_upstream_loop_LDADD = src/libshared.a $(HALE_LIBS)
# The HTTP server alone; built on request.
EXTRA_PROGRAMS += bench/http_bare
bench_http_bare_SOURCES = bench/http_bare.c
bench_http_bare_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/worker
bench_http_bare_LDADD = src/libworker.a src/libshared.a $(HALE_LIBS)
# The benchmark: bench/run drives it, `make bench` starts it. loadgen is built on demand, not installed.
EXTRA_PROGRAMS += bench/tool/loadgen
bench_tool_loadgen_SOURCES = \
	bench/tool/loadgen.c \
	bench/tool/loadgen.h \
	bench/tool/loadgen_conn.c \
	bench/tool/loadgen_hist.c
bench_tool_loadgen_LDADD = src/libshared.a $(HALE_LIBS)
EXTRA_DIST += \
	bench/README.md \
	bench/run \
	bench/instructions \
	bench/instructions.txt \
	bench/lib/candidates.py \
	bench/lib/load.py \
	bench/lib/processes.py \
	bench/lib/report.py \
	bench/lib/scenarios.py \
	bench/lib/simulator.py \
	bench/lib/special.py

BENCH_ARGS =
bench: src/hale tests/tool/llmsim bench/tool/loadgen
	$(PYTHON3) $(top_srcdir)/bench/run --build '$(abs_top_builddir)' $(BENCH_ARGS)

# The guard on the hot path: instructions of a relayed request, counted by callgrind, against bench/instructions.txt.
check-instructions: src/hale tests/tool/llmsim
	$(PYTHON3) $(top_srcdir)/bench/instructions --build '$(abs_top_builddir)' || test $$? -eq 77
.PHONY: bench check-instructions
