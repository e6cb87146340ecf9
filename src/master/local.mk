noinst_LIBRARIES += src/libmaster.a
src_libmaster_a_SOURCES = \
	src/master/master.c \
	src/master/master_backoff.c \
	src/master/master_child.c \
	src/master/master_generation.c \
	src/master/master_listen.c \
	src/master/master_reload.c
noinst_HEADERS += \
	src/master/master.h \
	src/master/master_backoff.h \
	src/master/master_listen.h
