"""health_check_model may name another provider: the probe goes there as that provider is asked, with that provider's address,
credentials and signature, and nothing of the deployment's own provider goes along."""

import pytest

KEY = {"Authorization": "Bearer sk-admin"}


def probed(hale, sim, params, model, env):
    """The entry of /health and the one request that its probe was."""
    daemon = hale({"model_list": [{"model_name": "g", "litellm_params": params,
                                   "model_info": {"health_check_model": model, "health_check_timeout": 20}}],
                   "general_settings": {"master_key": "sk-admin"}}, env=env)
    body = daemon.get("/health", headers=KEY, timeout=60).json()
    (entry,) = body["healthy_endpoints"] + body["unhealthy_endpoints"]
    assert entry["reason"] == "ok", entry
    assert entry["probe_model"] == model
    (request,) = sim.requests()
    return {name.lower(): value for name, value in request["headers"].items()}, request


def aws(sim):
    return {"AWS_ACCESS_KEY_ID": "AKIAFOREIGN", "AWS_SECRET_ACCESS_KEY": "secret-of-AKIAFOREIGN",
            "AWS_REGION": "us-east-1", "AWS_BEDROCK_RUNTIME_ENDPOINT": sim.url}


@pytest.mark.parametrize("own", ["file", "variable"])
def test_groq_for_openai(hale, sim, own):
    """The key of the other provider's variable, not ours; a key that the file sets is for both."""
    params = {"model": "openai/*", **({"api_key": "sk-file"} if own == "file" else {})}
    headers, request = probed(hale, sim, params, "groq/llama",
                              {"OPENAI_API_KEY": "sk-openai", "GROQ_API_KEY": "sk-groq", "GROQ_API_BASE": sim.base})
    assert headers["authorization"] == ("Bearer sk-file" if own == "file" else "Bearer sk-groq")
    assert (request["path"], request["body"]["model"]) == ("/v1/chat/completions", "llama")


def test_bedrock_for_openai(hale, sim):
    """Signed with the AWS credentials; the simulator has checked the signature."""
    headers, request = probed(hale, sim, {"model": "openai/*"}, "bedrock/anthropic.claude-sim-v1:0",
                              {"OPENAI_API_KEY": "sk-openai", **aws(sim)})
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFOREIGN/")
    assert "/us-east-1/bedrock/" in headers["authorization"] and request["path"].endswith("/converse")


def test_bedrock_with_keys_of_the_file(hale, sim):
    params = {"model": "groq/*", "aws_access_key_id": "AKIAFILE", "aws_secret_access_key": "secret-of-AKIAFILE",
              "aws_region_name": "eu-west-1"}
    headers, _ = probed(hale, sim, params, "bedrock/anthropic.claude-sim-v1:0", {"GROQ_API_KEY": "sk-groq", **aws(sim)})
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFILE/")
    assert "/eu-west-1/bedrock/" in headers["authorization"]


def test_openai_for_bedrock(hale, sim):
    params = {"model": "bedrock/*", "aws_access_key_id": "AKIAFILE", "aws_secret_access_key": "secret-of-AKIAFILE",
              "aws_region_name": "eu-west-1"}
    headers, _ = probed(hale, sim, params, "openai/gpt-4o", {"OPENAI_API_KEY": "sk-openai", "OPENAI_BASE_URL": sim.base})
    assert headers["authorization"] == "Bearer sk-openai" and "x-amz-date" not in headers


def test_gemini_for_azure(hale, sim):
    """api_version is Azure's word."""
    params = {"model": "azure/*", "api_version": "2024-10-21"}
    headers, request = probed(hale, sim, params, "gemini/gemini-2.5-flash",
                              {"AZURE_API_KEY": "sk-azure", "AZURE_API_BASE": "https://r.example", "GEMINI_API_KEY": "g-key",
                               "GEMINI_API_BASE": sim.url})
    assert headers["x-goog-api-key"] == "g-key" and request["path"].startswith("/v1beta/models/gemini-2.5-flash:")
    assert "authorization" not in headers and "api-key" not in headers and not request["query"]


def test_refused_key_is_not_the_deployments(hale, sim):
    """The other provider's 401 says nothing about who uses the deployment's own key, the same address or not."""
    daemon = hale({"model_list": [
        {"model_name": "star", "litellm_params": {"model": "openai/*", "api_base": sim.base},
         "model_info": {"id": "star", "health_check_model": "groq/llama"}},
        {"model_name": "own", "litellm_params": {"model": "openai/gpt-4o", "api_base": sim.base}, "model_info": {"id": "own"}}],
        "general_settings": {"master_key": "sk-admin"}}, env={"OPENAI_API_KEY": "sk-openai", "GROQ_API_KEY": "sk-groq"})
    sim.fault("sk-groq", status=401)
    body = daemon.get("/health", headers=KEY, timeout=60).json()
    assert [e["model_id"] for e in body["healthy_endpoints"]] == ["own"]
    assert [(e["model_id"], e["reason"]) for e in body["unhealthy_endpoints"]] == [("star", "unauthorized")]
    assert sim.count("sk-openai") == sim.count("sk-groq") == 1


def test_keys_of_the_other_provider_are_hidden(hale, sim):
    """An upstream that repeats what it was sent."""
    keys = {"GROQ_API_KEY": "canary/groq/0123", "AWS_ACCESS_KEY_ID": "AKIACANARY0123", "AWS_SECRET_ACCESS_KEY": "canary/aws/0123"}
    infos = ("groq/llama", "bedrock/anthropic.claude-sim-v1:0")
    daemon = hale({"model_list": [{"model_name": model, "litellm_params": {"model": "openai/*"},
                                   "model_info": {"health_check_model": model}} for model in infos],
                   "general_settings": {"master_key": "sk-admin"}}, "--detailed_debug",
                  env={**aws(sim), **keys, "GROQ_API_BASE": sim.base})
    sim.fault("*", status=500, body='{"error":{"message":"no: ' + " ".join(keys.values()) + '"}}')
    answer = daemon.get("/health", headers=KEY, timeout=60)
    assert answer.json()["unhealthy_count"] == 2 and "no: " in answer.text
    for text in (answer.text, daemon.log):
        assert not any(key in text for key in keys.values())
