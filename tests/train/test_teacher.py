from __future__ import annotations

import torch
import torch.nn.functional as F

from faceaug.data.annotations import ATTRIBUTES
from faceaug.synthesize import SyntheticFaceSource
from faceaug.synthesize.classifier import load_classifier
from faceaug.train import TrainConfig
from faceaug.train.processes import Processes
from faceaug.train.teacher import Teacher

N = 8
ALONE = Processes(0, 1, 0, torch.device("cpu"))
CONFIG = TrainConfig(architecture="film-subpixel", batch=N, teacher=1.0)


def as_floats(faces: torch.Tensor) -> torch.Tensor:
    return faces.float().div(127.5).sub(1.0)


def test_a_face_that_follows_its_gradient_shows_what_was_asked_for() -> None:
    glasses = ATTRIBUTES.index("Eyeglasses")
    faces = SyntheticFaceSource("faces-64", seed=3).generate(N)
    teacher, classifier = Teacher(CONFIG, ALONE), load_classifier()
    x = as_floats(faces)
    for step in range(10):
        x = x.detach().requires_grad_()
        teacher.names(x, step)[:, glasses].sum().backward()
        assert x.grad is not None
        x = (x + 0.03 * x.grad.sign()).clamp(-1, 1)
    moved = x.detach().add(1).mul(127.5).round().to(torch.uint8)
    assert (classifier.logits(moved)[:, glasses] > classifier.logits(faces)[:, glasses] + 1).all()


def test_it_learns_nothing_itself() -> None:
    teacher = Teacher(CONFIG, ALONE)
    x = torch.zeros(N, 3, 64, 64, requires_grad=True)
    teacher.names(x, 0).sum().backward()
    assert all(p.grad is None for p in teacher._network.parameters())


def test_faces_are_shifted_anew_in_each_step_and_alike_in_the_same() -> None:
    faces = as_floats(SyntheticFaceSource("faces-64", seed=3).generate(N))
    teacher = Teacher(CONFIG, ALONE)
    with torch.no_grad():
        first, again, next_step = teacher.names(faces, 0), teacher.names(faces, 0), teacher.names(faces, 1)
    assert torch.equal(first, again)
    assert not torch.equal(first, next_step)
    assert first.shape == (N, len(ATTRIBUTES))


def test_fine_patterns_that_please_the_classifier_please_it_less() -> None:
    hat = ATTRIBUTES.index("Wearing_Hat")
    teacher, network = Teacher(CONFIG, ALONE), load_classifier().network
    plain = as_floats(SyntheticFaceSource("faces-64", seed=3).generate(N))
    faces = plain.clone()
    for _ in range(10):
        faces.requires_grad_()
        (slope,) = torch.autograd.grad(network(faces)[:, hat].sum(), faces)
        fine = slope - F.avg_pool2d(slope, 3, 1, 1)  # nothing that could be seen as a hat
        faces = (faces.detach() + 0.02 * fine.sign()).clamp(-1, 1)
    with torch.no_grad():
        pleased = (network(faces) - network(plain))[:, hat].mean()
        seen = torch.stack(
            [(teacher.names(faces, k) - teacher.names(plain, k))[:, hat].mean() for k in range(8)]
        ).mean()
    assert pleased > 2
    assert seen < 0.5 * pleased


def test_faces_of_another_size_are_looked_at_too() -> None:
    teacher = Teacher(CONFIG, ALONE)
    with torch.no_grad():
        assert teacher.names(torch.zeros(N, 3, 32, 32), 0).isfinite().all()
