/* Credentials and region of deployments on AWS.
 *
 * Sources are never mixed: a key of the file goes with the secret and the token of the file, one of the
 * environment with those of the environment, because half of one pair signs nothing. What stands in the file
 * beats a bearer token of the environment. The region is the one that the model names, in its path or its
 * ARN, then aws_region_name, then the environment's; there is no default, because a wrong region is found
 * out late and looks like a missing model.
 *
 * Roles, profiles, SSO and the instance's metadata are not asked: they need requests, and loading makes none.
 */
#include "hale/hale.h"

#include "conf_impl.h"

#include "bedrock.h"
#include "hale/arena.h"
#include "hale/conf.h"
#include "hale/deployment.h"
#include "hale/provider.h"

static const char *
conf_aws_variable(const struct conf_node *variables, const char *name)
{
	const char *value = conf_env_get(variables, name);

	return value && *value ? value : NULL;
}

static const char *
conf_aws_nonempty(const char *s)
{
	return s && *s ? s : NULL;
}

/* Keys that sign, or the key that stands in for them. */
static void
conf_aws_keys(struct conf_build *b, const struct conf_node *variables, struct deployment *d)
{
	const struct conf_node *model = conf_get(d->params, "model"), *at;
	bool own_key = conf_aws_nonempty(conf_get_string(d->params, "api_key")) != NULL;
	struct deployment_aws *aws = &d->aws;

	aws->key_id = conf_aws_nonempty(aws->key_id);
	aws->secret = conf_aws_nonempty(aws->secret);
	aws->token = conf_aws_nonempty(aws->token);
	if (!own_key && aws->key_id && aws->secret) {
		d->api_key = NULL;
		return;
	}
	at = conf_get(d->params, aws->key_id ? "aws_access_key_id" : "aws_secret_access_key");
	if ((aws->key_id || aws->secret) && own_key) /* useless, not wrong */
		conf_check_warn(b, at, "api_key is used instead");
	else if (aws->key_id || aws->secret)
		conf_check_warn(b, at, "aws_access_key_id and aws_secret_access_key belong together, so this one is not used");
	aws->key_id = aws->secret = aws->token = NULL;
	if (d->api_key)
		return;
	aws->key_id = conf_aws_variable(variables, "AWS_ACCESS_KEY_ID");
	aws->secret = conf_aws_variable(variables, "AWS_SECRET_ACCESS_KEY");
	aws->token = conf_aws_variable(variables, "AWS_SESSION_TOKEN");
	if (aws->key_id && aws->secret)
		return;
	aws->key_id = aws->secret = aws->token = NULL;
	conf_check_warn(b, model,
	                "no credentials for %s: set aws_access_key_id and aws_secret_access_key, or api_key, "
	                "or their variables",
	                d->provider->name);
}

static void
conf_aws_region(struct conf_build *b, const struct conf_node *variables, struct deployment *d)
{
	static const char *const names[] = {"AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"};
	const struct conf_node *at = conf_get(d->params, "aws_region_name");
	const char *configured = conf_aws_nonempty(d->aws.region), *named;
	struct bedrock_model model;
	char shown[64];

	bedrock_model_parse(b->arena, d->upstream_model, &model);
	named = model.region;
	if (!named)
		named = bedrock_model_arn_region(b->arena, conf_get_string(d->params, "model_id"));
	if (configured && !bedrock_model_is_region(configured, strlen(configured))) {
		conf_check_warn(b, at, "%s is no region of AWS, use one like us-east-1",
		                conf_check_show(at, shown, sizeof(shown)));
		configured = NULL;
	}
	if (named && configured && strcmp(named, configured) != 0)
		conf_check_warn(b, at, "the model names region %s, which is used instead", named);
	d->aws.region = named ? named : configured;
	for (unsigned i = 0; i < HALE_COUNT(names) && !d->aws.region; i++) {
		const char *value = conf_aws_variable(variables, names[i]);

		if (value && bedrock_model_is_region(value, strlen(value)))
			d->aws.region = value;
	}
}

void
conf_aws_resolve(struct conf_build *b, const struct conf_node *variables, struct deployment *d)
{
	conf_aws_keys(b, variables, d);
	conf_aws_region(b, variables, d);
	if (d->aws.region)
		d->api_base = bedrock_model_base(b->arena, d->api_base, d->aws.region);
	/* A wildcard may get its region with the request. */
	else if ((strstr(d->api_base, BEDROCK_REGION) || !d->api_key) && !strchr(d->upstream_model, '*'))
		conf_check_warn(b, conf_get(d->params, "model"),
		                "no region for %s: set aws_region_name or AWS_REGION", d->provider->name);
}
