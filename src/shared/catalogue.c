/* Model names to properties.
 *
 * A few patterns instead of a price list: names of one family stay alike when new members appear, and a
 * wrong guess here only picks another token limit for a probe, which adapts when it is refused.
 */
#include "hale/hale.h"

#include "hale/catalogue.h"

#include <strings.h>

static const char *const catalogue_reasoning_part[] = {
	"reasoner", "reasoning", "thinking", "deepseek-r1", "qwq", "magistral", "gpt-oss", "grok-3-mini", "grok-4",
	"claude-3-7-", "claude-opus-4", "claude-sonnet-4", "claude-haiku-4", "gemini-2.5", "gemini-3",
};

/* A family name at the start, followed by its end or a separator: "o1-mini", not "o1x". */
static const char *const catalogue_reasoning_start[] = {"o1", "o3", "o4", "gpt-5", "codex"};

bool
catalogue_is_reasoning(const char *model)
{
	const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model;

	if (strncasecmp(name, "gpt-5", 5) == 0 && strcasestr(name, "chat"))
		return false;
	for (unsigned i = 0; i < HALE_COUNT(catalogue_reasoning_start); i++) {
		size_t n = strlen(catalogue_reasoning_start[i]);

		if (strncasecmp(name, catalogue_reasoning_start[i], n) == 0 && (!name[n] || strchr("-.:", name[n])))
			return true;
	}
	for (unsigned i = 0; i < HALE_COUNT(catalogue_reasoning_part); i++)
		if (strcasestr(name, catalogue_reasoning_part[i]))
			return true;
	return false;
}
