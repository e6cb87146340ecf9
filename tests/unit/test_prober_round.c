/* prober_round: who waits for what, over real socketpairs. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <event2/event.h>
#include <unistd.h>

#include "fixture.h"
#include "hale/err.h"
#include "hale/ipc.h"
#include "prober_round.h"

#define PEERS 2

static struct fixture fix;
static struct event_base *base;
static struct prober_rounds *rounds;
static int worker_fd[PEERS], prober_fd[PEERS];
static unsigned asked[FIXTURE_MAX]; /* probes that rounds asked for */
static unsigned gone;

static void
ask(void *arg, uint32_t i)
{
	assert_ptr_equal(arg, &fix);
	asked[i]++;
}

static void
peer_gone(void *arg)
{
	assert_ptr_equal(arg, &fix);
	gone++;
}

static const struct prober_round_ops ops = {.ask = ask, .gone = peer_gone};

/* Four deployments: groups 0 0 1 1, provider models x y x z; the last one is disabled. */
static int
setup(void **state)
{
	static const char *const model[] = {"openai/x", "openai/y", "openai/x", "openai/z"};
	int fd[2];

	(void)state;
	fixture_init(&fix, 1, "a b c d");
	fix.conf.ngroup = 2;
	for (uint32_t i = 0; i < 4; i++) {
		fix.deployment[i].group = i / 2;
		fix.deployment[i].model = model[i];
	}
	fix.deployment[3].probe.disabled = true;
	memset(asked, 0, sizeof(asked));
	gone = 0;
	base = event_base_new();
	for (int k = 0; k < PEERS; k++) {
		assert_int_equal(ipc_pair(fd), 0);
		worker_fd[k] = fd[0];
		prober_fd[k] = fd[1];
	}
	rounds = prober_round_new(&fix.conf, base, prober_fd, PEERS, &ops, &fix);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	prober_round_freep(&rounds);
	event_base_free(base);
	for (int k = 0; k < PEERS; k++) {
		close(worker_fd[k]);
		close(prober_fd[k]);
	}
	return 0;
}

static void
question(int k, uint64_t id, uint64_t scope, uint64_t index)
{
	const struct ipc_msg m = {.type = IPC_ROUND, .a = id, .b = scope, .c = index};

	assert_int_equal(ipc_send(worker_fd[k], &m), 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The next answer worker k finds: its id, -1 when there is none. */
static int64_t
answer(int k, int64_t *code)
{
	struct ipc_msg m;

	event_base_loop(base, EVLOOP_NONBLOCK);
	if (ipc_recv(worker_fd[k], &m) != 0)
		return -1;
	assert_int_equal(m.type, IPC_ROUND_DONE);
	*code = (int64_t)m.b;
	return (int64_t)m.a;
}

static void
expect(int k, int64_t id, int64_t code)
{
	int64_t got = 0;

	assert_int_equal(answer(k, &got), id);
	if (id >= 0)
		assert_int_equal(got, code);
}

static void
result(uint32_t i)
{
	prober_round_result(rounds, i);
}

static void
test_all(void **state)
{
	(void)state;
	question(0, 7, IPC_SCOPE_ALL, 99); /* the index means nothing here */
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(asked[i], 1); /* a disabled deployment as well */
	assert_int_equal(prober_round_open(rounds), 1);
	for (uint32_t i = 0; i < 3; i++)
		result(i);
	result(0); /* a second result of one deployment does not stand for another's first */
	expect(0, -1, 0);
	assert_true(prober_round_wants(rounds, 3));
	result(3);
	expect(0, 7, 0);
	expect(0, -1, 0);
	assert_int_equal(prober_round_open(rounds), 0);
	assert_false(prober_round_wants(rounds, 3));
}

static void
test_skip_disabled(void **state)
{
	(void)state;
	fix.conf.general.health_check_skip_disabled_background_models = true;
	question(0, 1, IPC_SCOPE_DEPLOYMENT, 3);
	expect(0, 1, 0); /* nothing to wait for */
	assert_int_equal(asked[3], 0);
	question(0, 2, IPC_SCOPE_GROUP, 1);
	result(2);
	expect(0, 2, 0);
	assert_int_equal(asked[3], 0);
}

static void
test_scopes(void **state)
{
	(void)state;
	question(0, 1, IPC_SCOPE_GROUP, 0);
	assert_int_equal(asked[0] + asked[1], 2);
	assert_int_equal(asked[2] + asked[3], 0);
	question(0, 2, IPC_SCOPE_MODEL, 2); /* x: deployments 0 and 2 */
	assert_int_equal(asked[2], 1);
	question(0, 3, IPC_SCOPE_DEPLOYMENT, 0);
	assert_int_equal(prober_round_open(rounds), 3);
	result(0); /* one probe serves all three */
	expect(0, 3, 0);
	result(2);
	expect(0, 2, 0);
	result(1);
	expect(0, 1, 0);
}

/* Equal questions are one round, whichever deployment of the same model they name, whoever asks. */
static void
test_single_flight(void **state)
{
	int64_t code;
	bool seen[2][1001] = {{false}};

	(void)state;
	question(0, 1, IPC_SCOPE_MODEL, 0);
	question(1, 2, IPC_SCOPE_MODEL, 2);
	assert_int_equal(prober_round_open(rounds), 1);
	for (uint64_t id = 1; id <= 1000; id++) {
		question(0, id, IPC_SCOPE_ALL, 0);
		question(1, id, IPC_SCOPE_ALL, 0);
	}
	assert_int_equal(prober_round_open(rounds), 2);
	for (uint32_t i = 0; i < 4; i++)
		assert_true(asked[i] <= 2); /* once per round that waits; the scheduler starts it once */
	result(0);
	result(2);
	expect(0, 1, 0);
	expect(1, 2, 0);
	result(1);
	result(3);
	for (int k = 0; k < PEERS; k++) {
		for (int64_t id; (id = answer(k, &code)) != -1; ) {
			assert_in_range(id, 1, 1000);
			assert_false(seen[k][id]);
			seen[k][id] = true;
		}
		for (int id = 1; id <= 1000; id++)
			assert_true(seen[k][id]);
	}
}

static void
test_bad_questions(void **state)
{
	const struct ipc_msg other = {.type = IPC_DRAIN};

	(void)state;
	question(0, 1, IPC_SCOPE_GROUP, 2);
	expect(0, 1, HALE_ENOENT);
	question(0, 2, IPC_SCOPE_DEPLOYMENT, 4);
	expect(0, 2, HALE_ENOENT);
	question(0, 3, 17, 0);
	expect(0, 3, HALE_ENOENT);
	question(0, 4, IPC_SCOPE_MODEL, UINT64_MAX);
	expect(0, 4, HALE_ENOENT);
	assert_int_equal(ipc_send(worker_fd[0], &other), 0);
	assert_int_equal(write(worker_fd[0], "x", 1), 1); /* no message of ours */
	expect(0, -1, 0);
	question(0, 5, IPC_SCOPE_DEPLOYMENT, 1);
	result(1);
	expect(0, 5, 0);
}

/* A worker that died without reading: its successor finds the answers, the others are not held up. */
static void
test_peer_that_does_not_read(void **state)
{
	int64_t code;
	unsigned n = 0;

	(void)state;
	for (uint64_t id = 1; id <= 3000; id++) {
		question(0, id, IPC_SCOPE_DEPLOYMENT, 0);
		result(0);
	}
	question(1, 5, IPC_SCOPE_DEPLOYMENT, 0);
	result(0);
	expect(1, 5, 0);
	assert_false(prober_round_is_over(rounds));
	for (int64_t id; (id = answer(0, &code)) != -1; n++)
		assert_int_equal(id, n + 1);
	assert_int_equal(n, 3000);
}

/* The end of a generation: over when every worker is gone and the last round is done. */
static void
test_peers_gone(void **state)
{
	(void)state;
	question(0, 1, IPC_SCOPE_DEPLOYMENT, 0);
	close(worker_fd[0]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(gone, 1);
	question(1, 2, IPC_SCOPE_DEPLOYMENT, 1);
	result(0);
	result(1);
	expect(1, 2, 0);
	assert_false(prober_round_is_over(rounds));
	question(1, 3, IPC_SCOPE_DEPLOYMENT, 1);
	close(worker_fd[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(gone, 2);
	event_base_loop(base, EVLOOP_NONBLOCK); /* a closed socket does not wake us for ever */
	assert_int_equal(gone, 2);
	assert_false(prober_round_is_over(rounds));
	result(1);
	assert_true(prober_round_is_over(rounds));
	worker_fd[0] = dup(STDERR_FILENO); /* for teardown */
	worker_fd[1] = dup(STDERR_FILENO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_skip_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scopes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_single_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer_that_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
