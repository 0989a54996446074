"""How progress is shown: when, where, in which words. Time is a number that the tests move."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faceaug import progress
from faceaug.errors import ArgumentError
from faceaug.progress import SILENT, Progress, aside, open_progress, views
from faceaug.progress.phases import Phase
from faceaug.progress.views import duration, phase_line


class Clock:
    """Seconds, as many as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def look_at(stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors go there, as far as progress knows; pytest puts its own stream back between fixtures and test."""
    for module in (progress, views):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=stream, modules=sys.modules))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Errors go to a terminal of 80 columns."""
    found = Screen()
    look_at(found, monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    return found


def shown(view: Any, clock: Clock) -> Progress:
    return Progress(view, clock=clock)


def steps(phase: Phase, clock: Clock, count: int, seconds: float) -> None:
    """Steps of the work that take so long each."""
    for _ in range(count):
        clock.now += seconds
        phase.advance()


def test_a_phase_shorter_than_two_seconds_shows_no_bar(clock: Clock, screen: Screen) -> None:
    with shown(views.Bar(), clock).phase("reading", 100, "pictures") as phase:
        steps(phase, clock, 100, 0.019)
    assert screen.getvalue() == ""


def test_a_longer_one_shows_name_share_count_speed_and_time_left_and_is_gone_afterwards(
    clock: Clock, screen: Screen
) -> None:
    with shown(views.Bar(), clock).phase("reading", 200, "pictures") as phase:
        steps(phase, clock, 100, 0.02)
        assert screen.getvalue() == ""
        steps(phase, clock, 1, 0.02)
        drawn = screen.getvalue()
    assert drawn.startswith("\rreading:  50%|")
    assert "| 101/200  50 pictures/s  2 s left" in drawn
    assert len(drawn) <= 78
    assert screen.getvalue().removeprefix(drawn).strip() == ""
    assert screen.getvalue().endswith("\r")


def test_a_bar_is_drawn_at_most_ten_times_a_second(clock: Clock, screen: Screen) -> None:
    with shown(views.Bar(), clock).phase("reading", 10_000, "pictures") as phase:
        steps(phase, clock, 5000, 0.001)
        assert 25 <= screen.getvalue().count("\r") <= 31


def test_a_resumed_phase_counts_from_the_start_but_its_speed_does_not(clock: Clock, screen: Screen) -> None:
    with shown(views.Bar(), clock).phase("training", 1000, "images", start=900) as phase:
        clock.now += 5
        phase.reach(950, "D 1.21  G 0.93")
        assert "training:  95%|" in screen.getvalue()
        assert "| 950/1,000  10 images/s  5 s left  D 1.21  G 0.93" in screen.getvalue()


def test_work_that_stops_at_a_time_is_not_said_to_take_longer(clock: Clock, screen: Screen) -> None:
    with shown(views.Bar(), clock).phase("training", 300_000, "images", limit=60) as phase:
        clock.now += 20
        phase.reach(3000)
        assert phase_line(phase, clock.now).endswith("150 images/s, 40 s left")
    assert "150 images/s  40 s left" in screen.getvalue()


def test_time_left_is_the_smaller_of_estimate_and_limit_and_never_zero_while_work_goes_on(clock: Clock) -> None:
    with shown(None, clock).phase("training", 1000, "images", limit=60) as phase:
        clock.now += 10
        phase.reach(900)
        assert phase_line(phase, clock.now).endswith("90 images/s, 1 s left")
        clock.now += 49.9
        phase.reach(910)
        assert phase_line(phase, clock.now).endswith("15 images/s, 1 s left")
        clock.now += 5
        phase.reach(911)
        assert phase_line(phase, clock.now).endswith("14 images/s, stopping")


def test_a_phase_with_long_steps_is_shown_when_it_begins(clock: Clock, screen: Screen) -> None:
    with shown(views.Bar(), clock).phase("saving", 3, "parts", at_once=True):
        assert screen.getvalue().startswith("\rsaving:   0%|")
        assert "| 0/3" in screen.getvalue()
    assert screen.getvalue().endswith("\r")


def test_going_back_is_shown_too(clock: Clock, screen: Screen) -> None:
    with shown(views.Bar(), clock).phase("training", 1000, "images") as phase:
        for done in (800, 200):
            clock.now += 5
            phase.reach(done)
    assert "| 200/1,000" in screen.getvalue()


def test_a_window_that_shrinks_is_never_overfull(clock: Clock, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    with shown(views.Bar(), clock).phase("reading", 200, "pictures") as phase:
        steps(phase, clock, 10, 0.3)
        before = screen.getvalue()
        monkeypatch.setenv("COLUMNS", "40")
        steps(phase, clock, 10, 0.3)
    assert max(map(len, before.split("\r"))) > 40
    assert max(map(len, screen.getvalue().removeprefix(before).split("\r"))) < 40


@pytest.mark.parametrize(("columns", "has_bar"), [(20, False), (40, False), (80, True), (200, True)])
def test_a_bar_fits_its_terminal(
    clock: Clock, screen: Screen, monkeypatch: pytest.MonkeyPatch, columns: int, has_bar: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with shown(views.Bar(), clock).phase("training", 300_000, "images") as phase:
        clock.now += 60
        phase.reach(30_000, "D 1.21  G 0.93  proxy 0.342")
        drawn = screen.getvalue().strip("\r")
    assert len(drawn) <= columns - 3
    assert ("|" in drawn) == has_bar
    assert "9 min left" in drawn or columns == 20


def test_bars_make_way_for_lines_of_others(clock: Clock, screen: Screen) -> None:
    with shown(views.Bar(), clock).phase("reading", 200, "pictures") as phase:
        steps(phase, clock, 10, 0.3)
        before = screen.getvalue()
        with aside():
            screen.write("note: something odd\n")
    written = screen.getvalue().removeprefix(before)
    cleared, _, after = written.partition("note: something odd\n")
    assert cleared.strip("\r ") == ""
    assert cleared.endswith("\r")
    assert "reading: " in after


def test_a_terminal_that_goes_away_does_not_end_the_work(
    clock: Clock, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> int:
        raise BrokenPipeError

    with shown(views.Bar(), clock).phase("reading", 200, "pictures") as phase:
        steps(phase, clock, 10, 0.3)
        monkeypatch.setattr(screen, "write", fail)
        steps(phase, clock, 10, 0.3)
    assert phase.done == 20


def test_lines_come_after_ten_seconds_and_then_every_thirty(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown(views.Lines(), clock).phase("reading", 400, "pictures") as phase:
        steps(phase, clock, 300, 0.25)
    assert capsys.readouterr().err.splitlines() == [
        "reading: 40 of 400 pictures (10%), 4 pictures/s, 2 min left",
        "reading: 160 of 400 pictures (40%), 4 pictures/s, 60 s left",
        "reading: 280 of 400 pictures (70%), 4 pictures/s, 30 s left",
    ]


def test_short_phases_share_the_patience_of_lines(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(views.Lines(), clock)
    for name in ("reading", "searching", "comparing"):
        with found.phase(name, 4, "steps") as phase:
            steps(phase, clock, 4, 1.2)
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["comparing"]


def test_nothing_is_foretold_from_too_little(clock: Clock) -> None:
    with Progress(clock=clock).phase("reading", 27_097, "pictures") as phase:
        steps(phase, clock, 1, 10)
        assert phase_line(phase, clock.now) == "reading: 1 of 27,097 pictures (0%)"
    with Progress(clock=clock).phase("comparing", 5, "figures") as phase:
        steps(phase, clock, 1, 10)
        assert phase_line(phase, clock.now) == "comparing: 1 of 5 figures (20%), 0.1 figures/s, 40 s left"


def test_spans_of_time_are_told_in_fitting_units() -> None:
    assert [duration(s) for s in (0.2, 89, 100, 3600, 4 * 3600)] == ["0 s", "89 s", "2 min", "60 min", "4.0 h"]


def test_a_function_is_told_of_every_phase_and_step() -> None:
    told: list[tuple[str, int, int, str]] = []
    found = open_progress(lambda *state: told.append(state))
    with found.phase("reading", 2, "pictures") as phase:
        assert list(phase.over("ab")) == ["a", "b"]
    with found.phase("training", 8, "images", start=4) as phase:
        phase.reach(8, "loss 0.1")
    assert told == [
        ("reading", 0, 2, "pictures"), ("reading", 1, 2, "pictures"), ("reading", 2, 2, "pictures"),
        ("training", 4, 8, "images"), ("training", 8, 8, "loss 0.1"),
    ]  # fmt: skip


def test_what_a_function_raises_ends_the_work() -> None:
    def stop(*_: object) -> None:
        raise OSError("enough")

    with pytest.raises(OSError, match="enough"), open_progress(stop).phase("reading", 2, "pictures"):
        pass


def test_phases_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "faceaug")
    with SILENT.phase("reading", 3, "pictures") as phase:
        phase.advance(3)
    with pytest.raises(KeyboardInterrupt), SILENT.phase("copying", 3, "files"):
        raise KeyboardInterrupt
    began, done, _, stopped = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    assert began == ("faceaug", "DEBUG", "reading: 3 pictures, from 0")
    assert done == ("faceaug", "INFO", "reading done: 3 of 3 pictures, 0.0 s")
    assert stopped == ("faceaug", "INFO", "copying stopped: 0 of 3 files, 0.0 s")


class TestWhereItIsShown:
    def test_not_where_nobody_looks(self) -> None:
        assert open_progress(None)._view is None
        assert open_progress(False)._view is None

    def test_as_lines_where_it_is_wished_anyway(self) -> None:
        assert isinstance(open_progress(True)._view, views.Lines)

    @pytest.mark.parametrize("show", [None, True])
    def test_as_a_bar_on_a_terminal(self, screen: Screen, show: bool | None) -> None:
        assert isinstance(open_progress(show)._view, views.Bar)
        assert open_progress(False)._view is None

    def test_not_by_all_of_several_processes(self, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RANK", "1")
        assert open_progress(True)._view is None

    def test_not_in_worker_processes(self, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("multiprocessing.parent_process", object)
        assert open_progress(None)._view is None

    @pytest.mark.parametrize("gone", [None, io.StringIO()])
    def test_not_without_a_stream(self, monkeypatch: pytest.MonkeyPatch, gone: io.StringIO | None) -> None:
        if gone is not None:
            gone.close()
        look_at(gone, monkeypatch)
        assert open_progress(None)._view is None
        with open_progress(True).phase("reading", 2, "pictures") as phase:
            phase.advance()

    def test_one_that_is_open_already_is_used(self) -> None:
        assert open_progress(SILENT) is SILENT

    @pytest.mark.parametrize("wrong", ["yes", 1, 0.5])
    def test_anything_else_is_refused(self, wrong: Any) -> None:
        with pytest.raises(ArgumentError, match="expected True, False, None or a function"):
            open_progress(wrong)


def test_a_bar_starts_no_thread_and_settles_no_way_to_start_processes(tmp_path: Path) -> None:
    program = (
        "import sys, io, threading, multiprocessing\n"
        "class Screen(io.StringIO):\n"
        "    def isatty(self): return True\n"
        "sys.stderr = Screen()\n"
        "from faceaug import progress\n"
        "from faceaug.progress import views\n"
        "assert 'tqdm' not in sys.modules\n"
        "views.DELAY = 0.0\n"
        "with progress.open_progress(None).phase('reading', 2, 'pictures') as phase: phase.advance()\n"
        "assert 'reading: ' in sys.stderr.getvalue()\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "multiprocessing.set_start_method('spawn')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
