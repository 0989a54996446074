"""What may be chosen when the faces of a folder of photos are hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from faceaug.data.annotations import attribute_index
from faceaug.draws import check_seed
from faceaug.errors import ArgumentError
from faceaug.faces.finder import THRESHOLD, FaceFinder

How: TypeAlias = Literal["blur", "mosaic", "fill", "synthetic"]
Drop: TypeAlias = Literal["names", "identities", "labels", "columns"]
HOW: tuple[How, ...] = get_args(How)
DROP: tuple[Drop, ...] = get_args(Drop)
KEEP = ("Male", "Young", "Smiling", "Eyeglasses")  # attributes of a face that its synthetic one gets
SURE = 1.2 * THRESHOLD  # score from which ``align`` takes a face that is alone in a photo
DOUBTFUL = 0.35  # least score of a face that is hidden all the same
SMALLEST = 16  # pixels: nobody is recognised in fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifyOptions:
    """How faces are hidden; see ``faceaug.deidentify_folder`` for the meaning of each.

    Attributes:
        how: "blur", "mosaic", "fill" or "synthetic".
        drop: what is left out of names and tables: "names", "identities", "labels" or "columns".
        attributes: requested of every synthetic face, {"Smiling": 1}.
        keep: attributes that a synthetic face takes over from the one it replaces.
        threshold: least score of a face that is hidden, 0.1..1.
        min_face: size of the smallest faces that are looked for, pixels.
        seed: seed of the synthetic faces.

    Example:
        >>> from faceaug.deidentify import DeidentifyOptions
        >>> DeidentifyOptions(how="fill").to_json()["how"]
        'fill'
    """

    how: How = "blur"
    drop: tuple[Drop, ...] = ()
    attributes: Mapping[str, int] = field(default_factory=dict)
    keep: tuple[str, ...] = KEEP
    threshold: float = DOUBTFUL
    min_face: int = SMALLEST
    seed: int = 0

    def __post_init__(self) -> None:
        for name, values, known in (("how", (self.how,), HOW), ("drop", self.drop, DROP)):
            for value in values:
                if value not in known:
                    raise ArgumentError(f"{name} {value!r}: expected one of {', '.join(known)}")
        for name in (*self.attributes, *self.keep):
            attribute_index(name)
        if wrong := [value for value in self.attributes.values() if value not in (-1, 1)]:
            raise ArgumentError(f"attributes: value {wrong[0]!r}: expected 1 (with) or -1 (without)")
        if self.attributes and self.how != "synthetic":
            raise ArgumentError(f"attributes: {self.how} takes none; expected how='synthetic' (--with synthetic)")
        check_seed(self.seed)
        FaceFinder(min_face=self.min_face, threshold=self.threshold)

    def to_json(self) -> dict[str, Any]:
        """The options as plain values."""
        found: dict[str, Any] = {
            "how": self.how, "drop": sorted(self.drop), "threshold": self.threshold, "min_face": self.min_face,
        }  # fmt: skip
        if self.how == "synthetic":
            found |= {"attributes": dict(self.attributes), "keep": list(self.keep), "seed": self.seed}
        return found
