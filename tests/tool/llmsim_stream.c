/* Streams as numbered events, made when they are due, so that a long stream costs no memory.
 *
 * OpenAI:    role, text..., finish, [usage], [DONE]     (Azure: prompt_filter_results first)
 * Anthropic: message_start, content_block_start, ping, text..., content_block_stop, message_delta,
 * message_stop
 * Gemini and Bedrock have files of their own.
 */
#include "hale/hale.h"

#include "llmsim.h"

static unsigned
llmsim_stream_before(const struct llmsim_reply *rep)
{
	if (rep->api == LLMSIM_ANTHROPIC)
		return 3;
	return (rep->api == LLMSIM_AZURE) + (rep->op == LLMSIM_CHAT);
}

unsigned
llmsim_stream_events(const struct llmsim_reply *rep, bool terminator)
{
	unsigned after;

	if (rep->api == LLMSIM_GEMINI)
		return llmsim_gemini_events(rep, terminator);
	if (rep->api == LLMSIM_BEDROCK)
		return llmsim_bedrock_events(rep, terminator);
	after = rep->api == LLMSIM_ANTHROPIC ? 2 : 1 + rep->include_usage;

	if (rep->service)
		return rep->service->events(rep) - !terminator;
	return llmsim_stream_before(rep) + (unsigned)rep->tokens + after + terminator;
}

void
llmsim_stream_begin(struct llmsim_reply *rep)
{
	strbuf_clear(&rep->prefix);
	if (rep->api >= LLMSIM_ANTHROPIC)
		return;
	llmsim_text(
	    &rep->prefix, "data: {\"id\":\"%s-%i\",\"object\":\"%s\",\"created\":%u,\"model\":\"%s\",",
	    rep->op == LLMSIM_CHAT ? "chatcmpl" : "cmpl", rep->serial,
	    rep->op == LLMSIM_CHAT ? "chat.completion.chunk" : "text_completion", rep->created, rep->model);
	strbuf_puts(&rep->prefix, "\"system_fingerprint\":\"fp_llmsim\",");
	if (rep->include_usage)
		strbuf_puts(&rep->prefix, "\"usage\":null,");
}

static const char *
llmsim_stream_finish(const struct llmsim_reply *rep)
{
	if (rep->api == LLMSIM_ANTHROPIC)
		return rep->truncated ? "max_tokens" : "end_turn";
	return rep->truncated ? "length" : "stop";
}

static void
llmsim_stream_anthropic(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	if (n == 0)
		llmsim_text(
		    out,
		    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{"
		    "\"id\":\"msg_%i\",\"type\":\"message\",\"role\":\"assistant\","
		    "\"model\":\"%s\",\"content\":[],\"stop_reason\":null,"
		    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,"
		    "\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\n",
		    rep->serial, rep->model, rep->prompt_tokens);
	else if (n == 1)
		strbuf_puts(out,
		            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
		            "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
	else if (n == 2)
		strbuf_puts(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
	else if (n < 3 + rep->tokens) {
		strbuf_puts(out, "event: content_block_delta\ndata: "
		                 "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
		                 "\"type\":\"text_delta\",\"text\":\"");
		llmsim_text_fill(n - 3, 1, rep->chunk_bytes, out);
		strbuf_puts(out, "\"}}\n\n");
	} else if (n == 3 + rep->tokens)
		strbuf_puts(out, "event: content_block_stop\ndata: "
		                 "{\"type\":\"content_block_stop\",\"index\":0}\n\n");
	else if (n == 4 + rep->tokens)
		llmsim_text(out,
		            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"
		            "\"stop_reason\":\"%s\","
		            "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%u}}\n\n",
		            llmsim_stream_finish(rep), rep->tokens);
	else
		strbuf_puts(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

static void
llmsim_stream_choice(const struct llmsim_reply *rep, const char *before, const char *after,
                     struct strbuf *out)
{
	strbuf_add(out, rep->prefix.data, rep->prefix.len);
	strbuf_puts(out, before);
	if (after)
		strbuf_puts(out, after);
}

static void
llmsim_stream_usage(const struct llmsim_reply *rep, struct strbuf *out)
{
	/* this one chunk has the real usage where the others have null */
	strbuf_add(out, rep->prefix.data, rep->prefix.len - strlen("\"usage\":null,"));
	strbuf_puts(out, "\"choices\":[],\"usage\":");
	llmsim_reply_usage(rep, out);
	strbuf_puts(out, "}\n\n");
}

void
llmsim_stream_event(const struct llmsim_reply *rep, unsigned n, struct strbuf *out)
{
	bool chat = rep->op == LLMSIM_CHAT;

	if (rep->service) {
		rep->service->event(rep, n, out);
		return;
	}
	if (rep->api == LLMSIM_ANTHROPIC) {
		llmsim_stream_anthropic(rep, n, out);
		return;
	}
	if (rep->api == LLMSIM_GEMINI) {
		llmsim_gemini_event(rep, n, out);
		return;
	}
	if (rep->api == LLMSIM_BEDROCK) {
		llmsim_bedrock_event(rep, n, out);
		return;
	}
	if (rep->api == LLMSIM_AZURE) {
		if (n == 0) {
			strbuf_puts(
			    out,
			    "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\","
			    "\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{"
			    "\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}\n\n");
			return;
		}
		n--;
	}
	if (chat && n == 0) {
		llmsim_stream_choice(rep,
		                     "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
		                     "\"content\":\"\",\"refusal\":"
		                     "null},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
		                     NULL, out);
		return;
	}
	n -= chat;
	if (n < rep->tokens) {
		llmsim_stream_choice(rep,
		                     chat ? "\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
		                          : "\"choices\":[{\"index\":0,\"text\":\"",
		                     NULL, out);
		llmsim_text_fill(n, 1, rep->chunk_bytes, out);
		strbuf_puts(out, chat ? "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
		                      : "\",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
	} else if (n == rep->tokens) {
		llmsim_stream_choice(
		    rep,
		    chat ? "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\""
		         : "\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"",
		    llmsim_stream_finish(rep), out);
		strbuf_puts(out, "\"}]}\n\n");
	} else if (n == rep->tokens + 1 && rep->include_usage) {
		llmsim_stream_usage(rep, out);
	} else {
		strbuf_puts(out, "data: [DONE]\n\n");
	}
}

void
llmsim_stream_error(const struct llmsim_reply *rep, struct strbuf *out)
{
	if (rep->api == LLMSIM_BEDROCK) {
		llmsim_bedrock_exception(out);
		return;
	}
	if (rep->api == LLMSIM_ANTHROPIC || rep->service)
		strbuf_puts(out, "event: error\ndata: ");
	else
		strbuf_puts(out, "data: ");
	llmsim_reply_error(rep, rep->api == LLMSIM_ANTHROPIC ? 529 : 500, NULL, NULL, NULL, out);
	strbuf_puts(out, "\n\n");
}
