noinst_LIBRARIES += src/libcli.a
src_libcli_a_SOURCES = \
	src/cli/cli.c \
	src/cli/cli.h \
	src/cli/cli_check.c \
	src/cli/cli_health.c \
	src/cli/cli_load.c \
	src/cli/cli_plan.c \
	src/cli/cli_probe.c \
	src/cli/cli_reference.c
