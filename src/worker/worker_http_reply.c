/* Answers: head and body in one sendmsg() when the socket takes it, the rest through the bufferevent.
 *
 * Nothing here frees a request or calls back into a handler, whatever the socket says: a handler may go on
 * using its request after any of these calls. A failed write is remembered (broken) and told later.
 */
#include "hale/hale.h"

#include "worker_http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>

#include "hale/arena.h"
#include "hale/clock.h"
#include "hale/log.h"
#include "worker_http_conn.h"

size_t
http_pending(const struct http_req *r)
{
	return r->out ? evbuffer_get_length(r->out) : 0;
}

static void
http_broke(struct http_req *r)
{
	r->broken = r->reset = true;
	http_queue(r);
}

/* Any progress of the client's reading starts the timeout anew. */
static void
http_write_wait(struct http_req *r)
{
	uint32_t ms = r->server->limits->client_write_timeout_ms;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	event_add(&r->writable, &tv);
}

/* What the socket does not take now waits for http_write_cb. */
static void
http_write_later(struct http_req *r, const struct iovec *iov, int n, size_t sent)
{
	if (!r->out && (r->out = evbuffer_new()) == NULL)
		log_fatal(1, "out of memory");
	for (int i = 0; i < n; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		sent -= skip;
		evbuffer_add(r->out, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
	}
	if (!event_pending(&r->writable, EV_WRITE, NULL))
		http_write_wait(r);
}

void
http_write(struct http_req *r, struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
	size_t total = 0;
	ssize_t sent = 0;

	if (r->broken)
		return;
	if (http_pending(r) == 0) {
		sent = sendmsg(r->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == -1 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
			http_broke(r);
			return;
		}
	}
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (sent < (ssize_t)total)
		http_write_later(r, iov, n, sent > 0 ? (size_t)sent : 0);
}

void
http_write_cb(int fd, short what, void *arg)
{
	struct http_req *r = arg;
	uint32_t low = r->server->limits->client_buffer_bytes_max / 2;

	if (what & EV_TIMEOUT) {
		http_count(r->server, COUNTER_CLIENT_TIMEOUT, 1);
		r->reset = true;
		http_conn_gone(r);
		return;
	}
	if (evbuffer_write(r->out, fd) == -1 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		http_broke(r);
		return;
	}
	if (http_pending(r)) {
		http_write_wait(r);
	} else {
		evbuffer_free(r->out);
		r->out = NULL;
		if (r->phase == HTTP_FLUSH)
			http_conn_flushed(r);
	}
	if (r->phase == HTTP_RUNNING && r->paused && http_pending(r) <= low) {
		r->paused = false;
		if (r->drained)
			r->drained(r->arg);
	}
}

static const char *
http_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reason[] = {
		{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"},
		{301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"},
		{307, "Temporary Redirect"}, {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
		{402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
		{406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"},
		{411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"},
		{414, "URI Too Long"}, {415, "Unsupported Media Type"}, {417, "Expectation Failed"},
		{422, "Unprocessable Content"}, {424, "Failed Dependency"}, {429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"}, {499, "Client Closed Request"},
		{500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
		{503, "Service Unavailable"}, {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
		{529, "Overloaded"},
	};

	if (status == 200)
		return "OK";
	for (size_t i = 0; i < HALE_COUNT(reason); i++)
		if (reason[i].status == status)
			return reason[i].text;
	return "Status";
}

static bool
http_text_ok(const char *s)
{
	return s[strcspn(s, "\r\n")] == '\0';
}

void
http_reply_header(struct http_req *r, const char *name, const char *value)
{
	if (*name == '\0' || !http_text_ok(name) || !http_text_ok(value)) {
		log_limited(log_warn, "an answer's header was dropped: line break in it");
		return;
	}
	if (r->extra.len + strlen(name) + strlen(value) + 4 > r->extra.max) {
		log_limited(log_warn, "an answer's header was dropped: too many");
		return;
	}
	strbuf_puts(&r->extra, name);
	strbuf_add(&r->extra, ": ", 2);
	strbuf_puts(&r->extra, value);
	strbuf_add(&r->extra, "\r\n", 2);
}

static const char *
http_date(struct http_server *s)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != (time_t)s->date_s && gmtime_r(&now, &tm)) {
		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s->date_s = (int64_t)now;
	}
	return s->date;
}

/* Text in a buffer of fixed size; printf costs more than all the rest of a small answer. */
struct http_line {
	char *p, *end;
};

static void
http_put(struct http_line *l, const char *s)
{
	size_t n = strlen(s);

	if (n > (size_t)(l->end - l->p))
		n = (size_t)(l->end - l->p);
	memcpy(l->p, s, n);
	l->p += n;
}

static void
http_put_number(struct http_line *l, uint64_t n)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	http_put(l, p);
}

/* Status line and our own headers, up to where the handler's begin. Returns the length. */
static size_t
http_head_text(struct http_req *r, int status, const char *type, int64_t length, char *buf, size_t size)
{
	struct http_line l = {.p = buf, .end = buf + size};

	http_put(&l, "HTTP/1.1 ");
	http_put_number(&l, (uint64_t)status);
	http_put(&l, " ");
	http_put(&l, http_reason(status));
	http_put(&l, "\r\nDate: ");
	http_put(&l, http_date(r->server));
	if (type) {
		http_put(&l, "\r\nContent-Type: ");
		http_put(&l, type);
	}
	if (length >= 0) {
		http_put(&l, "\r\nContent-Length: ");
		http_put_number(&l, (uint64_t)length);
	}
	if (r->form == HTTP_REPLY_CHUNKED)
		http_put(&l, "\r\nTransfer-Encoding: chunked");
	if (r->close)
		http_put(&l, "\r\nConnection: close");
	else if (r->head.minor == 0)
		http_put(&l, "\r\nConnection: keep-alive");
	http_put(&l, "\r\n");
	return (size_t)(l.p - buf);
}

/* Decides the form and writes the head, with `body` behind it in the same call. */
static void
http_start(struct http_req *r, int status, const char *type, int64_t length, struct iovec *body)
{
	bool bodyless = status == 204 || status == 304 || status < 200;
	char buf[512], end[] = "\r\n";
	struct iovec iov[4];
	int n = 0;

	HALE_ASSERT(r->phase == HTTP_RUNNING && r->form == HTTP_REPLY_NONE && status >= 100 && status <= 999);
	if (r->server->draining)
		r->close = true;
	if (bodyless || r->head.method == HTTP_HEAD)
		r->form = HTTP_REPLY_BODYLESS;
	else if (length >= 0)
		r->form = HTTP_REPLY_SIZED;
	else
		r->form = r->head.minor > 0 ? HTTP_REPLY_CHUNKED : HTTP_REPLY_TO_CLOSE;
	if (r->form == HTTP_REPLY_TO_CLOSE)
		r->close = true;
	r->reply_left = length >= 0 ? (uint64_t)length : 0;
	if (type && (!http_text_ok(type) || strlen(type) > 200))
		type = NULL;
	iov[n].iov_base = buf;
	iov[n++].iov_len = http_head_text(r, status, type, bodyless ? -1 : length, buf, sizeof(buf));
	if (r->extra.len) {
		iov[n].iov_base = r->extra.data;
		iov[n++].iov_len = r->extra.len;
	}
	iov[n].iov_base = end;
	iov[n++].iov_len = 2;
	if (body && body->iov_len && r->form != HTTP_REPLY_BODYLESS)
		iov[n++] = *body;
	http_write(r, iov, n);
}

/* The handler is done with r. */
static void
http_finish(struct http_req *r)
{
	if (r->listed) {
		r->listed = false;
		r->server->nrunning--;
		http_count(r->server, COUNTER_REQUESTS_OPEN, -1);
	}
	r->gone = r->drained = NULL;
	r->phase = HTTP_FLUSH;
	if (r->broken)
		return; /* queued already */
	if (http_pending(r) == 0)
		http_conn_flushed(r);
}

void
http_reply(struct http_req *r, int status, const char *content_type, const void *body, size_t len)
{
	union {
		const void *in;
		void *out;
	} u = {.in = body}; /* iovec has no const */
	struct iovec iov = {.iov_base = u.out, .iov_len = len};

	http_start(r, status, content_type, (int64_t)len, &iov);
	http_finish(r);
}

void
http_reply_strbuf(struct http_req *r, int status, const char *content_type, const struct strbuf *b)
{
	http_reply(r, status, content_type, strbuf_str(b), b->len);
}

void
http_reply_begin(struct http_req *r, int status, const char *content_type, int64_t length)
{
	http_start(r, status, content_type, length, NULL);
}

static void
http_send_piece(struct http_req *r, const void *data, size_t len)
{
	union {
		const void *in;
		void *out;
	} u = {.in = data};
	char size[24], end[] = "\r\n";
	struct iovec iov[3] = {{.iov_base = size}, {.iov_base = u.out, .iov_len = len}, {.iov_base = end, .iov_len = 2}};

	if (r->form == HTTP_REPLY_CHUNKED) {
		iov[0].iov_len = (size_t)snprintf(size, sizeof(size), "%zx\r\n", len);
		http_write(r, iov, 3);
		return;
	}
	if (r->form == HTTP_REPLY_SIZED) {
		if (len > r->reply_left) {
			log_limited(log_warn, "an answer is longer than its announced length: cut");
			iov[1].iov_len = (size_t)r->reply_left;
			r->close = true;
		}
		r->reply_left -= iov[1].iov_len;
	}
	if (iov[1].iov_len)
		http_write(r, iov + 1, 1);
}

bool
http_reply_chunk(struct http_req *r, const void *data, size_t len)
{
	HALE_ASSERT(r->phase == HTTP_RUNNING && r->form != HTTP_REPLY_NONE);
	if (len && r->form != HTTP_REPLY_BODYLESS)
		http_send_piece(r, data, len);
	if (http_pending(r) <= r->server->limits->client_buffer_bytes_max)
		return true;
	if (!r->paused)
		http_count(r->server, COUNTER_BUFFER_PAUSES, 1);
	r->paused = true;
	return false;
}

void
http_reply_end(struct http_req *r)
{
	char last[] = "0\r\n\r\n";
	struct iovec iov = {.iov_base = last, .iov_len = sizeof(last) - 1};

	HALE_ASSERT(r->phase == HTTP_RUNNING && r->form != HTTP_REPLY_NONE);
	if (r->form == HTTP_REPLY_CHUNKED)
		http_write(r, &iov, 1);
	else if (r->form == HTTP_REPLY_SIZED && r->reply_left)
		r->close = true; /* short: the missing bytes and the end of the connection tell */
	http_finish(r);
}

void
http_reply_abort(struct http_req *r)
{
	if (r->phase == HTTP_TAKEN) {
		http_conn_kill(r);
		return;
	}
	HALE_ASSERT(r->phase == HTTP_RUNNING);
	r->close = true;
	/* Where only the end of the connection tells the end of the answer, it must not look like a proper one. */
	if (r->form == HTTP_REPLY_TO_CLOSE || r->form == HTTP_REPLY_NONE)
		r->reset = true;
	http_finish(r);
}

struct bufferevent *
http_req_take_over(struct http_req *r)
{
	HALE_ASSERT(r->phase == HTTP_RUNNING && r->form == HTTP_REPLY_NONE);
	http_input_keep(r);
	event_del(&r->timer);
	event_del(&r->readable);
	r->phase = HTTP_TAKEN;
	r->drained = NULL;
	r->taken = bufferevent_socket_new(r->server->base, r->fd, 0);
	if (!r->taken)
		log_fatal(1, "out of memory");
	if (r->in.len)
		evbuffer_prepend(bufferevent_get_input(r->taken), r->in.p, r->in.len);
	http_input_clear(r);
	return r->taken;
}
