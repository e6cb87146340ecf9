noinst_LIBRARIES += src/libcli.a
src_libcli_a_SOURCES = \
	src/cli/cli.c \
	src/cli/cli.h \
	src/cli/cli_check.c \
	src/cli/cli_health.c \
	src/cli/cli_reference.c
