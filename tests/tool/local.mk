# Programs of the tests and the demo; nothing here is installed.
noinst_PROGRAMS += tests/tool/llmsim
tests_tool_llmsim_SOURCES = \
	tests/tool/llmsim.c \
	tests/tool/llmsim.h \
	tests/tool/llmsim_bedrock.c \
	tests/tool/llmsim_cohere.c \
	tests/tool/llmsim_conn.c \
	tests/tool/llmsim_control.c \
	tests/tool/llmsim_count.c \
	tests/tool/llmsim_fault.c \
	tests/tool/llmsim_gemini.c \
	tests/tool/llmsim_http.c \
	tests/tool/llmsim_judge.c \
	tests/tool/llmsim_media.c \
	tests/tool/llmsim_multipart.c \
	tests/tool/llmsim_play.c \
	tests/tool/llmsim_realtime.c \
	tests/tool/llmsim_reply.c \
	tests/tool/llmsim_responses.c \
	tests/tool/llmsim_route.c \
	tests/tool/llmsim_scan.c \
	tests/tool/llmsim_service.c \
	tests/tool/llmsim_store.c \
	tests/tool/llmsim_stream.c \
	tests/tool/llmsim_text.c
tests_tool_llmsim_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/src/shared
tests_tool_llmsim_LDADD = src/libshared.a $(EVENT_LIBS) $(JSON_LIBS) $(SSL_LIBS)
