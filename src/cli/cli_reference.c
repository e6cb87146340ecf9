/* docs/config.md, printed from the schema. `make check` fails when the committed file differs. */
#include "hale/hale.h"

#include "cli.h"

#include "hale/conf_schema.h"
#include "hale/mode.h"
#include "hale/provider.h"
#include "hale/strbuf.h"

static const char cli_reference_intro[] =
	"# Configuration\n\n"
	"<!-- Generated: `src/hale check --print-reference > docs/config.md`. Change src/shared/conf_schema.c or\n"
	"src/cli/cli_reference.c instead. -->\n\n"
	"hale reads the grammar of the LiteLLM proxy's `config.yaml`. A file that works there works here; what hale does not\n"
	"act on is named once in a warning. `hale check FILE` validates a file without starting anything and prints what was\n"
	"understood; with `--strict` every warning is an error.\n\n"
	"```yaml\n"
	"model_list:\n"
	"  - model_name: gpt-4o\n"
	"    litellm_params:\n"
	"      model: azure/gpt-4o-eu\n"
	"      api_base: https://example-eu.openai.azure.com\n"
	"      api_key: os.environ/AZURE_API_KEY\n"
	"  - model_name: gpt-4o\n"
	"    litellm_params:\n"
	"      model: openai/gpt-4o\n"
	"      api_key: os.environ/OPENAI_API_KEY\n"
	"general_settings:\n"
	"  master_key: os.environ/LITELLM_MASTER_KEY\n"
	"  background_health_checks: true\n"
	"  health_check_interval: 60\n"
	"  enable_health_check_routing: true\n"
	"```\n\n"
	"## Rules for all values\n\n"
	"- `null` and an empty value mean \"not set\".\n"
	"- `os.environ/NAME` as a whole value is replaced by that variable: first from `environment_variables` of the file,\n"
	"  then from the process environment. The words true and false become booleans, anything else stays text. An unset\n"
	"  variable is `null`; for an `api_key` that means the provider's own variable is used.\n"
	"- Numbers may be quoted. A quoted boolean is taken for what it says, with a warning, because LiteLLM takes every\n"
	"  text for true. Anything else of the wrong type is an error with its place.\n"
	"- Anchors, aliases and `<<` work as in YAML 1.1. A key that is there twice in one map is an error.\n"
	"- An unknown key is a warning with the nearest known one. `litellm_params` and `model_info` may carry keys of your\n"
	"  own; there only what looks like a misspelling is reported.\n"
	"- Bounds of a file: 32 MiB, 2,000,000 values (an alias counts as all that it stands for), 64 levels, 8 levels and\n"
	"  200 files of `include`.\n\n"
	"Messages have the form `file:line:column: key: what is wrong, what is allowed`; up to 20 errors are shown at once.\n\n"
	"**Reload**: on SIGHUP the file is read again and new processes start with it; requests in flight end under the old\n"
	"values. A file with errors changes nothing. *Restart* marks what is read only when the daemon starts.\n\n"
	"Settings marked **hale** do not exist in LiteLLM.\n\n";

static const char cli_reference_ids[] =
	"## Deployment ids\n\n"
	"Each entry of `model_list` has an id: `x-litellm-model-id` names it in answers, `/health?model_id=` and\n"
	"`/v1/model/info?litellm_model_id=` find it, and it can be sent as `model` to pin a request to that deployment.\n"
	"`model_info.id` sets it (a number becomes text). Otherwise it is LiteLLM's: the lower-case hex SHA-256 of one text\n"
	"made of `model_name` and then, for every entry of `litellm_params` in file order, its key and its value, without\n"
	"anything between them. Values are what they are after `os.environ/` was resolved:\n\n"
	"| value | text |\n|---|---|\n"
	"| text | as it is |\n"
	"| map | as JSON, with `, ` and `: ` between parts and other than ASCII characters as `\\uXXXX` |\n"
	"| anything else | as Python prints it: `True`, `False`, `None`, `5`, `0.5`, `['a', 'b']` |\n\n"
	"So `model_name: gpt-4` with `{model: openai/gpt-4, api_key: sk-1}` hashes `gpt-4modelopenai/gpt-4api_keysk-1` to\n"
	"`4e2a4f42d5d56214dcb1e641bf40fe93fc7516c80550f480d48fa15d8a3e1d3d`. A changed key, base or parameter gives a new id,\n"
	"and health and cooldowns start anew; set `model_info.id` to keep them. Entries that would have the same id get `-1`,\n"
	"`-2` and so on appended, in file order.\n";

static const char cli_reference_aws[] =
	"**AWS.** Requests are signed (Signature Version 4) with `aws_access_key_id` and `aws_secret_access_key`, else with\n"
	"`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; an `api_key`, or the variable in the table when the\n"
	"file has no AWS keys for the deployment, is sent as a bearer key instead. Roles, profiles and instance metadata are not\n"
	"asked. The region is the one in the model (`bedrock/us-west-2/...`, or an ARN's), then `aws_region_name`, then\n"
	"`AWS_REGION_NAME`, `AWS_REGION` or `AWS_DEFAULT_REGION`; there is no default. Every chat model of Bedrock is asked\n"
	"through the Converse API: parts of the name that choose another one (`converse/`, `invoke/` ...) are taken off.\n"
	"Embedding models are those of Titan, which takes one text for each request, and of Cohere.\n\n";

/* What stands above the table of a section. */
static const struct {
	enum conf_section section;
	const char *title, *text;
} cli_reference_sections[] = {
	{CONF_SEC_TOP, "Top level", NULL},
	{CONF_SEC_ENTRY, "model_list", "One entry is one deployment:"},
	{CONF_SEC_PARAMS, "model_list: litellm_params", NULL},
	{CONF_SEC_INFO, "model_list: model_info", NULL},
	{CONF_SEC_GENERAL, "general_settings", NULL},
	{CONF_SEC_ROUTER, "router_settings", NULL},
	{CONF_SEC_LITELLM, "litellm_settings", NULL},
	{CONF_SEC_CACHE, "litellm_settings: cache_params", NULL},
	{CONF_SEC_HALE, "hale_settings",
	 "Every buffer, queue and wait of the daemon has a bound, and this is where it is set. \"Each worker\" means each of\n"
	 "`--num_workers` processes."},
	{CONF_SEC_ENV, "Environment",
	 "Read from `environment_variables` first, then from the process environment. They are weaker than the file's other\n"
	 "settings. A value that makes no sense is a warning and is not used. Each provider has variables of its own for key\n"
	 "and address, listed below."},
};

static void
cli_reference_range(const struct conf_option *o, struct strbuf *out)
{
	if (o->type == CONF_TYPE_STRATEGY)
		strbuf_puts(out, "simple-shuffle, least-busy, usage-based-routing, usage-based-routing-v2, latency-based-routing, "
		                 "cost-based-routing");
	else if (o->type == CONF_TYPE_MODE)
		strbuf_puts(out, mode_list());
	else
		strbuf_puts(out, conf_schema_type(o->type));
	if (o->max > o->min)
		strbuf_printf(out, ", %.15g..%.15g", o->min, o->max);
	if (o->unit)
		strbuf_printf(out, " %s", o->unit);
}

static void
cli_reference_row(const struct conf_option *o, struct strbuf *out)
{
	strbuf_printf(out, "| `%s` | ", o->key);
	cli_reference_range(o, out);
	strbuf_printf(out, " | %s%s%s | %s%s%s%s%s |\n", o->fallback ? "`" : "", o->fallback ? o->fallback : "",
	              o->fallback ? "`" : "", o->flags & CONF_OPT_OURS ? "**hale** " : "", o->help,
	              o->flags & CONF_OPT_SECRET ? "; secret" : "", o->reload == CONF_RESTART ? "; *restart*" : "",
	              o->flags & CONF_OPT_UNUSED ? "; *no effect so far*" : "");
}

/* Names of a section's rows that carry flag, or nothing. */
static void
cli_reference_names(enum conf_section s, unsigned flag, const char *lead, struct strbuf *out)
{
	bool first = true;

	for (unsigned i = 0; i < conf_schema_count; i++) {
		if (conf_schema[i].section != s || !(conf_schema[i].flags & flag) || conf_schema[i].help)
			continue;
		strbuf_printf(out, "%s`%s`", first ? lead : ", ", conf_schema[i].key);
		first = false;
	}
	if (!first)
		strbuf_puts(out, ".\n\n");
}

static void
cli_reference_section(unsigned at, struct strbuf *out)
{
	enum conf_section s = cli_reference_sections[at].section;

	strbuf_printf(out, "## %s\n\n", cli_reference_sections[at].title);
	if (cli_reference_sections[at].text)
		strbuf_printf(out, "%s\n\n", cli_reference_sections[at].text);
	strbuf_puts(out, s == CONF_SEC_ENV ? "| variable | value | default | meaning |\n|---|---|---|---|\n"
	                                   : "| key | value | default | meaning |\n|---|---|---|---|\n");
	for (unsigned i = 0; i < conf_schema_count; i++)
		if (conf_schema[i].section == s && conf_schema[i].help)
			cli_reference_row(&conf_schema[i], out);
	strbuf_putc(out, '\n');
	cli_reference_names(s, CONF_OPT_PASS, s == CONF_SEC_PARAMS
	                    ? "Known and kept, for the provider or for the price of a request, like any key of your own: "
	                    : "Known and shown by /v1/model/info, like any key of your own: ", out);
	cli_reference_names(s, CONF_OPT_UNUSED, "Known from LiteLLM and without effect so far: ", out);
}

static void
cli_reference_variables(const char *const *name, unsigned n, struct strbuf *out)
{
	for (unsigned i = 0; i < n && name[i]; i++)
		strbuf_printf(out, "%s`%s`", i ? ", " : "", name[i]);
}

static void
cli_reference_providers(struct strbuf *out)
{
	const struct provider *p;

	strbuf_puts(out, "## Providers\n\nThe part of `litellm_params.model` before the first slash. Of several variables the "
	                 "first that is set counts.\n\n"
	                 "| provider | address | its variables | key variables |\n|---|---|---|---|\n");
	for (unsigned i = 0; (p = provider_at(i)) != NULL; i++) {
		strbuf_printf(out, "| `%s` | %s | ", p->name, p->default_base ? p->default_base : "`api_base` is needed");
		cli_reference_variables(p->base_env, HALE_COUNT(p->base_env), out);
		strbuf_puts(out, " | ");
		cli_reference_variables(p->key_env, HALE_COUNT(p->key_env), out);
		strbuf_puts(out, p->aws ? ", or AWS credentials |\n" : p->local ? " (a key is optional) |\n" : " |\n");
	}
	strbuf_puts(out,
	            "\n`gemini`: the key goes into the header `x-goog-api-key`, never into the address, which proxies log. "
	            "`api_version`\n(`v1beta`) counts where `api_base` has no version. `reasoning_effort: none` turns thoughts "
	            "off, which otherwise use up\n`max_tokens`; of Gemini 2.5 Pro and 3 it is the least that they allow. Usage "
	            "of embeddings is 0: Gemini does not count them.\n\n");
	strbuf_puts(out, cli_reference_aws);
}

void
cli_reference(struct strbuf *out)
{
	strbuf_puts(out, cli_reference_intro);
	for (unsigned i = 0; i < HALE_COUNT(cli_reference_sections); i++)
		cli_reference_section(i, out);
	cli_reference_providers(out);
	strbuf_puts(out, cli_reference_ids);
}
