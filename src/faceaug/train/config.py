"""The configuration of a training run, and the presets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from faceaug.errors import ArgumentError
from faceaug.synthesize.config import ModelConfig
from faceaug.train.settings import (
    OPERATIONS,
    TRAINED,
    AttributeSettings,
    DataSettings,
    DiscriminatorSettings,
    NetworkSettings,
    OptimisationSettings,
    RunSettings,
    check_fields,
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(
    RunSettings, AttributeSettings, OptimisationSettings, DiscriminatorSettings, NetworkSettings, DataSettings
):
    """Everything that decides how a run goes. Lengths are in real images shown to the discriminator.

    The fields come from six groups in ``faceaug.train.settings``, where each has its meaning and its valid range:
    data, networks, discriminators, optimisation, attributes, and the run itself. They are given, stored and set on the
    command line flat, by name.

    Raises:
        ArgumentError: a value is outside its range; the message says what was expected.

    Example:
        >>> from faceaug import TrainConfig
        >>> TrainConfig(size=64, loss="hinge", r1=0.5).batch
        128
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self)
        operations = self.operations
        if set(operations) - set(OPERATIONS) or len(set(operations)) < len(operations):
            raise ArgumentError(f"augment {self.augment!r}: expected some of {','.join(OPERATIONS)}")
        if self.augment_target and not operations:
            raise ArgumentError("augment_target: there is nothing to adapt without augment")
        if self.batch < 2:
            raise ArgumentError(f"batch {self.batch}: batch norm needs at least 2")

    def to_json(self) -> dict[str, Any]:
        """The fields as a flat dict of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> TrainConfig:
        """Read the config of a run. Fields that its release did not have get the values it worked with.

        Raises:
            ArgumentError: a field is unknown to this release, or a value is invalid.
        """
        known = {field.name for field in fields(cls)}
        if strange := sorted(set(found) - known):
            raise ArgumentError(f"config field {strange[0]!r} is unknown; a newer faceaug may know it")
        return cls(**(_BEFORE | found))


# How 0.1.0 trained, in the fields it did not have. Constants: its runs can be resumed whatever the defaults become.
_BEFORE: dict[str, Any] = {
    "d_norm": "batch",
    "minibatch_stddev": False,
    "d_contrast": False,
    "loss": "non-saturating",
    "r1": 0.0,
    "r2": 0.0,
    "penalty_every": 8,
    "optimizer": "adam",
    "d_learning_rate": None,
    "decay": "none",
    "decay_from": 0,
    "decay_images": None,
    "end_rate": 0.0,
    "augment": "",
    "augment_p": 0.0,
    "augment_target": 0.0,
    "augment_limit": 0.8,
    "augment_images": 500_000,
    "skips": 8,
    "rollbacks": 3,
    "compile": False,
    "monitor_every": 50_000,
    "architecture": "dcgan",
    "aux_d": 4.0,
    "aux_g": 2.0,
    "toggle": 0.5,
    "drop_all": 0.1,
    "drop_some": 0.3,
    "warmup": 0,
    "freeze": 0,
    "toggle_weight": 40.0,
    "teacher": 0.0,
    "matching": 0.0,
    "projected": 0.0,
    "projected_on": "attributes-64",
    "projected_ramp": 0,
}

PRESETS: dict[str, TrainConfig] = {
    # With a few hundred thousand faces, features of a network that was trained elsewhere teach more than the pixel
    # discriminator alone does with millions. Small batches mean many steps.
    "dcgan-32": TrainConfig(
        images=300_000,
        batch=16,
        d_contrast=True,
        projected=4.0,
        projected_on="efficientnet-lite1",
        projected_ramp=20_000,
        decay="linear",
        decay_from=100_000,
        end_rate=0.05,
        average_half_life=20_000,
        augment="translation,cutout",
        augment_target=0.6,
        augment_limit=0.5,
        augment_images=4_000_000,
    ),
    # Networks and recipe of the project report (INSAT 2023), without EMA. Its loss is there (``loss="minimax"``), but
    # with it the discriminator wins within 2,000 images and the generator stops learning, the saturation that
    # Goodfellow et al. 2014 describe.
    "dcgan-32-report": TrainConfig(images=4_000_000, average_half_life=0),
    "dcgan-32-quick": TrainConfig(images=100_000, batch=16, average_half_life=10_000),  # a first look, in minutes
    "dcgan-64": TrainConfig(size=64, images=4_000_000),
    "dcgan-128": TrainConfig(size=128, images=4_000_000, batch=64),
    "dcgan-256": TrainConfig(size=256, images=4_000_000, batch=32),
    # Conditional on attributes. CelebA has few enough faces at this size to be memorised in a long run, so the recipe
    # learns much from few images: small batches, which mean many steps, and a wider generator.
    "faces-64": TrainConfig(
        architecture="film-subpixel",
        size=64,
        z_size=128,
        g_conv_dim=96,
        images=300_000,
        batch=16,
        minibatch_stddev=True,
        d_contrast=True,
        decay="linear",
        decay_from=120_000,
        end_rate=0.05,
        augment="translation,cutout",
        augment_target=0.6,
        augment_limit=0.5,
        augment_images=4_000_000,
    ),
}
DEFAULT_PRESET = "dcgan-32"


def preset(name: str, **changes: Any) -> TrainConfig:
    """Return a preset with some fields changed.

    Raises:
        ArgumentError: the preset or a field is unknown; the message lists the known ones.

    Example:
        >>> from faceaug.train import preset
        >>> preset("dcgan-32-quick", seed=1).images
        100000
    """
    if name not in PRESETS:
        raise ArgumentError(f"unknown preset {name!r}; the presets are {', '.join(PRESETS)}")
    return replace(PRESETS[name], **known_fields(changes))


def known_fields(changes: dict[str, Any], kind: type[Any] = TrainConfig) -> dict[str, Any]:
    """Return the changes if a config of this kind has all the fields.

    Raises:
        ArgumentError: a field is unknown; the message lists the fields.
    """
    names = [field.name for field in fields(kind)]
    if strange := sorted(set(changes) - set(names)):
        raise ArgumentError(f"unknown field {strange[0]!r}; the fields are {', '.join(names)}")
    return changes


def fine_tuning(model: ModelConfig, **changes: Any) -> TrainConfig:
    """Return a config that fine-tunes a model on a few hundred faces without memorising them.

    The networks are those of the model. The discriminator starts from fresh weights, so it trains alone during the
    warm-up and then faster than the generator. Augmentation is on from the start, with a probability that adapts.
    Feature matching keeps the faces whole, since a few hundred faces are enough to measure moments, and the projected
    discriminator looks at features that do not have to be learnt first.

    Args:
        model: config of the model to start from.
        **changes: fields with other values.

    Raises:
        ArgumentError: the model has a network that faceaug does not train.

    Example:
        >>> from faceaug.synthesize import load_model
        >>> from faceaug.train import fine_tuning
        >>> fine_tuning(load_model("dcgan-32").config, images=10_000).warmup
        6000
    """
    if model.architecture not in TRAINED:
        raise ArgumentError(
            f"{model.name}: its network ({model.architecture}) was imported from another program and only makes faces; "
            f"faceaug trains {' and '.join(TRAINED)}"
        )
    fitting = TrainConfig(
        architecture=model.architecture,
        size=model.size,
        crop=model.crop,
        z_size=model.z_size,
        g_conv_dim=model.conv_dim,
        images=60_000,
        batch=32,
        learning_rate=5e-5,
        d_learning_rate=1e-4,
        warmup=6_000,
        minibatch_stddev=True,
        d_contrast=True,
        matching=2.0,
        projected=500.0,
        augment="color,translation,cutout",
        augment_p=0.3,
        augment_target=0.5,
        augment_images=200_000,
        average_half_life=5_000,
        toggle=0.0,
        aux_d=1.0,
        aux_g=0.5,
        checkpoint_every=10_000,
        sample_every=10_000,
        monitor_every=5_000,
    )
    return replace(fitting, **known_fields(changes))


def parse_settings(settings: tuple[str, ...], kind: type[Any] = TrainConfig) -> dict[str, Any]:
    """Parse fields from a command line, each as the type it has in a config of this kind.

    Raises:
        ArgumentError: a setting is not NAME=VALUE, the field is unknown, or the value has another type; the message
            lists the fields.

    Example:
        >>> from faceaug.train import parse_settings
        >>> parse_settings(("r1=0.5", "loss=hinge"))
        {'r1': 0.5, 'loss': 'hinge'}
    """
    found: dict[str, Any] = {}
    types = {field.name: str(field.type) for field in fields(kind)}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in types:
            raise ArgumentError(f"{setting!r}: expected NAME=VALUE with one of {', '.join(types)}")
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
    if kind == "int":
        return int(text.replace("_", ""))
    return float(text) if kind == "float" else text
