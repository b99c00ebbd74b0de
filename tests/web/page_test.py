# SPDX-License-Identifier: Apache-2.0
"""Uses the page of `gcvit serve` in Chromium: page_test.py PROGRAM MODEL PHOTOS [--screenshots DIR] [--only WORD]"""

import argparse
import base64
import contextlib
import csv
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

KEY = "a-key-of-this-test"
TINY_GIF = base64.b64decode("R0lGODlhAgACAIAAAP8AAAAA/yH5BAAAAAAALAAAAAACAAIAAAIDRAIFADs=")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 860}
TAKE_FILES = """([kind, files]) => {
  const transfer = new DataTransfer();
  for (const {name, data, type} of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], name, {type}));
  }
  const event = kind == 'drop' ? new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})
                               : new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true});
  document.body.dispatchEvent(event);
}"""
PIXELS = "document.getElementById('photo').toDataURL()"


class Server:
    """The program, listening; stopped with the object."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), line + self.process.stderr.read()
        self.url = line.split()[2]

    def ask(self, path, body=None):
        with urllib.request.urlopen(self.url + path, body, timeout=20) as answer:
            return json.load(answer)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Visit:
    """A page of a new browser profile. At its end it must have asked its server alone and have had no error but those that `excused`
    names, which are statuses and words of the browser's messages."""

    def __init__(self, browser, url, viewport=DESK, theme="light", excused=(), script=None, **options):
        self.url, self.excused, self.complaints = url, excused, []
        self.context = browser.new_context(viewport=viewport, color_scheme=theme, reduced_motion="reduce", **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))
        self.page.on("request", self.on_request)
        if script:
            self.page.add_init_script(script)

    def on_console(self, message):
        if message.type in ("error", "warning") and not any(str(word) in message.text for word in self.excused):
            self.complaints.append(f"{message.type}: {message.text}")

    def on_request(self, request):
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.complaints.append(f"asks elsewhere: {request.url}")

    def __enter__(self):
        self.page.goto(self.url)
        return self.page

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            assert not self.complaints, self.complaints


def give(page, *paths, how="drop", names=None):
    """Drops or pastes files."""
    files = []
    for path, name in zip(paths, names or [pathlib.Path(path).name for path in paths]):
        files.append({"name": name, "data": base64.b64encode(pathlib.Path(path).read_bytes()).decode(), "type": ""})
    page.evaluate(TAKE_FILES, [how, files])


def photo(name):
    return os.path.join(PHOTOS, name)


def bars(page):
    """The (label, percentage) pairs that it shows, once there are some."""
    expect(page.locator("#one")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator(".bar").first).to_be_visible()
    return [tuple(bar.inner_text().split("\n")[:2]) for bar in page.locator(".bar").all()]


def expected_bars(server, name):
    found = server.ask("/v1/classify?top_k=5", pathlib.Path(photo(name)).read_bytes())["predictions"]
    return [(one["label"], "< 0.1 %" if one["probability"] < 0.0005 else f"{100 * one['probability']:.1f} %") for one in found]


def explained(page):
    expect(page.locator("#why")).to_be_visible()
    expect(page.locator("#why")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#why-error")).to_be_hidden()
    return page.evaluate(PIXELS), page.locator("#why-text").inner_text()


def all_answered(page, number):
    expect(page.locator("#many-title")).to_have_text(f"{number} photos")
    expect(page.locator("#progress")).to_be_hidden()


def turned(path, folder):
    """The photo as a camera that was held upright writes it: EXIF orientation 6."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = pathlib.Path(path).read_bytes()
    target = pathlib.Path(folder, "turned.jpg")
    target.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    return target


def test_photos_are_classified_as_the_api_says(browser, server, folder):
    with Visit(browser, server.url) as page:
        expect(page.locator("#lead")).to_contain_text("daisy, dandelion, roses, sunflowers and tulips")
        give(page, photo("tulips.jpg"))
        assert bars(page) == expected_bars(server, "tulips.jpg"), bars(page)
        expect(page.locator("#verdict")).to_have_text("tulips")
        expect(page.locator("#status")).to_contain_text("tulips")
        expect(page.locator("#latency")).to_contain_text("ms in the server")
        give(page, photo("daisy.jpg"), how="paste")
        expect(page.locator("#verdict")).to_have_text("daisy")
        assert bars(page) == expected_bars(server, "daisy.jpg")
        page.set_input_files("#files", photo("rose.jpg"))
        expect(page.locator("#verdict")).to_have_text("roses")
        page.get_by_role("button", name="A yellow dandelion").click()
        expect(page.locator("#verdict")).to_have_text("sunflowers")
        # The command is the question of the page.
        page.locator("#command summary").click()
        command = page.locator("#curl").inner_text()
        answer = subprocess.run(["bash", "-c", command], cwd=PHOTOS, capture_output=True, check=True).stdout
        assert json.loads(answer)["predictions"][0]["label"] == "sunflowers", command


def test_names_are_text(browser, server, folder):
    with Visit(browser, server.url) as page:
        name = "<img src=x onerror=alert(1)>'.jpg"
        give(page, photo("rose.jpg"), names=[name])
        bars(page)
        expect(page.locator("#caption")).to_have_text(name)
        page.locator("#command summary").click()
        (pathlib.Path(folder) / name).write_bytes(pathlib.Path(photo("rose.jpg")).read_bytes())
        answer = subprocess.run(["bash", "-c", page.locator("#curl").inner_text()], cwd=folder, capture_output=True, check=True).stdout
        assert json.loads(answer)["predictions"][0]["label"] == "roses"


def test_a_click_explains(browser, server, folder):
    with Visit(browser, server.url) as page:
        give(page, photo("dandelion_yellow.jpg"))
        bars(page)
        plain = page.evaluate(PIXELS)
        first, second = page.locator(".bar").nth(0), page.locator(".bar").nth(1)
        first.click()
        coloured, sentence = explained(page)
        assert coloured != plain and sentence.startswith("The brighter a place, the more it spoke for sunflowers."), sentence
        assert "4 × 4 cells" in sentence and "What the model didn't see is dark." in sentence, sentence
        expect(first).to_have_attribute("aria-pressed", "true")
        page.locator("#opacity").fill("90")
        strong = page.evaluate(PIXELS)
        assert strong not in (plain, coloured)
        second.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#why-text")).to_contain_text("dandelion")
        other, _ = explained(page)
        assert other not in (plain, coloured, strong)
        expect(first).to_have_attribute("aria-pressed", "false")
        page.locator("#command summary").click()
        subprocess.run(["bash", "-c", f"cd {folder} && " + page.locator("#curl").inner_text().replace("@", f"@{PHOTOS}/")],
                       capture_output=True, check=True)
        assert pathlib.Path(folder, "why.png").read_bytes().startswith(b"\x89PNG"), page.locator("#curl").inner_text()
        page.locator("#level").select_option("3")
        expect(page.locator("#why-text")).to_contain_text("8 × 8 cells")
        assert explained(page)[0] != other
        page.locator("#colours").uncheck()
        assert page.evaluate(PIXELS) == plain
        page.locator("#colours").check()
        page.keyboard.press("Tab")
        second.press("Space")  # off again
        expect(page.locator("#why")).to_be_hidden()
        assert page.evaluate(PIXELS) == plain


def test_an_empty_map_says_so(browser, server, folder):
    with Visit(browser, server.url) as page:
        give(page, photo("daisy.jpg"))
        bars(page)
        page.locator(".bar", has_text="tulips").click()
        _, sentence = explained(page)
        assert sentence.startswith("Nothing on this photo speaks for tulips."), sentence
        expect(page.locator("#legend")).to_be_hidden()


def test_attention_and_the_global_query(browser, server, folder):
    with Visit(browser, server.url) as page:
        give(page, photo("rose.jpg"))
        bars(page)
        page.locator(".bar").first.click()
        explained(page)
        page.locator("#method").select_option("attention")
        expect(page.locator("#why-text")).to_contain_text("The brighter a place, the more this block looks there.")
        seen = {explained(page)[0]}
        card = server.ask("/v1/models")["models"][0]["levels"]
        assert page.locator("#level option").count() == len(card)
        assert page.locator("#block option").count() == card[2]["blocks"]
        assert page.locator("#head option").count() == card[2]["heads"] + 1
        expect(page.locator("#query")).to_be_visible()
        rows, columns = card[2]["query"]
        cells = page.locator("#query-cells button")
        assert cells.count() == rows * columns
        cells.nth(0).click()
        expect(page.locator("#why-text")).to_contain_text("the question from row 1, column 1")
        seen.add(explained(page)[0])
        for key in ("ArrowDown", "ArrowRight", "Enter"):
            page.keyboard.press(key)
        expect(page.locator("#why-text")).to_contain_text("row 2, column 2")
        seen.add(explained(page)[0])
        expect(cells.nth(columns + 1)).to_have_attribute("aria-pressed", "true")
        page.locator("#head").select_option("1")
        expect(page.locator("#curl")).to_contain_text("head=1")
        seen.add(explained(page)[0])
        page.locator("#query-all").click()
        expect(page.locator("#why-text")).to_contain_text("this block")
        seen.add(explained(page)[0])
        assert len(seen) == 5, seen
        page.locator("#block").select_option("0")  # looks inside windows, so it has no global query
        expect(page.locator("#query")).to_be_hidden()
        explained(page)


def test_photos_stand_upright(browser, server, folder):
    with Visit(browser, server.url) as page:
        give(page, turned(photo("tulips.jpg"), folder))
        bars(page)
        width, height = page.evaluate("[photo.width, photo.height]")
        assert abs(width / height - 256 / 384) < 0.01, (width, height)
        page.locator(".bar").first.click()
        explained(page)
        # The model's square lies in the middle of the tall photo: what is above it is dark, what is beside it isn't grey.
        rgb = page.evaluate("[...photo.getContext('2d').getImageData(photo.width / 2, 3, 1, 1).data]")
        assert rgb[0] == rgb[1] == rgb[2] and rgb[0] < 110, rgb


def test_a_gallery(browser, server, folder):
    broken = pathlib.Path(folder, "=broken,\".jpg")
    broken.write_bytes(pathlib.Path(photo("rose.jpg")).read_bytes()[:600])
    asked = []
    names = ["rose.jpg", "tulips.jpg", "daisy.jpg", "sunflower.jpg", "dandelion_yellow.jpg"]
    with Visit(browser, server.url, excused=(400,)) as page:
        give(page, *[photo(name) for name in names], broken, photo("ATTRIBUTION.md"))
        all_answered(page, 7)
        expect(page.locator("#tally")).to_contain_text("sunflowers 2")
        expect(page.locator("#tally")).to_contain_text("without an answer 2")
        cards = page.locator("#gallery li")
        expect(cards.filter(has_text="=broken").locator(".problem")).to_contain_text("The server says")
        expect(cards.filter(has_text="ATTRIBUTION.md").locator(".problem")).to_contain_text("isn't a photo that this browser can read")
        with page.expect_download() as download:
            page.locator("#csv").click()
        rows = list(csv.reader(io.StringIO(pathlib.Path(download.value.path()).read_text())))
        assert rows[0] == ["file", "label", "probability", *[f"{word}_{i}" for i in range(2, 6) for word in ("label", "probability")], "error"]
        assert [row[0] for row in rows[1:]] == names + ["'=broken,\".jpg", "ATTRIBUTION.md"], rows
        first = server.ask("/v1/classify?top_k=5", pathlib.Path(photo("rose.jpg")).read_bytes())["predictions"]
        assert [float(text) for text in rows[1][2:12:2]] == [one["probability"] for one in first], rows[1]
        assert rows[6][1] == "" and "The server says" in rows[6][11], rows[6]
        page.locator("#sort").select_option("confidence")
        assert cards.first.locator(".name").text_content() == "dandelion_yellow.jpg"
        page.locator("#sort").select_option("class")
        labels = [card.locator("strong").text_content() for card in cards.all()]
        assert labels == ["daisy", "roses", "sunflowers", "sunflowers", "tulips", "no answer", "no answer"], labels
        page.get_by_role("button", name="Sort by likeness to dandelion_yellow.jpg").click()
        expect(page.locator("#sort")).to_have_value("likeness")
        order = [card.locator(".name").text_content() for card in cards.all()]
        assert order[:2] == ["dandelion_yellow.jpg", "sunflower.jpg"], order
        cards.filter(has_text="rose.jpg").locator(".open").click()
        assert bars(page)[0][0] == "roses"
        page.locator(".bar").first.click()
        explained(page)
        page.locator("#back").click()
        expect(page.locator("#gallery")).to_be_visible()
        cards.filter(has_text="tulips.jpg").locator(".open").click()
        assert bars(page)[0][0] == "tulips"
        page.go_back()  # the browser's button is as good
        expect(page.locator("#gallery")).to_be_visible()
        page.on("request", lambda request: asked.append(request.url))
        page.locator("#many-again").click()  # asks about those without an answer alone
        expect(page.locator("#progress")).to_be_hidden()
        expect(cards.filter(has_text="=broken").locator(".problem")).to_contain_text("The server says")
        assert len([url for url in asked if "classify" in url]) == 1, asked


def test_a_busy_server_is_asked_again(browser, server, folder):
    refused = []

    def busy(route):
        if len(refused) < 3:
            refused.append(route.request.url)
            return route.fulfill(status=503, headers={"Retry-After": "0"}, json={"error": "[serve] its queue is full"})
        return route.continue_()

    with Visit(browser, server.url, excused=(503,)) as page:
        page.route("**/v1/classify*", busy)
        give(page, *[photo(name) for name in ("rose.jpg", "tulips.jpg")])
        expect(page.locator("#tally")).to_have_text("roses 1 · tulips 1")
        assert len(refused) == 3


def test_the_newest_question_wins(browser, server, folder):
    held = []
    with Visit(browser, server.url) as page:
        page.route("**/v1/classify*", lambda route: route.continue_() if held else held.append(route))
        give(page, photo("rose.jpg"))
        expect(page.locator("#verdict")).to_have_text("Looking …")
        while not held:
            page.wait_for_timeout(20)
        give(page, photo("daisy.jpg"))
        expect(page.locator("#verdict")).to_have_text("daisy")
        with contextlib.suppress(Exception):
            held[0].continue_()
        page.wait_for_timeout(200)
        expect(page.locator("#verdict")).to_have_text("daisy")
        expect(page.locator("#one-error")).to_be_hidden()


def test_errors_are_sentences(browser, server, folder):
    with Server("-m", MODEL, "--max-body", "20000") as small, Visit(browser, small.url, excused=(413, "ERR_")) as page:
        give(page, photo("ATTRIBUTION.md"))
        expect(page.locator("#source-error")).to_have_text(
            "ATTRIBUTION.md isn't a photo that this browser can read. JPEG, PNG and WebP always work.")
        give(page, photo("tulips.jpg"))
        expect(page.locator("#one-error")).to_have_text("This photo is larger than the server accepts.")
        expect(page.locator("#again")).to_be_hidden()
        expect(page.locator("#source-error")).to_be_hidden()
        gif = pathlib.Path(folder, "tiny.gif")
        gif.write_bytes(TINY_GIF)
        give(page, gif)
        expect(page.locator("#source-note")).to_contain_text("tiny.gif was converted to PNG in the browser")
        bars(page)
        small.stop()
        give(page, photo("daisy.jpg"))
        expect(page.locator("#one-error")).to_have_text("The server doesn't answer. Is it still running?")
        expect(page.locator("#again")).to_be_visible()
        page.locator("#again").click()
        expect(page.locator("#one-error")).to_be_visible()


def test_a_key_is_asked_for(browser, server, folder):
    keys = pathlib.Path(folder, "keys")
    keys.write_text(KEY + "\n")
    with Server("-m", MODEL, "--api-key-file", str(keys)) as locked, Visit(browser, locked.url, excused=(401,)) as page:
        expect(page.locator("#key")).to_be_visible()
        page.locator("#key-input").fill("a-key-that-is-wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-error")).to_have_text("The server doesn't know this key.")
        check_accessible(page, "the key's form")
        page.locator("#key-input").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#key")).to_be_hidden()
        give(page, photo("rose.jpg"))
        assert bars(page)[0][0] == "roses"
        command = page.locator("#curl").text_content()
        assert "$KEY" in command and KEY not in command, command
        page.reload()  # the tab keeps it
        expect(page.locator("#lead")).to_contain_text("daisy")
        expect(page.locator("#key")).to_be_hidden()
        assert KEY not in page.evaluate("JSON.stringify(localStorage)")


def test_the_camera(browser, server, folder):
    with Visit(browser, server.url, permissions=["camera"]) as page:
        page.locator("#camera-open").click()
        expect(page.locator("#camera-take")).to_be_enabled()
        page.locator("#camera-take").click()
        bars(page)
        expect(page.locator("#caption")).to_have_text("camera.jpg")
    refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    with Visit(browser, server.url, script=refuse) as page:
        page.locator("#camera-open").click()
        expect(page.locator("#camera-error")).to_contain_text("The browser doesn't let this page use the camera.")
        page.keyboard.press("Escape")
        expect(page.locator("#camera")).to_be_hidden()


def test_several_models(browser, server, folder):
    with Server("-m", f"first={MODEL}", "-m", f"second={MODEL}") as two, Visit(browser, two.url) as page:
        page.locator("#model").select_option(label="second")
        with page.expect_request("**/v1/classify*model=second*"):
            give(page, photo("rose.jpg"))
        bars(page)
        page.locator("#about summary").click()
        expect(page.locator("#card")).to_contain_text("second")
        with page.expect_request(lambda request: request.url.endswith("/v1/classify?top_k=5")):
            page.locator("#model").select_option(label="first")
        assert bars(page)[0][0] == "roses"


def test_without_explanations_or_scripts(browser, server, folder):
    with Visit(browser, server.url) as page:
        page.route("**/v1/models", lambda route: route.fulfill(json={**route.fetch().json(), "explain": False}))
        page.reload()
        give(page, photo("rose.jpg"))
        assert bars(page)[0][0] == "roses"
        assert page.locator("button.bar").count() == 0
        expect(page.locator("#hint")).to_be_hidden()
    with Visit(browser, server.url, java_script_enabled=False) as page:
        expect(page.locator("noscript p")).to_be_visible()


def check_accessible(page, where):
    """No finding of axe that is serious or critical, and nothing wider than the window."""
    found = [f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes']]}"
             for one in Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"] if one["impact"] in ("serious", "critical")]
    assert not found, (where, found)
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1], (where, widths)


def test_it_is_accessible_in_every_state(browser, server, folder):
    for viewport in (PHONE, DESK):
        for theme in ("light", "dark"):
            with Visit(browser, server.url, viewport=viewport, theme=theme) as page:
                where = f"{viewport['width']} {theme}"
                expect(page.locator("#lead")).to_contain_text("daisy")
                assert page.evaluate("document.documentElement.dataset.theme") == theme
                check_accessible(page, f"start {where}")
                page.keyboard.press("Tab")
                expect(page.locator(".skip")).to_be_focused()
                give(page, photo("rose.jpg"))
                bars(page)
                page.locator(".bar").first.click()
                explained(page)
                page.locator("#method").select_option("attention")
                explained(page)
                page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
                check_accessible(page, f"one {where}")
                give(page, photo("rose.jpg"), photo("tulips.jpg"), photo("ATTRIBUTION.md"))
                all_answered(page, 3)
                check_accessible(page, f"many {where}")
    with Visit(browser, server.url) as page:  # the toggle lasts
        page.locator("#theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_long_names_fit_a_phone(browser, server, folder):
    name = "unquestionably_great spotted-woodpecker of the Sonnenblumenkernbrötchenwäldchen"
    models = server.ask("/v1/models")
    card = {**models["models"][0], "name": name.replace(" ", "_"), "labels": [f"{name} {i}" for i in range(1000)], "classes": 1000}
    predictions = [{"index": i, "label": f"{name} {i}", "probability": 0.3 / (i + 1)} for i in range(5)]
    with Visit(browser, server.url, viewport=PHONE, theme="dark") as page:
        page.route("**/v1/models", lambda route: route.fulfill(json={**models, "models": [card, card]}))
        page.route("**/v1/classify*", lambda route: route.fulfill(
            json={"predictions": predictions, "model": card["name"], "milliseconds": 1.0}))
        page.reload()
        expect(page.locator("#lead")).to_contain_text("1,000 classes, such as")
        give(page, photo("rose.jpg"), names=[name.replace(" ", "_") + ".jpg"])
        assert bars(page)[0] == (f"{name} 0", "30.0 %")
        expect(page.locator("#verdict")).to_have_text(f"Perhaps {name} 0")  # none is sure
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        check_accessible(page, "long names")
        give(page, photo("rose.jpg"), photo("tulips.jpg"), names=[name.replace(" ", "_") + ".jpg"] * 2)
        all_answered(page, 2)
        check_accessible(page, "a gallery of long names")


def test_slow_scripts(browser, server, folder):
    held = []
    with Visit(browser, server.url) as page:
        page.route("**/page/why.js", lambda route: held.append(route))
        page.reload(wait_until="commit")
        expect(page.locator("#pick")).to_be_disabled()
        give(page, photo("rose.jpg"))  # isn't opened instead of the page
        while not held:
            page.wait_for_timeout(20)
        held[0].continue_()
        expect(page.locator("#pick")).to_be_enabled()
        give(page, photo("rose.jpg"))
        assert bars(page)[0][0] == "roses"


def test_it_can_be_left_out(browser, server, folder):
    with Server("-m", MODEL, "--no-page") as bare:
        try:
            bare.ask("/")
            raise AssertionError("there is a page")
        except urllib.error.HTTPError as error:
            assert error.code == 404


def take_screenshots(browser, server, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, viewport, theme in (("desk", {"width": 1120, "height": 880}, "light"), ("phone", {"width": 390, "height": 844}, "dark")):
        with Visit(browser, server.url, viewport=viewport, theme=theme) as page:
            expect(page.locator("#lead")).to_contain_text("daisy")
            page.screenshot(path=folder / f"{name}-start.jpg", quality=85)
            page.get_by_role("button", name="A yellow dandelion").click()
            bars(page)
            page.locator(".bar").first.click()
            explained(page)
            page.mouse.move(0, 0)
            page.screenshot(path=folder / f"{name}.jpg", quality=85)
            give(page, *sorted(pathlib.Path(PHOTOS).glob("*.jpg")))
            all_answered(page, 6)
            page.screenshot(path=folder / f"{name}-gallery.jpg", quality=85)


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_") and re.search(ARGUMENTS.only, name)]
    failed = []
    with Server("-m", MODEL) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ARGUMENTS.browser, args=[
            "--no-sandbox", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
        if ARGUMENTS.screenshots:
            return take_screenshots(browser, server, pathlib.Path(ARGUMENTS.screenshots))
        for name, test in tests:
            began, title = time.monotonic(), name.removeprefix("test_").replace("_", " ")
            try:
                with tempfile.TemporaryDirectory() as folder:
                    test(browser, server, folder)
                print(f"{time.monotonic() - began:6.1f} s  {title}", flush=True)
            except Exception:
                failed.append(title)
                print(f"FAILED: {title}\n{traceback.format_exc()}", flush=True)
        browser.close()
    print(f"{len(tests) - len(failed)} tests of the page passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("photos")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--screenshots", metavar="DIR", help="take pictures of the page instead")
    parser.add_argument("--only", default="", metavar="WORD", help="the tests whose name has it")
    ARGUMENTS = parser.parse_args()
    PROGRAM, MODEL, PHOTOS = (os.path.abspath(path) for path in (ARGUMENTS.program, ARGUMENTS.model, ARGUMENTS.photos))
    sys.exit(main())
