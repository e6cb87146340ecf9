noinst_LIBRARIES += src/libprober.a
src_libprober_a_SOURCES = \
	src/prober/prober.c \
	src/prober/prober_budget.c \
	src/prober/prober_check.c \
	src/prober/prober_check_ws.c \
	src/prober/prober_classify.c \
	src/prober/prober_cycle.c \
	src/prober/prober_event.c \
	src/prober/prober_hosts.c \
	src/prober/prober_message.c \
	src/prober/prober_once.c \
	src/prober/prober_policy.c \
	src/prober/prober_publish.c \
	src/prober/prober_round.c \
	src/prober/prober_sched.c \
	src/prober/prober_state.c \
	src/prober/prober_until.c \
	src/prober/prober_verdict.c
noinst_HEADERS += \
	src/prober/prober_budget.h \
	src/prober/prober_check.h \
	src/prober/prober_check_ws.h \
	src/prober/prober_classify.h \
	src/prober/prober_cycle.h \
	src/prober/prober_event.h \
	src/prober/prober_hosts.h \
	src/prober/prober_message.h \
	src/prober/prober_policy.h \
	src/prober/prober_publish.h \
	src/prober/prober_round.h \
	src/prober/prober_sched.h \
	src/prober/prober_state.h \
	src/prober/prober_until.h \
	src/prober/prober_verdict.h
