from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faceaug.errors import ArgumentError, FaceAugError, ImageError
from faceaug.executor import ProcessExecutor, SerialExecutor, ThreadExecutor, open_crew, open_executor


def square(number: int) -> int:
    return number * number


def die(number: int) -> int:
    if number == 70:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(number: int) -> int:
    raise ImageError("a.jpg", "is empty")


def threads(_: int) -> int:
    import cv2

    return int(cv2.getNumThreads())


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    with open_executor(workers) as executor:
        assert list(executor.map(square, range(1000))) == [n * n for n in range(1000)]


def test_a_killed_worker_is_one_clear_error_and_no_hang() -> None:
    began = time.monotonic()
    with ProcessExecutor(2) as executor, pytest.raises(FaceAugError, match="worker process died"):
        list(executor.map(die, range(200)))
    assert time.monotonic() - began < 20


def test_an_error_in_a_task_reaches_the_caller_unchanged() -> None:
    with ProcessExecutor(2) as executor:
        with pytest.raises(ImageError, match=r"a\.jpg: is empty"):
            list(executor.map(fail, range(3)))
        assert list(executor.map(square, range(3))) == [0, 1, 4], "and the processes go on"


def test_workers_use_one_thread_each() -> None:
    with ProcessExecutor(1) as executor:
        assert list(executor.map(threads, [0])) == [1]


def test_the_number_of_workers_chooses_the_executor() -> None:
    with open_executor(1) as executor:
        assert isinstance(executor, SerialExecutor)
    with open_executor(3) as executor:
        assert isinstance(executor, ProcessExecutor)
        assert executor.workers == 3
    with pytest.raises(ArgumentError), open_executor(-1):
        pass


def test_a_crew_works_here_until_there_is_much_to_do_and_then_in_the_same_processes_for_all() -> None:
    with open_crew(None) as crew:
        assert list(crew(10).map(process, [0])) == [os.getpid()]
        executor = crew(1_000_000)
        if isinstance(executor, ProcessExecutor):  # more than one processor
            first = set(executor.map(process, range(500)))
            assert os.getpid() not in first
            assert set(crew(10).map(process, range(10))) <= first


def test_native_work_that_is_not_much_runs_in_threads_of_this_process() -> None:
    with open_crew(2) as crew:
        assert isinstance(crew(10, native=True), SerialExecutor)
        assert isinstance(crew(5_000), ProcessExecutor)
        executor = crew(5_000, native=True)
        assert isinstance(executor, ThreadExecutor)
        assert list(executor.map(square, range(1_000))) == [number * number for number in range(1_000)]
        assert set(executor.map(process, range(300))) == {os.getpid()}
        with pytest.raises(ImageError, match="is empty"):
            list(executor.map(fail, range(300)))
        assert next(executor.map(square, range(10**9))) == 0


def test_nobody_listening_stops_the_work() -> None:
    with ProcessExecutor(1) as executor:
        results = executor.map(square, range(100_000))
        assert next(results) == 0
        results.close()
        assert list(executor.map(square, range(3))) == [0, 1, 4]


def process(_: int) -> int:
    return os.getpid()


def test_a_script_without_a_main_guard_is_not_started_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('once', flush=True)\n"
        "from faceaug.executor import ProcessExecutor\n"
        "from faceaug.errors import printable\n"
        "with ProcessExecutor(2) as executor:\n"
        "    print(list(executor.map(printable, range(3))))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == "once\n['0', '1', '2']\n"
    assert done.stderr == ""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time, signal\n"
        "from faceaug.executor import ProcessExecutor\n"
        "from tests.test_executor import tell\n"
        "results = ProcessExecutor(2).map(tell, range(200))\n"
        "print(next(results), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    worker = int(done.stdout)
    for _ in range(100):
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("a worker outlived its parent by five seconds")


def tell(_: int) -> int:
    return os.getpid()
