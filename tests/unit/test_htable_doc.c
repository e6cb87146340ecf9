/* docs/health-table.md against the compiled structs: every row is true, and no field is missing. */
#include "hale/hale.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "htable_layout.h"

struct fact {
	const char *name;
	size_t offset, size;
	bool seen;
};

#define WHOLE(s) {#s, 0, sizeof(struct s), false}
#define FIELD(s, f) {#s "." #f, offsetof(struct s, f), sizeof(((struct s *)0)->f), false}

static struct fact facts[] = {
	WHOLE(htable_header), FIELD(htable_header, magic), FIELD(htable_header, version),
	FIELD(htable_header, deployments), FIELD(htable_header, layout_hash), FIELD(htable_header, bytes),
	FIELD(htable_header, generation), FIELD(htable_header, started_ns), FIELD(htable_header, started_real_ns),
	FIELD(htable_header, master_pid), FIELD(htable_header, workers), FIELD(htable_header, master_off),
	FIELD(htable_header, prober_off), FIELD(htable_header, health_off), FIELD(htable_header, detail_off),
	FIELD(htable_header, history_off), FIELD(htable_header, head_off), FIELD(htable_header, worker_off),
	FIELD(htable_header, worker_stride),
	WHOLE(htable_master_line), FIELD(htable_master_line, state), FIELD(htable_master_line, reload_real_ns),
	FIELD(htable_master_line, reload_ok),
	WHOLE(htable_prober_line), FIELD(htable_prober_line, pid), FIELD(htable_prober_line, epoch),
	FIELD(htable_prober_line, heartbeat_ns), FIELD(htable_prober_line, cycle), FIELD(htable_prober_line, db),
	FIELD(htable_prober_line, tokens_day), FIELD(htable_prober_line, tokens_today),
	WHOLE(seqslot), FIELD(seqslot, seq), FIELD(seqslot, w),
	WHOLE(htable_view), FIELD(htable_view, id_hash), FIELD(htable_view, checked_ns), FIELD(htable_view, changed_ns),
	FIELD(htable_view, until_ns), FIELD(htable_view, next_ns), FIELD(htable_view, state), FIELD(htable_view, reason),
	FIELD(htable_view, phase), FIELD(htable_view, adapt), FIELD(htable_view, rise), FIELD(htable_view, fall),
	FIELD(htable_view, http_status), FIELD(htable_view, latency_us), FIELD(htable_view, cost_tokens),
	WHOLE(htable_detail_slot), FIELD(htable_detail_slot, seq), FIELD(htable_detail_slot, w),
	WHOLE(htable_detail), FIELD(htable_detail, error), FIELD(htable_detail, ratelimit_requests),
	FIELD(htable_detail, ratelimit_tokens), FIELD(htable_detail, ms_region), FIELD(htable_detail, probes),
	FIELD(htable_detail, failures), FIELD(htable_detail, cost_tokens_total),
	FIELD(htable_detail, tokens_today), FIELD(htable_detail, skipped), FIELD(htable_detail, withheld),
	FIELD(htable_detail, day), FIELD(htable_detail, source), FIELD(htable_detail, flags), FIELD(htable_detail, unused),
	FIELD(htable_detail, spare),
	WHOLE(htable_ring), FIELD(htable_ring, entry),
	WHOLE(htable_counters), FIELD(htable_counters, value),
	WHOLE(htable_outcome), FIELD(htable_outcome, count), FIELD(htable_outcome, last_ok_ns),
	FIELD(htable_outcome, last_fail_ns), FIELD(htable_outcome, latency), FIELD(htable_outcome, inflight),
};

static void
check_row(const char *name, size_t offset, size_t size)
{
	for (size_t i = 0; i < HALE_COUNT(facts); i++) {
		if (strcmp(facts[i].name, name) != 0)
			continue;
		if (facts[i].offset != offset || facts[i].size != size)
			fail_msg("health-table.md says %s is at %zu, %zu bytes; it is at %zu, %zu bytes", name, offset, size,
			         facts[i].offset, facts[i].size);
		facts[i].seen = true;
		return;
	}
	fail_msg("health-table.md has a row for %s, which this test does not know", name);
}

static void
test_rows(void **state)
{
	const char *srcdir = getenv("srcdir");
	char path[512], line[1024], name[128];
	size_t offset, size;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/docs/health-table.md", srcdir ? srcdir : ".");
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("cannot read %s", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "| `%127[a-z_.]` | %zu | %zu |", name, &offset, &size) == 3)
			check_row(name, offset, size);
	fclose(f);
	for (size_t i = 0; i < HALE_COUNT(facts); i++)
		if (!facts[i].seen)
			fail_msg("health-table.md has no row for %s", facts[i].name);
}

/* The figures that the prose gives. */
static void
test_prose(void **state)
{
	(void)state;
	assert_int_equal(HTABLE_VERSION, 2);
	assert_int_equal(HTABLE_HISTORY, 32);
	assert_int_equal(HTABLE_TRIES, 16);
	assert_int_equal(sizeof(struct seqslot) + sizeof(struct htable_detail_slot) + sizeof(struct htable_ring) + 8, 840);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_prose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
