from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from faceaug import FaceFolder, SyntheticFaceSource, evaluate_source
from faceaug.data.image import encode_png
from faceaug.draws import stream
from faceaug.errors import ArgumentError, RefusedError
from faceaug.evaluate import EvaluationReport, evaluate_memorisation
from tests.conftest import write_celeba

pytestmark = pytest.mark.usefixtures("one_thread")

TRAIN, N = 84, 40  # of 120 faces, 84 are for training, 18 each for validation and test


class Filters(nn.Module):
    """Random filters: enough to tell faces from noise."""

    def __init__(self) -> None:
        super().__init__()
        numbers = stream(0, slot="tests/filters").standard_normal((24, 3, 5, 5), "f4")
        self.weight = nn.Parameter(torch.from_numpy(numbers) / 8)

    def forward(self, x: Tensor) -> Tensor:
        maps = nn.functional.relu(nn.functional.conv2d(x * 2 - 1, self.weight, stride=3))
        return nn.functional.adaptive_avg_pool2d(maps, 2).flatten(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces 0 to 119 of seed 5, as they are, as a CelebA folder."""
    faces = SyntheticFaceSource("dcgan-32", seed=5).generate(120).permute(0, 2, 3, 1).contiguous().numpy()
    return write_celeba(tmp_path_factory.mktemp("evaluate") / "celeba", list(faces))


@pytest.fixture(scope="module")
def report(folder: Path) -> EvaluationReport:
    return evaluate_source("dcgan-32", folder, n=N, seed=6, extractor=Filters())


def evaluate(faces: Path | FaceFolder, **options: Any) -> EvaluationReport:
    return evaluate_source(options.pop("source", "dcgan-32"), faces, **{"n": N, "extractor": Filters()} | options)


def test_every_figure_has_a_control_beside_it_and_a_whole_name(report: EvaluationReport) -> None:
    lines = [(f.control, f.of, f.n, f.against, f.reference_n) for f in report.figures]
    assert lines == [
        (False, "generated faces", N, "training faces", TRAIN),
        (True, "unseen real faces", 18, "training faces", TRAIN),
        (True, "training faces", N, "other training faces", TRAIN - N),
        (False, "generated faces", N, "unseen real faces", 18),
        (True, "training faces", N, "unseen real faces", 18),
    ]
    document = json.loads(json.dumps(report.to_json()))
    names = [line["figure"] for line in document["figures"]]
    assert names[0] == (
        "Filters, crop center178, 32 px (areas averaged down, cubic up), 40 generated faces against 84 training faces "
        "(celeba, rows train)"
    )
    assert names[3].endswith("against 18 unseen real faces (celeba, rows val)")
    assert len(set(names)) == 5
    assert (document["resize"], document["extractor_resize"]) == ("to 32 px, areas averaged down, cubic up", "")
    assert document["reference"].endswith("celeba, rows train")
    assert document["constant_features"] == 0
    assert all("frechet_distance" in line and "fid" not in line for line in document["figures"])
    assert (document["partition"], document["against"], document["seed"]) == ("train", "val", 6)


def test_faces_of_the_kind_of_the_folder_measure_like_their_controls(report: EvaluationReport) -> None:
    generated, unseen = report.figures[:2]
    assert generated.frechet < 2 * unseen.frechet
    assert abs(generated.kernel.mean) < 5 * generated.kernel.std + 1e-4
    assert min(generated.precision, generated.recall, generated.coverage) > 0.5
    assert report.memorisation.copies == ()
    assert report.memorisation.authenticity > 0.2


def test_a_generator_of_noise_measures_far_from_everything(folder: Path, report: EvaluationReport) -> None:
    class Noise(SyntheticFaceSource):
        def generate(self, n: int, *_: object, **__: object) -> Tensor:
            return torch.from_numpy(stream(1).integers(0, 256, (n, 3, 32, 32), np.uint8))

    found = evaluate(folder, source=Noise("dcgan-32"))
    assert found.figures[0].frechet > 5 * report.figures[0].frechet
    assert found.figures[0].kernel.mean > 10 * abs(report.figures[0].kernel.mean)
    assert found.figures[0].recall == 0
    assert max(found.figures[0].coverage, found.figures[0].density) < 0.3 * report.figures[0].coverage
    assert found.memorisation.closer == 0


def test_a_generator_that_repeats_its_training_faces_is_found_out(folder: Path) -> None:
    found = evaluate(folder, seed=5)  # the very faces of the folder; 28 of the first 40 are training rows
    trained = [k for k in range(N) if k % 10 < 7]
    assert [(k, name, m) for k, name, m in found.memorisation.copies if k in trained] == [
        (k, f"img_align_celeba/{k + 1:06d}.png", False) for k in trained
    ]
    assert found.memorisation.closer is not None
    assert found.memorisation.closer >= 0.7
    assert found.memorisation.authenticity <= 0.3
    assert found.memorisation.distance == 0
    assert "Copies of training faces" in found.to_html()
    assert "copies of training faces: 28 of 40" in found.summary()


def test_the_same_call_finds_the_same(folder: Path, report: EvaluationReport) -> None:
    again = evaluate_source(
        SyntheticFaceSource("dcgan-32", seed=6), FaceFolder(folder), n=N, seed=6, extractor=Filters()
    )
    assert again == report
    assert again.to_html() == report.to_html()


def test_the_page_is_one_file_with_pictures_and_figures(report: EvaluationReport) -> None:
    page = report.to_html()
    assert page.count("<img ") == 40 + 16 + 2 * 16 + 2 * 16  # random, worst, closest pairs, those of the control
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "control: 18 unseen real faces" in page
    assert "<svg " in page
    assert "This page shows real faces" in page
    assert [len(x) for x in (report.pictures.random, report.pictures.worst, report.pictures.closest)] == [40, 16, 16]


def test_the_table_and_the_summary_show_what_the_figures_say(report: EvaluationReport) -> None:
    rows = list(csv.DictReader(io.StringIO(report.to_csv().decode())))
    assert [float(row["precision"]) for row in rows] == [round(f.precision, 5) for f in report.figures]
    text = report.summary()
    assert f"{report.figures[0].frechet:.2f}" in text
    assert "note: 18 faces are fewer than the 96 features" in text
    assert "a control has fewer faces" in text


def test_rows_may_be_chosen(folder: Path) -> None:
    found = evaluate(folder, partition="val", against="test", n=12)
    assert (found.subject.partition, found.subject.against) == ("val", "test")
    assert found.figures[0].reference_n == 18
    capped = evaluate(folder, real=20, n=12)
    assert capped.figures[0].reference_n == 20
    assert "20 of 84 training faces were used, drawn at random" in capped.notes


def test_without_tables_the_control_of_unseen_faces_is_missing_and_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "img_align_celeba", tmp_path / "faces")
    found = evaluate(tmp_path / "faces")
    assert [f.of for f in found.figures] == ["generated faces", "training faces"]
    assert (found.subject.partition, found.subject.against) == ("all", "")
    assert any("no table marks training pictures" in note for note in found.notes)
    assert any("no unseen real faces" in note for note in found.notes)
    assert found.memorisation.unseen_distance is found.memorisation.closer is None
    assert found.to_json()["memorisation"]["unseen_copies"] is None
    assert found.to_html().count("<img ") == 40 + 16 + 2 * 16  # no pairs of a control


def test_a_picture_that_cannot_be_read_is_left_out_named_and_copies_keep_their_names(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "celeba")
    (tmp_path / "celeba" / "img_align_celeba" / "000002.png").write_bytes(b"no picture")
    found = evaluate(tmp_path / "celeba", seed=5)
    assert len(found.unreadable) == 1
    assert "000002.png" in found.unreadable[0]
    assert (2, "img_align_celeba/000003.png", False) in found.memorisation.copies
    assert "left out: " in found.summary(verbose=True)


def test_too_few_faces_are_refused(tmp_path: Path) -> None:
    for k in range(6):
        (tmp_path / f"{k}.png").write_bytes(encode_png(np.full((32, 32, 3), k, np.uint8)))
    with pytest.raises(RefusedError, match="6 readable training faces, at least 10 are needed"):
        evaluate(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 9}, "n 9, real 25000: expected at least 10"),
        ({"real": 3}, "n 40, real 3: expected at least 10"),
        ({"source": "nowhere"}, "neither a bundled model"),
        ({"extractor": "vgg"}, "unknown extractor"),
        ({"partition": "training"}, "expected one of train, val, test, all"),
        ({"against": "train"}, "the unseen faces must be another partition, one of val, test"),
        ({"partition": "all", "against": "val"}, "choose the partition of training rows"),
        ({"seed": -1}, "seed -1"),
        ({"size": 64}, "the config of dcgan-32 decides"),
        ({"size": 7}, "size 7: expected at least 8 pixels"),
        ({"crop": "round"}, "crop 'round': expected one of center178"),
        ({"device": "nowhere"}, "device nowhere: not available"),
        ({"extractor": len}, r"expected a name, a torch module or an Extractor; .*Extractor\(name, function\)"),
    ],
)
def test_wrong_use_is_told(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        evaluate(folder, **options)


def test_an_extractor_that_tells_no_faces_apart_is_named_in_the_first_note(folder: Path) -> None:
    class Blind(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(len(x), 6)

    found = evaluate(folder, extractor=Blind())
    assert found.notes[0].startswith("all 6 features of Blind are the same for every face")
    assert found.to_json()["constant_features"] == 6
    assert "note: all 6 features" in found.summary()
    assert "these figures mean nothing" in found.to_html()
    audit = evaluate_memorisation("dcgan-32", folder, n=N, extractor=Blind())
    assert audit.notes[0] == found.notes[0]


def test_features_that_never_vary_and_faces_that_are_all_one_are_told(folder: Path) -> None:
    class Half(Filters):
        def forward(self, x: Tensor) -> Tensor:
            found = super().forward(x)
            return torch.cat([found, torch.zeros_like(found)[:, :5]], 1)

    class Stuck(SyntheticFaceSource):
        def generate(self, n: int, *_: object, **__: object) -> Tensor:
            return torch.full((n, 3, 32, 32), 99, dtype=torch.uint8)

    notes = evaluate(folder, extractor=Half()).notes
    assert "5 of 101 features of Half are the same for every face and add nothing" in notes
    stuck = evaluate(folder, source=Stuck("dcgan-32")).notes
    assert "Filters makes the same features of all generated faces: they are one picture, or nearly so" in stuck
    assert not any("of all training faces" in note for note in stuck)


def test_every_part_of_an_evaluation_is_a_phase_that_reaches_its_end(folder: Path) -> None:
    ends: dict[str, tuple[int, int]] = {}
    evaluate(folder, n=12, progress=lambda phase, done, total, _: ends.update({phase: (done, total)}))
    assert list(ends) == [
        "reading", "generating", "describing", "comparing", "looking for attributes", "hashing",
    ]  # fmt: skip
    assert ends["describing"] == (TRAIN + 18 + 12, TRAIN + 18 + 12)
    assert all(done == total for done, total in ends.values())


@pytest.mark.slow
def test_generated_faces_are_farther_from_real_ones_than_real_ones_are(celeba64: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    found = evaluate_source("dcgan-32", celeba64, n=200, real=250)
    generated, control = found.figures[:2]
    assert generated.kernel.mean > 0.03
    assert abs(control.kernel.mean) < 0.02
    assert generated.frechet > control.frechet
    assert generated.coverage < control.coverage
    assert len(found.memorisation.copies) == 0


def test_memorisation_alone_says_the_same_of_copies_and_needs_no_extra(folder: Path, report: EvaluationReport) -> None:
    audit = evaluate_memorisation("dcgan-32", folder, n=N, seed=6, extractor=Filters())
    assert audit.memorisation == report.memorisation
    assert audit.figures == ()
    assert audit.to_json()["memorisation"] == report.to_json()["memorisation"]
    assert "precision" not in audit.summary()
    page = audit.to_html()
    assert "Control: the unseen real faces that are closest" in page
    assert "least realistic" not in page
    (line,) = csv.DictReader(io.StringIO(audit.to_csv().decode()))
    assert line["copies"] == "0"
    assert float(line["authenticity"]) == round(audit.memorisation.authenticity, 5)
    plain = evaluate_memorisation("dcgan-32", folder, n=N, seed=5)  # the very faces of the folder
    assert plain.subject.extractor == "attributes-64 at 64 px"
    assert plain.subject.dimension == 256
    trained = [k for k in range(N) if k % 10 < 7]
    assert {k for k, _, _ in plain.memorisation.copies} >= set(trained)
    assert plain.memorisation.authenticity <= 0.35


def test_attributes_are_compared_with_those_of_unseen_faces(report: EvaluationReport) -> None:
    assert report.attributes is not None
    shown = report.attributes.distribution
    assert (shown.n, shown.real_n, shown.judge) == (N, 18, "attributes-64")
    assert len(shown.shown) == 40
    assert report.attributes.agreement is None  # the model takes none
    assert "attributes seen by attributes-64" in report.summary()
    assert "As attributes-64 sees them" in report.to_html()
    assert report.to_json()["attributes"]["distribution"]["n"] == N


def test_a_model_that_takes_attributes_is_asked_for_each(folder: Path, conditional_model: Path) -> None:
    found = evaluate(folder, source=conditional_model, requests=2, against="train", partition="val", n=60)
    assert found.attributes is not None
    agreement = found.attributes.agreement
    assert agreement is not None
    assert agreement.requests == 2
    assert 30 < len(agreement.obeyed) <= 40  # some are too rare among the real faces to say how well they are seen
    assert "attribute agreement (attributes-64" in found.summary()
    assert "seen when asked for" in found.to_html()
    alone = evaluate(folder, source=conditional_model, requests=0, against="train", partition="val", n=60)
    assert alone.attributes is not None
    assert alone.attributes.agreement is None
