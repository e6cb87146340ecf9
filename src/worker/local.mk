noinst_LIBRARIES += src/libworker.a
src_libworker_a_SOURCES = \
	src/worker/worker.c \
	src/worker/worker_answer.c \
	src/worker/worker_attempt.c \
	src/worker/worker_body.c \
	src/worker/worker_bridge.c \
	src/worker/worker_choose.c \
	src/worker/worker_health.c \
	src/worker/worker_http.c \
	src/worker/worker_http_conn.c \
	src/worker/worker_http_input.c \
	src/worker/worker_http_reply.c \
	src/worker/worker_http_req.c \
	src/worker/worker_http_strict.c \
	src/worker/worker_pass.c \
	src/worker/worker_passthrough.c \
	src/worker/worker_passthrough_read.c \
	src/worker/worker_proxy.c \
	src/worker/worker_realtime.c \
	src/worker/worker_rounds.c \
	src/worker/worker_route.c \
	src/worker/worker_route_table.c \
	src/worker/worker_routes.c \
	src/worker/worker_splice.c \
	src/worker/worker_sse.c
noinst_HEADERS += \
	src/worker/worker.h \
	src/worker/worker_answer.h \
	src/worker/worker_choose.h \
	src/worker/worker_health.h \
	src/worker/worker_http.h \
	src/worker/worker_http_conn.h \
	src/worker/worker_http_strict.h \
	src/worker/worker_passthrough.h \
	src/worker/worker_passthrough_int.h \
	src/worker/worker_proxy.h \
	src/worker/worker_proxy_int.h \
	src/worker/worker_realtime.h \
	src/worker/worker_render.h \
	src/worker/worker_rounds.h \
	src/worker/worker_route.h \
	src/worker/worker_route_table.h \
	src/worker/worker_routes.h \
	src/worker/worker_splice.h \
	src/worker/worker_sse.h
src_libworker_a_SOURCES += \
	src/worker/worker_render.c \
	src/worker/worker_render_cache.c \
	src/worker/worker_render_json.c \
	src/worker/worker_render_model.c \
	src/worker/worker_render_status.c
noinst_HEADERS += src/worker/worker_render_cache.h src/worker/worker_render_int.h
