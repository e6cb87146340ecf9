/* Classes of deployments by what their probe would send.
 *
 * Every probe is built once in its configured form and reduced to two digests: of all that decides how
 * the upstream answers it, and of all that says who asks. Equal digests make a ring. Organizations are
 * sent to some providers and not to others; where they are, they make two requests, and an account of its
 * own for each.
 *
 * What cannot be built, and what carries no credential, is alone in its ring: there is nothing to share.
 */
#include "hale/hale.h"

#include "hale/identity.h"

#include <openssl/sha.h>

#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/cost.h"
#include "hale/deployment.h"
#include "hale/probe.h"
#include "hale/redact.h"
#include "hale/strbuf.h"

#define IDENTITY_ARENA_BYTES (256u << 10)

struct identity_key {
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint32_t deployment;
};

static int
identity_key_order(const void *a, const void *b)
{
	const struct identity_key *x = a, *y = b;
	int c = memcmp(x->digest, y->digest, sizeof(x->digest));

	return c ? c : x->deployment < y->deployment ? -1 : 1;
}

/* With its length, so that two fields never run into each other. */
static void
identity_field(struct strbuf *b, const char *text, size_t len)
{
	strbuf_printf(b, "%zu:", len);
	strbuf_add(b, text, len);
}

static void
identity_text(struct strbuf *b, const char *text)
{
	identity_field(b, text ? text : "", text ? strlen(text) : 0);
}

static void
identity_digest(const struct strbuf *b, struct identity_key *out)
{
	SHA256((const unsigned char *)strbuf_str(b), b->len, out->digest);
}

/* What a signing provider signs with: it is in no header yet. */
static void
identity_signer(struct strbuf *b, const struct deployment *d)
{
	for (const struct conf_node *n = d->params ? d->params->child : NULL; n; n = n->next) {
		if (!redact_is_secret_name(n->key) && strncmp(n->key, "aws_", 4) != 0)
			continue;
		identity_text(b, n->key);
		conf_json(n, b);
	}
}

/* The bytes that would be sent, and what else decides whether an
 * answer comes: the way there and our patience. */
static void
identity_request(struct strbuf *b, const struct deployment *d, const struct probe_request *q)
{
	identity_text(b, d->provider->name);
	identity_text(b, mode_name(q->mode));
	identity_text(b, q->endpoint.method);
	identity_text(b, q->endpoint.url);
	identity_text(b, q->content_type);
	for (unsigned i = 0; i < q->endpoint.nheader; i++) {
		identity_text(b, q->endpoint.header[i].name);
		identity_text(b, q->endpoint.header[i].value);
	}
	identity_field(b, q->body ? q->body : "", q->body_len);
	identity_text(b, d->proxy);
	strbuf_printf(b, "%u %d %d", d->probe.timeout_ms, d->insecure_tls, d->http2);
	if (q->op->sign) {
		identity_text(b, q->endpoint.region);
		identity_signer(b, d);
	}
}

/* Who asks. false: nobody in particular, or somebody else than the deployment's own requests do (a
 * health_check_model of another provider). */
static bool
identity_credential(struct strbuf *b, const struct deployment *d, const struct probe_request *q)
{
	bool any = d->api_key || q->op->sign;

	if (d->probe.as || (d->api_base && strncmp(q->endpoint.url, d->api_base, strlen(d->api_base)) != 0))
		return false;
	identity_text(b, d->provider->name);
	identity_text(b, d->api_base ? d->api_base : q->endpoint.url);
	identity_text(b, d->api_key);
	identity_text(b, d->organization);
	for (unsigned i = 0; i < q->endpoint.nheader; i++) {
		const struct http_header *h = &q->endpoint.header[i];

		if (!redact_is_secret_name(h->name))
			continue;
		identity_text(b, h->name);
		identity_text(b, h->value);
		any = true;
	}
	if (q->op->sign)
		identity_signer(b, d);
	return any;
}

/* Links equal neighbours of the sorted keys. */
static void
identity_rings(struct identity_key *key, uint32_t n, uint32_t *ring)
{
	qsort(key, n, sizeof(*key), identity_key_order);
	for (uint32_t first = 0, end; first < n; first = end) {
		for (end = first + 1; end < n; end++)
			if (memcmp(key[end].digest, key[first].digest, sizeof(key->digest)) != 0)
				break;
		for (uint32_t k = first; k < end; k++)
			ring[key[k].deployment] = key[k + 1 < end ? k + 1 : first].deployment;
	}
}

/* The first that the background loop probes, else the first. */
static void
identity_leaders(struct identity *id, const struct conf *c)
{
	bool *done = xcalloc(id->count + 1, sizeof(*done));

	for (uint32_t i = 0; i < id->count; i++) { /* rings ascend, so i is the first of its own */
		uint32_t best = i, j = i;

		if (done[i])
			continue;
		while (!conf_is_background(c, &c->deployment[best]) && (best = id->same[best]) != i)
			;
		do {
			id->leader[j] = best;
			done[j] = true;
		} while ((j = id->same[j]) != i);
	}
	free(done);
}

void
identity_init(struct identity *id, const struct conf *c)
{
	uint32_t n = c->ndeployment, nprobe = 0, nkey = 0;
	struct identity_key *probe = xcalloc(n + 1, sizeof(*probe)), *key = xcalloc(n + 1, sizeof(*key));
	struct arena *a = arena_new(IDENTITY_ARENA_BYTES);
	struct strbuf b;

	*id = (struct identity){
		.count = n,
		.leader = xcalloc(n + 1, sizeof(*id->leader)),
		.same = xcalloc(n + 1, sizeof(*id->same)),
		.credential = xcalloc(n + 1, sizeof(*id->credential)),
		.tokens = xcalloc(n + 1, sizeof(*id->tokens)),
		.sends = xcalloc(n + 1, sizeof(*id->sends)),
	};
	strbuf_init(&b, 0);
	for (uint32_t i = 0; i < n; i++) {
		const struct deployment *d = &c->deployment[i];
		struct probe_request q;
		const char *why;

		id->same[i] = id->credential[i] = i;
		if (probe_request_build(a, c, d, PROBE_ADAPT_NONE, 0, &q, &why) != 0)
			continue;
		id->sends[i] = true;
		id->tokens[i] = cost_estimate(&q);
		identity_request(&b, d, &q);
		identity_digest(&b, &probe[nprobe]);
		probe[nprobe++].deployment = i;
		strbuf_clear(&b);
		if (identity_credential(&b, d, &q)) {
			identity_digest(&b, &key[nkey]);
			key[nkey++].deployment = i;
		}
		strbuf_clear(&b);
		if (arena_bytes(a) > 4 * IDENTITY_ARENA_BYTES) {
			arena_freep(&a);
			a = arena_new(IDENTITY_ARENA_BYTES);
		}
	}
	identity_rings(probe, nprobe, id->same);
	identity_rings(key, nkey, id->credential);
	identity_leaders(id, c);
	strbuf_release(&b);
	arena_freep(&a);
	free(probe);
	free(key);
}

void
identity_release(struct identity *id)
{
	xfreep(&id->leader);
	xfreep(&id->same);
	xfreep(&id->credential);
	xfreep(&id->tokens);
	xfreep(&id->sends);
}
