/* Shared by the files of the renderer: JSON pieces that several answers use. */
#ifndef HALE_WORKER_RENDER_INT_H
#define HALE_WORKER_RENDER_INT_H

#include "worker_render.h"

struct conf_node;

/* "key": with a comma before it unless an object was just opened. The key needs no escaping. */
void worker_render_key(struct strbuf *out, const char *key);
/* The same for a key of the configuration, which may be anything. */
void worker_render_any_key(struct strbuf *out, const char *key);
/* "key":"text"; the text is escaped. */
void worker_render_member(struct strbuf *out, const char *key, const char *text);
void worker_render_bool(struct strbuf *out, const char *key, bool value);
/* "key":"2026-11-22T18:59:10.616968Z" for a moment on the monotonic clock; nothing when at_ns is 0. */
void worker_render_time(struct strbuf *out, const char *key, uint64_t at_ns, const struct render_now *now);
/* A value of the configuration. Strings under secret names are masked, also inside maps; credentials in
 * addresses (userinfo, query) are masked. */
void worker_render_node(struct strbuf *out, const struct conf *c, const struct conf_node *n, bool secret);
/* Per group: has it a deployment that is not known to be down? Array of conf.ngroup, caller frees. */
bool *worker_render_alive(const struct conf *c, const struct htable *t, const struct render_now *now);

#endif
