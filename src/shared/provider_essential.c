/* What an answer must have to count as one: the essential member of each mode.
 *
 * A 200 alone is no success: gateways, captive portals and overloaded servers send empty or foreign
 * bodies with it. These checks run over relayed answers too, so they use the scanner and build no tree.
 */
#include "hale/hale.h"

#include "provider_impl.h"

#include "hale/json_scan.h"

/* Answers are not ours to bound in depth; the scanner's own bound is enough. */
#define ESSENTIAL_DEPTH JSON_DEPTH_MAX
#define ESSENTIAL_AUDIO_BYTES 256 /* that are looked at */

static bool
provider_essential_members(const char *body, size_t len, struct json_want *want, unsigned n, const char **why)
{
	size_t at;

	if (json_members(body, len, ESSENTIAL_DEPTH, want, n, why, &at) == 0)
		return true;
	*why = len ? "the answer is not a JSON object" : "the answer is empty";
	return false;
}

/* Members of the first element of the array in member `list`. why:
 * set on entry to what a missing list means. */
static bool
provider_essential_first(const char *body, size_t len, const char *list, struct json_want *want, unsigned n,
                         const char **why)
{
	struct json_want outer = {.key = list, .inner = want, .ninner = n};

	return provider_essential_members(body, len, &outer, 1, why) && outer.first.len > 0;
}

/* First byte of a value; 0 when there is none. */
static char
provider_essential_kind(const char *body, const struct json_want *w)
{
	return w->value.len ? body[w->value.start] : '\0';
}

static bool
provider_essential_is_number(char first)
{
	return first == '-' || (first >= '0' && first <= '9');
}

bool
provider_essential_message(const char *body, size_t len, const char **why)
{
	struct json_want want = {.key = "message"};

	*why = "the answer has no choices";
	if (!provider_essential_first(body, len, "choices", &want, 1, why))
		return false;
	if (provider_essential_kind(body, &want) == '{')
		return true;
	*why = "the first choice has no message";
	return false;
}

bool
provider_essential_text(const char *body, size_t len, const char **why)
{
	struct json_want want[] = {{.key = "text"}, {.key = "message"}};

	*why = "the answer has no choices";
	if (!provider_essential_first(body, len, "choices", want, HALE_COUNT(want), why))
		return false;
	if (provider_essential_kind(body, &want[0]) == '"' || provider_essential_kind(body, &want[1]) == '{')
		return true;
	*why = "the first choice has no text";
	return false;
}

bool
provider_essential_embedding(const char *body, size_t len, const char **why)
{
	struct json_want none = {.key = ""}, want = {.key = "embedding", .inner = &none, .ninner = 1};

	*why = "the answer has no data";
	if (!provider_essential_first(body, len, "data", &want, 1, why))
		return false;
	/* Numbers, or base64 of them. */
	if (want.first.len || (want.value.len > 2 && body[want.value.start] == '"'))
		return true;
	*why = "the first element of data has no embedding";
	return false;
}

bool
provider_essential_image(const char *body, size_t len, const char **why)
{
	struct json_want want[] = {{.key = "url"}, {.key = "b64_json"}};

	*why = "the answer has no data";
	if (!provider_essential_first(body, len, "data", want, HALE_COUNT(want), why))
		return false;
	if (want[0].value.len > 2 || want[1].value.len > 2)
		return true;
	*why = "the first element of data has no image";
	return false;
}

bool
provider_essential_transcript(const char *body, size_t len, const char **why)
{
	struct json_want want = {.key = "text"};

	if (!provider_essential_members(body, len, &want, 1, why))
		return false;
	if (want.value.len && body[want.value.start] == '"') /* silence is "" */
		return true;
	*why = "the answer has no text";
	return false;
}

/* Every format has bytes near its beginning that no UTF-8 text has. */
bool
provider_essential_audio(const char *body, size_t len, const char **why)
{
	size_t n = len < ESSENTIAL_AUDIO_BYTES ? len : ESSENTIAL_AUDIO_BYTES;

	*why = len ? "the answer is text, not audio" : "the answer is empty";
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)body[i];

		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f || c == 0xc0 ||
		    c == 0xc1 || c >= 0xf5)
			return true;
	}
	return false;
}

bool
provider_essential_ranking(const char *body, size_t len, const char **why)
{
	struct json_want want = {.key = "relevance_score"};

	*why = "the answer has no results";
	if (!provider_essential_first(body, len, "results", &want, 1, why))
		return false;
	if (provider_essential_is_number(provider_essential_kind(body, &want)))
		return true;
	*why = "the first result has no relevance_score";
	return false;
}

bool
provider_essential_list(const char *body, size_t len, const char **why)
{
	struct json_want want = {.key = "data"};

	if (!provider_essential_members(body, len, &want, 1, why))
		return false;
	if (want.value.len && body[want.value.start] == '[') /* which may be empty */
		return true;
	*why = "the answer has no list in data";
	return false;
}

bool
provider_essential_pages(const char *body, size_t len, const char **why)
{
	struct json_want none = {.key = ""};

	*why = "the answer has no pages";
	return provider_essential_first(body, len, "pages", &none, 1, why);
}

bool
provider_essential_output(const char *body, size_t len, const char **why)
{
	struct json_want want[] = {{.key = "output"}, {.key = "status"}};
	const char *status;

	if (!provider_essential_members(body, len, want, HALE_COUNT(want), why))
		return false;
	*why = "the answer has no output";
	if (want[0].value.len == 0 || body[want[0].value.start] != '[')
		return false;
	status = body + want[1].value.start;
	*why = "the response failed";
	return want[1].value.len != 8 || memcmp(status, "\"failed\"", 8) != 0;
}

bool
provider_essential_moderation(const char *body, size_t len, const char **why)
{
	struct json_want want[] = {{.key = "flagged"}, {.key = "categories"}};

	*why = "the answer has no results";
	if (!provider_essential_first(body, len, "results", want, HALE_COUNT(want), why))
		return false;
	if (want[0].value.len || provider_essential_kind(body, &want[1]) == '{')
		return true;
	*why = "the first result has no verdict";
	return false;
}

/* Members of the object that is the value of w, a part of body. */
static bool
provider_essential_inside(const char *body, const struct json_want *w, struct json_want *want, unsigned n)
{
	const char *why;
	size_t at;

	return json_members(body + w->value.start, w->value.len, ESSENTIAL_DEPTH, want, n, &why, &at) == 0;
}

bool
provider_essential_converse(const char *body, size_t len, const char **why)
{
	struct json_want none = {.key = ""}, want[] = {{.key = "output"}, {.key = "stopReason"}};
	struct json_want message = {.key = "message"}, content = {.key = "content", .inner = &none, .ninner = 1};
	const char *output;

	if (!provider_essential_members(body, len, want, HALE_COUNT(want), why))
		return false;
	*why = "the answer has no content";
	output = body + want[0].value.start;
	if (!provider_essential_inside(body, &want[0], &message, 1) ||
	    !provider_essential_inside(output, &message, &content, 1))
		return false;
	/* Content may be empty when the model had nothing to say; then the answer says why it ended. */
	return content.first.len || (provider_essential_kind(output + message.value.start, &content) == '[' &&
	                             provider_essential_kind(body, &want[1]) == '"');
}

bool
provider_essential_invoked(const char *body, size_t len, const char **why)
{
	struct json_want none = {.key = ""}, floats = {.key = "float", .inner = &none, .ninner = 1};
	struct json_want want[] = {{.key = "embedding", .inner = &none, .ninner = 1},
	                           {.key = "embeddings", .inner = &none, .ninner = 1}};

	if (!provider_essential_members(body, len, want, HALE_COUNT(want), why))
		return false;
	*why = "the answer has no embedding";
	if (want[0].first.len || want[1].first.len)
		return true;
	return provider_essential_inside(body, &want[1], &floats, 1) && floats.first.len;
}

bool
provider_essential_content(const char *body, size_t len, const char **why)
{
	struct json_want none = {.key = ""};
	struct json_want want[] = {{.key = "content", .inner = &none, .ninner = 1}, {.key = "stop_reason"}};

	if (!provider_essential_members(body, len, want, HALE_COUNT(want), why))
		return false;
	if (want[0].first.len)
		return true;
	/* Content may be empty when the model had nothing to say; then the answer says why it ended. */
	if (want[0].value.len && body[want[0].value.start] == '[' && want[1].value.len &&
	    body[want[1].value.start] == '"')
		return true;
	*why = "the answer has no content";
	return false;
}

bool
provider_essential_tokens(const char *body, size_t len, const char **why)
{
	struct json_want want = {.key = "input_tokens"};

	if (!provider_essential_members(body, len, &want, 1, why))
		return false;
	*why = "the answer has no input_tokens";
	return want.value.len && provider_essential_is_number(body[want.value.start]);
}

bool
provider_essential_candidate(const char *body, size_t len, const char **why)
{
	struct json_want none = {.key = ""}, parts = {.key = "parts", .inner = &none, .ninner = 1};
	struct json_want want[] = {{.key = "content", .inner = &parts, .ninner = 1}, {.key = "finishReason"}};
	struct json_want outer[] = {{.key = "candidates", .inner = want, .ninner = HALE_COUNT(want)},
	                            {.key = "promptFeedback"}};

	if (!provider_essential_members(body, len, outer, HALE_COUNT(outer), why))
		return false;
	*why = "the answer has no candidates";
	if (outer[0].first.len == 0) /* a blocked prompt is an answer of a model that works */
		return provider_essential_kind(body, &outer[1]) == '{';
	/* Thoughts alone can use up the token limit; then the answer says why it ended. */
	if (parts.first.len || provider_essential_kind(body, &want[1]) == '"')
		return true;
	*why = "the first candidate has no content";
	return false;
}

bool
provider_essential_vector(const char *body, size_t len, const char **why)
{
	struct json_want none[2] = {{.key = ""}, {.key = ""}};
	struct json_want values[] = {{.key = "values", .inner = &none[0], .ninner = 1},
	                             {.key = "values", .inner = &none[1], .ninner = 1}};
	struct json_want want[] = {{.key = "embeddings", .inner = &values[0], .ninner = 1},
	                           {.key = "embedding", .inner = &values[1], .ninner = 1}};

	if (!provider_essential_members(body, len, want, HALE_COUNT(want), why))
		return false;
	if (values[0].first.len || values[1].first.len)
		return true;
	*why = "the answer has no embedding";
	return false;
}

bool
provider_essential_prediction(const char *body, size_t len, const char **why)
{
	struct json_want want[] = {{.key = "bytesBase64Encoded"}, {.key = "raiFilteredReason"}};

	/* One that a filter held back was made by a model that works. */
	if (provider_essential_first(body, len, "predictions", want, HALE_COUNT(want), why) &&
	    (want[0].value.len > 2 || want[1].value.len > 2))
		return true;
	if (provider_essential_candidate(body, len, why))
		return true;
	*why = "the answer has no image";
	return false;
}

bool
provider_essential_reply(const char *body, size_t len, const char **why)
{
	struct json_want want[] = {{.key = "message"}, {.key = "finish_reason"}};
	const char *reason;

	if (!provider_essential_members(body, len, want, HALE_COUNT(want), why))
		return false;
	*why = "the answer has no message";
	if (want[0].value.len == 0 || body[want[0].value.start] != '{')
		return false;
	/* Cohere reports failures of generation with status 200. */
	reason = body + want[1].value.start;
	*why = "the answer ended with an error";
	return !(want[1].value.len == 7 && memcmp(reason, "\"ERROR\"", 7) == 0) &&
	       !(want[1].value.len == 9 && memcmp(reason, "\"TIMEOUT\"", 9) == 0);
}

bool
provider_essential_typed(const char *body, size_t len, const char **why)
{
	struct json_want none[2] = {{.key = ""}, {.key = ""}};
	struct json_want type[] = {{.key = "float", .inner = &none[0], .ninner = 1},
	                           {.key = "base64", .inner = &none[1], .ninner = 1}};
	struct json_want want = {.key = "embeddings", .inner = type, .ninner = HALE_COUNT(type)};

	if (!provider_essential_members(body, len, &want, 1, why))
		return false;
	*why = "the answer has no embeddings";
	return type[0].first.len > 2 || type[1].first.len > 2; /* neither [] nor "" */
}

bool
provider_essential_scores(const char *body, size_t len, const char **why)
{
	struct json_want data = {.key = "relevance_score"}, result = data;
	struct json_want want[] = {{.key = "data", .inner = &data, .ninner = 1},
	                           {.key = "results", .inner = &result, .ninner = 1}};

	if (!provider_essential_members(body, len, want, HALE_COUNT(want), why))
		return false;
	*why = "the answer has no results";
	if (want[0].first.len == 0 && want[1].first.len == 0)
		return false;
	*why = "the first result has no relevance_score";
	return provider_essential_is_number(provider_essential_kind(body, &data)) ||
	       provider_essential_is_number(provider_essential_kind(body, &result));
}
