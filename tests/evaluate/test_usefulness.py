from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faceaug import FaceFolder, SyntheticFaceSource
from faceaug.data.annotations import attribute_index
from faceaug.draws import stream
from faceaug.errors import ArgumentError, RefusedError
from faceaug.evaluate import training_sets as arms
from faceaug.evaluate.comparison_classifier import Schooling
from faceaug.evaluate.intervals import Estimate
from faceaug.evaluate.options import EvaluationOptions, Recipes, UsefulnessOptions
from faceaug.evaluate.training_sets import ARMS, Experiment, prepare
from faceaug.evaluate.usefulness import evaluate_usefulness
from faceaug.evaluate.usefulness_report import UsefulnessReport, seen_faces
from tests.conftest import write_celeba

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = 160  # 112 for training, 24 each for validation and test; a third of them are men
RECIPES = Recipes(copies=1, synthetic=0.25, filter=False)
SHORT = Schooling(images=1024, batch=32)
Usable = tuple[FaceFolder, SyntheticFaceSource]


@pytest.fixture(scope="module")
def usable(tmp_path_factory: pytest.TempPathFactory, conditional_model: Path) -> Usable:
    """Pictures of which those of men are red, and a generator that has learnt nothing."""
    draws = stream(0, slot="tests/usefulness")
    shown = []
    for k in range(FEW):
        picture = draws.integers(0, 120, (32, 32, 3)).astype(np.uint8)
        picture[..., 0] += 120 * (k % 3 == 0)
        shown.append(picture)
    folder = write_celeba(tmp_path_factory.mktemp("useful"), shown)
    return FaceFolder(folder), SyntheticFaceSource(conditional_model, seed=1)


@pytest.fixture(scope="module")
def report(usable: Usable) -> UsefulnessReport:
    folder, source = usable
    return evaluate_usefulness(source, folder, attributes=["Male"], seeds=2, recipes=RECIPES, schooling=SHORT)


def experiment(usable: Usable, **options: Any) -> Experiment:
    folder, source = usable
    source = options.pop("source", source)
    wanted = UsefulnessOptions(**{"attributes": ("Male",), "recipes": RECIPES} | options)
    return prepare(source, folder, EvaluationOptions(usefulness=wanted))


def test_every_arm_is_measured_with_intervals_on_faces_nothing_has_seen(report: UsefulnessReport) -> None:
    assert [arm.arm for arm in report.arms] == list(ARMS)
    assert report.taught + report.held == FEW * 7 // 10
    assert report.unseen == 24
    for arm in report.arms:
        figure = arm.balanced_accuracy
        assert figure.low <= figure.value <= figure.high
        assert arm.attributes[0].balanced_accuracy == figure
    assert report.arms[0].balanced_accuracy.value > 0.9  # red is easily learnt
    assert set(report.over_real) == set(ARMS[1:])


def test_arms_differ_in_what_they_show_and_in_nothing_else(report: UsefulnessReport) -> None:
    real, classical, synthetic, everything = (arm.faces for arm in report.arms)
    assert real == (report.taught, 0, 0)
    assert classical[1] >= report.taught
    assert synthetic == (report.taught, 0, round(0.25 * report.taught))
    assert everything == (report.taught, classical[1], synthetic[2])


def test_the_same_call_finds_the_same(usable: Usable, report: UsefulnessReport) -> None:
    folder, source = usable
    again = evaluate_usefulness(source, folder.root, attributes=["Male"], seeds=2, recipes=RECIPES, schooling=SHORT)
    assert again == report


def test_a_generator_that_knows_the_truth_is_found_useful_where_real_faces_are_few(usable: Usable) -> None:
    """A source whose men are red, too: 45 real faces are too few, its faces are not."""

    class Truth(SyntheticFaceSource):
        def generate(self, n: int, attributes: Any = None, start: int = 0) -> torch.Tensor:
            draws = stream(9, index=start, slot="tests/truth")
            faces = torch.from_numpy(draws.integers(0, 120, (n, 3, 32, 32)).astype(np.uint8))
            if attributes is not None:
                faces[torch.from_numpy(np.asarray(attributes)[:, 20] > 0), 0] += 120
            return faces

    folder, source = usable
    truth = Truth(source._model, seed=2)
    found = evaluate_usefulness(
        truth, folder, attributes=["Male"], fraction=56, seeds=2, recipes=replace(RECIPES, synthetic=40),
        schooling=Schooling(images=256, batch=32),
    )  # fmt: skip
    by_arm = {arm.arm: arm.balanced_accuracy.value for arm in found.arms}
    assert by_arm["real + synthetic"] >= by_arm["real"]
    assert found.labels == "asked for"


def test_no_person_teaches_and_sets_thresholds(usable: Usable) -> None:
    found = experiment(usable)
    folder, _ = usable
    assert len(found.held) == pytest.approx(0.2 * len(found.rows), abs=3)
    assert (folder.annotations.partition[found.rows] == 0).all()
    assert len(found.pool("all")) == len(found.shown)
    for arm, kinds in zip(ARMS, ({0}, {0, 1}, {0, 2}, {0, 1, 2}), strict=True):
        assert set(found.pool(arm).origin.tolist()) == kinds
        assert (found.pool(arm).origin == 0).sum() == len(found.pool("real"))


def test_a_fraction_is_a_share_or_a_count_of_the_training_rows(usable: Usable) -> None:
    assert len(experiment(usable, fraction=0.5).rows) == 56
    few, more = experiment(usable, fraction=60).rows, experiment(usable, fraction=90).rows
    assert len(few) == 60
    assert set(few.tolist()) <= set(more.tolist())
    assert len(experiment(usable).rows) == 112
    for wrong in (0, 113, 1.5, 0.0, -1):
        with pytest.raises(ArgumentError, match="fraction"):
            experiment(usable, fraction=wrong)


def test_attributes_that_exclude_each_other_aim_at_shares_that_go_together() -> None:
    colours = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
    values = np.full((400, 40), -1, np.int8)
    for k, name in enumerate(colours):
        values[k::4, attribute_index(name)] = 1
    assert arms._shares(values, colours[:1]) == {"Black_Hair": 0.5}
    assert arms._shares(values, colours) == dict.fromkeys(colours, 0.25)
    values[: len(values) // 2] = -1  # hats
    assert arms._shares(values, colours) == dict.fromkeys(colours, 0.125 + 0.5 / 8)


def test_a_share_of_very_many_faces_stops_at_what_memory_holds(usable: Usable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceaug.evaluate.training_sets.MOST", 80)
    found = experiment(usable)
    assert len(found.rows) == 80
    assert "80 of 112 real faces were used" in found.notes[0]
    assert len(experiment(usable, fraction=100).rows) == 100


def test_the_rarest_attributes_that_can_be_learnt_are_taken(usable: Usable) -> None:
    found = experiment(usable, attributes=None, recipes=replace(RECIPES, synthetic=0))
    assert len(found.attributes) == 10
    assert "Male" in found.attributes  # a third; the others are about a half
    assert "Eyeglasses" not in found.attributes  # no unseen face has them
    assert not (found.shown.origin == 2).any()
    with pytest.raises(RefusedError, match="attribute Eyeglasses: of the faces .* 0 are of its rarer side"):
        experiment(usable, attributes=["Eyeglasses"])


def test_faces_of_a_generator_without_attributes_are_labelled_by_the_classifier(usable: Usable) -> None:
    source, many = SyntheticFaceSource("dcgan-32", seed=1), ["Male", "Young", "Smiling"]
    found = experiment(usable, source=source, attributes=many, recipes=replace(RECIPES, synthetic=80))
    assert found.labels == "seen by the classifier"
    made = found.pool("all").labels[:80]
    assert {-1, 1} <= set(made[:, 0].tolist()) <= {-1, 0, 1}


def test_for_one_attribute_they_are_chosen(usable: Usable, monkeypatch: pytest.MonkeyPatch) -> None:
    # The pictures here look like no faces: what is like them is not what this is about.
    monkeypatch.setattr("faceaug.mix.realism.Realism.accepts", lambda _, faces: np.ones(len(faces), np.bool_))
    source = SyntheticFaceSource("dcgan-32", seed=1)
    found = experiment(usable, source=source, recipes=Recipes(copies=1, synthetic=30))
    assert found.labels == "chosen by the classifier"
    made = found.pool("all").labels[:30, 0]
    assert (made > 0).mean() == 0.5  # men are a third of the real ones
    assert (made != 0).all()


def test_without_unseen_rows_there_is_nothing_to_ask_about(usable: Usable, tmp_path: Path) -> None:
    flat = write_celeba(tmp_path / "flat", [np.full((32, 32, 3), k, np.uint8) for k in range(40)])
    (flat / "list_eval_partition.txt").unlink()
    with pytest.raises(RefusedError, match="no rows are left for the test"):
        prepare(usable[1], FaceFolder(flat), EvaluationOptions(usefulness=UsefulnessOptions(recipes=RECIPES)))
    with pytest.raises(ArgumentError, match="seeds 0"):
        evaluate_usefulness(usable[1], flat, seeds=0)


def test_the_verdict_says_what_is_known_and_how_much_the_generator_knew(report: UsefulnessReport) -> None:
    up, down, unclear = Estimate(0.03, 0.01, 0.05), Estimate(-0.03, -0.05, -0.01), Estimate(0.01, -0.01, 0.03)
    found = replace(
        report, seeds=3, taught=80, held=20, generator_saw=24_152, classifier="attributes-64", classifier_saw=24_000,
        over_real={"real + classical": unclear, "real + synthetic": up, "all": down},
    )  # fmt: skip
    first, _, knowledge = found.verdict()
    assert "generated faces raise the balanced accuracy of Male by +3.0 points (+1.0 to +5.0)" in first
    assert "augmented copies have no significant effect on it: +1.0 points" in first
    assert "both together lower it: -3.0 points" in first
    assert "the generator itself has seen 24,152 labelled faces" in knowledge
    assert "(attributes-64) 24,000 labelled ones; the arms had 100" in knowledge
    assert "says nothing about a generator trained only on these" in knowledge
    alone = replace(found, generator_saw=100, classifier="", classifier_saw=None, seeds=2)
    assert alone.verdict()[2].endswith("labelled faces; the arms had 100")
    assert "2 seeds: too few" in alone.verdict()[3]
    assert "an unknown number of labelled faces" in replace(alone, generator_saw=None).verdict()[2]


def test_the_number_of_faces_a_model_has_seen_is_read_from_its_config() -> None:
    assert seen_faces({"faces": 22_226, "faces_held_back": 1_926}) == 24_152
    assert seen_faces({"data": "24,152 faces: CelebA's train partition"}) == 24_152
    assert seen_faces({"data": "mine"}) is None
    assert seen_faces(SyntheticFaceSource("dcgan-32").config.training) == 24_152


def test_the_report_is_words_numbers_a_table_and_a_page_with_a_plot(report: UsefulnessReport) -> None:
    document = json.loads(json.dumps(report.to_json()))
    assert [arm["arm"] for arm in document["arms"]] == list(ARMS)
    assert document["verdict"] == report.verdict()
    rows = list(csv.DictReader(io.StringIO(report.to_csv().decode())))
    assert [(row["arm"], row["attribute"]) for row in rows] == [(arm, "Male") for arm in ARMS]
    assert float(rows[0]["balanced_accuracy"]) == round(report.arms[0].balanced_accuracy.value, 5)
    page = report.to_html()
    assert page.count("<circle") == 2 * len(ARMS)  # the mean and the one attribute
    assert "The generator itself has seen" in page
    assert "real + classical" in report.summary()
    assert "Male: real" in report.summary(verbose=True)
