"""What `./bootstrap run` promises: etc/demo.yaml over a well and a sick upstream."""

import pytest

import paths
from waiting import wait_until


@pytest.fixture
def demo(make_sim, hale):
    well, sick = make_sim(), make_sim("--fault", "sk-sick:status=500")
    env = {"HALE_DEMO_WELL": well.base, "HALE_DEMO_SICK": sick.base}
    gateway = hale((paths.SOURCE / "etc" / "demo.yaml").read_text(), env=env)
    wait_until(lambda: counts(gateway) == (1, 1), what="the first round of checks")
    return gateway, well, sick


def counts(gateway):
    body = gateway.get("/health").json()
    return body["healthy_count"], body["unhealthy_count"]


def test_every_request_goes_to_the_well_one(demo):
    gateway, well, sick = demo
    before = sick.count("sk-sick")
    for _ in range(20):
        answer = gateway.chat("demo")
        assert answer.status_code == 200 and answer.headers["x-litellm-model-id"] == "well"
    # a probe may have come meanwhile, requests may not
    asked = [r["body"]["messages"][0]["content"] for r in sick.requests()[before:]]
    assert "hi" not in asked and well.count("sk-well") >= 20


def test_stream(demo):
    gateway, _, _ = demo
    lines = list(gateway.chat("demo", stream=True).iter_lines())
    assert lines[-2 if lines[-1] == b"" else -1] == b"data: [DONE]"


def test_the_healed_one_comes_back(demo):
    gateway, _, sick = demo
    sick.clear()
    wait_until(lambda: counts(gateway) == (2, 0), what="the sick one to come back")
    wait_until(lambda: gateway.chat("demo").headers["x-litellm-model-id"] == "sick", what="it to get traffic")


def test_what_the_health_answer_says(demo):
    gateway, _, sick = demo
    body = gateway.get("/health").json()
    (entry,) = body["unhealthy_endpoints"]
    assert entry["model_id"] == "sick" and entry["exception_status"] == 500 and "error" in entry
    assert "sk-sick" not in str(body) and "sk-well" not in str(body)
