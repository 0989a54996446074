"""How well, how safely and how fast duplicates are found, beside other tools on the same files. Prints one JSON line.

    python benchmarks/clean.py CELEBA200 --copies 100 --seed 0

The labelled set of ``clean_set.py`` is made in a temporary folder. Every contender works in a process of its own, on
its own copy of the files (so no cache is warm), on two processors; the order changes from round to round. Timed is the
work from listing the folder to the list of files to remove, without imports. A table goes to stderr.

The answer of every tool is brought into one form, pairs (file to remove, file that stays in its stead):

- faceaug: what a dry run would set aside, with its keeper.
- imagededup: ``find_duplicates``, then the rule of its ``find_duplicates_to_remove``: each file that is not removed yet
  removes its neighbours. ``best`` is the radius of 0..16 with the highest F1 on this very set, in its favour.
- difPy (similarity "similar", otherwise as it comes): all of a group but the largest file, its own rule.
- cleanvision, czkawka and equal hashes of imagehash have no such rule: the first file by name stays. Names are random.

And judged in one way:

- A copy is *found* if it is in a pair with a picture of the same photo, on either side, and a picture of that photo
  stays. *Recall* leaves mirrored copies out, which are a column of their own.
- *Precision*: of the files to remove, the share that is removed for a picture of the same photo.
- *Photos lost*: photos of which no picture would remain. *Wrong*: files to remove for the sake of another photo only.
- *Mirror reported*: mirrored copies that are told of beside a picture of the same photo, without being removed.
- *Copies left*: pictures that remain although another of the same photo does, mirrored ones aside.

Then each works on the hard negatives of ``clean_negatives.py`` alone, where every picture is another one: how many it
would remove of each kind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

from clean_negatives import build_negatives
from clean_peers import CONTENDERS, DEFAULT_RADIUS, HAS_NEAR, Outcome, Pair, run_apart
from clean_set import build
from machine import facts

Labels: TypeAlias = Mapping[str, Mapping[str, Any]]

RADII = range(17)
DIFPY_LIMIT = 5_000  # above, its other algorithm takes pictures of equal sums for equal
MILD = ("exact", "png", "jpeg", "resize", "brightness", "contrast")
STRONG = ("crop", "shift", "gamma", "blur", "grayscale")
PEERS = ("faceaug", "imagededup", "cleanvision", "difPy", "imagehash", "czkawka", "numpy", "opencv-python", "pillow")


# Judging.


def score(labels: Labels, pairs: Iterable[Pair]) -> dict[str, Any]:
    """Judge an answer by the labels; the words are explained at the top of this file.

    Args:
        labels: file -> ``base`` (the photo) and ``edit`` (empty for the photo itself).
        pairs: (file to remove, file that stays).
    """
    every = list(pairs)
    right = [(a, b) for a, b in every if b in labels and labels[a]["base"] == labels[b]["base"]]
    removed = {name for name, _ in every}
    linked = {name for pair in right for name in pair}
    staying = Counter(label["base"] for name, label in labels.items() if name not in removed)
    upright = Counter(labels[name]["base"] for name in labels.keys() - removed if labels[name]["edit"] != "mirror")
    lost = {label["base"] for label in labels.values()} - staying.keys()
    seen: dict[str, list[bool]] = defaultdict(list)
    for name, label in labels.items():
        if label["edit"]:
            seen[label["edit"]].append(name in linked and label["base"] not in lost)
    justified = {name for name, _ in right}
    wrong = len(removed - justified)
    unlike = {(labels[a]["base"], labels[b]["base"] if b in labels else b) for a, b in every if a not in justified}
    return {
        "recall": _share(seen, lambda edit: edit != "mirror"),
        "recall_mild": _share(seen, lambda edit: edit.startswith(MILD)),
        "recall_strong": _share(seen, lambda edit: edit.startswith(STRONG)),
        "recall_mirror": _share(seen, lambda edit: edit == "mirror"),
        "precision": round(1 - wrong / len(removed), 4) if removed else 1.0,
        "photos_lost": len(lost),
        "wrong": wrong,
        "copies_left": sum(count - 1 for count in upright.values()),
        "removed": len(removed),
        "first_wrong": [f"{a} for {b}" for a, b in sorted(unlike)[:20]],
        "recall_by_edit": {edit: round(float(statistics.mean(found)), 4) for edit, found in seen.items()},
    }


def _share(seen: Mapping[str, list[bool]], wanted: Callable[[str], bool]) -> float | None:
    found = [value for edit, values in seen.items() if wanted(edit) for value in values]
    return round(float(statistics.mean(found)), 4) if found else None


def best_radius(labels: Labels, outcome: Outcome) -> tuple[int, dict[str, float]]:
    """The radius with the highest F1 of recall and precision, and the F1 of every one."""
    scores = {}
    for radius, pairs in outcome.answers.items():
        judged = score(labels, pairs)
        recall, precision = judged["recall"], judged["precision"]
        scores[radius] = round(2 * recall * precision / (recall + precision), 4) if recall + precision else 0.0
    return int(max(scores, key=lambda radius: scores[radius])), scores


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median, smallest and largest."""
    kinds = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {kind: round(value, digits) for kind, value in kinds.items()}


# The benchmark.

Plan: TypeAlias = dict[str, tuple[str, int]]  # title -> contender and radius


def on_a_copy(pictures: Path, run: Callable[[Path, Path], Outcome]) -> Outcome:
    """Call ``run`` with a fresh copy of a folder and an empty folder for caches."""
    with tempfile.TemporaryDirectory() as place:
        copy, cache = Path(place, "pictures"), Path(place, "cache")
        shutil.copytree(pictures, copy)
        cache.mkdir()
        return run(copy, cache)


def plan_runs(labels: Labels, pictures: Path, only: Sequence[str]) -> tuple[Plan, dict[str, Any]]:
    """What is run, and for those with a radius how good each one is."""
    wanted = [name for name in CONTENDERS if not only or name in only]
    if not HAS_NEAR and "faceaug" in wanted:
        wanted.remove("faceaug")
    plan: Plan = {}
    sweeps: dict[str, Any] = {}
    for name in wanted:
        if name not in {"imagededup", "czkawka"}:
            plan[name] = (name, DEFAULT_RADIUS)
            continue
        plan[f"{name} at {DEFAULT_RADIUS}"] = (name, DEFAULT_RADIUS)
        outcome = on_a_copy(pictures, lambda folder, cache, name=name: run_apart(name, folder, RADII, cache=cache))
        if not outcome.problem:
            radius, scores = best_radius(labels, outcome)
            sweeps[name] = {"best_radius": radius, "f1_by_radius": scores}
            plan[f"{name} at {radius}, its best"] = (name, radius)
    return plan, sweeps


def compete(plan: Plan, pictures: Path, *, repetitions: int, limit: float) -> dict[str, list[Outcome]]:
    """All contenders in every round, each round beginning with another one; those that failed run no more."""
    outcomes: dict[str, list[Outcome]] = {title: [] for title in plan}
    titles = list(plan)
    for turn in range(repetitions):
        first = turn * max(1, len(titles) // repetitions) % len(titles)
        for title in titles[first:] + titles[:first]:
            contender, radius = plan[title]
            if any(outcome.problem for outcome in outcomes[title]):
                continue
            if contender == "difPy" and len(list(pictures.iterdir())) > DIFPY_LIMIT:
                outcomes[title].append(Outcome(answers={}, problem=f"not run: more than {DIFPY_LIMIT} pictures"))
                continue
            run = partial(run_apart, contender, radii=(radius,), limit=limit)
            outcome = on_a_copy(pictures, lambda folder, cache, run=run: run(folder, cache=cache))
            outcomes[title].append(outcome)
            print(f"round {turn + 1}: {title}: {outcome.problem or f'{outcome.seconds:.2f} s'}", file=sys.stderr)
    return outcomes


def judge(labels: Labels, outcomes: Mapping[str, list[Outcome]], baseline: str) -> dict[str, dict[str, Any]]:
    """The figures of every contender; times are compared within a round."""
    figures: dict[str, dict[str, Any]] = {}
    for title, runs in outcomes.items():
        problems = [run.problem for run in runs if run.problem]
        if problems:
            figures[title] = {"problem": problems[0]}
            continue
        base = [run.seconds for run in outcomes.get(baseline, []) if not run.problem]
        ratios = [run.seconds / other for run, other in zip(runs, base, strict=False)]
        answers = dict(runs[-1].answers)
        told = answers.pop("mirrored", [])
        figures[title] = score(labels, next(iter(answers.values()))) | {
            "mirror_reported": score(labels, told)["recall_mirror"],
            "repetitions": len(runs),
            "same_answer_every_time": _agree(runs),
            "seconds": spread([run.seconds for run in runs]),
            "images_per_second": spread([len(labels) / run.seconds for run in runs], 1),
            "times_slower_than_faceaug": spread(ratios) if ratios else None,
            "peak_rss_mib": round(max(run.rss for run in runs)),
            "peak_pss_mib": round(max(run.pss for run in runs)),
        }
    return figures


def _agree(runs: Sequence[Outcome]) -> bool:
    return len({frozenset(pair for pairs in run.answers.values() for pair in pairs) for run in runs}) == 1


def remove_negatives(celeba: Path, plan: Plan, place: Path, seed: int) -> dict[str, Any]:
    """What each contender would remove of pictures that all differ: kind -> number of pictures removed."""
    kinds = build_negatives(celeba, place, seed=seed)
    found: dict[str, Any] = {"pictures": Counter(kinds.values())}
    for title, (contender, radius) in plan.items():
        run = partial(run_apart, contender, radii=(radius,))
        outcome = on_a_copy(place, lambda folder, cache, run=run: run(folder, cache=cache))
        answers = {key: pairs for key, pairs in outcome.answers.items() if key != "mirrored"}
        removed = {name for pairs in answers.values() for name, _ in pairs}
        counts = Counter(kinds[name] for name in removed)
        found[title] = outcome.problem or {kind: counts[kind] for kind in sorted(set(kinds.values()))}
        print(f"hard negatives: {title}: {found[title]}", file=sys.stderr)
    return found


COLUMNS = {
    "recall": "recall",
    "mild": "recall_mild",
    "strong": "recall_strong",
    "mirror": "recall_mirror",
    "reported": "mirror_reported",
    "precision": "precision",
    "photos lost": "photos_lost",
    "wrong": "wrong",
    "copies left": "copies_left",
}


def print_tables(figures: Mapping[str, dict[str, Any]]) -> None:
    """Two tables on stderr: everything by contender, and recall by edit."""
    width = max(map(len, figures)) + 2
    head = [*COLUMNS, "images/s", "x slower", "PSS MiB"]
    print("".ljust(width) + "".join(title.rjust(13) for title in head), file=sys.stderr)
    for title, figure in figures.items():
        if "problem" in figure:
            print(title.ljust(width) + figure["problem"], file=sys.stderr)
            continue
        slower = figure["times_slower_than_faceaug"]
        cells = [figure[key] for key in COLUMNS.values()]
        cells += [figure["images_per_second"]["median"], slower["median"] if slower else "", figure["peak_pss_mib"]]
        print(title.ljust(width) + "".join(str(cell).rjust(13) for cell in cells), file=sys.stderr)
    shown = {title: figure["recall_by_edit"] for title, figure in figures.items() if "problem" not in figure}
    for number, title in enumerate(shown, start=1):
        print(f"({number}) {title}", file=sys.stderr)
    for edit in sorted({edit for recalls in shown.values() for edit in recalls}):
        cells = [f"{recalls.get(edit, 0):.2f}".rjust(7) for recalls in shown.values()]
        print(edit.ljust(width) + "".join(cells), file=sys.stderr)


def described() -> dict[str, Any]:
    """The facts, with the versions of all peers that are here and of faceaug, installed or run from its sources."""
    found = []
    for name in PEERS:
        with contextlib.suppress(PackageNotFoundError):
            version(name)
            found.append(name)
    known = facts(*found)
    if "faceaug" not in found:
        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
        known["versions"]["faceaug"] = project["version"]
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="CELEBA200, or CELEBA64 with --bases")
    parser.add_argument("--copies", type=int, default=100, help="of each edit")
    parser.add_argument("--bases", type=int, help="photos taken; all if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], choices=CONTENDERS, help="repeatable")
    parser.add_argument("--limit", type=float, default=3600, help="seconds one run may take")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "set")
        labels = build(options.folder, out, copies=options.copies, seed=options.seed, bases=options.bases)
        plan, sweeps = plan_runs(labels, out / "pictures", options.only)
        outcomes = compete(plan, out / "pictures", repetitions=options.repetitions, limit=options.limit)
        negatives = remove_negatives(options.folder, plan, Path(place, "negatives"), options.seed)
    baseline = "faceaug" if "faceaug" in plan else "faceaug --no-near"
    figures = judge(labels, outcomes, baseline)
    print_tables(figures)
    result = {
        "figure": "duplicates of a labelled set of real faces: found, wrongly removed, seconds, memory",
        "pictures": len(labels),
        "photos": len({label["base"] for label in labels.values()}),
        "copies": Counter(label["edit"] for label in labels.values() if label["edit"]),
        "seed": options.seed,
        "near_search": HAS_NEAR,
        "compared_with": baseline,
        "contenders": figures,
        "radii": sweeps,
        "negatives_removed": negatives,
    }
    print(json.dumps(result | described()))


if __name__ == "__main__":
    main()
