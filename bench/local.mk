# Cost of the upstream client alone; built on request.
EXTRA_PROGRAMS += bench/upstream_loop
bench_upstream_loop_SOURCES = bench/upstream_loop.c
bench_upstream_loop_LDADD = src/libshared.a $(HALE_LIBS)
