/* Names of Bedrock models, and the regions in them.
 *
 * LiteLLM's names carry segments in front of the id: a region, the API to use, the term of a commitment. All
 * of them come off. Converse serves every chat model, so it does not matter which API the name asked for.
 */
#include "hale/hale.h"

#include "bedrock.h"

#include <ctype.h>

#include "hale/arena.h"

static const char *const bedrock_model_handlers[] = {
	"converse", "converse_like", "invoke", "llama", "deepseek_r1", "openai", "qwen2", "qwen3", "nova",
	"1-month-commitment", "6-month-commitment",
};

static bool
bedrock_model_is_word(const char *s, size_t len, const char *const *word, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(word[i]) == len && memcmp(word[i], s, len) == 0)
			return true;
	return false;
}

/* Two letters, perhaps a partition, a direction, a number. */
bool
bedrock_model_is_region(const char *s, size_t len)
{
	static const char *const partition[] = {"gov", "iso", "isob", "isoe", "isof"};
	static const char *const direction[] = {"north", "south", "east", "west", "central", "northeast", "northwest",
	                                        "southeast", "southwest"};
	const char *end = s + len, *dash;

	if (len < 8 || len > 24 || !islower((unsigned char)s[0]) || !islower((unsigned char)s[1]) ||
	    s[2] != '-')
		return false;
	s += 3;
	dash = memchr(s, '-', (size_t)(end - s));
	if (dash && bedrock_model_is_word(s, (size_t)(dash - s), partition, HALE_COUNT(partition))) {
		s = dash + 1;
		dash = memchr(s, '-', (size_t)(end - s));
	}
	if (!dash || !bedrock_model_is_word(s, (size_t)(dash - s), direction, HALE_COUNT(direction)))
		return false;
	s = dash + 1;
	if (s == end || end - s > 2)
		return false;
	while (s < end && isdigit((unsigned char)*s))
		s++;
	return s == end;
}

const char *
bedrock_model_arn_region(struct arena *a, const char *arn)
{
	const char *end;

	if (!arn || strncmp(arn, "arn:", 4) != 0)
		return NULL;
	for (int i = 0; i < 3 && arn; i++) { /* arn:partition:service:region: */
		arn = strchr(arn, ':');
		arn += arn != NULL;
	}
	end = arn ? strchr(arn, ':') : NULL;
	if (!end || !bedrock_model_is_region(arn, (size_t)(end - arn)))
		return NULL;
	return arena_strndup(a, arn, (size_t)(end - arn));
}

void
bedrock_model_parse(struct arena *a, const char *model, struct bedrock_model *out)
{
	const char *slash;

	*out = (struct bedrock_model){.id = model};
	while (strncmp(out->id, "arn:", 4) != 0 && (slash = strchr(out->id, '/')) != NULL) {
		size_t n = (size_t)(slash - out->id);

		if (bedrock_model_is_region(out->id, n))
			out->region = arena_strndup(a, out->id, n);
		else if (!bedrock_model_is_word(out->id, n, bedrock_model_handlers,
		                                HALE_COUNT(bedrock_model_handlers)))
			break;
		out->id = slash + 1;
	}
	if (!out->region)
		out->region = bedrock_model_arn_region(a, out->id);
}

const char *
bedrock_model_shown(struct arena *a, const char *model)
{
	struct bedrock_model parsed;
	struct strbuf out;
	const char *shown;

	bedrock_model_parse(a, model, &parsed);
	strbuf_init(&out, 0);
	while (model < parsed.id) {
		size_t n = strcspn(model, "/");

		if (!bedrock_model_is_region(model, n))
			strbuf_add(&out, model, n + 1);
		model += n + 1;
	}
	strbuf_puts(&out, parsed.id);
	shown = arena_strdup(a, strbuf_str(&out));
	strbuf_release(&out);
	return shown;
}

const char *
bedrock_model_base(struct arena *a, const char *base, const char *region)
{
	const char *at = strstr(base, BEDROCK_REGION), *rest;
	bool amazon;

	if (!at)
		return base;
	rest = at + strlen(BEDROCK_REGION);
	amazon = strcmp(rest, ".amazonaws.com") == 0 && strncmp(region, "cn-", 3) == 0;
	return arena_printf(a, "%.*s%s%s%s", (int)(at - base), base, region, rest, amazon ? ".cn" : "");
}
