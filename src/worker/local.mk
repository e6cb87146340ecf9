noinst_LIBRARIES += src/libworker.a
src_libworker_a_SOURCES =
