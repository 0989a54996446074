from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from faceaug.errors import ArgumentError, WeightsError
from faceaug.serve import Busy, Engine, FaceService, parse_query
from faceaug.synthesize import Model, load_model, render
from tests.serve.conftest import bundled


class Held:
    """A model whose loading waits, so that requests pile up behind it."""

    def __init__(self, model: str | Path = "dcgan-32") -> None:
        self.loads, self.go, self.model = 0, threading.Event(), model

    def __call__(self) -> Model:
        self.loads += 1
        self.go.wait(30)
        return load_model(self.model)


def test_requests_that_wait_share_passes_and_no_pass_exceeds_its_bound() -> None:
    held = Held()
    engine = Engine({"held": held})
    service = FaceService(engine)
    answers = [service.ask(f"n=4&seed={k}") for k in range(100)]
    held.go.set()
    assert {answer.result(60).status for answer in answers} == {200}
    # The first may have gone alone; 8 requests for 4 faces fill a pass of 32.
    assert 13 <= engine.passes <= 14
    assert held.loads == 1
    engine.close()


def test_one_request_too_many_gets_retry_after_and_later_ones_are_served() -> None:
    held = Held()
    engine = Engine({"held": held}, queue=5)
    service = FaceService(engine)
    waiting = [service.ask("n=1") for _ in range(5)]
    refused = service.ask("n=1").result(0)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    held.go.set()
    assert {answer.result(60).status for answer in waiting} == {200}
    assert service.ask("n=1").result(60).status == 200
    engine.close()


def test_many_threads_load_a_model_once() -> None:
    held = Held()
    engine = Engine({"held": held})
    with ThreadPoolExecutor(8) as pool:
        models = [pool.submit(engine.model, "held") for _ in range(8)]
        time.sleep(0.05)
        held.go.set()
        assert len({id(model.result(60)) for model in models}) == 1
    assert held.loads == 1
    assert engine.ready
    engine.close()


def test_requests_for_different_models_do_not_share_a_pass() -> None:
    engine = bundled()
    service = FaceService(engine)
    asked = [service.ask(f"seed=1&model={name}") for name in engine.names * 3]
    bodies = [answer.result(60).body for answer in asked]
    assert len(set(bodies)) == 2
    assert bodies[::2] == bodies[:1] * 3
    engine.close()


def test_requests_for_two_models_in_turn_share_two_passes() -> None:
    gate = Held()
    engine = Engine({"held": gate, "other": partial(load_model, "dcgan-32")})
    service = FaceService(engine)
    service.ask("seed=1&model=other").result(60)
    first = service.ask("seed=1")  # keeps the worker busy until the others are there
    asked = [service.ask(f"seed={k}&model={name}") for k in range(5) for name in engine.names]
    passes = engine.passes
    gate.go.set()
    assert {answer.result(60).status for answer in [first, *asked]} == {200}
    assert engine.passes - passes <= 3
    engine.close()


def test_other_attributes_do_not_need_another_pass(conditional_model: Path) -> None:
    gate = Held(conditional_model)
    engine = Engine({"held": gate})
    service = FaceService(engine)
    wishes = ["", "&attributes=Smiling:1", "&attributes=Male:-1,Smiling:1", "&attributes=Male:-1&unasked=free"]
    asked = [service.ask(f"seed=5{wish}") for wish in wishes * 4]
    gate.go.set()
    found = [answer.result(60) for answer in asked]
    assert {answer.status for answer in found} == {200}
    assert len({answer.body for answer in found[:4]}) == 4
    assert [answer.body for answer in found[:4]] == [service.ask(f"seed=5{w}").result(60).body for w in wishes]
    assert engine.passes <= 6  # at most two for the sixteen, and four for those asked again
    engine.close()


def test_unsupported_attributes_do_not_affect_other_requests_in_the_pass() -> None:
    gate = Held()
    engine = Engine({"held": gate})
    service = FaceService(engine)
    asked = [service.ask(f"seed=5{wish}") for wish in ("", "&attributes=Bald:1") * 4]
    gate.go.set()
    found = [answer.result(60) for answer in asked]
    assert [answer.status for answer in found] == [200, 400] * 4
    assert b"takes no attributes" in found[1].body
    engine.close()


def test_clients_take_turns_and_one_has_at_most_half_the_queue() -> None:
    gate = Held()
    engine = Engine({"held": gate}, queue=20)
    service = FaceService(engine)
    order: list[str] = []
    lock = threading.Lock()

    def ask(client: str) -> int:
        answer = service.ask("n=64", client=client)

        def note(_: object) -> None:
            with lock:
                order.append(client)

        answer.add_done_callback(note)
        return answer.result(0).status if answer.done() else 0

    assert [ask("greedy") for _ in range(12)] == [0] * 10 + [503] * 2
    assert ask("honest") == 0
    order.clear()
    gate.go.set()
    engine.close()
    assert len(order) == 11
    assert order.index("honest") <= 2  # behind the one or two that were taken before it came


def test_anonymous_requests_may_fill_the_whole_queue() -> None:
    gate = Held()
    engine = Engine({"held": gate}, queue=6)
    service = FaceService(engine)
    asked = [service.ask("n=1") for _ in range(6)]
    gate.go.set()
    assert {answer.result(60).status for answer in asked} == {200}
    engine.close()


def test_a_failing_pass_is_reported_to_the_waiting_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def bad(*_: object) -> None:
        raise RuntimeError("out of memory")

    engine = bundled()
    asked = parse_query("seed=1", models=engine.names)
    with monkeypatch.context() as broken:
        broken.setattr("faceaug.serve.engine.Renderer.block", bad)
        with pytest.raises(RuntimeError, match="out of memory"):
            engine.submit(asked, 1, lambda faces: b"x").result(60)
    assert engine.submit(asked, 1, lambda faces: b"x").result(60) == b"x"
    engine.close()


def test_a_model_that_cannot_be_loaded_is_tried_again_by_the_next_request() -> None:
    tries = []

    def moody() -> Model:
        tries.append(1)
        if len(tries) == 1:
            raise WeightsError("not there yet")
        return load_model("dcgan-32")

    engine = Engine({"moody": moody})
    service = FaceService(engine)
    assert [service.ask("seed=1").result(60).status for _ in range(3)] == [500, 200, 200]
    assert len(tries) == 2
    engine.close()


def test_closing_finishes_waiting_requests_and_accepts_no_more() -> None:
    held = Held()
    engine = Engine({"held": held})
    service = FaceService(engine)
    waiting = [service.ask("n=2") for _ in range(10)]
    closing = threading.Thread(target=engine.close)
    closing.start()
    time.sleep(0.05)
    assert service.ask("n=1").result(0).status == 503
    held.go.set()
    closing.join(60)
    assert {answer.result(0).status for answer in waiting} == {200}
    with pytest.raises(Busy):
        engine.submit(parse_query("", models=("held",)), 1, lambda faces: b"")
    assert not engine.ready


def test_an_engine_needs_a_model_and_room_for_a_request() -> None:
    with pytest.raises(ArgumentError):
        Engine({})
    with pytest.raises(ArgumentError):
        Engine({"x": partial(load_model, "dcgan-32")}, queue=0)


def test_an_unknown_precision_is_refused_also_where_there_is_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "has_bfloat16", lambda device: False)
    with pytest.raises(ArgumentError, match="precision 'fp8': expected one of fp32, bf16"):
        Engine({"x": partial(load_model, "dcgan-32")}, precision="fp8")  # type: ignore[arg-type]
