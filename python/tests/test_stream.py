# SPDX-License-Identifier: Apache-2.0
import itertools
import signal
import threading
import time

import pytest


def test_order(clf, photos, answers):
    expected = [one[:3] for one in answers]
    assert list(clf.stream(photos * 8)) == expected * 8
    assert list(clf.stream([])) == []
    assert list(clf.stream(photos, top_k=1)) == [one[:1] for one in answers]


def test_takes_images_as_there_is_room(clf, photos):
    taken = 0

    def endless():
        nonlocal taken
        for photo in itertools.cycle(photos):
            taken += 1
            yield photo

    ahead = []
    results = clf.stream(endless())
    for used, _ in enumerate(itertools.islice(results, 100)):
        ahead.append(taken - used)
    results.close()
    assert 2 <= max(ahead) <= 20
    assert taken <= 120


def test_errors_keep_their_place(clf, rose):
    results = list(clf.stream([rose, "nowhere.jpg", rose, 7, b"", rose], errors="return"))
    assert [isinstance(one, list) for one in results] == [True, False, True, False, False, True]
    assert isinstance(results[1], FileNotFoundError)
    assert isinstance(results[3], TypeError)
    assert isinstance(results[4], ValueError)
    stream = clf.stream([rose, "nowhere.jpg", rose])
    assert next(stream)[0].label == "roses"
    with pytest.raises(FileNotFoundError):
        next(stream)
    assert list(stream) == []


def test_an_exception_of_the_iterable_comes_out(clf, rose):
    def ends():
        yield rose
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(clf.stream(ends()))


class Interrupted(Exception):
    pass


@pytest.fixture
def interrupt():
    """Raises Interrupted in the main thread's running call after 0.3 s, as Ctrl-C raises KeyboardInterrupt."""

    def handle(number, frame):
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("call", ["__call__", "predict_proba", "predict", "features"])
def test_ctrl_c_ends_a_long_call(clf, rose, interrupt, call):
    began = time.monotonic()
    with pytest.raises(Interrupted):
        getattr(clf, call)([rose] * 20000)  # a minute
    assert time.monotonic() - began < 20
    assert clf(rose, top_k=1)[0].label == "roses"


def test_other_threads_run_meanwhile(clf, rose):
    def longest_wait_of_this_thread():
        """As a share of the time that another thread's call takes."""
        computing = threading.Thread(target=clf.features, args=([rose] * 200,))
        began = before = time.monotonic()
        computing.start()
        longest = 0
        while computing.is_alive():
            time.sleep(0.001)
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        return longest / (before - began)

    shares = (longest_wait_of_this_thread() for _ in range(3))  # on a busy machine this thread may wait for others too
    assert any(share < 0.5 for share in shares)
