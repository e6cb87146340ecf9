/* Error answers in the two envelopes that clients parse. */
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
