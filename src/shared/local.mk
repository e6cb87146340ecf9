noinst_LIBRARIES += src/libshared.a
src_libshared_a_SOURCES = \
	src/shared/anthropic.h \
	src/shared/anthropic_answer.c \
	src/shared/anthropic_params.c \
	src/shared/anthropic_request.c \
	src/shared/anthropic_stream.c \
	src/shared/apierror.c \
	src/shared/arena.c \
	src/shared/auth.c \
	src/shared/catalogue.c \
	src/shared/clock.c \
	src/shared/conf.c \
	src/shared/conf_check.c \
	src/shared/conf_env.c \
	src/shared/conf_file.c \
	src/shared/conf_impl.h \
	src/shared/conf_json.c \
	src/shared/conf_model.c \
	src/shared/conf_scalar.c \
	src/shared/conf_schema.c \
	src/shared/conf_yaml.c \
	src/shared/cost.c \
	src/shared/deployment.c \
	src/shared/err.c \
	src/shared/htable.c \
	src/shared/htable_master.c \
	src/shared/htable_writer.c \
	src/shared/identity.c \
	src/shared/json_hex.h \
	src/shared/json_scan.c \
	src/shared/json_text.c \
	src/shared/ipc.c \
	src/shared/log.c \
	src/shared/mode.c \
	src/shared/near.c \
	src/shared/outcome.c \
	src/shared/proc.c \
	src/shared/probe.c \
	src/shared/probe_body.c \
	src/shared/probe_cell.c \
	src/shared/probe_impl.h \
	src/shared/probe_media.c \
	src/shared/probe_params.c \
	src/shared/provider.c \
	src/shared/provider_anthropic.c \
	src/shared/provider_azure.c \
	src/shared/provider_endpoint.c \
	src/shared/provider_impl.h \
	src/shared/provider_essential.c \
	src/shared/provider_openai.c \
	src/shared/sdnotify.c \
	src/shared/redact.c \
	src/shared/strbuf.c \
	src/shared/strmap.c \
	src/shared/strmap.h
src_libshared_a_SOURCES += \
	src/shared/upstream.c \
	src/shared/upstream_curl.c \
	src/shared/upstream_curl_call.c \
	src/shared/upstream_direct.c \
	src/shared/upstream_direct_conn.c \
	src/shared/upstream_direct_request.c \
	src/shared/upstream_http.c \
	src/shared/upstream_names.c \
	src/shared/upstream_tls.c
noinst_HEADERS += \
	include/hale/apierror.h \
	include/hale/arena.h \
	include/hale/auth.h \
	include/hale/banned.h \
	include/hale/catalogue.h \
	include/hale/clock.h \
	include/hale/conf.h \
	include/hale/conf_schema.h \
	include/hale/cost.h \
	include/hale/deployment.h \
	include/hale/embedding.h \
	include/hale/err.h \
	include/hale/hale.h \
	include/hale/heritage.h \
	include/hale/htable.h \
	include/hale/htable_master.h \
	include/hale/htable_writer.h \
	include/hale/identity.h \
	include/hale/ipc.h \
	include/hale/json_scan.h \
	include/hale/log.h \
	include/hale/mode.h \
	include/hale/near.h \
	include/hale/outcome.h \
	include/hale/probe.h \
	include/hale/proc.h \
	include/hale/provider.h \
	include/hale/redact.h \
	include/hale/sdnotify.h \
	include/hale/seqslot.h \
	include/hale/strbuf.h \
	include/hale/upstream.h \
	src/shared/htable_layout.h
src_libshared_a_SOURCES += \
	src/shared/embedding.c \
	src/shared/gemini.h \
	src/shared/gemini_answer.c \
	src/shared/gemini_embed.c \
	src/shared/gemini_params.c \
	src/shared/gemini_request.c \
	src/shared/gemini_schema.c \
	src/shared/gemini_stream.c \
	src/shared/provider_gemini.c \
	src/shared/xlate.c \
	src/shared/xlate.h
noinst_HEADERS += \
	src/shared/upstream_curl.h \
	src/shared/upstream_direct.h \
	src/shared/upstream_http.h \
	src/shared/upstream_int.h \
	src/shared/upstream_names.h
