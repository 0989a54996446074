"""The summary of a training session."""

from __future__ import annotations


def session_words(what: str, *, images: int, added: int, finished: bool, minutes: float | None, seconds: float) -> str:
    """Say in one or two sentences how far the run is, and why nothing was added if nothing was.

    Args:
        what: "images of 2,500 faces", or "faces".
        images: images shown so far, in all sessions.
        added: images shown in this session.
        finished: whether the run is complete.
        minutes: time limit of the session; None for none.
        seconds: duration of the session.
    """
    if added:
        state = "finished" if finished else "saved; --resume continues"
        part = "" if added == images else f" {added:,} of them were shown in this session."
        return f"{images:,} {what} shown, {state}.{part}"
    if finished:
        return (
            f"nothing was added: the run has been shown all of its {images:,} images already. "
            "--resume with a larger --images continues it."
        )
    limit = "the session" if minutes is None else f"the limit of {minutes:g} minutes"
    untrained = "; the model is untrained" if not images else ""
    return (
        f"nothing was added: {limit} ended before the first step, while the faces were read and the run was prepared "
        f"({seconds:.0f} s in all). The run is at {images:,} images{untrained}. "
        "--resume with more --minutes continues it."
    )
