"""Files and batches: one account, chosen by name or by the configuration, and everything as it is."""

import hashlib
import http.client
import os
import time

import pytest
import requests

from daemon import deployment
from waiting import wait_until

BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


def config(sim, **general):
    return {"model_list": [deployment("chat", sim, key="sk-chat", provider="anthropic", model="claude-sim"),
                           deployment("first", sim, key="sk-first"),
                           deployment("batch", sim, key="sk-batch", info={"id": "the-batch-one", "mode": "batch"}),
                           deployment("azure", sim, key="sk-azure", provider="azure"),
                           deployment("two", sim, key="sk-two-a"), deployment("two", sim, key="sk-two-b")], **general}


def upload(gate, data=b'{"custom_id":"1"}\n', path="/v1/files", headers=None, **form):
    return gate.post(path, data={"purpose": "batch", **form}, files={"file": ("in.jsonl", data, "application/jsonl")},
                     headers=headers)


@pytest.mark.parametrize("prefix", ["/v1", ""])
def test_life_of_a_batch(hale, sim, prefix):
    gate = hale(config(sim))
    answer = upload(gate, path=prefix + "/files")
    made = answer.json()
    assert made["object"] == "file" and answer.headers["x-litellm-model-id"] == "the-batch-one"
    assert answer.headers["x-request-id"] and answer.headers["content-type"] == "application/json"
    one = f"{prefix}/files/{made['id']}"
    assert gate.get(one).json() == made and gate.get(f"{prefix}/files/").json()["data"] == [made]
    content = gate.get(one + "/content")
    assert content.content == b'{"custom_id":"1"}\n' and content.headers["content-type"] == "application/octet-stream"
    batch = gate.post(prefix + "/batches", json={"input_file_id": made["id"], **BATCH}).json()
    assert gate.get(f"{prefix}/batches/{batch['id']}").json() == batch
    assert gate.get(prefix + "/batches").json()["data"] == [batch]
    assert gate.post(f"{prefix}/batches/{batch['id']}/cancel").json()["status"] == "cancelling"
    assert gate.request("DELETE", one).json() == {"id": made["id"], "object": "file", "deleted": True}
    seen = sim.requests("sk-batch")
    assert [(s["method"], s["path"].replace(made["id"], "F").replace(batch["id"], "B")) for s in seen] == [
        ("POST", "/v1/files"), ("GET", "/v1/files/F"), ("GET", "/v1/files"), ("GET", "/v1/files/F/content"),
        ("POST", "/v1/batches"), ("GET", "/v1/batches/B"), ("GET", "/v1/batches"), ("POST", "/v1/batches/B/cancel"),
        ("DELETE", "/v1/files/F")]
    assert seen[4]["body"] == {"input_file_id": made["id"], **BATCH}
    assert {s["headers"]["authorization"] for s in seen} == {"Bearer sk-batch"} and sim.stats()["keys"].keys() == {"sk-batch"}


def test_who_is_asked(hale, sim):
    gate = hale(config(sim))
    for query, headers, key in (("?model=first", {}, "sk-first"), ("?model=two&limit=3", {}, "sk-two-a"),
                                ("?limit=1&model=two", {}, "sk-two-a"), ("?target_model_names=two,first", {}, "sk-two-a"),
                                ("", {"x-litellm-model": "azure"}, "sk-azure"), ("", {"x-hale-model": "first , two"}, "sk-first"),
                                ("?model=the-batch-one", {}, "sk-batch"), ("?model=first", {"x-hale-model": "two"}, "sk-first")):
        before = sim.count(key)
        assert gate.get("/v1/files" + query, headers=headers).status_code == 200, query
        assert sim.count(key) == before + 1
        asked = sim.requests(key)[-1]["query"] or ""
        assert "model" not in asked and ("limit" in asked) == ("limit" in query)
    assert sim.requests("sk-azure")[-1]["path"] == "/openai/files"


@pytest.mark.parametrize("body,sent", [
    ('{"model":"two","input_file_id":"f","endpoint":"e","completion_window":"24h"}', None),
    ('{"input_file_id":"f","endpoint":"e", "model" : "two" ,"completion_window":"24h"}', None),
    ('{"input_file_id":"f","endpoint":"e","completion_window":"24h" , "model":\n"two" }', None),
    ('{"input_file_id":"f","endpoint":"e","completion_window":"24h","metadata":{"model":"x"},"model":"tw\\u006f"}',
     {"input_file_id": "f", "endpoint": "e", "completion_window": "24h", "metadata": {"model": "x"}})])
def test_the_models_name_is_ours(hale, sim, body, sent):
    gate = hale(config(sim))
    answer = gate.post("/v1/batches", data=body, headers={"Content-Type": "application/json"})
    assert answer.json()["object"] == "batch", answer.text
    plain = {"input_file_id": "f", "endpoint": "e", "completion_window": "24h"}
    assert sim.requests("sk-two-a")[-1]["body"] == (sent or plain)
    assert gate.post("/v1/batches", data='{"model":"two"}').status_code == 400  # the upstream's word: an empty object
    assert sim.requests("sk-two-a")[-1]["body_text"] == "{}"


@pytest.mark.parametrize("form", [{"model": "two"}, {"target_model_names": "two, first"},
                                  {"target_model_names": "first", "model": "two"},
                                  {"model": "two", "x": "1", "target_model_names": "first"}])
def test_the_models_name_is_ours_in_forms(hale, sim, form):
    gate = hale(config(sim))
    made = upload(gate, **form).json()
    assert made["object"] == "file"
    seen = sim.requests("sk-two-a")[-1]
    assert [p["name"] for p in seen["parts"]] == ["purpose", *(["x"] if "x" in form else []), "file"]
    assert seen["parts"][-1]["bytes"] == made["bytes"] == 18


def test_azure(hale, sim):
    gate = hale({"model_list": [deployment("az", sim, key="az", provider="azure")]})
    made = upload(gate).json()
    got = gate.get(f"/v1/files/{made['id']}/content?x=1")
    assert got.status_code == 200
    seen = sim.requests("az")[-1]
    assert (seen["path"], seen["query"]) == (f"/openai/files/{made['id']}/content", "api-version=2024-10-21&x=1")
    assert seen["headers"]["api-key"] == "az"


def test_health_does_not_move_it(hale, sim):
    """An id is worth something in one account only."""
    gate = hale(config(sim, router_settings={"allowed_fails": 0, "num_retries": 3}))
    sim.fault("sk-batch", status=500)
    for _ in range(3):
        answer = gate.get("/v1/files")
        assert answer.status_code == 500 and answer.json()["error"]["message"]
    assert sim.count("sk-batch") == 3 and sim.stats()["requests"]["total"] == 3
    sim.clear()
    assert gate.get("/v1/files").status_code == 200 and sim.count("sk-batch") == 4


def test_errors_are_envelopes(hale, sim):
    gate = hale(config(sim))
    answer = gate.get("/v1/files/file-none")
    assert answer.status_code == 404 and answer.json()["error"]["message"] == "No such File object."
    for fault, status in (({"reset": True}, 502), ({"status": 302}, 502), ({"status": 503, "body": "overloaded"}, 503),
                          ({"status": 401}, 401)):
        sim.fault("sk-batch", **fault)
        answer = gate.get("/v1/batches")
        assert answer.status_code == status and answer.json()["error"]["message"], answer.text
        assert answer.headers["x-litellm-model-id"] == "the-batch-one" and "sk-batch" not in answer.text
    answer = gate.get("/v1/files?model=nobody")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "model_not_found"
    answer = gate.get("/v1/files?model=chat")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "unsupported_mode"
    gate = hale({"model_list": [deployment("chat", sim, provider="anthropic", model="claude-sim")]})
    assert gate.get("/v1/files").json()["error"]["code"] == "unsupported_mode"


@pytest.mark.parametrize("path,status", [
    ("/v1/files/..", 404), ("/v1/files/../models", 404), ("/v1/files/%2e%2e", 404), ("/v1/files/a%2Fb", 404),
    ("/v1/files/a%2Fcontent", 200), ("/v1/files/a/content/b", 404), ("/v1/files/a/other", 404), ("/v1/filesx", 404),
    ("/v1/files/a%3Fb", 404), ("/v1/files/a%00b", 400), ("/v1/files/a%20b", 404), ("/v1/files/" + "a" * 257, 404),
    ("/v1/batches/a/content", 404), ("/v1/batches/...", 404), ("/v2/files", 404), ("/v1/files//content", 404)])
def test_ids_are_checked(hale, sim, path, status):
    gate = hale(config(sim))
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=30)
    sim.fault("*", body="{}")
    connection.request("GET", path)
    assert connection.getresponse().status == status
    connection.close()
    if status != 200:
        assert sim.stats()["requests"]["total"] == 0


def test_methods_and_keys(hale, sim):
    gate = hale(config(sim, general_settings={"master_key": "sk-master"}))
    key = {"Authorization": "Bearer sk-master"}
    for path, allow in (("/v1/files", "GET, POST, OPTIONS"), ("/v1/files/a", "GET, DELETE, OPTIONS"),
                        ("/files/a/content", "GET, OPTIONS"), ("/batches", "GET, POST, OPTIONS"),
                        ("/v1/batches/a", "GET, OPTIONS"), ("/v1/batches/a/cancel", "POST, OPTIONS")):
        assert gate.request("OPTIONS", path).headers["allow"] == allow
        wrong = gate.request("PUT", path, headers=key)
        assert wrong.status_code == 405 and wrong.headers["allow"] == allow
        assert gate.request(allow.split(",")[0], path).status_code == 401
    assert gate.get("/v1/files", headers=key).status_code == 200


@pytest.mark.parametrize("body,kind", [(b"{", "application/json"), (b'{"model":1}', "application/json"), (b"", None)])
def test_bad_bodies(hale, sim, body, kind):
    gate = hale(config(sim))
    assert gate.post("/v1/batches", data=body, headers={"Content-Type": kind} if kind else {}).status_code == 400
    assert gate.post("/v1/files", data=body, headers={"Content-Type": kind} if kind else {}).status_code == 400
    assert sim.stats()["requests"]["total"] == 0


def test_large_files_and_slow_readers(hale, sim):
    """A worker keeps no more of a download than its buffers."""
    gate = hale({**config(sim), "hale_settings": {"client_buffer_bytes_max": 65536}}, workers=1)
    blob = os.urandom(1 << 20) * 24
    made = requests.post(sim.base + "/files", data={"purpose": "batch"}, files={"file": ("x", blob)},
                         headers={"Authorization": "Bearer sk-batch"}, timeout=30).json()
    (pid,) = gate.pids("worker")
    answer = gate.get(f"/v1/files/{made['id']}/content", stream=True)
    digest = hashlib.sha256(answer.raw.read(1000))
    time.sleep(0.5)
    with open(f"/proc/{pid}/status") as status:
        (resident,) = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
    assert resident < 20_000  # KB
    while piece := answer.raw.read(1 << 20):
        digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(blob).hexdigest()


def test_large_uploads(hale, sim):
    gate = hale(config(sim))
    blob = os.urandom(5 << 20)
    assert upload(gate, data=blob, model="first").json()["bytes"] == len(blob)
    (file,) = [p for p in sim.requests("sk-first")[-1]["parts"] if p["name"] == "file"]
    assert file["sha256"] == hashlib.sha256(blob).hexdigest()


def test_a_cut_download_is_no_success(hale, sim):
    gate = hale(config(sim))
    made = upload(gate, data=b"x" * 100000).json()
    sim.fault("sk-batch", cut_after=50000, chunked=True)
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=30)
    connection.request("GET", f"/v1/files/{made['id']}/content")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        connection.getresponse().read()
    connection.close()


def test_client_gone(hale, sim):
    gate = hale(config(sim))
    made = upload(gate, data=b"x" * 100000).json()
    sim.fault("sk-batch", slow_body_ms=60000)
    answer = gate.get(f"/v1/files/{made['id']}/content", stream=True)
    assert answer.raw.read(10)
    answer.close()
    wait_until(lambda: sim.stats()["requests"]["open"] == 0, what="the upstream's call to end")


def test_shutdown_does_not_wait_for_ever(hale, sim):
    gate = hale(config(sim, hale_settings={"drain_timeout_ms": 300}))
    sim.fault("sk-batch", hang="before_head")
    with requests.Session() as s:
        import threading
        got = []
        one = threading.Thread(target=lambda: got.append(s.get(gate.url + "/v1/files", timeout=30)))
        one.start()
        wait_until(lambda: sim.stats()["requests"]["open"] == 1, what="the request to be upstream")
        gate.stop()
        one.join(20)
    assert got[0].status_code == 503 and got[0].json()["error"]["code"] == "shutting_down"
