/* Error answers in the envelopes that clients parse. */
#include "hale/hale.h"

#include "hale/apierror.h"

#include "hale/strbuf.h"

const char *
apierror_type(int status)
{
	switch (status) {
	case 401: return "authentication_error";
	case 403: return "permission_error";
	case 408:
	case 504: return "timeout_error";
	case 429: return "rate_limit_error";
	default: return status >= 500 ? "server_error" : "invalid_request_error";
	}
}

void
apierror_openai(struct strbuf *out, int status, const char *message, const char *type, const char *param,
                const char *code)
{
	strbuf_puts(out, "{\"error\":{\"message\":");
	strbuf_json_string(out, message ? message : "");
	strbuf_puts(out, ",\"type\":");
	strbuf_json_string(out, type ? type : apierror_type(status));
	strbuf_puts(out, ",\"param\":");
	strbuf_json_string(out, param);
	strbuf_puts(out, ",\"code\":");
	if (code)
		strbuf_json_string(out, code);
	else
		strbuf_printf(out, "\"%d\"", status);
	strbuf_puts(out, "}}");
}

const char *
apierror_anthropic_type(int status)
{
	static const struct {
		int status;
		const char *type;
	} types[] = {
		{401, "authentication_error"}, {402, "billing_error"},     {403, "permission_error"},
		{404, "not_found_error"},      {408, "timeout_error"},     {413, "request_too_large"},
		{429, "rate_limit_error"},     {503, "overloaded_error"},  {504, "timeout_error"},
		{529, "overloaded_error"},
	};

	for (size_t i = 0; i < HALE_COUNT(types); i++)
		if (types[i].status == status)
			return types[i].type;
	return status >= 500 ? "api_error" : "invalid_request_error";
}

void
apierror_anthropic(struct strbuf *out, int status, const char *message, const char *type,
                   const char *request_id)
{
	strbuf_puts(out, "{\"type\":\"error\",\"error\":{\"type\":");
	strbuf_json_string(out, type ? type : apierror_anthropic_type(status));
	strbuf_puts(out, ",\"message\":");
	strbuf_json_string(out, message ? message : "");
	strbuf_putc(out, '}');
	if (request_id) {
		strbuf_puts(out, ",\"request_id\":");
		strbuf_json_string(out, request_id);
	}
	strbuf_putc(out, '}');
}

void
apierror_dialect(struct strbuf *out, enum dialect d, int status, const char *message, const char *param,
                 const char *code)
{
	if (d == DIALECT_MESSAGES)
		apierror_anthropic(out, status, message, NULL, NULL);
	else
		apierror_openai(out, status, message, NULL, param, code);
}

void
apierror_event(struct strbuf *out, enum dialect d, uint32_t sequence, int status, const char *message,
               const char *code)
{
	struct strbuf e;

	if (d == DIALECT_MESSAGES) {
		strbuf_puts(out, "event: error\ndata: ");
		apierror_anthropic(out, status, message, NULL, NULL);
	} else if (d == DIALECT_RESPONSES || d == DIALECT_MEDIA) {
		/* The event as the API defines it, and the member "error" that makes OpenAI's SDKs raise. */
		strbuf_init(&e, 0);
		apierror_openai(&e, status, message, "upstream_error", NULL, code);
		strbuf_printf(out, "event: error\ndata: {\"type\":\"error\",\"sequence_number\":%u,\"code\":",
		              sequence);
		strbuf_json_string(out, code);
		strbuf_puts(out, ",\"message\":");
		strbuf_json_string(out, message);
		strbuf_puts(out, ",\"param\":null,");
		strbuf_add(out, strbuf_str(&e) + 1, e.len - 1);
		strbuf_release(&e);
	} else {
		strbuf_puts(out, "data: ");
		apierror_openai(out, status, message, "upstream_error", NULL, code);
	}
	strbuf_puts(out, "\n\n");
}

void
apierror_detail(struct strbuf *out, const char *text)
{
	strbuf_puts(out, "{\"detail\":");
	strbuf_json_string(out, text ? text : "");
	strbuf_putc(out, '}');
}

void
apierror_detail_error(struct strbuf *out, const char *text)
{
	strbuf_puts(out, "{\"detail\":{\"error\":");
	strbuf_json_string(out, text ? text : "");
	strbuf_puts(out, "}}");
}
