noinst_LIBRARIES += src/libworker.a
src_libworker_a_SOURCES =
noinst_HEADERS += src/worker/worker_render.h
src_libworker_a_SOURCES += src/worker/worker_http.c src/worker/worker_http_conn.c src/worker/worker_http_conn.h \
	src/worker/worker_http.h src/worker/worker_http_reply.c src/worker/worker_http_req.c \
	src/worker/worker_http_strict.c src/worker/worker_http_strict.h
