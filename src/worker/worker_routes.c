/* The table of paths: method, path, who may call, who answers.
 *
 * GET implies HEAD and OPTIONS. What load balancers and orchestrators ask (liveness, readiness) is
 * public; everything else needs a key when one is configured. A path ending in '/' is the same path.
 */
#include "hale/hale.h"

#include "worker_routes.h"

#include "hale/apierror.h"
#include "hale/auth.h"
#include "hale/conf.h"
#include "hale/mode.h"
#include "hale/outcome.h"
#include "hale/strbuf.h"
#include "worker.h"
#include "worker_health.h"
#include "worker_http.h"
#include "worker_passthrough.h"
#include "worker_proxy.h"
#include "worker_realtime.h"

#define ROUTES_KEY_BYTES 512

struct worker_routes_row {
	const char *path;
	void (*get)(struct worker *w, struct http_req *r, bool admin); /* NULL: a POST path */
	enum mode post;
	bool public;
};

static const struct worker_routes_row worker_routes_table[] = {
	{"/v1/chat/completions", NULL, MODE_CHAT, false},
	{"/chat/completions", NULL, MODE_CHAT, false},
	{"/v1/completions", NULL, MODE_COMPLETION, false},
	{"/completions", NULL, MODE_COMPLETION, false},
	{"/v1/embeddings", NULL, MODE_EMBEDDING, false},
	{"/embeddings", NULL, MODE_EMBEDDING, false},
	{"/v1/responses", NULL, MODE_RESPONSES, false},
	{"/responses", NULL, MODE_RESPONSES, false},
	{"/v1/messages", NULL, MODE_MESSAGES, false},
	{"/messages", NULL, MODE_MESSAGES, false},
	{"/v1/messages/count_tokens", NULL, MODE_COUNT_TOKENS, false},
	{"/messages/count_tokens", NULL, MODE_COUNT_TOKENS, false},
	{"/v1/images/generations", NULL, MODE_IMAGE_GENERATION, false},
	{"/images/generations", NULL, MODE_IMAGE_GENERATION, false},
	{"/v1/images/edits", NULL, MODE_IMAGE_EDIT, false},
	{"/images/edits", NULL, MODE_IMAGE_EDIT, false},
	{"/v1/images/variations", NULL, MODE_IMAGE_VARIATION, false},
	{"/images/variations", NULL, MODE_IMAGE_VARIATION, false},
	{"/v1/audio/speech", NULL, MODE_AUDIO_SPEECH, false},
	{"/audio/speech", NULL, MODE_AUDIO_SPEECH, false},
	{"/v1/audio/transcriptions", NULL, MODE_AUDIO_TRANSCRIPTION, false},
	{"/audio/transcriptions", NULL, MODE_AUDIO_TRANSCRIPTION, false},
	{"/v1/audio/translations", NULL, MODE_AUDIO_TRANSLATION, false},
	{"/audio/translations", NULL, MODE_AUDIO_TRANSLATION, false},
	{"/v1/rerank", NULL, MODE_RERANK, false},
	{"/v2/rerank", NULL, MODE_RERANK, false},
	{"/rerank", NULL, MODE_RERANK, false},
	{"/v1/ocr", NULL, MODE_OCR, false},
	{"/ocr", NULL, MODE_OCR, false},
	{"/v1/moderations", NULL, MODE_MODERATION, false},
	{"/moderations", NULL, MODE_MODERATION, false},
	{"/v1/realtime", worker_realtime_get, MODE_NONE, false},
	{"/realtime", worker_realtime_get, MODE_NONE, false},
	{"/openai/v1/realtime", worker_realtime_get, MODE_NONE, false},
	{"/health", worker_health_get, MODE_NONE, false},
	{"/health/liveliness", worker_health_liveness, MODE_NONE, true},
	{"/health/liveness", worker_health_liveness, MODE_NONE, true},
	{"/health/readiness", worker_health_readiness, MODE_NONE, true},
	{"/health/readiness/details", worker_health_details, MODE_NONE, false},
	{"/health/backlog", worker_health_backlog, MODE_NONE, false},
	{"/v1/model/info", worker_health_model_info, MODE_NONE, false},
	{"/model/info", worker_health_model_info, MODE_NONE, false},
	{"/v1/models", worker_health_models, MODE_NONE, false},
	{"/models", worker_health_models, MODE_NONE, false},
	{"/test", worker_health_test, MODE_NONE, false},
};

/* Paths that name the model, as Azure's SDKs and older ones of OpenAI
 * write them: prefix, model, one of the rows. */
static const char *const worker_routes_model_prefix[] = {"/openai/deployments/", "/engines/"};

static const struct worker_routes_row *
worker_routes_exact(const char *path, size_t len)
{
	for (size_t i = 0; i < HALE_COUNT(worker_routes_table); i++)
		if (strlen(worker_routes_table[i].path) == len && memcmp(worker_routes_table[i].path, path, len) == 0)
			return &worker_routes_table[i];
	return NULL;
}

/* The row behind a model of *model_len bytes. A model may have
 * slashes: the longest operation at the end wins. */
static const struct worker_routes_row *
worker_routes_of_model(const char *path, size_t len, const char **model, size_t *model_len)
{
	const struct worker_routes_row *best = NULL;
	size_t n = 0, best_len = 0;

	for (size_t i = 0; n == 0 && i < HALE_COUNT(worker_routes_model_prefix); i++)
		if (strncmp(path, worker_routes_model_prefix[i], strlen(worker_routes_model_prefix[i])) == 0)
			n = strlen(worker_routes_model_prefix[i]);
	if (n == 0 || path[n] == '/')
		return NULL;
	for (size_t i = 0; i < HALE_COUNT(worker_routes_table); i++) {
		const struct worker_routes_row *row = &worker_routes_table[i];
		size_t k = strlen(row->path);

		if (row->post == MODE_NONE || k <= best_len || len <= n + k ||
		    memcmp(path + len - k, row->path, k) != 0)
			continue;
		best = row;
		best_len = k;
	}
	*model = path + n;
	*model_len = len - n - best_len;
	return best;
}

static const struct worker_routes_row *
worker_routes_find(const char *path, const char **model, size_t *model_len)
{
	size_t len = strlen(path);
	const struct worker_routes_row *row;

	*model = NULL;
	*model_len = 0;
	if (len > 1 && path[len - 1] == '/')
		len--;
	row = worker_routes_exact(path, len);
	return row ? row : worker_routes_of_model(path, len, model, model_len);
}

static void
worker_routes_error(struct http_req *r, int status, const char *message, const char *type, const char *param,
                    const char *code)
{
	struct strbuf b;

	strbuf_init(&b, 0);
	if (mode_dialect_of_path(http_req_path(r)) == DIALECT_MESSAGES)
		apierror_anthropic(&b, status, message, NULL, NULL);
	else
		apierror_openai(&b, status, message, type, param, code);
	http_reply_strbuf(r, status, "application/json", &b);
	strbuf_release(&b);
}

/* Who asks: the request, and the key of a browser that can set no header but the subprotocols. */
struct worker_routes_asker {
	struct http_req *r;
	char key[ROUTES_KEY_BYTES];
};

static const char *
worker_routes_header(void *arg, const char *lower_name)
{
	const struct worker_routes_asker *a = arg;
	const char *value = http_req_header(a->r, lower_name);

	return value || !a->key[0] || strcmp(lower_name, "x-api-key") != 0 ? value : a->key;
}

/* true: go on, *admin set. false: answered with 401. row NULL: a path without one. */
static bool
worker_routes_admit(struct worker *w, const struct worker_routes_row *row, struct http_req *r, bool *admin)
{
	struct worker_routes_asker asker = {.r = r};
	const char *message = NULL, *protocols;

	protocols = row && row->get == worker_realtime_get ? http_req_header(r, "sec-websocket-protocol") : NULL;
	if (protocols && !worker_realtime_key(protocols, asker.key, sizeof(asker.key)))
		asker.key[0] = '\0';
	switch (auth_check(w->conf, worker_routes_header, &asker)) {
	case AUTH_ADMIN:
		*admin = true;
		return true;
	case AUTH_OPEN: /* without a key nobody is known to be the admin, except who sits on this host */
		*admin = http_req_peer_is_loopback(r);
		return true;
	case AUTH_MISSING:
		message = "Authentication Error, No api key passed in.";
		break;
	case AUTH_MALFORMED:
		message = "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.";
		break;
	case AUTH_WRONG:
		message = "Authentication Error, Invalid proxy server token passed.";
		break;
	}
	counter_add(w->table, w->index, COUNTER_UNAUTHORIZED, 1);
	worker_routes_error(r, 401, message, "auth_error", "None", "401");
	return false;
}

static void
worker_routes_options(struct http_req *r, const char *allow)
{
	http_reply_header(r, "Allow", allow);
	http_reply_header(r, "Access-Control-Allow-Methods", allow);
	http_reply_header(r, "Access-Control-Allow-Headers", "*");
	http_reply(r, 200, NULL, NULL, 0);
}

static void
worker_routes_method(struct http_req *r, const char *allow)
{
	http_reply_header(r, "Allow", allow);
	worker_routes_error(r, 405, "Method not allowed for this path.", "invalid_request_error", NULL,
	                    "method_not_allowed");
}

/* Files and batches: paths with ids in them, and more methods. */
static void
worker_routes_passthrough(struct worker *w, struct http_req *r, const struct passthrough_target *t)
{
	bool get = t->methods & 1u << HTTP_GET, post = t->methods & 1u << HTTP_POST,
	     del = t->methods & 1u << HTTP_DELETE;
	char allow[40];
	bool admin;

	snprintf(allow, sizeof(allow), "%s%s%sOPTIONS", get ? "GET, " : "", post ? "POST, " : "",
	         del ? "DELETE, " : "");
	if (http_req_method(r) == HTTP_OPTIONS)
		worker_routes_options(r, allow);
	else if (!(t->methods & 1u << http_req_method(r)))
		worker_routes_method(r, allow);
	else if (worker_routes_admit(w, NULL, r, &admin))
		worker_passthrough_start(w, r, t);
}

void
worker_routes_dispatch(struct http_req *r, void *arg)
{
	enum http_method m = http_req_method(r);
	const char *model;
	size_t model_len;
	const struct worker_routes_row *row = worker_routes_find(http_req_path(r), &model, &model_len);
	struct worker *w = arg;
	struct passthrough_target t;
	bool admin = false;

	if (row == NULL && worker_passthrough_find(http_req_path(r), &t)) {
		worker_routes_passthrough(w, r, &t);
		return;
	}
	if (row == NULL) {
		worker_routes_error(r, 404, "Unknown path. See the list of endpoints in hale(8).", "invalid_request_error",
		                    NULL, "unknown_url");
		return;
	}
	if (m == HTTP_OPTIONS) {
		worker_routes_options(r, row->get ? "GET, OPTIONS" : "POST, OPTIONS");
		return;
	}
	if (row->get ? m != HTTP_GET && m != HTTP_HEAD : m != HTTP_POST) {
		worker_routes_method(r, row->get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS");
		return;
	}
	if (!row->public && !worker_routes_admit(w, row, r, &admin))
		return;
	if (row->get)
		row->get(w, r, admin);
	else
		worker_proxy_start(w, r, row->post, model, model_len);
}
