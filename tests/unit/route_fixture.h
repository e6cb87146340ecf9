/* A group of deployments for the tests of routing: all up and checked one second ago, with the filter on. */
#ifndef HALE_TESTS_ROUTE_FIXTURE_H
#define HALE_TESTS_ROUTE_FIXTURE_H

#include "hale/hale.h"

#include "../../src/worker/worker_route.h"
#include "hale/clock.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/htable.h"

#define ROUTE_FIXTURE_MAX 40
#define NOW (1000 * NS_PER_SEC)

struct fixture {
	struct deployment d[ROUTE_FIXTURE_MAX];
	struct conf_group g;
	uint32_t member[ROUTE_FIXTURE_MAX];
	struct conf c;
	struct htable_view v[ROUTE_FIXTURE_MAX];
	struct route_candidate x[ROUTE_FIXTURE_MAX];
	struct route_input in;
	struct route_result out;
};

static inline void
route_fixture_init(struct fixture *f, uint32_t n)
{
	memset(f, 0, sizeof(*f));
	for (uint32_t i = 0; i < n; i++) {
		f->member[i] = i;
		f->d[i].index = i;
		f->d[i].order = INT32_MAX;
		f->v[i] = (struct htable_view){.state = HEALTH_UP, .checked_ns = NOW - NS_PER_SEC};
		f->x[i] = (struct route_candidate){.deployment = i, .view = &f->v[i]};
	}
	f->g = (struct conf_group){.name = "g", .member = f->member, .nmember = n};
	f->c.deployment = f->d;
	f->c.ndeployment = n;
	f->c.group = &f->g;
	f->c.ngroup = 1;
	f->c.general.enable_health_check_routing = true;
	f->c.general.background_health_checks = true;
	f->c.general.health_check_staleness_s = 60;
	f->in = (struct route_input){.conf = &f->c, .candidate = f->x, .ncandidate = n, .now_ns = NOW, .random = 7};
}

#endif
