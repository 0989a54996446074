"""The real server in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faceaug.errors import ArgumentError, RefusedError

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from faceaug.serve.connection import PATIENCE, unfinished
from faceaug.serve.limits import Connections
from faceaug.serve.server import listen, offered


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "faceaug", "serve", "--port", "0", "--json", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(3)]
    url: str = json.loads("".join(lines))["url"]
    return process, url


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    process, url = start("--rate", "0")
    yield url
    stop(process)


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        data: bytes = answer.read()
    return data


def port(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


def test_many_clients_at_once_are_all_answered(server: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        bodies = list(pool.map(get, [f"{server}api/faces?n=2&seed={k % 4}" for k in range(64)]))
    assert len(set(bodies)) == 4
    assert all(body.startswith(b"\x89PNG") for body in bodies)


def test_slow_clients_are_shown_the_door_and_others_are_served_meanwhile(server: str) -> None:
    address = ("127.0.0.1", port(server))
    silent = [socket.create_connection(address) for _ in range(20)]
    halfway = [socket.create_connection(address) for _ in range(20)]
    for connection in halfway:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    until = time.monotonic() + PATIENCE + 5
    dripping = True
    while time.monotonic() < until and dripping:
        began = time.monotonic()
        assert get(f"{server}healthz") == b'{"status": "alive"}'
        assert time.monotonic() - began < 2
        try:
            halfway[0].sendall(b"x")
        except OSError:
            dripping = False
        time.sleep(0.25)
    assert not dripping
    for connection in (*silent, *halfway):
        connection.settimeout(5)
        try:
            assert connection.recv(1) == b""
        except ConnectionError:
            pass
        finally:
            connection.close()


def test_a_connection_in_use_is_kept(server: str) -> None:
    with socket.create_connection(("127.0.0.1", port(server))) as connection:
        until = time.monotonic() + PATIENCE + 2
        while time.monotonic() < until:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status": "alive"}'):
                part = connection.recv(65536)
                assert part, "the server closed the connection"
                answer += part
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.4)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\n", b"405"),
        (b"GET /api/faces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\n", b"413"),
        (b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n989680\r\n", b"405"),
    ],
)
def test_who_sends_ten_megabytes_hears_why_they_are_refused(server: str, head: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as connection:
        connection.sendall(head + b"x" * 10_000_000)
        answer = connection.recv(65536)
        while part := connection.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_who_is_gone_while_a_body_is_refused_leaves_no_trace() -> None:
    process, url = start("--rate", "0")
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
    for _ in range(300):
        elsewhere = ("127.0.0.3", 0)  # so that they do not take our own share of the connections
        with socket.create_connection(("127.0.0.1", port(url)), source_address=elsewhere) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing is a reset
            connection.sendall(head)
    assert get(f"{url}healthz") == b'{"status": "alive"}'
    _, errors = stop(process)
    assert "Traceback" not in errors


def test_answers_are_not_held_back_by_the_system() -> None:
    with listen("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()):
        connection, _ = door.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_headers_without_end_and_rubbish_are_refused(server: str) -> None:
    for rubbish in (
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"\x16\x03\x01\x02" * 50 + b"\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as connection:
            try:
                connection.sendall(rubbish)
                answer = connection.recv(65536)
            except ConnectionError:
                continue
            assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
            assert not answer or b"Content-Security-Policy: default-src 'none'" in answer
            assert b"Traceback" not in answer
    assert get(f"{server}healthz")


def test_headers_without_end_are_cut_behind_a_request_that_is_being_worked_on_too(server: str) -> None:
    walk = b"GET /api/faces?format=zip&to=5&steps=64 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for head in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", port(server)), timeout=30) as connection:
            connection.sendall(walk + head)
            sent = 0
            with pytest.raises(ConnectionError):
                while sent < 64 * 2**20:
                    connection.sendall(b"X: a\r\n" * 1000 if head.endswith(b"\n") else b"a" * 6000)
                    sent += 6000
            assert sent < 16 * 2**20  # what the system's buffers hold, and not the server
    assert get(f"{server}healthz")


def test_thousands_of_requests_behind_one_another_are_all_answered_in_turn(server: str) -> None:
    count = 3000
    walk = b"GET /api/faces?to=5&steps=64&seed=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    rest = b"".join(b"GET /%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % k for k in range(count))
    last = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port(server)), timeout=60) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        sending = pool.submit(connection.sendall, walk + rest + last)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        sending.result()
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answer)
    assert statuses == [b"200", *[b"404"] * count, b"200"]


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        ([b"GET / HTTP/1.1\r\n", b"Host: x\r\n"], 25), ([b"GET / HTTP/1.1\r\n\r\n"], 0),
        ([b"GET / HTTP/1.1\r\n\r\nGET"], 3), ([b"a\n\nbcd\n\nef"], 2), ([b"a" * 9, b"b" * 9], 18),
        ([b"\r\n" * 500] * 3, 3000),
    ],
)  # fmt: skip
def test_bytes_of_an_unfinished_head_are_counted(pieces: list[bytes], left: int) -> None:
    before = 0
    for piece in pieces:
        before = unfinished(piece, before, complete=bool(piece.strip()) and (b"\n\n" in piece or b"\r\n\r\n" in piece))
    assert before == left
    assert unfinished(b"\n", before, complete=True) == 0  # the end of a head, cut in two


def test_a_request_cut_into_pieces_is_understood(server: str) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 8000 + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port(server)), timeout=10) as connection:
        for _ in range(4):  # more bytes on one connection than one head may have
            for start in range(0, len(request), 1500):
                connection.sendall(request[start : start + 1500])
                time.sleep(0.001)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_one_address_cannot_take_every_connection(server: str) -> None:
    address = ("127.0.0.1", port(server))
    held = [socket.create_connection(address) for _ in range(110)]
    time.sleep(0.5)
    try:
        with socket.create_connection(address, timeout=10) as refused:
            refused.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = refused.recv(65536)
        assert answer.startswith(b"HTTP/1.1 503")
        for header in (b"Retry-After: 2", b"X-Content-Type-Options: nosniff", b"Connection: close"):
            assert header in answer
        with socket.create_connection(address, timeout=10, source_address=("127.0.0.2", 0)) as honest:
            honest.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert honest.recv(65536).startswith(b"HTTP/1.1 200")
    finally:
        for connection in held:
            connection.close()


def test_connections_are_counted_for_each_address_and_in_all() -> None:
    places = Connections(each=2, served=3, refused=2)
    assert [places.enter("a") for _ in range(3)] == ["served", "served", "refused"]
    assert [places.enter("b") for _ in range(3)] == ["served", "refused", "dropped"]
    places.leave("b", refused=True)
    places.leave("b", refused=True)
    places.leave("a", refused=False)
    assert [places.enter(name) for name in "cb"] == ["served", "refused"]
    for name in "abc":
        places.leave(name, refused=False)
    assert not places._clients


def test_it_stops_gracefully_and_says_so() -> None:
    process, url = start()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(get, f"{url}api/faces?n=64&seed=1")
        time.sleep(0.3)
        code, errors = stop(process)
        assert under_way.result().startswith(b"\x89PNG")
    assert code == 130
    assert errors.splitlines()[-1] == "faceaug: stopped; requests under way were answered"
    assert "Traceback" not in errors


def test_a_port_in_use_is_refused() -> None:
    with listen("127.0.0.1", 0) as door, pytest.raises(RefusedError, match="try another --port"):
        listen("127.0.0.1", door.getsockname()[1])


def test_models_are_offered_by_name_never_by_path(tmp_path: Path) -> None:
    assert list(offered(())) == ["faces-64", "dcgan-32", "dcgan-32-report"]  # the default first
    assert list(offered((tmp_path / "mine", "dcgan-32"))) == ["mine", "dcgan-32"]
    with pytest.raises(ArgumentError, match="already named"):
        offered((tmp_path / "mine", tmp_path / "other" / "mine"))


def test_without_the_extra_the_command_names_the_cure() -> None:
    hidden = "import sys; sys.modules['uvicorn'] = None; sys.argv[1:] = ['serve']"
    program = f"{hidden}; from faceaug.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "faceaug: serve needs uvicorn: python -m pip install 'faceaug[serve]'\n"
