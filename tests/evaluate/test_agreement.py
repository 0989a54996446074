from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceaug.data.annotations import ATTRIBUTES
from faceaug.draws import stream
from faceaug.errors import ArgumentError
from faceaug.evaluate.agreement import compare_distributions, judge_trust, measure_agreement, measure_edits, trust_of

DEAF = ATTRIBUTES.index("Young")  # an attribute the source below never obeys
ROWS = np.where(stream(0, slot="tests/agreement").random((300, 40)) < np.linspace(0.05, 0.6, 40), 1, -1).astype(np.int8)


class Painter:
    """Makes a face whose row k is white where attribute k was asked for; deaf to one."""

    def generate(self, n: int, attributes: NDArray[np.integer] | None = None, start: int = 0) -> Tensor:
        rows = self.attribute_rows(n, start=start) if attributes is None else attributes
        return painted(rows)

    def edit(
        self, faces: int | Sequence[int] | Tensor, attribute: str, value: int | None = None, *, guided: bool = True
    ) -> Tensor:
        assert value is None
        rows = np.stack([self.attribute_rows(1, start=k)[0] for k in faces])  # type: ignore[union-attr]
        column = ATTRIBUTES.index(attribute)
        rows[:, column] = np.where(rows[:, column] > 0, -1, 1)
        return painted(rows)

    def attribute_rows(self, n: int, *, start: int = 0) -> NDArray[np.int8]:
        return ROWS[np.arange(start, start + n) % len(ROWS)].copy()


def painted(rows: NDArray[np.integer]) -> Tensor:
    shown = np.where(np.arange(40) == DEAF, -1, rows) > 0
    return torch.from_numpy(np.tile(shown[:, None, :, None], (1, 3, 1, 8)).astype(np.uint8) * 255)


def judge(faces: NDArray[np.uint8]) -> NDArray[np.bool_]:
    seen: NDArray[np.bool_] = faces[:, 0, :, 0] > 0
    return seen


def test_what_is_obeyed_scores_one_and_what_is_not_a_half() -> None:
    trust = np.full(40, 0.9)
    found = measure_agreement(Painter(), judge, ROWS, trust, requests=5, name="reader")
    by_name = {o.attribute: o for o in found.obeyed}
    assert (by_name["Smiling"].present, by_name["Smiling"].absent) == (1, 1)
    assert by_name["Smiling"].score == pytest.approx(1 / 0.9)
    assert (by_name["Young"].present, by_name["Young"].absent) == (0, 1)
    assert [o.prevalence for o in found.obeyed] == sorted(o.prevalence for o in found.obeyed)
    assert found.mean == pytest.approx((39 + 0.5) / 40 / 0.9)
    document = json.loads(json.dumps(found.to_json()))
    assert document["by_attribute"]["Young"]["score"] == pytest.approx(0.5 / 0.9, abs=1e-4)
    assert "reader" in found.lines()[0]
    assert "Young 0.56" in found.lines()[0]


def test_an_attribute_the_judge_cannot_be_trusted_with_is_left_out() -> None:
    trust = np.full(40, 0.9)
    trust[DEAF] = np.nan
    found = measure_agreement(Painter(), judge, ROWS, trust, requests=2, name="reader")
    assert "Young" not in {o.attribute for o in found.obeyed}
    with pytest.raises(ArgumentError, match="requests 0"):
        measure_agreement(Painter(), judge, ROWS, trust, requests=0, name="reader")


def test_every_request_is_a_real_row_but_for_what_is_asked() -> None:
    class Listener(Painter):
        heard: list[NDArray[np.integer]] = []  # noqa: RUF012

        def generate(self, n: int, attributes: NDArray[np.integer] | None = None, start: int = 0) -> Tensor:
            assert attributes is not None
            self.heard.append(attributes)
            return super().generate(n, attributes, start)

    source = Listener()
    measure_agreement(source, judge, ROWS, np.full(40, 0.9), requests=3, name="reader")
    assert len(source.heard) == 80
    columns = np.argsort((ROWS > 0).mean(axis=0), kind="stable")
    rest = np.delete(ROWS, columns[0], axis=1)
    for asked, sign in zip(source.heard[:2], (1, -1), strict=True):
        assert (asked[:, columns[0]] == sign).all()
        for row in np.delete(asked, columns[0], axis=1):
            assert (rest == row).all(axis=1).any()


def test_an_edit_that_changes_one_thing_is_told_from_one_that_changes_nothing() -> None:
    smiling, young = measure_edits(Painter(), judge, n=20, columns=[ATTRIBUTES.index("Smiling"), DEAF])
    assert (smiling.changed, smiling.others) == (1, 0)
    assert young.changed == (ROWS[:20, DEAF] > 0).mean()  # it is never there, right only where it should go
    assert young.others == 0


def test_a_judge_is_trusted_as_far_as_it_sees_both_kinds() -> None:
    labels = np.ones((10, 40), np.int8)
    labels[:5] = -1
    answers = labels > 0
    assert (trust_of(answers, labels) == 1).all()
    assert (trust_of(np.ones_like(answers), labels) == 0.5).all()
    assert np.isnan(trust_of(answers[5:], labels[5:])).all()
    faces = painted(labels).numpy()
    trust = judge_trust(judge, faces, labels)
    assert trust[DEAF] == 0.5
    assert (np.delete(trust, DEAF) == 1).all()


def test_shares_are_compared_as_the_same_classifier_sees_them() -> None:
    generated = np.array([[0.9, 0.2], [0.8, 0.7]], np.float32)
    real = np.array([[0.1, 0.6], [0.9, 0.3], [0.2, 0.6], [0.3, 0.2]], np.float32)
    found = compare_distributions(generated, real, ("Smiling", "Male"), judge="small")
    assert [(s.attribute, s.generated, s.real) for s in found.shown] == [("Smiling", 1, 0.25), ("Male", 0.5, 0.5)]
    assert found.mean_gap == pytest.approx(0.375)
    assert "Smiling 100% (real 25%)" in found.lines()[0]
    assert json.loads(json.dumps(found.to_json()))["by_attribute"]["Male"] == {"generated": 0.5, "real": 0.5}
