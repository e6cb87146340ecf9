"""Each setting of the probe, as the upstream sees it."""

import pytest

from daemon import deployment

KEY = {"Authorization": "Bearer sk-admin"}
PROMPT = "test from litellm"


def messages(text):
    return [{"role": "user", "content": text}]


CHAT = {"messages": messages(PROMPT)}

# name -> (model_info, model, litellm_params, members of the body besides the model)
SETTINGS = {
    "plain": ({}, "gpt-4o", {}, {**CHAT, "max_tokens": 1}),
    "model": ({"health_check_model": "openai/small"}, "gpt-4o", {}, {"model": "small", **CHAT, "max_tokens": 1}),
    "wildcard": ({"health_check_model": "openai/small"}, "*", {}, {"model": "small", **CHAT, "max_tokens": 10}),
    "max_tokens": ({"health_check_max_tokens": 5}, "gpt-4o", {"max_tokens": 4096}, {**CHAT, "max_tokens": 5}),
    "wildcard_max_tokens": ({"health_check_model": "openai/o3", "health_check_max_tokens": 5,
                             "health_check_max_tokens_reasoning": 7}, "*", {}, {"model": "o3", **CHAT, "max_tokens": 5}),
    "wildcard_ignores_reasoning": ({"health_check_model": "openai/o3", "health_check_max_tokens_reasoning": 7}, "*", {},
                                   {"model": "o3", **CHAT, "max_tokens": 10}),
    "zero": ({"health_check_max_tokens": 0}, "gpt-4o", {}, {**CHAT, "max_tokens": 0}),
    "reasoning": ({"health_check_max_tokens_reasoning": 128, "health_check_max_tokens_non_reasoning": 2}, "o3-mini", {},
                  {**CHAT, "max_tokens": 128}),
    "non_reasoning": ({"health_check_max_tokens_reasoning": 128, "health_check_max_tokens_non_reasoning": 2}, "gpt-4o", {},
                      {**CHAT, "max_tokens": 2}),
    "only_non_reasoning": ({"health_check_max_tokens_non_reasoning": 2}, "o3-mini", {}, {**CHAT, "max_tokens": 1}),
    "no_max_tokens": ({"health_check_supports_max_tokens": False, "health_check_max_tokens": 5}, "gpt-4o", {}, CHAT),
    "embedding_max_tokens": ({"mode": "embedding", "health_check_supports_max_tokens": True}, "e", {},
                             {"input": [PROMPT], "max_tokens": 1}),
    "prompt": ({"health_check_prompt": "ping"}, "gpt-4o", {}, {"messages": messages("ping"), "max_tokens": 1}),
    "prompt_speech": ({"health_check_prompt": "ping"}, "tts-1", {}, {"input": "ping", "voice": "alloy"}),
    "prompt_image": ({"health_check_prompt": "ping"}, "dall-e-3", {}, {"prompt": "ping"}),
    "prompt_rerank": ({"health_check_prompt": "ping"}, "rerank-1", {}, {"query": "ping", "documents": ["my sample text"]}),
    "voice": ({"health_check_voice": "echo"}, "tts-1", {}, {"input": PROMPT, "voice": "echo"}),
    "voice_elsewhere": ({"health_check_voice": "echo"}, "gpt-4o", {}, {**CHAT, "max_tokens": 1}),
    "params": ({"health_check_params": {"top_p": 0.5, "their_own": {"a": [1, None]}, "model": "x", "api_key": "k",
                                        "temperature": 0}}, "gpt-4o", {"temperature": 1, "seed": 7},
               {**CHAT, "temperature": 0, "seed": 7, "top_p": 0.5, "their_own": {"a": [1, None]}, "max_tokens": 1}),
    "params_lose": ({"health_check_params": {"max_tokens": 9, "reasoning_effort": "high"}, "health_check_max_tokens": 5,
                     "health_check_reasoning_effort": "none"}, "gpt-4o", {},
                    {**CHAT, "max_tokens": 5, "reasoning_effort": "none"}),
    "effort": ({"health_check_reasoning_effort": "none"}, "o3-mini", {}, {**CHAT, "max_tokens": 1, "reasoning_effort": "none"}),
    "effort_map": ({"health_check_reasoning_effort": {"effort": "low", "summary": "auto"}}, "o3-mini", {},
                   {**CHAT, "max_tokens": 1, "reasoning_effort": {"effort": "low", "summary": "auto"}}),
    "effort_elsewhere": ({"mode": "embedding", "health_check_reasoning_effort": "none"}, "e", {}, {"input": [PROMPT]}),
    "effort_responses": ({"mode": "responses", "health_check_reasoning_effort": "low", "health_check_max_tokens": 1}, "o3", {},
                         {"input": PROMPT, "max_output_tokens": 16, "reasoning": {"effort": "low"}}),
    # what the configuration knows about a model is nobody's business upstream
    "capabilities": ({"supports_vision": True, "max_input_tokens": 128000, "input_cost_per_token": 1e-6}, "gpt-4o",
                     {"rpm": 5, "tpm": 6, "weight": 2, "timeout": 30, "drop_params": True, "supports_system_message": False,
                      "input_cost_per_token": 1e-6, "tags": ["a"], "merge_reasoning_content_in_choices": True,
                      "use_in_pass_through": True, "stream": True},
                     {**CHAT, "max_tokens": 1}),
    "capabilities_image": ({"mode": "image_generation"}, "d", {"rpm": 5, "temperature": 1, "max_tokens": 5, "size": "256x256"},
                           {"prompt": PROMPT, "size": "256x256"}),
    "capabilities_rerank": ({"mode": "rerank"}, "d", {"rpm": 5, "temperature": 1, "top_n": 1, "max_tokens": 4},
                            {"query": PROMPT, "documents": ["my sample text"], "top_n": 1}),
}


def config(sim, settings):
    models = [deployment(name, sim, key=f"sk-{name}", model=model, info={"id": name, **info}, **params)
              for name, (info, model, params, _) in settings.items()]
    return {"model_list": models, "general_settings": {"master_key": "sk-admin"}}


def bodies(daemon, sim, settings):
    """{name: the one body that its key sent}, after a round in which everything was healthy."""
    answer = daemon.get("/health", headers=KEY, timeout=60).json()
    assert answer["unhealthy_endpoints"] == []
    shown = {e["model_id"]: e["model"] for e in answer["healthy_endpoints"]}
    sent = {}
    for name, (info, model, _, _) in settings.items():
        request, = sim.requests(key=f"sk-{name}")
        sent[name] = request["body"]
        assert shown[name] == info.get("health_check_model", f"openai/{model}"), "what was probed is what is shown"
    return sent


def test_settings(hale, sim):
    daemon = hale(config(sim, SETTINGS))
    sent = bodies(daemon, sim, SETTINGS)
    for name, (_, model, _, members) in SETTINGS.items():
        assert sent[name] == {"model": model, **members}, name


# environment -> what the named settings send then
ENVIRONMENTS = {
    "tokens": ({"BACKGROUND_HEALTH_CHECK_MAX_TOKENS": "7", "BACKGROUND_HEALTH_CHECK_MAX_TOKENS_REASONING": "64"},
               {"plain": 7, "wildcard": 7, "effort": 64, "wildcard_ignores_reasoning": 7, "max_tokens": 5,
                "reasoning": 128, "only_non_reasoning": 64}),
    "tokens_for_all": ({"BACKGROUND_HEALTH_CHECK_MAX_TOKENS": "7"}, {"plain": 7, "effort": 7}),
    "nonsense": ({"BACKGROUND_HEALTH_CHECK_MAX_TOKENS": "abc", "BACKGROUND_HEALTH_CHECK_MAX_TOKENS_REASONING": " "},
                 {"plain": 1, "effort": 1, "wildcard": 10}),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_token_environment(hale, sim, name):
    env, limits = ENVIRONMENTS[name]
    settings = {one: SETTINGS[one] for one in limits}
    sent = bodies(hale(config(sim, settings), env=env), sim, settings)
    assert {one: body["max_tokens"] for one, body in sent.items()} == limits


def test_prompt_environment(hale, sim):
    """DEFAULT_HEALTH_CHECK_PROMPT is the question of every mode that asks one; a deployment's own is stronger."""
    names = ["plain", "prompt", "voice", "capabilities_image", "capabilities_rerank", "effort_elsewhere"]
    settings = {name: SETTINGS[name] for name in names}
    sent = bodies(hale(config(sim, settings), env={"DEFAULT_HEALTH_CHECK_PROMPT": "this is a test prompt"}), sim, settings)
    asked = {"plain": ("messages", messages("this is a test prompt")), "prompt": ("messages", messages("ping")),
             "voice": ("input", "this is a test prompt"), "capabilities_image": ("prompt", "this is a test prompt"),
             "capabilities_rerank": ("query", "this is a test prompt"), "effort_elsewhere": ("input", ["this is a test prompt"])}
    assert {name: (member, sent[name][member]) for name, (member, _) in asked.items()} == asked


def test_params_that_are_no_map(hale, sim):
    """As in LiteLLM a warning, and the probe goes without."""
    settings = {"odd": ({"health_check_params": "x"}, "gpt-4o", {}, None)}
    daemon = hale(config(sim, settings))
    assert bodies(daemon, sim, settings)["odd"] == {"model": "gpt-4o", **CHAT, "max_tokens": 1}
    assert "health_check_params: text where a map is expected" in daemon.log


def test_messages(hale, sim):
    """mode anthropic_messages asks in Anthropic's own words."""
    daemon = hale({"model_list": [deployment("m", sim, provider="anthropic", model="claude-x", key="sk-m",
                                             info={"mode": "anthropic_messages"}),
                                  deployment("n", sim, provider="anthropic", model="claude-x", key="sk-n",
                                             info={"mode": "anthropic_messages", "health_check_max_tokens": 3},
                                             temperature=0, rpm=5, system="be short")],
                   "general_settings": {"master_key": "sk-admin"}})
    assert daemon.get("/health", headers=KEY, timeout=60).json()["healthy_count"] == 2
    request, = sim.requests(key="sk-m")
    headers = {name.lower(): value for name, value in request["headers"].items()}
    assert (request["method"], request["path"]) == ("POST", "/v1/messages")
    assert headers["x-api-key"] == "sk-m" and headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers
    assert request["body"] == {"model": "claude-x", **CHAT, "stream": False, "max_tokens": 16}
    request, = sim.requests(key="sk-n")
    assert request["body"] == {"model": "claude-x", **CHAT, "stream": False, "temperature": 0, "system": "be short",
                               "max_tokens": 3}
