/* aws_sigv4: figures of AWS's published signing test suite, and a Bedrock path. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hale/err.h"
#include "hale/provider.h"
#include "hale/strbuf.h"

#include "aws_sigv4.h"

#define HOST "https://example.amazonaws.com"
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* The suite's 30 August 2015, 12:36:00 UTC. */
#define SUITE_TIME 1440938160
#define SUITE_TOKEN "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
#define STS_TOKEN                                                                                                  \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwt" \
	"hAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXA" \
	"kiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
#define FORM "application/x-www-form-urlencoded"
#define FORM_HASH "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"

struct vector {
	const char *name, *method, *path;
	struct http_header header[4];
	const char *token, *body, *signed_headers, *signature;
};

static const struct vector vectors[] = {
	{.name = "get-vanilla", .method = "GET", .path = "/", .signed_headers = "host;x-amz-date",
	 .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{.name = "get-vanilla-query-order-key-case", .method = "GET", .path = "/?Param2=value2&Param1=value1",
	 .signed_headers = "host;x-amz-date",
	 .signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{.name = "get-vanilla-query-order-encoded", .method = "GET",
	 .path = "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", .signed_headers = "host;x-amz-date",
	 .signature = "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
	{.name = "get-vanilla-utf8-query", .method = "GET", .path = "/?\xe1\x88\xb4=bar", .signed_headers = "host;x-amz-date",
	 .signature = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
	{.name = "get-vanilla-query-unreserved", .method = "GET", .path = "/?" UNRESERVED "=" UNRESERVED,
	 .signed_headers = "host;x-amz-date",
	 .signature = "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
	{.name = "get-vanilla-empty-query-key", .method = "GET", .path = "/?Param1=value1", .signed_headers = "host;x-amz-date",
	 .signature = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{.name = "get-header-key-duplicate", .method = "GET", .path = "/",
	 .header = {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
	 .signed_headers = "host;my-header1;x-amz-date",
	 .signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{.name = "get-header-value-order", .method = "GET", .path = "/",
	 .header = {{"My-Header1", "value4"}, {"My-Header1", "value1"}, {"My-Header1", "value3"}, {"My-Header1", "value2"}},
	 .signed_headers = "host;my-header1;x-amz-date",
	 .signature = "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
	{.name = "get-header-value-trim", .method = "GET", .path = "/",
	 .header = {{"My-Header2", " \"a   b   c\""}, {"My-Header1", " value1 "}},
	 .signed_headers = "host;my-header1;my-header2;x-amz-date",
	 .signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{.name = "get-utf8", .method = "GET", .path = "/\xe1\x88\xb4", .signed_headers = "host;x-amz-date",
	 .signature = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{.name = "get-space-normalized", .method = "GET", .path = "/example "
	                                                          "space/", .signed_headers = "host;x-amz-date",
	 .signature = "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
	{.name = "get-unreserved", .method = "GET", .path = "/" UNRESERVED, .signed_headers = "host;x-amz-date",
	 .signature = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
	{.name = "get-relative-normalized", .method = "GET", .path = "/example/..", .signed_headers = "host;x-amz-date",
	 .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{.name = "get-relative-relative-normalized", .method = "GET", .path = "/example1/example2/../..",
	 .signed_headers = "host;x-amz-date",
	 .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{.name = "get-slash-normalized", .method = "GET", .path = "//", .signed_headers = "host;x-amz-date",
	 .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{.name = "get-slash-pointless-dot-normalized", .method = "GET", .path = "/./example",
	 .signed_headers = "host;x-amz-date",
	 .signature = "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
	{.name = "get-slashes-normalized", .method = "GET", .path = "//example//", .signed_headers = "host;x-amz-date",
	 .signature = "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
	{.name = "get-vanilla-with-session-token", .method = "GET", .path = "/", .token = SUITE_TOKEN,
	 .signed_headers = "host;x-amz-date;x-amz-security-token",
	 .signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
	{.name = "post-sts-header-before", .method = "POST", .path = "/", .token = STS_TOKEN,
	 .signed_headers = "host;x-amz-date;x-amz-security-token",
	 .signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	{.name = "post-header-value-case", .method = "POST", .path = "/", .header = {{"My-Header1", "VALUE1"}},
	 .signed_headers = "host;my-header1;x-amz-date",
	 .signature = "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
	{.name = "post-vanilla-query", .method = "POST", .path = "/?Param1=value1", .signed_headers = "host;x-amz-date",
	 .signature = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
	{.name = "post-x-www-form-urlencoded", .method = "POST", .path = "/",
	 .header = {{"Content-Type", FORM}, {"Content-Length", "13"}, {"x-amz-content-sha256", FORM_HASH}},
	 .body = "Param1=value1", .signed_headers = "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
	 .signature = "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
	{.name = "post-x-www-form-urlencoded-parameters", .method = "POST", .path = "/",
	 .header = {{"Content-Type", FORM "; charset=utf-8"}, {"Content-Length", "13"}, {"x-amz-content-sha256", FORM_HASH}},
	 .body = "Param1=value1", .signed_headers = "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
	 .signature = "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
};

/* Two parts, as a request that is put together has them. */
static void
cut(const char *body, struct iovec *part)
{
	union { const char *from; char *to; } text = {.from = body}; /* iovec knows no const */
	size_t len = strlen(body);

	part[0] = (struct iovec){text.to, len / 2};
	part[1] = (struct iovec){text.to + len / 2, len - len / 2};
}

static void
test_suite(void **state)
{
	(void)state;
	for (size_t i = 0; i < HALE_COUNT(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct iovec part[2];
		struct aws_sigv4 s = {
			.key_id = "AKIDEXAMPLE", .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", .token = v->token,
			.region = "us-east-1", .service = "service", .method = v->method, .header = v->header, .body = part,
			.nbody = 2, .now_s = SUITE_TIME,
		};
		struct strbuf url, want, got;

		while (s.nheader < HALE_COUNT(v->header) && v->header[s.nheader].name)
			s.nheader++;
		cut(v->body ? v->body : "", part);
		strbuf_init(&url, 0);
		strbuf_init(&want, 0);
		strbuf_init(&got, 0);
		strbuf_printf(&url, "%s%s", HOST, v->path);
		s.url = strbuf_str(&url);
		strbuf_printf(&want, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
		                     "SignedHeaders=%s, Signature=%s", v->signed_headers, v->signature);
		assert_int_equal(aws_sigv4_authorization(&s, &got), 0);
		if (strcmp(strbuf_str(&got), strbuf_str(&want)) != 0)
			fail_msg("%s: %s", v->name, strbuf_str(&got));
		strbuf_release(&url);
		strbuf_release(&want);
		strbuf_release(&got);
	}
}

/* What is %3A on the wire is %253A in the text that is signed. */
static void
test_path_is_encoded_once_more(void **state)
{
	struct aws_sigv4 s = {
		.key_id = "k", .secret = "s", .region = "us-east-1", .service = "bedrock", .method = "POST", .now_s = SUITE_TIME,
		.url = "https://user:pw@bedrock-runtime.us-east-1.amazonaws.com:8443/model/arn%3Aaws%3Ax%2Fy.z-v1%3A0/converse",
	};
	struct strbuf got;

	(void)state;
	strbuf_init(&got, 0);
	assert_int_equal(aws_sigv4_canonical(&s, &got), 0);
	assert_string_equal(strbuf_str(&got), "POST\n/model/arn%253Aaws%253Ax%252Fy.z-v1%253A0/converse\n\n"
	                                      "host:bedrock-runtime.us-east-1.amazonaws.com:8443\nx-amz-date:20150830T123600Z\n\n"
	                                      "host;x-amz-date\n" EMPTY_HASH);
	strbuf_release(&got);
}

static void
check_refused(const char *url, unsigned nheader, uint64_t now_s, int rc)
{
	struct http_header header[AWS_SIGV4_HEADERS_MAX + 1];
	struct aws_sigv4 s = {.key_id = "k", .secret = "s", .region = "r", .service = "b", .method = "GET", .url = url,
	                      .header = header, .nheader = nheader, .now_s = now_s};
	struct strbuf got;

	for (unsigned i = 0; i < nheader; i++)
		header[i] = (struct http_header){"x-amz-meta", "v"};
	strbuf_init(&got, 0);
	assert_int_equal(aws_sigv4_authorization(&s, &got), rc);
	assert_int_equal(got.len > 0, rc == 0);
	strbuf_release(&got);
}

static void
test_limits(void **state)
{
	struct strbuf url;

	(void)state;
	check_refused("no url", 0, SUITE_TIME, HALE_EINVAL);
	check_refused("http:///path", 0, SUITE_TIME, HALE_EINVAL);
	check_refused(HOST, AWS_SIGV4_HEADERS_MAX, SUITE_TIME, 0);
	check_refused(HOST, AWS_SIGV4_HEADERS_MAX + 1, SUITE_TIME, HALE_ELIMIT);
	check_refused(HOST, 0, UINT64_MAX, HALE_ERANGE);
	strbuf_init(&url, 0);
	strbuf_puts(&url, HOST "/?a=%zz&&b");
	check_refused(strbuf_str(&url), 0, SUITE_TIME, 0);
	for (int i = 0; i < AWS_SIGV4_QUERY_MAX; i++)
		strbuf_puts(&url, "&x");
	check_refused(strbuf_str(&url), 0, SUITE_TIME, HALE_ELIMIT);
	strbuf_release(&url);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suite),
		cmocka_unit_test(test_path_is_encoded_once_more),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
