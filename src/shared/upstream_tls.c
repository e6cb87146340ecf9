/* Trusted certificates, once per process.
 *
 * Reading Debian's bundle costs about 25 ms of CPU and 0.8 MB. libcurl with its defaults does that on
 * every TLS connection; here one X509_STORE is read when the first https upstream is used and every
 * connection only takes a reference. SSL_CERT_FILE names another bundle, as everywhere with OpenSSL.
 * A bundle that cannot be read is reported once; verification then fails for every peer, which is
 * the safe direction.
 */
#include "hale/hale.h"

#include "upstream_int.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/log.h"

#define UPSTREAM_TLS_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct upstream_tls {
	X509_STORE *store;
	SSL_CTX *client[2]; /* verifying, insecure */
};

struct upstream_tls *
upstream_tls_new(void)
{
	return xcalloc(1, sizeof(struct upstream_tls));
}

void
upstream_tls_freep(struct upstream_tls **t)
{
	if (!*t)
		return;
	SSL_CTX_free((*t)->client[0]);
	SSL_CTX_free((*t)->client[1]);
	X509_STORE_free((*t)->store);
	xfreep(t);
}

static const char *
upstream_tls_bundle(void)
{
	const char *file = getenv(X509_get_default_cert_file_env());

	if (file && *file)
		return file;
	return access(UPSTREAM_TLS_BUNDLE, R_OK) == 0 ? UPSTREAM_TLS_BUNDLE : X509_get_default_cert_file();
}

struct x509_store_st *
upstream_tls_store(struct upstream_tls *t)
{
	const char *file = upstream_tls_bundle();

	if (t->store)
		return t->store;
	t->store = X509_STORE_new();
	if (!t->store)
		log_fatal(1, "upstream: no memory for the certificate store");
	if (X509_STORE_load_file(t->store, file) != 1)
		log_error("upstream: trusted certificates cannot be read, TLS peers will be refused: file=%s error=\"%s\"", file,
		          ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
	return t->store;
}

struct ssl_ctx_st *
upstream_tls_client(struct upstream_tls *t, bool insecure)
{
	static const unsigned char alpn[] = "\x08http/1.1";
	SSL_CTX *ctx = t->client[insecure];

	if (ctx)
		return ctx;
	ctx = t->client[insecure] = SSL_CTX_new(TLS_client_method());
	if (!ctx)
		log_fatal(1, "upstream: no memory for a TLS context");
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* A record and its header with one read. */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1);
	/* Tickets are kept per host, by whoever sets the callback. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	if (insecure) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	} else {
		X509_STORE_up_ref(upstream_tls_store(t));
		SSL_CTX_set_cert_store(ctx, t->store);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	}
	return ctx;
}

struct ssl_st *
upstream_tls_open(struct upstream_tls *t, const struct upstream_authority *a, bool insecure)
{
	SSL *ssl = SSL_new(upstream_tls_client(t, insecure));
	bool fine = ssl;

	if (!ssl)
		return NULL;
	SSL_set_connect_state(ssl);
	if (!a->numeric)
		fine = SSL_set_tlsext_host_name(ssl, a->name) == 1;
	if (fine && !insecure) {
		SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		fine = a->numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), a->name) == 1
		                  : SSL_set1_host(ssl, a->name) == 1;
	}
	if (fine)
		return ssl;
	SSL_free(ssl);
	return NULL;
}
