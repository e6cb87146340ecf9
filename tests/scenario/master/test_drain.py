"""SIGTERM: readiness says no, running requests end, the wait is bounded."""

import http.client
import json
import signal
import threading

import pytest

from daemon import deployment
from waiting import wait_until


def config(sim, **limits):
    return {"model_list": [deployment("gpt", sim)], "hale_settings": limits}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_ends_with_0(hale, sim, sig):
    daemon = hale(config(sim))
    daemon.children()
    daemon.process.send_signal(sig)
    assert daemon.wait_exit() == 0
    daemon.wait_family()


def test_running_stream_ends_first(hale, sim):
    sim.fault(chunks=40, chunk_delay_ms=25)
    daemon = hale(config(sim))
    with daemon.chat("gpt", stream=True) as answer:
        lines = answer.iter_lines()
        next(lines)
        daemon.children()
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("draining exit_code=0")
        rest = [line for line in lines if line]
    assert rest[-1] == b"data: [DONE]"
    assert daemon.wait_exit() == 0
    assert "drain timeout" not in daemon.log


def test_running_request_ends_first(hale, sim):
    sim.fault(delay_ms=700)
    daemon = hale(config(sim))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(daemon.chat("gpt")))
    thread.start()
    wait_until(lambda: sim.stats()["requests"]["total"] == 1, what="the request to reach the upstream")
    daemon.process.send_signal(signal.SIGTERM)
    thread.join(20)
    assert answers[0].status_code == 200
    assert answers[0].headers["Connection"] == "close"
    assert daemon.wait_exit() == 0


def test_readiness_says_no_while_draining(hale, sim):
    sim.fault(chunks=60, chunk_delay_ms=25)
    daemon = hale(config(sim), workers=1)
    idle = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    idle.request("GET", "/health/readiness")
    answer = idle.getresponse()
    assert (answer.status, answer.read() != b"") == (200, True)
    with daemon.chat("gpt", stream=True) as stream:
        lines = stream.iter_lines()
        next(lines)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("draining exit_code=0")

        def last_answer():  # on the kept-alive connection: still answered; the worker may hear of the end after us
            idle.request("GET", "/health/readiness")
            answer = idle.getresponse()
            answer.read()
            return answer if answer.getheader("Connection") == "close" else None

        assert wait_until(last_answer, what="the worker to leave").status == 503
        assert [line for line in lines if line][-1] == b"data: [DONE]"
    idle.close()
    assert daemon.wait_exit() == 0


def test_drain_is_bounded(hale, sim):
    sim.fault(hang="before_head")
    daemon = hale(config(sim, drain_timeout_ms=300))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(daemon.chat("gpt")))
    thread.start()
    wait_until(lambda: sim.stats()["requests"]["total"] == 1, what="the request to reach the upstream")
    daemon.children()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait_exit() == 0
    daemon.wait_family()
    thread.join(20)
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "shutting_down")


def test_drain_of_a_reload_is_bounded(hale, sim):
    sim.fault(hang="before_head", times=1)
    daemon = hale(config(sim, drain_timeout_ms=300))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(daemon.chat("gpt")))
    thread.start()
    wait_until(lambda: sim.stats()["requests"]["total"] == 1, what="the request to reach the upstream")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_log("ready generation=2")
    wait_until(lambda: len(daemon.children()) == 3, 20, "the old generation to end")
    thread.join(20)
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "shutting_down")
    assert daemon.chat("gpt").status_code == 200


def test_second_signal_ends_at_once(hale, sim):
    sim.fault(hang="before_head")
    daemon = hale(config(sim, drain_timeout_ms=600000))
    thread = threading.Thread(target=lambda: pytest.raises(Exception, daemon.chat, "gpt"))
    thread.start()
    wait_until(lambda: sim.stats()["requests"]["total"] == 1, what="the request to reach the upstream")
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_log("draining exit_code=0")
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.wait_exit() == 0
    daemon.wait_family()
    thread.join(20)


def test_new_connections_are_refused_at_the_end(hale, sim):
    """Not queued in a socket that nobody reads: a load balancer must learn at once."""
    sim.fault(chunks=60, chunk_delay_ms=25)
    daemon = hale(config(sim))
    with daemon.chat("gpt", stream=True) as stream:
        lines = stream.iter_lines()
        next(lines)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_log("draining exit_code=0")

        def refused():
            connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
            try:
                connection.request("GET", "/health/liveliness")
                connection.getresponse().read()
            except (ConnectionRefusedError, http.client.RemoteDisconnected, ConnectionResetError) as error:
                return isinstance(error, ConnectionRefusedError)
            finally:
                connection.close()
            return False

        wait_until(refused, what="connections to be refused")
        assert [line for line in lines if line][-1] == b"data: [DONE]"
    assert daemon.wait_exit() == 0


def test_a_stream_beyond_the_bound_is_told(hale, sim):
    """No stream may just stop: at the drain timeout it ends with an error event, in good order."""
    sim.fault(chunks=100000, chunk_delay_ms=10)
    daemon = hale(config(sim, drain_timeout_ms=400))
    with daemon.chat("gpt", stream=True) as answer:
        lines = answer.iter_lines()
        next(lines)
        daemon.children()
        daemon.process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    error = json.loads(rest[-1].removeprefix(b"data: "))["error"]
    assert error["code"] == "shutting_down"
    assert daemon.wait_exit() == 0
    daemon.wait_log("requests ended with an error: 1")
