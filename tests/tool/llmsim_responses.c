/* OpenAI's Responses: the whole answer, and the same as typed events.
 *
 * created, in_progress, output_item.added, content_part.added, output_text.delta..., output_text.done,
 * content_part.done, output_item.done, completed (incomplete when the limit cut the answer)
 */
#include "hale/hale.h"

#include "llmsim.h"

#define RESPONSES_BEFORE 4
#define RESPONSES_AFTER 3

static void
llmsim_responses_part(const struct llmsim_reply *rep, bool text, struct strbuf *out)
{
	strbuf_puts(out, "{\"type\":\"output_text\",\"text\":\"");
	if (text)
		llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, out);
	strbuf_puts(out, "\",\"annotations\":[],\"logprobs\":[]}");
}

static void
llmsim_responses_item(const struct llmsim_reply *rep, bool done, struct strbuf *out)
{
	llmsim_text(out, "{\"id\":\"msg_%i\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"%s\",\"content\":[",
	            rep->serial, !done ? "in_progress" : rep->truncated ? "incomplete" : "completed");
	if (done)
		llmsim_responses_part(rep, true, out);
	strbuf_puts(out, "]}");
}

/* The response object: with its output once it is done. */
static void
llmsim_responses_object(const struct llmsim_reply *rep, bool done, struct strbuf *out)
{
	llmsim_text(out,
	            "{\"id\":\"resp_%i\",\"object\":\"response\",\"created_at\":%u,\"status\":\"%s\",\"error\":null,"
	            "\"incomplete_details\":%s,\"instructions\":null,\"max_output_tokens\":null,\"model\":\"%s\",\"output\":[",
	            rep->serial, rep->created, !done ? "in_progress" : rep->truncated ? "incomplete" : "completed",
	            done && rep->truncated ? "{\"reason\":\"max_output_tokens\"}" : "null", rep->model);
	if (done)
		llmsim_responses_item(rep, true, out);
	strbuf_puts(out, "],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"reasoning\":{\"effort\":null,"
	                 "\"summary\":null},\"store\":true,\"temperature\":1.0,\"text\":{\"format\":{\"type\":\"text\"}},"
	                 "\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,\"truncation\":\"disabled\",\"usage\":");
	if (done)
		llmsim_text(out,
		            "{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":%u,"
		            "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%u}",
		            rep->prompt_tokens, rep->tokens, rep->prompt_tokens + rep->tokens);
	else
		strbuf_puts(out, "null");
	strbuf_puts(out, ",\"user\":null,\"metadata\":{}}");
}

static void
llmsim_responses_answer(struct llmsim *s, const struct llmsim_request *r, struct llmsim_reply *rep,
                        struct strbuf *body)
{
	static const char *const need[] = {"model", "input", NULL};

	(void)s;
	if (!llmsim_service_has(r, rep, need, body))
		return;
	if (r->stream)
		rep->stream = rep->sse = true;
	else
		llmsim_responses_object(rep, true, body);
}

static unsigned
llmsim_responses_events(const struct llmsim_reply *rep)
{
	return RESPONSES_BEFORE + (unsigned)rep->tokens + RESPONSES_AFTER + 1;
}

static void
llmsim_responses_open(const char *type, unsigned n, struct strbuf *out)
{
	llmsim_text(out, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%u,", type, type,
	            (uint64_t)n);
}

/* What an event of the one part of the one item says before its own. */
static void
llmsim_responses_place(const struct llmsim_reply *rep, struct strbuf *out)
{
	llmsim_text(out, "\"item_id\":\"msg_%i\",\"output_index\":0,\"content_index\":0,", rep->serial);
}

static void
llmsim_responses_begin(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	static const char *const type[RESPONSES_BEFORE] = {"response.created", "response.in_progress",
	                                                   "response.output_item.added",
	                                                   "response.content_part.added"};

	llmsim_responses_open(type[n], n, out);
	if (n < 2) {
		strbuf_puts(out, "\"response\":");
		llmsim_responses_object(rep, false, out);
	} else if (n == 2) {
		strbuf_puts(out, "\"output_index\":0,\"item\":");
		llmsim_responses_item(rep, false, out);
	} else {
		llmsim_responses_place(rep, out);
		strbuf_puts(out, "\"part\":");
		llmsim_responses_part(rep, false, out);
	}
}

static void
llmsim_responses_end(const struct llmsim_reply *rep, unsigned n, unsigned k, struct strbuf *out)
{
	static const char *const type[RESPONSES_AFTER] = {"response.output_text.done", "response.content_part.done",
	                                                  "response.output_item.done"};

	if (k == RESPONSES_AFTER) {
		llmsim_responses_open(rep->truncated ? "response.incomplete" : "response.completed", n, out);
		strbuf_puts(out, "\"response\":");
		llmsim_responses_object(rep, true, out);
		return;
	}
	llmsim_responses_open(type[k], n, out);
	if (k == 2) {
		strbuf_puts(out, "\"output_index\":0,\"item\":");
		llmsim_responses_item(rep, true, out);
		return;
	}
	llmsim_responses_place(rep, out);
	if (k == 0) {
		strbuf_puts(out, "\"logprobs\":[],\"text\":\"");
		llmsim_text_fill(0, (unsigned)rep->tokens, rep->chunk_bytes, out);
		strbuf_putc(out, '"');
	} else {
		strbuf_puts(out, "\"part\":");
		llmsim_responses_part(rep, true, out);
	}
}

static void
llmsim_responses_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	if (n < RESPONSES_BEFORE) {
		llmsim_responses_begin(rep, n, out);
	} else if (n < RESPONSES_BEFORE + rep->tokens) {
		llmsim_responses_open("response.output_text.delta", n, out);
		llmsim_responses_place(rep, out);
		strbuf_puts(out, "\"logprobs\":[],\"delta\":\"");
		llmsim_text_fill(n - RESPONSES_BEFORE, 1, rep->chunk_bytes, out);
		strbuf_putc(out, '"');
	} else {
		llmsim_responses_end(rep, n, n - RESPONSES_BEFORE - (unsigned)rep->tokens, out);
	}
	strbuf_puts(out, "}\n\n");
}

const struct llmsim_service llmsim_responses_service[] = {
	{.path = "/responses", .account = true, .answer = llmsim_responses_answer, .events = llmsim_responses_events,
	 .event = llmsim_responses_event},
	{0},
};
