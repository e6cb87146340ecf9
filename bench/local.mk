# Cost of the upstream client alone; built on request.
EXTRA_PROGRAMS += bench/upstream_loop
bench_upstream_loop_SOURCES = bench/upstream_loop.c
bench_upstream_loop_LDADD = src/libshared.a $(HALE_LIBS)
# The HTTP server alone; built on request.
EXTRA_PROGRAMS += bench/http_bare
bench_http_bare_SOURCES = bench/http_bare.c
bench_http_bare_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/worker
bench_http_bare_LDADD = src/libworker.a src/libshared.a $(HALE_LIBS)
