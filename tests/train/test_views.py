from __future__ import annotations

import numpy as np
import torch

from faceaug.draws import stream
from faceaug.train.views import Views, apply_views, coarse, draw_views


def plain(n: int) -> Views:
    """Views that change nothing."""
    maps = np.tile(np.eye(2, 3, dtype="f4"), (n, 1, 1))
    zeros, ones = np.zeros(n, "f4"), np.ones(n, "f4")
    return Views(maps, zeros, ones, ones, np.zeros(n, np.int64), np.zeros((n, 3), "f4"))


def faces(n: int) -> torch.Tensor:
    return torch.from_numpy(stream(1, slot="tests/views").random((n, 3, 64, 64), "f4") * 2 - 1)


def test_what_draws_nothing_changes_nothing() -> None:
    x = faces(3)
    torch.testing.assert_close(apply_views(x, plain(3)), x, atol=1e-5, rtol=0)


def test_the_same_stream_gives_the_same_views() -> None:
    one, other = (apply_views(faces(20), draw_views(stream(4, slot="v"), 20)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, apply_views(faces(20), draw_views(stream(5, slot="v"), 20)))


def test_views_stay_pictures() -> None:
    seen = apply_views(faces(200), draw_views(stream(0, slot="v"), 200))
    assert seen.shape == (200, 3, 64, 64)
    assert seen.abs().max() <= 1


def test_about_half_of_the_faces_are_mirrored() -> None:
    views = draw_views(stream(0, slot="v"), 4000)
    assert abs((views.maps[:, 0, 0] < 0).mean() - 0.5) < 0.03


def test_faces_are_squeezed_by_up_to_15_percent_either_way() -> None:
    views = draw_views(stream(0, slot="v"), 4000)
    width, height = (np.linalg.norm(views.maps[:, k, :2], axis=1) for k in (0, 1))
    ratio = width / height
    assert 1 / 1.1501 < ratio.min() < 1 / 1.14
    assert 1.14 < ratio.max() < 1.1501
    assert abs(np.log(ratio).mean()) < 0.005


def test_a_mirrored_face_is_the_mirror_image() -> None:
    x, views = faces(1), plain(1)
    views.maps[0, 0, 0] = -1
    torch.testing.assert_close(apply_views(x, views), x.flip(3), atol=1e-4, rtol=0)


def test_a_hole_hides_a_square_and_nothing_else() -> None:
    x, views = faces(1) + 2, plain(1)
    views.hole[0] = (0.5, 0.25, 0.25)
    hidden = apply_views(x.clamp(0.5, 1), views)[0, 0] == 0
    assert hidden.sum() == 16 * 16
    assert hidden[24:40, 8:24].all()


def test_a_coarse_face_has_no_detail_finer_than_its_pixels() -> None:
    checks = torch.ones(1, 3, 64, 64)
    checks[..., ::2] = -1
    assert coarse(checks, 32).abs().max() < 0.3
    x, views = faces(2), plain(2)
    views.side[1] = 32
    seen = apply_views(x, views)
    torch.testing.assert_close(seen[0], x[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1:], coarse(x[1:], 32), atol=1e-4, rtol=0)
