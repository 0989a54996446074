from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import logging, sys
from faceaug.serve.log import log_to_stderr
import faceaug.progress
"""
FAIL = """
log_to_stderr()
log_to_stderr()
logging.getLogger("faceaug.serve.faces").info("quiet")
try:
    raise OSError("no bucket")
except OSError:
    logging.getLogger("faceaug.serve.faces").exception("a request failed")
"""


def said(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + program], capture_output=True, text=True, check=True)
    return done.stderr


def test_a_server_says_once_on_stderr_why_a_request_failed() -> None:
    lines = said(FAIL).splitlines()
    assert lines[0] == "ERROR faceaug.serve.faces: a request failed"
    assert lines[-1] == "OSError: no bucket"
    assert sum("a request failed" in line for line in lines) == 1
    assert "quiet" not in "".join(lines)


@pytest.mark.parametrize("name", ["", "faceaug"])
def test_a_program_with_handlers_of_its_own_keeps_its_way(name: str) -> None:
    own = f"logging.getLogger({name!r}).addHandler(logging.StreamHandler(sys.stdout))\n"
    assert said(own + FAIL) == ""
