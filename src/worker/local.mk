noinst_LIBRARIES += src/libworker.a
src_libworker_a_SOURCES =
noinst_HEADERS += src/worker/worker_render.h
