/* Received bytes of a connection. Every read lands in one buffer of the server; what a connection cannot use at once
 * is copied to memory of its own, at most http_server.input_max, and given back when used up. Beyond that bound
 * the descriptor is not read: the kernel's window closes and the client has to wait.
 */
#include "hale/hale.h"

#include "worker_http_conn.h"

#include <errno.h>
#include <sys/socket.h>

#include "hale/arena.h"

void
http_input_clear(struct http_req *r)
{
	free(r->in.own);
	r->in = (struct http_input){0};
}

void
http_input_drop(struct http_req *r, size_t n)
{
	r->in.p += n;
	r->in.len -= n;
	if (r->in.len == 0)
		http_input_clear(r);
}

void
http_input_keep(struct http_req *r)
{
	if (r->in.len == 0 || r->in.own)
		return;
	r->in.cap = r->in.len < 512 ? 1024 : 2 * r->in.len;
	r->in.own = xmalloc(r->in.cap);
	memcpy(r->in.own, r->in.p, r->in.len);
	r->in.p = r->in.own;
}

/* Makes room for n more bytes behind those that are there. */
static void
http_input_reserve(struct http_req *r, size_t n)
{
	struct http_input *in = &r->in;

	if (in->p != in->own)
		memmove(in->own, in->p, in->len);
	if (in->len + n > in->cap) {
		in->cap = 2 * (in->len + n);
		in->own = xrealloc(in->own, in->cap);
	}
	in->p = in->own;
}

int
http_input_read(struct http_req *r)
{
	struct http_server *s = r->server;
	size_t room = r->in.len < s->input_max ? s->input_max - r->in.len : 0;
	ssize_t n;

	if (room == 0) {
		event_del(&r->readable); /* http_conn_advance() adds it again */
		return -1;
	}
	http_input_keep(r);
	n = recv(r->fd, s->scratch, room < HTTP_SCRATCH_BYTES ? room : HTTP_SCRATCH_BYTES, MSG_DONTWAIT);
	if (n == 0)
		return 0;
	if (n == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : -2;
	if (r->in.len) {
		http_input_reserve(r, (size_t)n);
		memcpy(r->in.own + r->in.len, s->scratch, (size_t)n);
	} else {
		r->in.p = s->scratch;
	}
	r->in.len += (size_t)n;
	return 1;
}
