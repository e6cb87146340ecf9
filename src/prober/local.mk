noinst_LIBRARIES += src/libprober.a
src_libprober_a_SOURCES =
