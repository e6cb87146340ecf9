noinst_LIBRARIES += src/libworker.a
src_libworker_a_SOURCES = \
	src/worker/worker_route.c \
	src/worker/worker_sse.c
noinst_HEADERS += src/worker/worker_render.h src/worker/worker_route.h src/worker/worker_sse.h
