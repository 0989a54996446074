from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faceaug.data.annotations import ATTRIBUTES, attribute_index
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.mix import expand_dataset, generators, replay_row, synthetic
from faceaug.mix.filter import Agreement, RealSide
from faceaug.mix.likeness import Known, hash_faces
from faceaug.synthesize import SyntheticFaceSource

GLASSES, MALE = attribute_index("Eyeglasses"), attribute_index("Male")


class Obedient(SyntheticFaceSource):
    """Obeys attributes: paints a bar at the top of a face for Eyeglasses, at the bottom for Male."""

    disobeys: int = 0  # every so many faces do not

    def generate(self, n: int, attributes: Any = None, start: int = 0) -> torch.Tensor:
        faces = super().generate(n, start=start)
        if attributes is not None:
            for k, row in enumerate(np.asarray(attributes)):
                wears = (row[GLASSES] > 0) != bool(self.disobeys and (start + k) % self.disobeys == 0)
                faces[k, :, :4] = 255 if wears else 0
                faces[k, :, -4:] = 255 if row[MALE] > 0 else 0
        return faces


class Bars:
    """Sees these bars, and nothing else."""

    attributes = ATTRIBUTES
    balanced_accuracy = np.where(np.isin(np.arange(40), (GLASSES, MALE)), 0.95, 0.5)

    def logits(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen = np.full((len(faces), 40), -1.0, np.float32)
        seen[:, GLASSES] = faces[:, :, :4].mean(axis=(1, 2, 3)) - 127
        seen[:, MALE] = faces[:, :, -4:].mean(axis=(1, 2, 3)) - 127
        return seen

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.where(self.logits(faces) > 0, 0.9, 0.1).astype(np.float32)


@pytest.fixture
def sighted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "takes_attributes", lambda source: isinstance(source, Obedient))
    monkeypatch.setattr(generators, "open_classifier", Bars)


def obedient(every: int = 0) -> Obedient:
    source = Obedient("dcgan-32", seed=3)
    source.disobeys = every
    return source


@pytest.mark.usefixtures("sighted")
class TestBalance:
    def test_synthetic_faces_come_with_and_without_what_is_balanced(self, celeba_folder: Path) -> None:
        mixed = expand_dataset(
            celeba_folder, synthetic=20, size=32, balance="Eyeglasses", partition="all", source=obedient()
        )
        assert mixed.plan.kinds == (60, 60, 20)
        assert (mixed.synthetic.attributes[:, GLASSES] > 0).sum() == 10
        assert (mixed.synthetic.attributes[:, GLASSES] < 0).sum() == 10
        assert mixed.shares[0].among == pytest.approx((0.1, 0.5, 0.5))
        assert mixed.shares[0].after == pytest.approx(0.5, abs=1e-6)
        assert mixed.shares[0].origin_accuracy == pytest.approx(0.5, abs=1e-6)

    def test_several_attributes_have_their_shares_among_many_of_them(self, celeba_folder: Path) -> None:
        asked = ["Eyeglasses", "Male"]
        with pytest.warns(UserWarning, match="outnumber real ones"):
            mixed = expand_dataset(
                celeba_folder, copies=0, synthetic=200, size=32, balance=asked, partition="all", source=obedient()
            )
        assert mixed.plan.augmented == 0
        assert (mixed.synthetic.attributes[:, [GLASSES, MALE]] > 0).mean(axis=0) == pytest.approx(0.5, abs=0.01)
        assert [share.after for share in mixed.shares] == pytest.approx([0.5, 0.5], abs=1e-6)

    def test_a_label_is_what_was_asked_and_is_seen(self, celeba_folder: Path) -> None:
        mixed = expand_dataset(celeba_folder, synthetic=20, size=32, balance="Eyeglasses", source=obedient())
        faces = mixed.synthetic
        assert faces.asked is not None
        assert np.array_equal(faces.attributes[:, [GLASSES, MALE]], faces.asked[:, [GLASSES, MALE]])
        seen = np.where(Bars().logits(np.stack([faces[k] for k in range(20)])) > 0, 1, -1)
        assert np.array_equal(faces.attributes, np.where(faces.asked == seen, faces.asked, 0))
        image, target = mixed[len(mixed) - 1]
        assert target["attributes"].tolist() == faces.attributes[-1].tolist()
        assert image.shape == (3, 32, 32)

    def test_the_combinations_asked_for_are_those_of_real_rows(self, celeba_folder: Path) -> None:
        mixed = expand_dataset(celeba_folder, synthetic=30, size=32, balance="Eyeglasses", source=obedient(5))
        assert mixed.synthetic.asked is not None
        real = {row.tobytes() for row in mixed.real.annotations.attributes[mixed.plan.used]}
        assert {row.tobytes() for row in mixed.synthetic.asked} <= real

    def test_faces_that_disobey_are_replaced_and_counted(self, celeba_folder: Path) -> None:
        mixed = expand_dataset(celeba_folder, synthetic=30, size=32, balance="Eyeglasses", source=obedient(3))
        assert 10 <= mixed.rejected["attribute"] <= 25
        assert not (mixed.synthetic.keys % 3 == 0).any()
        assert (mixed.synthetic.attributes[:, GLASSES] != 0).all()

    def test_a_model_that_never_obeys_is_named(self, celeba_folder: Path) -> None:
        with pytest.raises(FaceAugError, match=r"only 0 of .* cannot produce the requested attributes"):
            expand_dataset(celeba_folder, synthetic=4, size=32, balance="Eyeglasses", source=obedient(1))

    def test_the_balanced_sampler_draws_every_origin_with_the_share_asked_for(self, celeba_folder: Path) -> None:
        mixed = expand_dataset(celeba_folder, synthetic=0.5, size=32, balance={"Eyeglasses": 0.3}, source=obedient())
        drawn = np.concatenate([list(sampler) for sampler in [mixed.sampler(balanced=True)] for _ in range(40)])
        origins, glasses = mixed.plan.origins[drawn], mixed.labels()[drawn, GLASSES] > 0
        for origin, part in enumerate((0.4, 0.4, 0.2)):
            assert (origins == origin).mean() == pytest.approx(part, abs=0.02)
            assert glasses[origins == origin].mean() == pytest.approx(0.3, abs=0.04)

    def test_a_saved_face_says_what_was_asked(self, celeba_folder: Path, tmp_path: Path) -> None:
        import csv

        report = expand_dataset(celeba_folder, synthetic=9, size=32, balance="Eyeglasses", source=obedient(4)).save(
            tmp_path / "o"
        )
        with (report.out / "metadata.csv").open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        asked = [row["requested_Eyeglasses"] for row in rows if row["origin"] == "synthetic"]
        assert set(asked) == {"-1", "1"}
        assert asked.count("1") in {4, 5}
        assert {row["requested_Eyeglasses"] for row in rows if row["origin"] != "synthetic"} == {""}
        assert "without a balanced attribute" in report.summary()


class Barred(SyntheticFaceSource):
    """Obeys nothing; every fifth face has the bar of Eyeglasses, every second that of Male."""

    every = 5

    def generate(self, n: int, attributes: Any = None, start: int = 0) -> torch.Tensor:
        faces = super().generate(n, start=start, attributes={} if attributes is None else attributes)
        for k in range(n):
            faces[k, :, :4] = 255 * ((start + k) % self.every == self.every - 1)
            faces[k, :, -4:] = 255 * ((start + k) % 2 == 0)
        return faces


@pytest.mark.usefixtures("sighted")
class TestChoice:
    """A model that obeys nothing: faces are chosen by what the classifier sees."""

    def test_chosen_faces_balance_as_asked_ones_do(self, celeba_folder: Path) -> None:
        asked = {"Eyeglasses": 0.5, "Male": 0.5}
        mixed = expand_dataset(
            celeba_folder,
            copies=0,
            synthetic=20,
            size=32,
            balance=asked,
            partition="all",
            source=Barred("dcgan-32", seed=3),
        )
        assert [share.among[2] for share in mixed.shares] == [0.5, 0.5]
        assert [share.after for share in mixed.shares] == pytest.approx([0.5, 0.5], abs=1e-6)
        faces = mixed.synthetic
        assert ((faces.keys % 5 == 4) == (faces.attributes[:, GLASSES] > 0)).all()
        assert ((faces.keys % 2 == 0) == (faces.attributes[:, MALE] > 0)).all()
        others = np.delete(faces.attributes, [GLASSES, MALE], axis=1)
        assert not others.any()
        assert mixed.rejected["attribute"] + 20 == faces.made
        assert len(set(faces.keys.tolist())) == 20

    def test_a_chosen_face_is_made_again_by_its_number(self, celeba_folder: Path, tmp_path: Path) -> None:
        source = Barred("dcgan-32", seed=3)
        report = expand_dataset(celeba_folder, synthetic=5, size=32, balance="Eyeglasses", source=source).save(
            tmp_path / "out"
        )
        table = (report.out / "metadata.csv").read_text().splitlines()
        assert table[0].endswith(",sha256,requested_Eyeglasses")
        assert all(replay_row(report.out, k, source=source).same for k in range(len(table) - 6, len(table) - 1))

    def test_a_model_without_such_faces_is_named(self, celeba_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(synthetic, "_HOPELESS", 512)
        monkeypatch.setattr(Barred, "every", 10**9)
        source = Barred("dcgan-32", seed=3)
        with pytest.raises(FaceAugError, match=r"only 2 of 1024 .* cannot produce the requested attributes"):
            expand_dataset(celeba_folder, synthetic=4, size=32, balance="Eyeglasses", source=source)

    def test_a_source_that_may_not_choose_leaves_balancing_to_copies(self, celeba_folder: Path) -> None:
        source = SyntheticFaceSource("dcgan-32", seed=3, choose=False)
        mixed = expand_dataset(celeba_folder, synthetic=5, size=32, balance="Eyeglasses", source=source)
        assert not mixed.synthetic.attributes.any()
        assert mixed.shares[0].unknown == (0, 0, 5)
        assert mixed.shares[0].after == pytest.approx(0.5, abs=1e-6)

    def test_what_a_source_asks_for_itself_is_its_label(self, celeba_folder: Path, tmp_path: Path) -> None:
        mixed = expand_dataset(
            celeba_folder, synthetic=5, size=32, source=SyntheticFaceSource("dcgan-32", seed=3, choose=False)
        )
        assert not mixed.synthetic.attributes.any()
        source = Barred("dcgan-32", seed=3, attributes={"Eyeglasses": 1})
        mixed = expand_dataset(celeba_folder, synthetic=5, size=32, source=source)
        assert (mixed.synthetic.attributes[:, GLASSES] == 1).all()
        assert mixed.made_with["attributes"] == {"Eyeglasses": 1}
        mixed.save(tmp_path / "out")
        assert replay_row(tmp_path / "out", len(mixed) - 1, source=source).same
        with pytest.raises(ArgumentError, match="asks for Eyeglasses itself"):
            expand_dataset(celeba_folder, synthetic=5, size=32, source=source, balance="Male")


class Copyist(SyntheticFaceSource):
    """Face 3 is a training face, face 5 the mirror image of one."""

    training: torch.Tensor

    def generate(self, n: int, attributes: Any = None, start: int = 0) -> torch.Tensor:
        faces = super().generate(n, start=start)
        for key, copy in ((3, self.training), (5, self.training.flip(2))):
            if start <= key < start + n:
                faces[key - start] = copy
        return faces


def test_copies_of_real_faces_and_their_mirror_images_are_left_out(celeba_folder: Path) -> None:
    source = Copyist("dcgan-32", seed=4)
    # Cut as the model's faces are.
    source.training = expand_dataset(celeba_folder, copies=0, synthetic=1, size=32)[11][0]
    dataset = expand_dataset(celeba_folder, synthetic=8, size=32, source=source)
    assert dataset.rejected["copy"] == 2
    assert dataset.synthetic.keys.tolist() == [0, 1, 2, 4, 6, 7, 8, 9]


def test_another_face_is_no_copy() -> None:
    faces = SyntheticFaceSource("dcgan-32", seed=9).generate(40).permute(0, 2, 3, 1).contiguous().numpy()
    words = hash_faces(faces)
    known = Known(words[:20, 0], lambda k: faces[k])
    assert all(known.repeats(faces[k], words[k]) for k in range(20))
    assert not any(known.repeats(faces[k], words[k]) for k in range(20, 40))


def test_agreement_is_calibrated_on_real_faces() -> None:
    faces = obedient().generate(60, attributes=np.tile([[1], [-1]], (30, 40)))
    sample = faces.permute(0, 2, 3, 1).contiguous().numpy()
    table = np.where(Bars().logits(faces.numpy()) > 0, 1, -1).astype(np.int8)
    real = RealSide(hash_faces(sample)[:, 0], lambda k: sample[k], sample, table)
    judge = Agreement(Bars(), [GLASSES], real)
    assert judge.least == 1.0
    wrong = table.copy()
    wrong[0, GLASSES] *= -1
    wrong[1, MALE] *= -1
    exact, enough = judge.judge(wrong, table)
    assert exact[:3].tolist() == [False, True, True]
    assert enough[:3].tolist() == [False, False, True]


def test_a_face_asked_to_be_without_something_rare_need_not_be_above_suspicion() -> None:
    faces = obedient().generate(60, attributes=np.full((60, 40), -1)).numpy()
    table = np.full((60, 40), -1, np.int8)
    table[:2, GLASSES] = 1
    sample = np.ascontiguousarray(faces.transpose(0, 2, 3, 1))

    class Suspicious(Bars):
        def logits(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.full((len(faces), 40), 0.5, np.float32)  # a little more likely than not, were half of them so

    judge = Agreement(Suspicious(), [GLASSES], RealSide(hash_faces(sample)[:, 0], lambda k: sample[k], sample, table))
    seen = judge.see(faces, table)
    assert (seen[:, GLASSES] == table[:, GLASSES]).all()  # one in thirty has them: without is the better guess
    assert judge.judge(table, seen)[0].all()
    nothing = judge.see(faces, np.zeros_like(table))
    assert (nothing == 1).all()
