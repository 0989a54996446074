from __future__ import annotations

from faceaug.train.summary import session_words


def test_a_session_that_was_stopped_says_how_to_go_on() -> None:
    text = session_words("faces", images=640, added=640, finished=False, minutes=1, seconds=60)
    assert text == "640 faces shown, saved; --resume continues."


def test_a_session_that_added_nothing_says_what_it_spent_its_time_on() -> None:
    text = session_words("faces", images=640, added=0, finished=False, minutes=0.5, seconds=31.4)
    assert "the limit of 0.5 minutes ended before the first step" in text
    assert "(31 s in all)" in text
    assert "The run is at 640 images. --resume" in text
