"""The fields of a training configuration, in groups of fields that are chosen together, each with its valid range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from faceaug.data.crop import CROPS, Crop
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.synthesize.config import Architecture
from faceaug.synthesize.networks import NORMS, SIZE, SIZES, Norm
from faceaug.train.backbones import BACKBONES, BackboneName

Precision: TypeAlias = Literal["auto", "fp32", "bf16"]
Loss: TypeAlias = Literal["minimax", "non-saturating", "hinge", "relativistic"]
OptimizerName: TypeAlias = Literal["adam", "rmsprop", "adagrad"]
Decay: TypeAlias = Literal["none", "linear", "cosine"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LOSSES: tuple[Loss, ...] = get_args(Loss)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
DECAYS: tuple[Decay, ...] = get_args(Decay)
TRAINED: tuple[Architecture, ...] = ("dcgan", "film-subpixel")
OPERATIONS = ("color", "translation", "cutout")

T = TypeVar("T")


def _checked(default: T, valid: Callable[[Any], bool], expected: str) -> T:
    """A dataclass field whose value must be valid; None is valid where it is the default."""
    metadata = {"valid": lambda value: (value is None and default is None) or valid(value), "expected": expected}
    made: T = field(default=default, metadata=metadata)
    return made


def one_of(allowed: tuple[T, ...], default: T) -> T:
    """A field with a choice of values."""
    return _checked(default, lambda value: value in allowed, f"one of {', '.join(map(str, allowed))}")


def at_least(least: int, default: T) -> T:
    """A field with a lower limit."""
    return _checked(default, lambda value: value >= least, f"at least {least}")


def open_share(default: T) -> T:
    """A field above 0 and below 1."""
    return _checked(default, lambda value: 0 < value < 1, "a number between 0 and 1")


def half_open_share(default: float) -> float:
    """A field from 0 to below 1."""
    return _checked(default, lambda value: 0 <= value < 1, "from 0 to below 1")


def closed_share(default: float) -> float:
    """A field from 0 to 1."""
    return _checked(default, lambda value: 0 <= value <= 1, "from 0 to 1")


def check_fields(config: Any) -> None:
    """Check every field of a config against its valid range.

    Raises:
        ArgumentError: a value is outside; the message names the field and what was expected.
    """
    for one in fields(config):
        value = getattr(config, one.name)
        if "valid" in one.metadata and not one.metadata["valid"](value):
            shown = repr(value) if isinstance(value, str) else value
            raise ArgumentError(f"{one.name} {shown}: expected {one.metadata['expected']}")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How the real faces are prepared."""

    size: int = one_of(SIZES, SIZE)  # side of a face, pixels
    crop: Crop = one_of(CROPS, "center178")
    flip: bool = True  # mirror each real face with probability 0.5


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The generator, and the discriminator that mirrors it."""

    architecture: Architecture = one_of(TRAINED, "dcgan")  # "film-subpixel" is conditional on attributes
    z_size: int = at_least(1, 100)
    g_conv_dim: int = at_least(1, 64)
    d_conv_dim: int = at_least(1, 64)
    d_norm: Norm = one_of(NORMS, "batch")
    minibatch_stddev: bool = False  # show the discriminator the standard deviation over the batch
    d_contrast: bool = False  # show it each face's brightness and contrast, which batch norm removes

    @property
    def conditional(self) -> bool:
        """Whether the networks are conditional on attributes."""
        return self.architecture == "film-subpixel"


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings:
    """What the generator is judged by: loss, penalties, features, and augmentation in front of the discriminator."""

    loss: Loss = one_of(LOSSES, "non-saturating")
    r1: float = at_least(0, 0.0)  # weight of the gradient penalty at real faces; Mescheder et al. 2018
    r2: float = at_least(0, 0.0)  # weight of the gradient penalty at generated faces
    penalty_every: int = at_least(1, 8)  # steps; the penalty is scaled by it (lazy regularisation; Karras et al. 2020)
    matching: float = at_least(0, 0.0)  # weight of feature matching; see train.matching
    projected: float = at_least(0, 0.0)  # weight of the projected discriminator; see train.projected
    projected_on: BackboneName = one_of(BACKBONES, "attributes-64")  # the frozen network it looks through
    projected_ramp: int = at_least(0, 0)  # images over which its weight rises

    # Applied to real and generated faces alike; Zhao et al. 2020.
    augment: str = ""  # a comma-separated choice of "color,translation,cutout"; empty for none
    augment_p: float = closed_share(0.0)  # probability of each operation; with a target, only the first value
    augment_target: float = closed_share(
        0.0
    )  # p adapts to keep the mean sign of D(real) here; 0 keeps p. Karras et al. 2020
    augment_limit: float = closed_share(0.8)  # upper limit of p
    augment_images: int = at_least(1, 500_000)  # images in which p can move from 0 to 1

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations of ``augment``, in the order given."""
        return tuple(filter(None, self.augment.split(",")))


@dataclass(frozen=True, kw_only=True)
class OptimisationSettings:
    """How long and how fast the weights move. Lengths are in real images shown to the discriminator."""

    images: int = at_least(1, 1_000_000)  # length of the run
    batch: int = 128  # over all processes
    optimizer: OptimizerName = one_of(OPTIMIZERS, "adam")
    learning_rate: float = open_share(2e-4)  # DCGAN, section 4
    d_learning_rate: float | None = open_share(None)  # of the discriminator; None for the same. Heusel et al. 2017
    beta1: float = half_open_share(0.5)  # Adam's
    beta2: float = half_open_share(0.999)  # Adam's, or RMSProp's smoothing constant
    decay: Decay = one_of(DECAYS, "none")  # of both learning rates
    decay_from: int = at_least(0, 0)  # images at full rate
    decay_images: int | None = at_least(1, None)  # where the decay ends; None for ``images``
    end_rate: float = closed_share(0.0)  # share of the rate left at the end

    # EMA of the generator's weights.
    average_half_life: int = at_least(0, 40_000)  # images, after Karras et al. 2018; 0 exports the raw weights
    average_rampup: float = at_least(0, 0.1)  # limits the half-life to this share of the images shown so far

    # Fine-tuning.
    warmup: int = at_least(0, 0)  # images for which the discriminator trains alone
    freeze: int = at_least(0, 0)  # layers of the generator that are not trained, from the latents on; Mo et al. 2020

    # Divergence.
    skips: int = at_least(1, 8)  # consecutive steps without a finite loss before a rollback to the last checkpoint
    rollbacks: int = at_least(0, 3)  # rollbacks before the run fails; each halves the learning rates


@dataclass(frozen=True, kw_only=True)
class AttributeSettings:
    """How a conditional generator learns attributes. The weights are relative to the adversarial loss, which has 1."""

    aux_d: float = at_least(0, 4.0)  # weight of classifying real faces, in the discriminator's loss
    aux_g: float = at_least(0, 2.0)  # weight of the same head's loss on generated faces, in the generator's
    teacher: float = at_least(0, 0.0)  # weight of the bundled classifier's loss on generated faces
    toggle: float = closed_share(0.5)  # share of the requests in which one attribute of the real row is flipped
    toggle_weight: float = at_least(0, 40.0)  # weight of the flipped attribute in ``aux_g``, against 39 others
    drop_all: float = closed_share(0.1)  # share of the requests without any attribute
    drop_some: float = closed_share(0.3)  # share with some attributes left out, with a probability drawn for each row


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How the run is computed and recorded."""

    precision: Precision = one_of(PRECISIONS, "auto")  # "auto": bf16 where the processor multiplies it in hardware
    compile: bool = False  # through torch.compile, where there is a compiler
    seed: int = 0
    checkpoint_every: int = at_least(1, 50_000)  # images, as below
    sample_every: int = at_least(1, 50_000)
    monitor_every: int = at_least(1, 50_000)
    log_every: int = at_least(1, 2_000)

    def __post_init__(self) -> None:
        check_seed(self.seed)
