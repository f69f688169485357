"""A real server: one for a study, at one address, and what happens where it cannot be had or is stopped."""

import http.client
import json
import os
import signal
import socket

import pytest

from reading_client import decide_by_middle
from reading_server import running, start
from reading_studies import make_disc_study
from taskct.errors import UserError
from taskct.reading_room.answers import ANSWERS, AnswerBook
from taskct.reading_room.guard import names_of
from taskct.reading_room.serve import HOLDER, address_of, check_url, network_warning, serve


@pytest.fixture
def study(tmp_path):
    return make_disc_study(tmp_path / "study", "rating", n_cases=8, n_training=1, scale=5, readers=("ann", "bo"))


def test_a_study_is_read_through_a_server_that_is_stopped_and_started(study, tmp_path):
    said, decide = tmp_path / "said.txt", decide_by_middle("rating", 5)
    with running(study.path, said=said) as server:
        page = server.page(study, "ann")
        assert b"<html" in page.get("").body
        page.event("begin")
        state = page.answer(page.state()["trial"], rating=2).json
        for number in range(4):
            page.images(state["trial"])
            state = page.answer(state["trial"], rating=1 + number).json
    state.pop("feedback", None)
    assert not (study.path / HOLDER).exists()
    with running(study.path, said=said) as server:
        page = server.page(study, "ann")
        assert page.state() == state
        assert page.read(decide)["phase"] == "done"
        other = server.page(study, "bo")
        assert other.read(decide)["phase"] == "done"
        with socket.create_connection(("127.0.0.1", server.port)) as raw:  # no HTTP
            raw.sendall(f"GET /r/{study.links.readers['ann']}/ what\r\n\r\n".encode())
            raw.recv(1000)
        assert server.asker()("GET", f"/o/{study.links.organiser}/").status == 200
    with AnswerBook(study.path / ANSWERS, read_only=True) as book:
        assert [one.rating for one in book.answers(reader="ann")][:4] == [1, 2, 3, 4]
        assert len(book.answers()) == 2 * study.protocol.n_trials
    assert said.read_text() == ""  # no log, and so none with tokens


def test_answers_are_read_while_they_are_given(study):
    with running(study.path) as server:
        page = server.page(study, "ann")
        trial = page.event("begin").json["trial"]
        page.answer(page.answer(trial, rating=2).json["trial"], rating=5)
        with AnswerBook(study.path / ANSWERS, read_only=True) as book:
            assert [one.rating for one in book.answers()] == [5]


def test_two_servers_on_one_study_and_a_port_in_use_are_one_line(study, tmp_path):
    other = make_disc_study(tmp_path / "other", n_cases=2)
    with running(study.path) as server:
        with pytest.raises(
            UserError, match=rf"is served already, by process {server.process.pid} on .*stop that server"
        ):
            serve(study.path, port=0)
        with pytest.raises(UserError, match=rf"port {server.port} is in use by another program: give --port \d+, or 0"):
            serve(other.path, port=server.port)
        assert not (other.path / HOLDER).exists()
        assert server.page(study, "ann").state()["phase"] == "instructions"
    server = start(study.path)
    server.kill()
    assert (study.path / HOLDER).exists()
    with running(study.path) as again:  # what a killed one left hinders nobody
        assert json.loads((study.path / HOLDER).read_text())["pid"] == again.process.pid


def test_a_study_that_was_changed_is_not_served_on(study):
    server = start(study.path)
    server.kill(signal.SIGINT)
    card = study.path / "study.json"
    card.write_text(card.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(UserError, match="the study was changed after reading began"):
        serve(study.path, port=0)
    order = study.path / "order.json"
    order.write_text(order.read_text() + " ")
    with pytest.raises(UserError, match=r"order.json has changed since the study was made"):
        serve(study.path, port=0)


def test_a_folder_that_is_no_study_is_left_alone(tmp_path):
    with pytest.raises(UserError, match="is no reading study"):
        serve(tmp_path, port=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"port": 65536}, "--port is 65536; give 0 to 65535"),
        ({"host": "no such host"}, "no address of this machine"),
        ({"host": "192.0.2.1"}, "no address of this machine"),
        ({"url": "reading.example.org"}, "give one such as https://"),
        ({"url": "https://a@reading.example.org"}, "give one such as https://"),
        ({"url": "https://[reading"}, "give one such as https://"),
    ],
)
def test_addresses_that_cannot_be_are_one_line(study, options, what):
    with pytest.raises(UserError, match=what):
        serve(study.path, **{"port": 0, **options})
    check_url("https://reading.example.org:8443/")


@pytest.mark.parametrize(
    ("host", "url", "is_told"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", "http://reading.example.org", False),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("192.0.2.1", "http://reading.example.org", True),
        ("192.0.2.1", "https://reading.example.org", False),
    ],
)
def test_who_lets_others_in_without_encryption_is_told(host, url, is_told):
    warning = network_warning(host, url)
    assert (warning is not None) is is_told
    assert warning is None or warning.startswith(f"--host {host}: other machines can reach this server")


def test_a_missing_extra_is_one_line(study, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs starlette, .*: pip install 'taskct\[reading\]'"):
        serve(study.path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(study):
    study.path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        serve(study.path, port=0)


def test_a_server_on_all_addresses_goes_by_its_addresses_and_name(study):
    with running(study.path, host="0.0.0.0") as server:
        assert server.address == f"http://{socket.gethostname()}:{server.port}"
        for host, status in (("192.0.2.7", 200), (socket.gethostname(), 200), ("evil.example", 421)):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request("GET", f"/r/{study.links.readers['ann']}/state", headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()
    with running(study.path, host="0") as server:  # another way to write 0.0.0.0
        assert server.address == f"http://{socket.gethostname()}:{server.port}"
        headers = {"Host": "192.0.2.7"}
        assert server.asker()("GET", f"/r/{study.links.readers['ann']}/state", headers=headers).status == 200
    assert address_of("localhost", 80) == "http://localhost:80"


def test_a_server_behind_a_proxy_goes_by_the_name_that_readers_use(study):
    with running(study.path, url="https://reading.example.org:443/") as server:
        assert server.address == "https://reading.example.org:443"
    names, _ = names_of("127.0.0.1", "https://lesen.münchen.example")
    assert "lesen.xn--mnchen-3ya.example" in names  # as a browser sends it


def test_a_server_is_stopped_in_the_middle_of_slow_requests_without_a_word(study, tmp_path):
    said, token = tmp_path / "said.txt", study.links.readers["ann"]
    server = start(study.path, said=said)
    head = f"POST /r/{token}/event HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{{".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(head)
        assert server.page(study, "bo").state()["phase"] == "instructions"  # nobody waits for another
        server.kill(signal.SIGTERM)
    assert server.process.exitcode == 0
    assert said.read_text() == ""


def test_a_disk_that_fills_up_loses_nothing(study):
    """Files may not grow beyond a limit, which to SQLite is a disk that takes no more."""
    n = 0
    with running(study.path, largest=60_000) as server:
        page = server.page(study, "ann")
        page.event("begin")
        state = page.answer(page.state()["trial"], rating=2).json
        while (reply := page.answer(state["trial"], rating=3)).status == 200 and reply.json["trial"]:
            state, n = reply.json, n + 1
        assert reply.status == 507
        assert page.state()["position"] == n
        problems = server.asker()("GET", f"/o/{study.links.organiser}/progress").json["problems"]
        assert problems[0].startswith("An answer could not be stored: the disk of the server did not take it")
    with running(study.path) as server:
        page = server.page(study, "ann")
        assert page.state()["position"] == n
        assert page.answer(state["trial"], rating=3).status == 200
    with AnswerBook(study.path / ANSWERS, read_only=True) as book:
        assert len(book.answers()) == n + 1
