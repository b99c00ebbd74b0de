# SPDX-License-Identifier: Apache-2.0
"""Several threads and processes."""

import multiprocessing
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import gcvit_cpp as gcvit
from program import python_running


def test_threads_share_a_classifier(clf, photos, answers):
    expected = [one[:3] for one in answers]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(clf, photos * 6)) == expected * 6
        assert list(threads.map(clf, [photos] * 4)) == [expected] * 4


def test_children_by_spawn(clf, photos, answers):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(clf, photos, chunksize=3) == [one[:3] for one in answers]


def test_children_by_fork_use_their_parents_classifier(clf, photos, answers):
    clf(photos)  # its threads run
    expected = [one[:3] for one in answers]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def classify():
        sender.send([clf(photos), clf(photos[0]), list(clf.stream(photos)), clf.predict_proba(photos).tolist()])

    children = [context.Process(target=classify, daemon=True) for _ in range(2)]
    for child in children:
        child.start()
    results = []
    for _ in children:
        assert receiver.poll(30)
        results.append(receiver.recv())
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert results == [[expected, expected[0], expected, clf.predict_proba(photos).tolist()]] * 2
    assert clf(photos) == expected


def test_a_forked_child_ends_as_any_program(rose):
    """Objects with threads of the parent are destroyed in a child that ends by itself: it must not wait for those."""
    script = """
import os, sys, time, gcvit_cpp as gcvit
photo = sys.argv[1]
clf = gcvit.Classifier(threads=2)
stream = clf.stream([photo] * 9)
next(stream)
time.sleep(0.5)  # the others are computed: no thread is inside a call
child = os.fork()
if child == 0:
    assert clf(photo) == next(clf.stream([photo]))
    try:
        next(stream)
    except RuntimeError as error:
        assert "another process" in str(error)
    del stream, clf
    sys.exit(7)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", script, rose], timeout=30).returncode == 7


def test_numpy_is_imported_when_it_is_needed(rose):
    script = """
import sys, gcvit_cpp as gcvit
gcvit.Classifier(threads=1)([sys.argv[1]])
assert "numpy" not in sys.modules and "PIL" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, rose], check=True, timeout=60)


def test_a_pickled_classifier_has_its_options(model_file):
    classifier = gcvit.Classifier(gcvit.load(model_file, dtype="int8"), threads=2)
    again = pickle.loads(pickle.dumps(classifier))
    assert again.model.config["dtype"] == "int8"
    assert repr(again) == repr(classifier)


@pytest.mark.parametrize("work", ["gcvit.load(model)", "clf.predict([photo] * 20000)", "list(clf.stream([photo] * 20000))"])
def test_ctrl_c_ends_a_program(rose, model_file, work):
    """As in a terminal: by KeyboardInterrupt, and no more than that is printed."""
    script = f"""
import sys, gcvit_cpp as gcvit
photo, model = sys.argv[1:]
clf = gcvit.Classifier(threads=2)
print("begins", flush=True)
while True:
    {work}
"""
    with python_running(script, rose, model_file) as program:
        assert program.stdout.readline() == "begins\n"
        time.sleep(0.3)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=30)
    assert errors.startswith("Traceback") and errors.endswith("\nKeyboardInterrupt\n")
    assert program.returncode == -signal.SIGINT
