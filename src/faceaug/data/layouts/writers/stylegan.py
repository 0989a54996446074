"""Writes StyleGAN's folder: pictures and ``dataset.json`` with a label for each; format: see the reader."""

from __future__ import annotations

import json
from collections.abc import Sequence

from faceaug.data.layouts.writing import Faces, Picture, Plan, Tables, Writer, plain_stems
from faceaug.errors import counted

_WITHOUT = ("picture without a label is", "pictures without a label are")


def _plan(faces: Faces) -> Plan:
    stems, notes = plain_stems(faces)
    known = faces.known.label >= 0
    missing = int((~known).sum())
    if not known.any() or not missing:
        return Plan(stems, notes)
    # StyleGAN's loader looks every picture up in the list, or none.
    notes += (f"{counted(missing, *_WITHOUT)} left out: StyleGAN wants a label for every picture, or for none",)
    return Plan(tuple(stem if has else None for stem, has in zip(stems, known.tolist(), strict=True)), notes)


def _tables(faces: Faces, pictures: Sequence[Picture]) -> Tables:
    labels = faces.known.label.tolist()
    pairs = [[picture.name, labels[picture.row]] for picture in pictures] if max(labels, default=-1) >= 0 else None
    return {"dataset.json": json.dumps({"labels": pairs}).encode()}


STYLEGAN = Writer(frozenset({"labels"}), _plan, _tables, rgb=True)
