"""What a training run is made of, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

from faceaug.data.crop import CROPS, Crop
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.synthesize.networks import NORMS, SIZE, SIZES, Norm
from faceaug.synthesize.weights import ARCHITECTURES, Architecture, ModelConfig
from faceaug.train.backbones import BACKBONES, BackboneName

Precision: TypeAlias = Literal["auto", "fp32", "bf16"]
Loss: TypeAlias = Literal["minimax", "non-saturating", "hinge", "relativistic"]
OptimizerName: TypeAlias = Literal["adam", "rmsprop", "adagrad"]
Decay: TypeAlias = Literal["none", "linear", "cosine"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LOSSES: tuple[Loss, ...] = get_args(Loss)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
DECAYS: tuple[Decay, ...] = get_args(Decay)
OPERATIONS = ("color", "translation", "cutout")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Every number that decides how a run goes; lengths are counted in real images shown to the discriminator."""

    # The faces.
    size: int = SIZE  # pixels: 32, 64, 128 or 256
    crop: Crop = "center178"
    flip: bool = True  # half of the real faces are shown mirrored

    # The networks.
    architecture: Architecture = "dcgan"  # "film-subpixel" obeys attributes, which the folder's table must have
    z_size: int = 100
    g_conv_dim: int = 64
    d_conv_dim: int = 64
    d_norm: Norm = "batch"  # of the discriminator
    minibatch_stddev: bool = False  # the discriminator also sees how much a batch differs
    d_contrast: bool = False  # it also sees each face's brightness and contrast, which batch norm hides from it

    # What is minimised.
    loss: Loss = "non-saturating"
    r1: float = 0.0  # weight of the penalty on the discriminator's slope at real faces; Mescheder et al. 2018
    r2: float = 0.0  # the same at generated ones
    matching: float = 0.0  # weight of generated faces' features being spread as those of real ones; see train.matching
    projected: float = 0.0  # weight of a discriminator on the features of a network that can see; train.projected
    projected_on: BackboneName = "attributes-64"  # the network; "efficientnet-lite1" knows of no particular faces
    projected_ramp: int = 0  # images over which that weight rises
    penalty_every: int = 8  # steps from one penalty to the next, which counts so many times; Karras et al. 2020

    # What attributes add; of the architecture that obeys them. Weights are beside the loss above, which weighs 1.
    aux_d: float = 4.0  # weight of naming the attributes of real faces, in the discriminator's loss
    aux_g: float = 2.0  # weight of being named right, in the generator's
    teacher: float = 0.0  # weight of being named right by the bundled classifier too
    toggle: float = 0.5  # share of the generator's requests in which one attribute is not that of the real row
    toggle_weight: float = 40.0  # of that one in ``aux_g``, rare or not, beside 39 others that speak for the real row
    drop_all: float = 0.1  # share of requests for any face at all
    drop_some: float = 0.3  # share in which attributes are left out, each row as many as it happens

    # How fast.
    images: int = 1_000_000  # when the run is done
    batch: int = 128  # shared among all processes
    optimizer: OptimizerName = "adam"
    learning_rate: float = 2e-4  # DCGAN, section 4
    d_learning_rate: float | None = None  # of the discriminator; None is the same. Heusel et al. 2017
    beta1: float = 0.5  # Adam's
    beta2: float = 0.999  # Adam's; RMSProp's memory of squares
    decay: Decay = "none"  # of both rates
    decay_from: int = 0  # images at full rate
    decay_images: int | None = None  # where the end rate is reached; None is ``images``
    end_rate: float = 0.0  # share of the rate that is left at the end

    # Augmentation in front of the discriminator, of real and generated faces alike; Zhao et al. 2020.
    augment: str = ""  # "color,translation,cutout" or some of them; empty is none
    augment_p: float = 0.0  # probability of each operation; with a target only the one to begin with
    augment_target: float = 0.0  # share by which real faces may be told apart before p grows; 0 keeps p. Karras 2020
    augment_limit: float = 0.8  # p never grows beyond
    augment_images: int = 500_000  # in which p would grow from 0 to 1

    # The average of the weights.
    average_half_life: int = 40_000  # after Karras et al. 2018; 0 keeps none
    average_rampup: float = 0.1  # but at most this share of the images shown, so that the average forgets its start

    # From another model's weights.
    warmup: int = 0  # images by which the discriminator, which begins anew, learns before the generator moves
    freeze: int = 0  # layers of the generator that stay as they are, from the latent vector on; Mo et al. 2020

    # When numbers run away.
    skips: int = 8  # steps in a row without a finite loss before the run goes back to its last checkpoint
    rollbacks: int = 3  # so often, each time at half the rate, before it gives up

    # How it is computed, and what is written.
    precision: Precision = "auto"  # bf16 where the processor multiplies it in hardware
    compile: bool = False  # networks through torch.compile, where there is a compiler
    seed: int = 0
    checkpoint_every: int = 50_000
    sample_every: int = 50_000
    monitor_every: int = 50_000
    log_every: int = 2_000

    def __post_init__(self) -> None:
        check_seed(self.seed)
        self._check_choices()
        self._check_numbers()
        operations = self.operations
        if set(operations) - set(OPERATIONS) or len(set(operations)) < len(operations):
            raise ArgumentError(f"augment {self.augment!r}: expected some of {','.join(OPERATIONS)}")
        if self.augment_target and not operations:
            raise ArgumentError("augment_target: there is nothing to adapt without augment")
        if self.batch < 2:
            raise ArgumentError(f"batch {self.batch}: batch norm needs at least 2")

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations of ``augment``, in the order given."""
        return tuple(filter(None, self.augment.split(",")))

    def _check_choices(self) -> None:
        choices: dict[str, tuple[object, ...]] = {
            "architecture": ARCHITECTURES, "size": SIZES, "crop": CROPS, "d_norm": NORMS, "loss": LOSSES,
            "optimizer": OPTIMIZERS, "decay": DECAYS, "precision": PRECISIONS, "projected_on": BACKBONES,
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                known = ", ".join(map(str, allowed))
                raise ArgumentError(f"{name} {getattr(self, name)!r}: expected one of {known}")

    def _check_numbers(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ArgumentError(f"{name} {value}: expected at least {least}")
        for name in ("learning_rate", "d_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < 1:
                raise ArgumentError(f"{name} {rate}: expected a number between 0 and 1")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ArgumentError(f"{name} {getattr(self, name)}: expected from 0 to below 1")
        for name in ("end_rate", "augment_p", "augment_target", "augment_limit", "toggle", "drop_all", "drop_some"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name} {getattr(self, name)}: expected from 0 to 1")

    @property
    def conditional(self) -> bool:
        """Whether the networks know attributes."""
        return self.architecture != "dcgan"

    def to_json(self) -> dict[str, Any]:
        """The fields as a dict of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> TrainConfig:
        """The config a run began with; fields that its release did not know have the values it worked with.

        Raises:
            ArgumentError: a field this release does not know, or a value it cannot use.
        """
        known = {field.name for field in fields(cls)}
        if strange := sorted(set(found) - known):
            raise ArgumentError(f"config field {strange[0]!r} is unknown; a newer faceaug may know it")
        return cls(**(_BEFORE | found))


_LEAST: dict[str, float] = {
    "z_size": 1, "g_conv_dim": 1, "d_conv_dim": 1, "images": 1, "checkpoint_every": 1, "sample_every": 1,
    "monitor_every": 1, "log_every": 1, "penalty_every": 1, "augment_images": 1, "skips": 1, "rollbacks": 0,
    "decay_images": 1, "decay_from": 0, "average_half_life": 0, "average_rampup": 0, "r1": 0, "r2": 0,
    "matching": 0, "projected": 0, "projected_ramp": 0,
    "aux_d": 0, "aux_g": 0, "teacher": 0, "toggle_weight": 0, "warmup": 0, "freeze": 0,
}  # fmt: skip
# How 0.1.0 trained, in the fields it did not have; constants, so that its runs go on whatever the defaults become.
_BEFORE: dict[str, Any] = {
    "d_norm": "batch", "minibatch_stddev": False, "d_contrast": False, "loss": "non-saturating", "r1": 0.0, "r2": 0.0,
    "penalty_every": 8,
    "optimizer": "adam", "d_learning_rate": None, "decay": "none", "decay_from": 0, "decay_images": None,
    "end_rate": 0.0, "augment": "", "augment_p": 0.0, "augment_target": 0.0, "augment_limit": 0.8,
    "augment_images": 500_000, "skips": 8, "rollbacks": 3, "compile": False, "monitor_every": 50_000,
    "architecture": "dcgan", "aux_d": 4.0, "aux_g": 2.0, "toggle": 0.5, "drop_all": 0.1, "drop_some": 0.3,
    "warmup": 0, "freeze": 0, "toggle_weight": 40.0, "teacher": 0.0, "matching": 0.0, "projected": 0.0,
    "projected_on": "attributes-64", "projected_ramp": 0,
}  # fmt: skip

PRESETS: dict[str, TrainConfig] = {
    # What learnt elsewhere to see teaches more with a few hundred thousand faces than a discriminator of its own alone
    # with millions; small batches are many steps.
    "dcgan-32": TrainConfig(
        images=300_000, batch=16, d_contrast=True, projected=4.0, projected_on="efficientnet-lite1",
        projected_ramp=20_000, decay="linear", decay_from=100_000, end_rate=0.05, average_half_life=20_000,
        augment="translation,cutout", augment_target=0.6, augment_limit=0.5, augment_images=4_000_000,
    ),
    # The document's networks and recipe, no average. Its minimax loss is there (``loss="minimax"``), but with it the
    # discriminator wins within 2,000 images and the generator stops learning, as Goodfellow et al. 2014 say it would.
    "dcgan-32-report": TrainConfig(images=4_000_000, average_half_life=0),
    "dcgan-32-quick": TrainConfig(images=100_000, batch=16, average_half_life=10_000),  # a first look, in minutes
    "dcgan-64": TrainConfig(size=64, images=4_000_000),
    "dcgan-128": TrainConfig(size=128, images=4_000_000, batch=64),
    "dcgan-256": TrainConfig(size=256, images=4_000_000, batch=32),
    # Obeys attributes. CelebA's faces at this size are few enough to be learnt by heart in the end, so much must be
    # learnt from few images: small batches, which are many steps, and a wider generator.
    "faces-64": TrainConfig(
        architecture="film-subpixel", size=64, z_size=128, g_conv_dim=96, images=300_000, batch=16,
        minibatch_stddev=True, d_contrast=True, decay="linear", decay_from=120_000, end_rate=0.05,
        augment="translation,cutout", augment_target=0.6, augment_limit=0.5, augment_images=4_000_000,
    ),
}  # fmt: skip
DEFAULT_PRESET = "dcgan-32"


def preset(name: str, **changes: Any) -> TrainConfig:
    """A preset with some fields changed.

    Raises:
        ArgumentError: there is none of that name, or a field is unknown; the message lists those there are.
    """
    if name not in PRESETS:
        raise ArgumentError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return replace(PRESETS[name], **known_fields(changes))


def known_fields(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, or ArgumentError if there is no field of one of the names; the message lists the fields."""
    if strange := sorted(set(changes) - {field.name for field in fields(TrainConfig)}):
        raise ArgumentError(f"unknown field {strange[0]!r}; the fields are {', '.join(_field_names())}")
    return changes


def fine_tuning(model: ModelConfig, **changes: Any) -> TrainConfig:
    """How to go on from a model with the faces of a small folder, some hundred, without learning them by heart.

    The networks are the model's. The discriminator, which begins anew, learns a while before the generator moves, and
    faster than it; both see augmented faces from the start, the more the surer the discriminator is. What some hundred
    faces say about all of their kind, the moments of their features, is matched, which keeps the faces whole; and a
    second discriminator on the same features, which need not be learnt, knows from the start what a face looks like.

    Args:
        model: the config of the one to start from.
        **changes: fields that are to be otherwise.
    """
    fitting = TrainConfig(
        architecture=model.architecture, size=model.size, crop=model.crop, z_size=model.z_size,
        g_conv_dim=model.conv_dim, images=60_000, batch=32, learning_rate=5e-5, d_learning_rate=1e-4, warmup=6_000,
        minibatch_stddev=True, d_contrast=True, matching=2.0, projected=500.0,
        augment="color,translation,cutout", augment_p=0.3, augment_target=0.5, augment_images=200_000,
        average_half_life=5_000, toggle=0.0, aux_d=1.0, aux_g=0.5, checkpoint_every=10_000, sample_every=10_000,
        monitor_every=5_000,
    )  # fmt: skip
    return replace(fitting, **known_fields(changes))


def parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """Fields from a command line, ``("r1=0.5", "loss=hinge")``, each as the type it has in ``TrainConfig``.

    Raises:
        ArgumentError: not NAME=VALUE, an unknown field, or a value of another type; the message lists the fields.
    """
    found: dict[str, Any] = {}
    types = {field.name: str(field.type) for field in fields(TrainConfig)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in types:
            raise ArgumentError(f"{setting!r}: expected NAME=VALUE with one of {', '.join(_field_names())}")
        try:
            found[name] = _parse(types[name], text)
        except ValueError:
            raise ArgumentError(f"{setting!r}: {name} takes {types[name].replace('|', 'or')}") from None
    return found


def _parse(kind: str, text: str) -> Any:
    if text == "none" and kind.endswith("None"):
        return None
    kind = kind.removesuffix(" | None")
    if kind == "bool":
        if text not in {"true", "false"}:
            raise ValueError(text)
        return text == "true"
    return int(text.replace("_", "")) if kind == "int" else float(text) if kind == "float" else text


def _field_names() -> list[str]:
    return [field.name for field in fields(TrainConfig)]
