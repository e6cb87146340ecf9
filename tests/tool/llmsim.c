/* llmsim: a simulated LLM upstream for tests, the demo and the benchmark.
 *
 * It speaks OpenAI, Azure and Anthropic (streamed and not; llmsim_service.c lists what there is beyond
 * chat) and misbehaves on request: the API key of a request selects a fault that was set over
 * /_sim/fault or with --fault. What it saw can be read back over /_sim/stats and /_sim/requests.
 * docs/testing.md lists the members of a fault.
 *
 * One process, one event loop, no threads. --workers N forks N of them on one port for benchmarks; they share
 * nothing, and the control path is closed then.
 */
#include "hale/hale.h"

#include "llmsim.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <unistd.h>

#include "hale/arena.h"
#include "hale/clock.h"

#define LLMSIM_WORKERS_MAX 64

struct llmsim_options {
	const char *host, *tls_cert, *tls_key;
	uint16_t port;
	unsigned workers, keep;
	bool until_eof;
	char **fault;
	unsigned nfault;
};

static const char llmsim_usage[] =
	"usage: llmsim [--host 127.0.0.1] [--port 0] [--workers 1] [--keep 1000]\n"
	"              [--fault KEY:name=value,...]... [--tls-cert FILE --tls-key FILE] [--until-eof]\n"
	"  --port 0     takes a free port; \"listening port=N\" on stdout says which\n"
	"  --keep N     how many requests /_sim/requests remembers\n"
	"  --until-eof  ends when stdin is closed\n";

HALE_NORETURN static void
llmsim_die(const char *what)
{
	fprintf(stderr, "llmsim: %s\n", what);
	exit(2);
}

static unsigned
llmsim_number(const char *text, unsigned max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n > max)
		llmsim_die(llmsim_usage);
	return (unsigned)n;
}

static void
llmsim_parse_options(int argc, char **argv, struct llmsim_options *o)
{
	static const struct option option[] = {
		{"host", 1, NULL, 'h'},     {"port", 1, NULL, 'p'},      {"workers", 1, NULL, 'w'},
		{"keep", 1, NULL, 'k'},     {"fault", 1, NULL, 'f'},     {"tls-cert", 1, NULL, 'c'},
		{"tls-key", 1, NULL, 'y'},  {"until-eof", 0, NULL, 'e'}, {NULL, 0, NULL, 0},
	};
	int c;

	o->fault = xcalloc((size_t)argc, sizeof(o->fault[0]));
	while ((c = getopt_long(argc, argv, "", option, NULL)) != -1) {
		switch (c) {
		case 'h': o->host = optarg; break;
		case 'p': o->port = (uint16_t)llmsim_number(optarg, 65535); break;
		case 'w': o->workers = llmsim_number(optarg, LLMSIM_WORKERS_MAX); break;
		case 'k': o->keep = llmsim_number(optarg, 1000000); break;
		case 'f': o->fault[o->nfault++] = optarg; break;
		case 'c': o->tls_cert = optarg; break;
		case 'y': o->tls_key = optarg; break;
		case 'e': o->until_eof = true; break;
		default: llmsim_die(llmsim_usage);
		}
	}
	if (optind != argc || o->workers == 0 || !o->tls_cert != !o->tls_key)
		llmsim_die(llmsim_usage);
}

/* Binds and listens; *port 0 becomes the port that the system chose. */
static int
llmsim_listen(const char *host, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		llmsim_die("--host needs an IPv4 address");
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == -1 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 || listen(fd, 4096) == -1 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) == -1) {
		fprintf(stderr, "llmsim: listen on %s:%u: %s\n", host, *port, strerror(errno));
		exit(2);
	}
	*port = ntohs(a.sin_port);
	return fd;
}

static SSL_CTX *
llmsim_tls(const struct llmsim_options *o)
{
	SSL_CTX *ctx;

	if (!o->tls_cert)
		return NULL;
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, o->tls_cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, o->tls_key, SSL_FILETYPE_PEM) != 1)
		llmsim_die("cannot use the certificate and key");
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ctx;
}

static void
llmsim_stop_cb(int fd, short what, void *arg)
{
	struct llmsim *s = arg;
	char byte[256];

	if ((what & EV_READ) && read(fd, byte, sizeof(byte)) > 0)
		return;
	event_base_loopbreak(s->base);
}

static void
llmsim_serve(const struct llmsim_options *o, int fd)
{
	struct llmsim *s = xcalloc(1, sizeof(*s));
	struct event_config *config = event_config_new();
	struct event *listener, *term, *intr, *eof = NULL;

	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	s->base = event_base_new_with_config(config);
	event_config_free(config);
	if (!s->base)
		llmsim_die("no event base");
	s->start_ms = clock_mono_ns() / NS_PER_MS;
	s->tls = llmsim_tls(o);
	s->many = o->workers > 1;
	s->ring_size = o->keep;
	s->ring = xcalloc(o->keep + 1, sizeof(s->ring[0]));
	for (unsigned i = 0; i < o->keep; i++) {
		strbuf_init(&s->ring[i].head, 0);
		strbuf_init(&s->ring[i].body, 0);
		strbuf_init(&s->ring[i].parts, 0);
	}
	for (unsigned i = 0; i < o->nfault; i++) {
		char *wrong = llmsim_fault_add_text(s, o->fault[i]);

		if (wrong)
			llmsim_die(wrong);
	}
	listener = event_new(s->base, fd, EV_READ | EV_PERSIST, llmsim_conn_accept_cb, s);
	term = evsignal_new(s->base, SIGTERM, llmsim_stop_cb, s);
	intr = evsignal_new(s->base, SIGINT, llmsim_stop_cb, s);
	event_add(listener, NULL);
	event_add(term, NULL);
	event_add(intr, NULL);
	if (o->until_eof) {
		eof = event_new(s->base, STDIN_FILENO, EV_READ | EV_PERSIST, llmsim_stop_cb, s);
		/* epoll knows no files: stdin must be a pipe, a socket or a terminal */
		if (event_add(eof, NULL) == -1)
			llmsim_die("--until-eof needs a pipe as stdin");
	}
	event_base_dispatch(s->base);
	while (s->conn)
		llmsim_conn_close(s->conn, false);
	llmsim_fault_clear(s, NULL);
	llmsim_store_clear(s);
	llmsim_count_release(s);
	event_free(listener);
	event_free(term);
	event_free(intr);
	if (eof)
		event_free(eof);
	event_base_free(s->base);
	SSL_CTX_free(s->tls);
	free(s);
}

/* The parent of several workers only waits: it ends when it is told to, or when one of them does. */
static void
llmsim_workers(const struct llmsim_options *o, const int *fd)
{
	pid_t pid[LLMSIM_WORKERS_MAX], parent = getpid();
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (unsigned i = 0; i < o->workers; i++) {
		pid[i] = fork();
		if (pid[i] == -1)
			llmsim_die("fork failed");
		if (pid[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			if (getppid() != parent)
				_exit(1);
			sigprocmask(SIG_UNBLOCK, &set, NULL);
			llmsim_serve(o, fd[i]);
			exit(0);
		}
	}
	sigwait(&set, &sig);
	for (unsigned i = 0; i < o->workers; i++)
		kill(pid[i], SIGTERM);
	while (wait(NULL) > 0)
		continue;
}

int
main(int argc, char **argv)
{
	struct llmsim_options o = {.host = "127.0.0.1", .workers = 1, .keep = 1000};
	int fd[LLMSIM_WORKERS_MAX];

	signal(SIGPIPE, SIG_IGN);
	llmsim_parse_options(argc, argv, &o);
	/* all sockets before the first word on stdout: who reads the port may connect at once */
	for (unsigned i = 0; i < o.workers; i++)
		fd[i] = llmsim_listen(o.host, &o.port);
	printf("listening port=%u\n", o.port);
	fflush(stdout);
	if (o.workers > 1)
		llmsim_workers(&o, fd);
	else
		llmsim_serve(&o, fd[0]);
	free(o.fault);
	return 0;
}
