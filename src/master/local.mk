noinst_LIBRARIES += src/libmaster.a
src_libmaster_a_SOURCES =
