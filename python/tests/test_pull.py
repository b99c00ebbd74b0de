# SPDX-License-Identifier: Apache-2.0
"""Official weights by name, from a server of this machine that goes wrong in the ways of servers (tests/hub/server.py)."""

import hashlib
import json
import os
import pathlib
import pickle
import subprocess
import sys
import sysconfig
import types
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import gcvit_cpp as gcvit
from gcvit_cpp import _download, _hub, _program
from program import SOURCE

NAME, FILE = "gcvit_xtiny.nvlabs", "gcvit_1k_xtiny.pth.tar"  # neither its size nor its SHA-256 is published


class Server:
    """server.py with one file to serve."""

    def __init__(self, body, monkeypatch, folder, *options):
        self._monkeypatch = monkeypatch
        folder.mkdir(parents=True)
        (folder / "body").write_bytes(body)
        self._process = subprocess.Popen([sys.executable, SOURCE / "tests/hub/server.py", folder / "body", *options],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())

    def use(self, kind, scheme="http"):
        self._monkeypatch.setenv("GCVIT_HUB_URL", f"{scheme}://127.0.0.1:{self.port}/{kind}/")

    def requests(self):
        """(Range, If-Range) of each request so far, None where it had none."""
        with _download._opener().open(f"http://127.0.0.1:{self.port}/requests") as answer:
            lines = answer.read().decode().splitlines()
        read = [line.split(" ", 2)[1:] for line in lines if not line.startswith("/requests")]
        return [tuple(None if word == "None" else word for word in words) for words in read]

    def close(self):
        self._process.communicate()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GCVIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(_download, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(_hub, "_given", set())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gcvit.LicenceNotice)
        yield tmp_path / "cache"


@pytest.fixture
def serve(tmp_path, monkeypatch, cache):
    servers = []

    def begin(body, *options):
        servers.append(Server(body, monkeypatch, tmp_path / f"server{len(servers)}", *options))
        servers[-1].use("ok")
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def flowers(model_file):
    return model_file.read_bytes()


BODY = bytes(range(256)) * 1200


@pytest.fixture
def server(serve):
    return serve(BODY)


def refusal(kind=gcvit.Error, **options):
    with pytest.raises(kind) as caught:
        gcvit.pull(NAME, **options)
    return str(caught.value)


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def expect_whole(cache, body=BODY):
    assert (cache / FILE).read_bytes() == body
    assert names_in(cache) == [FILE, FILE + ".json"]


def test_pulls_once_and_records(server, cache):
    with pytest.warns(gcvit.LicenceNotice, match=f"^{NAME} is published under CC BY-NC-SA 4.0: not for commercial use$") as warned:
        path = gcvit.pull(NAME)
        assert gcvit.pull("gcvit_xtiny") == path == str(cache / FILE)
    assert [warning.filename for warning in warned] == [__file__]
    expect_whole(cache)
    record = json.loads((cache / (FILE + ".json")).read_text())
    assert (record["name"], record["size"], record["sha256"]) == (NAME, len(BODY), hashlib.sha256(BODY).hexdigest())
    assert server.requests() == [(None, None)]


def test_into_a_folder(server, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gcvit.pull(NAME, pathlib.Path("some/where")) == f"some/where/{FILE}"
    assert (tmp_path / "some/where" / FILE).read_bytes() == BODY
    assert not cache.exists()


def test_names_of_models(serve, flowers, cache, rose, clf, tmp_path, monkeypatch):
    server = serve(flowers)
    monkeypatch.chdir(tmp_path)
    expected = clf(rose)
    by_name = gcvit.load("gcvit_xtiny", dtype="f32")
    assert by_name.config["file"] == str(cache / FILE)
    assert gcvit.Classifier(NAME)(rose) == expected
    again = pickle.loads(pickle.dumps(gcvit.Classifier(by_name)))
    monkeypatch.setenv("GCVIT_CACHE", "/nowhere")
    assert again(rose) == expected
    assert len(server.requests()) == 1
    (tmp_path / NAME).write_bytes(b"a file of that name comes first")
    with pytest.raises(ValueError):
        gcvit.load(NAME)
    with pytest.raises(FileNotFoundError, match="gcvit_xtinyy"):
        gcvit.load("gcvit_xtinyy")
    with pytest.raises(FileNotFoundError):
        gcvit.load(pathlib.Path("gcvit_xtiny"))


def test_names_of_models_for_the_program(serve, flowers, cache, tmp_path):
    serve(flowers)
    gcvit.convert("gcvit_xtiny", tmp_path / "flowers.safetensors")
    assert gcvit.load(tmp_path / "flowers.safetensors").classes[0] == "daisy"
    assert names_in(cache) == [FILE, FILE + ".json"]


def test_a_cut_download_is_resumed(server, cache):
    server.use("cut-2")
    reported = []
    gcvit.pull(NAME, progress=lambda done, total: reported.append((done, total)))
    expect_whole(cache)
    half, quarter = len(BODY) // 2, len(BODY) // 4
    assert server.requests() == [(None, None), (f"bytes={half}-", '"version 1"'), (f"bytes={half + quarter}-", '"version 1"')]
    assert reported[0] == (0, len(BODY)) and reported[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in reported] == sorted(done for done, _ in reported)


def test_a_line_shows_progress(server, cache, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    gcvit.pull(NAME)
    assert capsys.readouterr().err == ""  # it is no terminal
    gcvit.pull(NAME, cache / "other", progress=True)
    shown = capsys.readouterr().err
    assert shown.startswith(f"\r{NAME}: 0 % of 0.3 MB\r{NAME}: ")
    assert shown.endswith(f"\r{NAME}: 100 % of 0.3 MB\n")


def test_tqdm_shows_progress(server, cache, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **options):
            self.options, self.n, self.total, self.closed = options, 0, None, False
            bars.append(self)

        def update(self, more):
            self.n += more

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.closed = True

    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))
    server.use("cut-1")
    gcvit.pull(NAME, progress=True)
    (bar,) = bars
    assert (bar.n, bar.total, bar.closed, bar.options["desc"]) == (len(BODY), len(BODY), True, NAME)


def test_an_interrupted_download_goes_on_later(server, cache):
    server.use("trickle")

    def interrupt(done, total):
        if done > total // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gcvit.pull(NAME, progress=interrupt)
    assert names_in(cache) == [FILE + ".part", FILE + ".part.json"]
    size = (cache / (FILE + ".part")).stat().st_size
    assert len(BODY) // 3 < size < len(BODY)
    server.use("trickle")
    gcvit.pull(NAME)
    expect_whole(cache)
    assert server.requests()[1] == (f"bytes={size}-", '"version 1"')


def test_a_download_that_the_program_began_goes_on(server, cache):
    cache.mkdir()
    (cache / (FILE + ".part")).write_bytes(BODY[:1000])
    (cache / (FILE + ".part.json")).write_text(json.dumps({"url": f"http://127.0.0.1:{server.port}/ok/{FILE}", "validator": '"version 1"'}))
    gcvit.pull(NAME)
    expect_whole(cache)
    assert server.requests() == [("bytes=1000-", '"version 1"')]


def test_another_version_on_the_server_is_downloaded_whole(server, cache):
    server.use("changed-2")
    gcvit.pull(NAME)
    expect_whole(cache)
    assert [condition for _, condition in server.requests()] == [None, '"1"', '"2"']


@pytest.mark.parametrize("kind", ["plain-1", "date-1", "weak-1", "lies-1", "busy-3", "redirect-5", "plain"])
def test_servers_that_are_not_perfect(server, cache, kind):
    server.use(kind)
    gcvit.pull(NAME)
    expect_whole(cache)


@pytest.mark.parametrize("kind, sentence", [
    ("status-404", "expected the file, found HTTP 404 (there is no such file)"),
    ("status-403", "expected the file, found HTTP 403"),
    ("status-503", "expected the file, found HTTP 503"),
    ("status-204", "expected the file, found HTTP 204"),
    ("big-error", "expected the file, found HTTP 404 (there is no such file)"),
    ("always-cut", f"ended after 0 of {len(BODY)} bytes"),
    ("loop", "expected at most 5 redirects, found more"),
    ("redirect-6", "expected at most 5 redirects, found more"),
    ("unsized", "expected a server that tells the file's size, found none in its answer"),
])
def test_servers_without_the_file(server, cache, kind, sentence):
    server.use(kind)
    said = refusal(OSError)
    assert sentence in said
    assert said.startswith("[pull] http://127.0.0.1:")
    assert said.endswith(f"; by hand: download https://huggingface.co/nvidia/GCViT/resolve/main/{FILE} to {cache / FILE} and call this "
                         f"again, or set GCVIT_HUB_URL to the address of a folder that has {FILE}")
    assert names_in(cache) == []


def test_what_has_come_stays(server, cache):
    server.use("cut-9")
    assert "; what has come stays, and the next pull goes on from there; by hand: " in refusal(OSError)
    assert names_in(cache) == [FILE + ".part", FILE + ".part.json"]
    assert len(server.requests()) == 4


def test_nobody_answers(cache, monkeypatch):
    monkeypatch.setenv("GCVIT_HUB_URL", "http://127.0.0.1:1")
    assert refusal(OSError).startswith(f"[pull] http://127.0.0.1:1/{FILE}: Connection refused; by hand: ")
    monkeypatch.setenv("GCVIT_HUB_URL", "/home/me")
    assert refusal(ValueError) == ("[pull] GCVIT_HUB_URL: expected an address that starts with https:// or http://, found /home/me")


def test_a_server_that_falls_silent(server, cache, monkeypatch):
    monkeypatch.setattr(_download, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(_download, "TRIES", 2)
    server.use("slow")
    assert f"ended after 200 of {len(BODY)} bytes (no answer within 0.3 s)" in refusal(OSError)


def test_a_server_that_is_too_slow(server, cache, monkeypatch):
    monkeypatch.setattr(_download, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(_download, "LOWEST_SPEED", 10**9)
    monkeypatch.setattr(_download, "TRIES", 1)
    server.use("trickle")
    assert "(less than 1000000000 bytes a second)" in refusal(OSError)


def test_files_that_are_not_the_published_one(serve, cache):
    server = serve(b"<!DOCTYPE html><title>Sign in</title>")
    assert "expected a weight file, found an HTML page; what has come was removed" in refusal(ValueError)
    with pytest.raises(ValueError, match=r"expected a file of 48767519 bytes, found 37$"):
        gcvit.pull("gcvit_xxtiny.keras")
    server.use("huge-8589934593")
    assert "expected a file of at most 8589934592 bytes, found 8589934593" in refusal(ValueError)
    serve(BODY)
    with pytest.raises(ValueError, match=r"expected SHA-256 d1d86009\.\.\. \(as it is published\), found "):
        gcvit.pull("gcvit_xxtiny.timm")
    assert names_in(cache) == []


def test_what_comes_later_must_be_the_same_as_at_first(serve, cache):
    serve(BODY)
    gcvit.pull(NAME)
    (cache / FILE).unlink()
    serve(BODY[:-1] + b"x")
    assert f"(as it was downloaded first, says {cache / FILE}.json), found " in refusal(ValueError)
    assert names_in(cache) == [FILE + ".json"]
    (cache / (FILE + ".json")).write_text("[]")
    assert "expected the record of a download, found something else" in refusal(ValueError)


def test_a_file_that_was_changed(server, cache):
    gcvit.pull(NAME)
    (cache / FILE).write_bytes(b"other")
    assert "as it was downloaded, found 5; remove it and pull it again" in refusal(ValueError)


def test_a_file_put_there_by_hand(cache, flowers, monkeypatch):
    cache.mkdir()
    (cache / FILE).write_bytes(flowers)
    monkeypatch.setenv("GCVIT_HUB_URL", "http://127.0.0.1:1")
    assert gcvit.load("gcvit_xtiny").classes[0] == "daisy"
    assert names_in(cache) == [FILE, FILE + ".json"]


def test_several_at_once_download_once(server, cache):
    server.use("trickle")
    with ThreadPoolExecutor(3) as threads:
        assert set(threads.map(lambda _: gcvit.pull(NAME), range(3))) == {str(cache / FILE)}
    expect_whole(cache)
    assert len(server.requests()) == 1


def test_a_folder_that_can_not_be_written(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert refusal(OSError, folder=tmp_path / "file/folder") == f"[pull] {tmp_path}/file/folder: can't be written: Not a directory"


def test_names_that_are_not_official(cache):
    with pytest.raises(ValueError, match=r"^\[pull\] name: expected an official weight file, such as gcvit_xxtiny.keras, found "
                                         r"'gcvit_xtinyy'; the nearest is gcvit_xtiny$"):
        gcvit.pull("gcvit_xtinyy")


def test_redirects_away_from_https():
    request = _download.urllib.request.Request("https://here/f")
    for place in ("http://there/f", "ftp://there/f"):
        with pytest.raises(gcvit.Error, match="expected a redirect to https, found " + place):
            _download._Redirects().redirect_request(request, None, 302, "", {}, place)


def test_certificates_are_verified(serve, cache, tmp_path, monkeypatch):
    certificate = tmp_path / "certificate"
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                           "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", certificate, "-out",
                           tmp_path / "public"], capture_output=True)
    assert made.returncode == 0, made.stderr
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "public").read_bytes())
    server = serve(BODY, "--tls", certificate)
    server.use("ok", "https")
    assert "the server's certificate isn't to be trusted: " in refusal(OSError)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "public"))
    gcvit.pull(NAME)
    expect_whole(cache)


# The command `gcvit` of the package.

def gcvit_command(*arguments):
    command = pathlib.Path(sysconfig.get_path("scripts")) / "gcvit"
    return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True)


def test_the_command_is_the_program(photos, cache):
    assert gcvit_command("--version").stdout == f"gcvit {gcvit.__version__}\n"
    assert gcvit_command("classify", "-k", 1, photos[0]).stdout.startswith(photos[0] + ": ")
    assert "gcvit_xxtiny.keras" in gcvit_command("pull", "--list").stdout
    assert gcvit_command("pull", "--help").stdout.startswith("gcvit pull: Download an official weight file\n")
    for wrong in (["pull"], ["pull", "gcvit_huge"], ["pull", "gcvit_xtiny", "--list"], ["pull", "gcvit_xtiny", "--to"], ["pull", "a", "b"]):
        done = gcvit_command(*wrong)
        assert done.returncode == 2, wrong
        assert done.stdout == ""
        assert done.stderr.endswith("gcvit: run `gcvit pull --help` to see how it is called\n")


def test_the_command_downloads(server, cache, tmp_path):
    licence = f"gcvit: {NAME} is published under CC BY-NC-SA 4.0: not for commercial use\n"
    digest = hashlib.sha256(BODY).hexdigest()
    lines = f"{cache / FILE}\n  {len(BODY):,} bytes, SHA-256 {digest}"
    for end in ("\n", ", was there already\n"):
        done = gcvit_command("pull", "gcvit_xtiny")
        assert (done.returncode, done.stdout, done.stderr) == (0, lines + end, licence)
    done = gcvit_command("pull", "--json", f"--to={tmp_path}/to", NAME)
    assert json.loads(done.stdout) == {"name": NAME, "file": f"{tmp_path}/to/{FILE}", "size": len(BODY), "sha256": digest,
                                       "licence": "CC BY-NC-SA 4.0", "downloaded": True}
    server.use("status-404")
    done = gcvit_command("pull", NAME, "--to", tmp_path / "other")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(licence + "gcvit: [pull] http://127.0.0.1:")


def test_where_the_command_prints(server, cache, tmp_path):
    folder = os.fsencode(tmp_path) + b"/\xff"
    command = os.path.join(sysconfig.get_path("scripts"), "gcvit")
    done = subprocess.run([command, "pull", NAME, "--to", folder], capture_output=True)
    assert done.returncode == 0
    assert done.stdout.startswith(folder + b"/" + FILE.encode() + b"\n")
    assert os.listdir(folder)
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.run([command, "pull", NAME], stdout=writer, stderr=subprocess.PIPE).returncode == 0
    os.close(writer)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([command, "pull", NAME], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("gcvit: [output] standard output: can't be written: No space left on device\n")


def test_the_program_itself_says_who_downloads(cache):
    done = subprocess.run([_program.path(), "pull", NAME], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f'found no file; gcvit_cpp.pull("{NAME}") of Python downloads it\n')
