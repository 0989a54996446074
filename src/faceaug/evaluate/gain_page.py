"""The comparison of arms as one self-contained HTML page with a plot."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from faceaug.evaluate.usefulness_report import ArmResult, UsefulnessReport
from faceaug.evaluate.intervals import Estimate
from faceaug.mix.report import REASON_WORDS
from faceaug.reports.shell import html_page, html_table

_COLOURS = ("#7a7a7a", "#30638e", "#e08e2b", "#d1495b")
_LEFT, _WIDTH, _STEP = 170, 480, 9  # of the plot, pixels; between arms
_ROW = 4 * _STEP + 14  # of an attribute


def usefulness_page(report: UsefulnessReport) -> str:
    """The whole page."""
    return html_page(f"Usefulness of {report.model}", usefulness_section(report))


def usefulness_section(report: UsefulnessReport) -> str:
    """What the page says, without its shell."""
    verdict = "".join(f"<li>{html.escape(_sentence(line))}</li>" for line in report.verdict())
    intro = (
        f"<p>Does adding faces of <code>{html.escape(report.model)}</code> to real ones make a classifier better? The "
        f"same small network was taught by four sets of faces, {report.seeds} times each, with {report.images:,} faces "
        f"shown each time. {report.taught:,} real faces of <code>{html.escape(report.folder)}</code> are in all sets, "
        f"{report.held:,} more set the thresholds, and {report.unseen:,} that nothing has learnt from were asked "
        "about. Steps, rates, loss and balanced draws are the same; only the faces differ.</p>"
    )
    parts = [f"<ul><strong>{verdict}</strong></ul>", intro, _table(report.arms), _plot(report), _terms(report)]
    if report.notes:
        parts.append("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in report.notes) + "</ul>")
    return "".join(parts)


def _sentence(line: str) -> str:
    return line[:1].upper() + line[1:] + "."


def _table(arms: Sequence[ArmResult]) -> str:
    rows = [
        (arm.arm, *arm.faces, arm.balanced_accuracy.percent(), arm.minority_recall.percent()) for arm in arms
    ]  # fmt: skip
    header = ("faces shown", "real", "copies", "generated", "balanced accuracy", "recall of the rarer side")
    return html_table(rows, header=header)


def _terms(report: UsefulnessReport) -> str:
    labels = f" Labels of generated faces: {html.escape(report.labels)}." if report.labels else ""
    left_out = ", ".join(f"{count:,} {REASON_WORDS[name]}" for name, count in report.rejected.items() if count)
    rejected = f" Generated faces that were left out and replaced: {left_out}." if left_out else ""
    return (
        "<p>Balanced accuracy is the mean of the shares recognised of faces with and without an attribute; 50 % is "
        "guessing. In brackets, and as lines, the 95 % intervals over other unseen faces and other seeds (bootstrap); "
        f"the draw of real faces itself is one.{labels}{rejected}</p>"
    )


def _plot(report: UsefulnessReport) -> str:
    """A line for every attribute and arm: balanced accuracy with its interval."""
    rows = [("mean", [arm.balanced_accuracy for arm in report.arms])]
    rows += [
        (name, [arm.attributes[k].balanced_accuracy for arm in report.arms]) for k, name in enumerate(report.attributes)
    ]
    every = [e for _, estimates in rows for e in estimates]
    low = math.floor(20 * min(e.low for e in every)) / 20
    high = max(e.high for e in every)
    height = 24 + _ROW * len(rows)
    drawn = "".join(_line(k, name, estimates, low, high) for k, (name, estimates) in enumerate(rows))
    ticks = "".join(_tick(share, low, high, height) for share in _ticks(low, high))
    legend = "".join(
        f'<tspan fill="{colour}">● {html.escape(arm.arm)}   </tspan>'
        for arm, colour in zip(report.arms, _COLOURS, strict=True)
    )
    text = "Balanced accuracy on unseen faces, by what the classifier was shown; lines are 95 % intervals."
    return (
        f'<figure><svg viewBox="0 0 {_LEFT + _WIDTH + 20} {height + 24}" width="{_LEFT + _WIDTH + 20}" role="img" '
        f'aria-label="{text}" style="max-width:100%" font-size="12">'
        f'<text x="{_LEFT}" y="14" xml:space="preserve">{legend}</text>{ticks}{drawn}</svg>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _line(k: int, name: str, estimates: Sequence[Estimate], low: float, high: float) -> str:
    top = 24 + _ROW * k
    weight = ' font-weight="bold"' if name == "mean" else ""
    parts = [
        (
            f'<text x="{_LEFT - 10}" y="{top + 2 * _STEP + 4}" fill="currentColor" text-anchor="end"{weight}>'
            f"{html.escape(name)}</text>"
        )
    ]
    for place, (estimate, colour) in enumerate(zip(estimates, _COLOURS, strict=True)):
        y = top + _STEP * place + 6
        left, middle, right = (_x(v, low, high) for v in (estimate.low, estimate.value, estimate.high))
        parts.append(f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{middle:.1f}" cy="{y}" r="3.5" fill="{colour}"/>')
    return "".join(parts)


def _x(value: float, low: float, high: float) -> float:
    return _LEFT + _WIDTH * (value - low) / max(high - low, 1e-9)


def _ticks(low: float, high: float) -> list[float]:
    return [k / 20 for k in range(21) if low <= k / 20 <= high]


def _tick(share: float, low: float, high: float, height: int) -> str:
    x = _x(share, low, high)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="22" y2="{height}" stroke="currentColor" opacity=".15"/>'
        f'<text x="{x:.1f}" y="{height + 14}" fill="currentColor" text-anchor="middle">{share:.0%}</text>'
    )
