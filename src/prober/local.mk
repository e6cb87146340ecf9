noinst_LIBRARIES += src/libprober.a
src_libprober_a_SOURCES = \
	src/prober/prober_classify.c \
	src/prober/prober_message.c \
	src/prober/prober_state.c \
	src/prober/prober_until.c
noinst_HEADERS += \
	src/prober/prober_classify.h \
	src/prober/prober_message.h \
	src/prober/prober_state.h \
	src/prober/prober_until.h
