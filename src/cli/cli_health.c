/* hale --health: asks a running gateway and shows what it said.
 *
 * On a terminal a table, otherwise the JSON as it came, so that it can be piped. The wait is long: without
 * background checks the gateway probes every model before it answers. Text from upstreams is shown without
 * control characters: an error message must not be able to steer a terminal.
 */
#include "hale/hale.h"

#include "cli.h"

#include <curl/curl.h>
#include <json-c/json.h>
#include <unistd.h>

#include "hale/conf.h"
#include "hale/strbuf.h"

#define CLI_HEALTH_CONNECT_S 5L
#define CLI_HEALTH_WAIT_S 300L
#define CLI_HEALTH_BYTES_MAX (64u << 20)

static size_t
cli_health_body_cb(char *data, size_t size, size_t n, void *arg)
{
	struct strbuf *body = arg;

	strbuf_add(body, data, size * n);
	return body->overflow ? 0 : size * n;
}

/* Text of member `key` for a table cell: no control characters, at most max bytes, never empty. */
static void
cli_health_cell(struct json_object *entry, const char *key, size_t max, struct strbuf *out)
{
	struct json_object *value = NULL;
	const char *text;
	size_t n = 0;

	text = json_object_object_get_ex(entry, key, &value) && value ? json_object_get_string(value) : "-";
	for (const char *p = text; *p && n < max; p++, n++)
		strbuf_putc(out, (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p);
	if (text[n])
		strbuf_puts(out, "...");
}

static void
cli_health_rows(struct json_object *list, const char *verdict, struct strbuf *out)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *entry = json_object_array_get_idx(list, i);
		struct strbuf model, base;

		if (!json_object_is_type(entry, json_type_object))
			continue;
		strbuf_init(&model, 0);
		strbuf_init(&base, 0);
		cli_health_cell(entry, "model", 48, &model);
		cli_health_cell(entry, "api_base", 48, &base);
		strbuf_printf(out, "%-10s %-36s %-40s ", verdict, strbuf_str(&model), strbuf_str(&base));
		cli_health_cell(entry, "error", 160, out);
		strbuf_putc(out, '\n');
		strbuf_release(&base);
		strbuf_release(&model);
	}
}

bool
cli_health_table(const char *body, struct strbuf *out, unsigned *unhealthy)
{
	struct json_object *root = json_tokener_parse(body), *good = NULL, *bad = NULL;
	bool ok = json_object_is_type(root, json_type_object) &&
	          json_object_object_get_ex(root, "healthy_endpoints", &good) &&
	          json_object_object_get_ex(root, "unhealthy_endpoints", &bad) &&
	          json_object_is_type(good, json_type_array) && json_object_is_type(bad, json_type_array);

	if (ok) {
		*unhealthy = (unsigned)json_object_array_length(bad);
		strbuf_printf(out, "%-10s %-36s %-40s %s\n", "STATUS", "MODEL", "API BASE", "ERROR");
		cli_health_rows(bad, "unhealthy", out);
		cli_health_rows(good, "healthy", out);
		strbuf_printf(out, "%zu healthy, %u unhealthy\n", json_object_array_length(good), *unhealthy);
	}
	json_object_put(root);
	return ok;
}

/* The master key of the configuration, copied; NULL when there is none or the file is not valid. */
static char *
cli_health_config_key(const char *path)
{
	struct conf *c = NULL;
	struct errlist errs;
	char *key = NULL;

	errlist_init(&errs);
	if (conf_load(path, &c, &errs) == 0 && c->general.master_key)
		key = strdup(c->general.master_key);
	conf_freep(&c);
	errlist_release(&errs);
	return key;
}

/* GET url; the HTTP status, or 0 with curl's reason in why. */
static long
cli_health_get(const char *url, const char *key, struct strbuf *body, char why[CURL_ERROR_SIZE])
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	struct strbuf auth;
	long status = 0;

	strbuf_init(&auth, 0);
	snprintf(why, CURL_ERROR_SIZE, "libcurl could not be started");
	if (curl == NULL)
		return 0;
	if (key) {
		strbuf_printf(&auth, "Authorization: Bearer %s", key);
		headers = curl_slist_append(headers, strbuf_str(&auth));
	}
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_USERAGENT, HALE_PRODUCT);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CLI_HEALTH_CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, CLI_HEALTH_WAIT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, cli_health_body_cb);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	if (curl_easy_perform(curl) == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	strbuf_release(&auth);
	return status;
}

static int
cli_health_show(const char *url, long status, const struct strbuf *body)
{
	unsigned unhealthy = 0;
	struct strbuf table;
	int code = CLI_EXIT_OK;

	strbuf_init(&table, 0);
	if ((status != 200 && status != 503) || !cli_health_table(strbuf_str(body), &table, &unhealthy)) {
		fprintf(stderr, "hale: %s answered %ld: %.300s\n", url, status, strbuf_str(body));
		if (status == 401 || status == 403)
			fputs("hale: give the gateway's key with --api_key or LITELLM_MASTER_KEY\n", stderr);
		code = CLI_EXIT_USAGE;
	} else {
		fputs(isatty(STDOUT_FILENO) ? strbuf_str(&table) : strbuf_str(body), stdout);
		if (!isatty(STDOUT_FILENO))
			putchar('\n');
		code = unhealthy ? CLI_EXIT_BAD : CLI_EXIT_OK;
	}
	strbuf_release(&table);
	return code;
}

int
cli_health(const struct cli_options *o)
{
	const char *host = o->host && strcmp(o->host, "0.0.0.0") != 0 && strcmp(o->host, "::") != 0 ? o->host : "127.0.0.1";
	bool v6 = strchr(host, ':') && *host != '[';
	char url[512], why[CURL_ERROR_SIZE], *key = NULL;
	struct strbuf body;
	long status;
	int code = CLI_EXIT_USAGE;

	if (o->api_key == NULL && o->config)
		key = cli_health_config_key(o->config);
	if ((size_t)snprintf(url, sizeof(url), "http://%s%s%s:%u/health", v6 ? "[" : "", host, v6 ? "]" : "", o->port) >=
	    sizeof(url)) {
		fputs("hale: --host is too long\n", stderr);
		free(key);
		return code;
	}
	strbuf_init(&body, CLI_HEALTH_BYTES_MAX);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	status = cli_health_get(url, o->api_key ? o->api_key : key, &body, why);
	if (status == 0)
		fprintf(stderr, "hale: %s is out of reach: %s\n", url, why);
	else
		code = cli_health_show(url, status, &body);
	curl_global_cleanup();
	strbuf_release(&body);
	free(key);
	return code;
}
