"""A real server against clients that send too much, too slowly, nothing, or no HTTP at all."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.addresses import network_of
from app.api.connections import Bounds
from app.migrating import upgrade
from tests.conftest import fresh_settings
from tests.house.processes import serving

BOUNDS = {
    "HOLDFAST_HEADER_SECONDS": "1",
    "HOLDFAST_BODY_SECONDS": "1",
    "HOLDFAST_IDLE_SECONDS": "2",
    "HOLDFAST_CONNECTIONS": "12",
}


@pytest.fixture(scope="module")
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder: Path = tmp_path_factory.mktemp("bounded")
    settings = fresh_settings("sqlite", request, folder)
    upgrade(settings)
    with serving(settings, log=None, **BOUNDS) as found:
        yield "127.0.0.1", int(found.rsplit(":", 1)[1])


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=10)


def answer(client: socket.socket) -> tuple[int, dict[str, Any]]:
    """The status and the problem of a raw answer; (0, {}) where the connection was closed without one."""
    said = b""
    while part := client.recv(65_536):
        said += part
    head, _, body = said.partition(b"\r\n\r\n")
    if not head:
        return 0, {}
    assert b"content-type: application/problem+json" in head
    assert b"x-request-id: " in head
    return int(head.split()[1]), json.loads(body)


def refusal(address: tuple[str, int], sent: bytes) -> tuple[int, str]:
    with connect(address) as client:
        client.sendall(sent)
        status, problem = answer(client)
        return status, problem.get("code", "")


def test_a_header_over_32_kib_is_431(address: tuple[str, int]) -> None:
    many = b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(40))
    assert refusal(address, many + b"\r\n") == (431, "headers_too_large")
    assert refusal(address, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000) == (431, "headers_too_large")
    assert refusal(address, b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n") == (431, "headers_too_large")
    fits = {"X-A": "a" * 30_000}
    assert httpx.get(f"http://127.0.0.1:{address[1]}/livez", headers=fits).status_code == 200


def test_what_is_no_request_is_a_problem(address: tuple[str, int]) -> None:
    assert refusal(address, b"this is not HTTP\r\n\r\n") == (400, "bad_request")


def test_a_request_names_one_host(address: tuple[str, int]) -> None:
    for hosts in (b"", b"Host: a\r\nHost: b\r\n"):
        sent = b"GET /livez HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n"
        assert refusal(address, sent) == (400, "bad_request")


def test_a_client_that_says_nothing_or_half_of_it_is_closed(address: tuple[str, int]) -> None:
    began = time.monotonic()
    with connect(address) as silent:
        assert answer(silent) == (0, {})
    assert 0.5 < time.monotonic() - began < 4
    with connect(address) as half:
        half.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        status, problem = answer(half)
    assert (status, problem["code"]) == (408, "request_timeout")


def test_a_slow_header_and_a_slow_body_are_cut_off_though_bytes_arrive(address: tuple[str, int]) -> None:
    body = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    for sent in (b"GET /livez HTTP/1.1\r\nX-A: ", body + b"Content-Length: 1000\r\n\r\n"):
        began = time.monotonic()
        with connect(address) as slow:
            slow.sendall(sent)
            with suppress(OSError):
                for _ in range(100):
                    slow.sendall(b"a")
                    time.sleep(0.1)
        assert time.monotonic() - began < 6


def test_a_connection_that_rests_is_closed(address: tuple[str, int]) -> None:
    with connect(address) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        while client.recv(65_536):
            pass
        assert 1 < time.monotonic() - began < 5


def test_one_address_gets_half_of_all_connections(address: tuple[str, int]) -> None:
    time.sleep(0.3)
    held = [connect(address) for _ in range(6)]
    try:
        time.sleep(0.2)
        with connect(address) as one_more:
            status, problem = answer(one_more)
        assert (status, problem["code"]) == (429, "rate_limited")
    finally:
        for client in held:
            client.close()
    time.sleep(0.3)
    assert httpx.get(f"http://127.0.0.1:{address[1]}/livez").status_code == 200


def test_proxies_have_no_share_and_networks_are_counted_as_one() -> None:
    bounds = Bounds(connections=8, per_address=2, trusted=frozenset({"10.9.0.0/16", "2001:db8::7", "localhost"}))
    bounds.taken.update({"10.9.3.4": 2, network_of("2001:db8::7"): 2, "192.0.2.1": 2})
    assert [bounds.refusal(address) for address in ("10.9.3.4", "2001:db8::7")] == [None, None]
    assert [bounds.refusal(address) is None for address in ("192.0.2.1", "2001:db8::8", "x")] == [False, False, True]
    bounds = Bounds(connections=4, per_address=2, trusted=frozenset({"10.0.0.1"}))
    bounds.taken.update({"10.0.0.1": 3})
    assert bounds.refusal("10.0.0.1") is None
    bounds.taken.update({"10.0.0.1": 1})
    refused = bounds.refusal("10.0.0.2")
    assert refused is not None
    assert refused.status == 503
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7") == "192.0.2.7"
    assert network_of("") == ""


def test_trailers_are_bounded_and_are_no_headers(address: tuple[str, int]) -> None:
    form = b"grant_type=password&username=a&password=b"
    head = (
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(form), form)
    )
    endless = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(40))
    assert refusal(address, head + endless) == (431, "headers_too_large")
    assert refusal(address, head + b"X-A: " + b"a" * 100_000) == (431, "headers_too_large")
    with connect(address) as client:
        client.sendall(head + b"X-Request-Id: from-a-trailer\r\n\r\n")
        said = b""
        while part := client.recv(65_536):
            said += part
    assert said.startswith(b"HTTP/1.1 400")
    assert b"from-a-trailer" not in said


def test_an_offer_of_http_2_is_not_taken_and_loses_no_body(address: tuple[str, int]) -> None:
    """Java's client makes it with its first request over plain http."""
    form = b"grant_type=client_credentials&client_id=x&client_secret=y"
    head = (
        b"POST /oauth/token HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\nHost: x\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAAA\r\nUpgrade: h2c\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    for parts in ((head % len(form) + form,), (head % len(form), form)):
        with connect(address) as client:
            for part in parts:
                client.sendall(part)
                time.sleep(0.05)
            client.settimeout(5)
            said = client.recv(65_536)
        assert said.startswith(b"HTTP/1.1 401 "), said
        assert b'"invalid_client"' in said
