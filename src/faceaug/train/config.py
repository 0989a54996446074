"""What a training run is made of, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from faceaug.crop import CROPS, Crop
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.synthesize.networks import SIZE

Precision: TypeAlias = Literal["auto", "fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Every number that decides how a run goes; lengths are counted in real images shown to the discriminator."""

    size: int = SIZE  # pixels; the DCGAN's only size
    crop: Crop = "center178"
    z_size: int = 100
    g_conv_dim: int = 64
    d_conv_dim: int = 64
    images: int = 1_000_000  # when the run is done
    batch: int = 128
    learning_rate: float = 2e-4  # of both Adams; DCGAN, section 4
    beta1: float = 0.5
    beta2: float = 0.999
    flip: bool = True  # half of the real faces are shown mirrored
    average_half_life: int = 40_000  # of the weight average, after Karras et al. 2018
    average_rampup: float = 0.1  # but at most this share of the images shown, so that the average forgets its start
    precision: Precision = "auto"  # bf16 where the processor multiplies it in hardware
    seed: int = 0
    checkpoint_every: int = 50_000
    sample_every: int = 50_000
    log_every: int = 2_000

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.size != SIZE:
            raise ArgumentError(f"size {self.size}: the DCGAN makes {SIZE}x{SIZE} faces")
        if self.crop not in CROPS:
            raise ArgumentError(f"crop {self.crop!r}: expected one of {', '.join(CROPS)}")
        if self.precision not in PRECISIONS:
            raise ArgumentError(f"precision {self.precision!r}: expected one of {', '.join(PRECISIONS)}")
        lengths = ("z_size", "g_conv_dim", "d_conv_dim", "images", "checkpoint_every", "sample_every", "log_every")
        for name in lengths:
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} {getattr(self, name)}: expected at least 1")
        if not 0 < self.learning_rate < 1 or not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1:
            raise ArgumentError(
                f"learning_rate {self.learning_rate}, beta1 {self.beta1}, beta2 {self.beta2}: expected from 0 to 1"
            )
        if self.average_half_life < 0 or self.average_rampup < 0:
            raise ArgumentError(
                f"average_half_life {self.average_half_life}, average_rampup {self.average_rampup}: expected 0 or more"
            )
        if self.batch < 2:
            raise ArgumentError(f"batch {self.batch}: batch norm needs at least 2")

    def to_json(self) -> dict[str, Any]:
        """The fields as a dict of plain values."""
        return asdict(self)


PRESETS: dict[str, TrainConfig] = {
    "dcgan-32": TrainConfig(),  # made the bundled models dcgan-32 and dcgan-32-report
    "dcgan-32-quick": TrainConfig(images=200_000, average_half_life=10_000),  # a first look, minutes on two cores
}
DEFAULT_PRESET = "dcgan-32"


def preset(name: str, **changes: Any) -> TrainConfig:
    """A preset with some fields changed; ArgumentError lists the presets if there is none of that name."""
    if name not in PRESETS:
        raise ArgumentError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)
