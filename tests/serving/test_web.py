"""The page as people and programs use it: a server of its own, Chromium, and its HTTP API."""

import base64
import concurrent.futures
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the package gradio is not installed: no page")
psutil = pytest.importorskip("psutil", reason="the package psutil is not installed")

from deeplab_tf.crf import picture_crf  # noqa: E402
from deeplab_tf.crf.dense_crf import DenseCRF  # noqa: E402
from deeplab_tf.crf.params import CrfParams, load_preset  # noqa: E402
from deeplab_tf.crf.picture_crf import PictureCrf  # noqa: E402
from deeplab_tf.datasets.miniature import render  # noqa: E402
from deeplab_tf.serving.segmenter import Segmenter  # noqa: E402
from deeplab_tf.serving.web.desk import Desk  # noqa: E402
from deeplab_tf.serving.web.limits import Limits  # noqa: E402

QUEUE = 4
CRF = [4, 67, 3, 3, 1, 10, "symmetric"]  # the sliders in their order


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


class Server:
    """A page with a narrow network of random weights: `--weights`."""

    def __init__(self, folder):
        weights = folder / "narrow.weights.h5"
        import deeplab_tf as dl

        dl.build_model("vgg16_largefov", 21, width=0.0625).save_weights(weights)
        command = ["-m", "deeplab_tf.web", f"--weights={weights}", "--model=vgg16_largefov", "--width=0.0625",
                   "--dataset=voc2012", "--port=0", f"--queue={QUEUE}", "--max_megapixels=0.2", "--max_megabytes=1",
                   "--kept_gib=0.02"]  # fmt: skip
        environment = os.environ | {"TMPDIR": str(folder)}
        self.folder, self.log = folder, open(folder / "log", "w+")  # noqa: SIM115
        self.process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=environment)  # fmt: skip
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line + (folder / "log").read_text()
        self.address = found[0]
        self.network = "vgg16_largefov, voc2012 (narrow.weights.h5)"

    def request(self, path, data=None, kind="application/json"):
        request = urllib.request.Request(self.address + path, data, {"Content-Type": kind} if data else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def upload(self, name, content):
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        status, answer = self.request("/gradio_api/upload", head + content + f"\r\n--{mark}--\r\n".encode(),
                                      f"multipart/form-data; boundary={mark}")  # fmt: skip
        return json.loads(answer)[0] if status == 200 else f"{status} {answer.decode()}"

    def segment(self, path, crf=True, network=None):
        """The answer of /segment, or the sentence of its refusal."""
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = json.dumps({"data": [file, network or self.network, crf, *CRF]}).encode()
        status, answer = self.request("/gradio_api/call/segment", body)
        if status != 200:
            return answer.decode()
        _, events = self.request(f"/gradio_api/call/segment/{json.loads(answer)['event_id']}")
        kind, data = re.findall(r"event: (\w+)\ndata: (.*)", events.decode())[-1]
        return json.loads(data)[0] if kind == "complete" else data

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("web"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def page(server):
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed: no browser test")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine: no browser test (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        page, outside = browser.new_page(), []
        ours = (server.address, "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(ours) or outside.append(request.url))
        page.goto(server.address)
        page.wait_for_selector(".areas", timeout=60_000)
        yield page
        browser.close()
    assert outside == []  # everything comes from this machine


def downloaded(page, file):
    with page.expect_download() as download:
        page.click(f".downloads a[download='{file}']")
    return download.value.path()


def answer_of(page, change):
    """Makes a change and waits for its answer."""
    shown = "[...document.querySelectorAll('.downloads a:last-child, .sentence')].map(e => e.textContent + e.href).join()"
    before = page.evaluate(shown)
    change()
    page.wait_for_function(f"({shown}) !== {json.dumps(before)}", timeout=60_000)


def test_upload_run_move_a_slider_download(page, tmp_path):
    image = render(3)[0]
    (tmp_path / "my_scene.png").write_bytes(png(image))
    answer_of(page, lambda: page.set_input_files("input[type=file] >> nth=0", tmp_path / "my_scene.png"))
    assert page.inner_text(".sentence").startswith(f"my_scene.png, {image.shape[1]}x{image.shape[0]} pixels; the CRF changed ")
    first = np.asarray(Image.open(downloaded(page, "my_scene.png")))
    answer_of(page, lambda: page.locator("input[type=range][aria-label*='w1']").fill("20"))
    answer_of(page, lambda: page.locator("input[type=range][aria-label*='sigma_beta']").fill("30"))
    preset = load_preset(downloaded(page, "crf_preset.json"))
    assert (preset.w1, preset.sigma_beta, preset.w2) == (20, 30, 3)
    labels = np.asarray(Image.open(downloaded(page, "my_scene.png")))
    assert labels.shape == image.shape[:2] and (labels != first).any()
    assert (np.asarray(Image.open(downloaded(page, "my_scene_labels.png"))) == labels).all()
    assert np.asarray(Image.open(downloaded(page, "my_scene_overlay.jpg"))).shape == image.shape
    areas = page.evaluate("[...document.querySelectorAll('.areas td:last-child')].map(e => parseFloat(e.textContent))")
    shares = np.sort(np.bincount(labels.ravel(), minlength=21) / labels.size)[::-1]
    assert np.abs(np.array(areas) - 100 * shares[: len(areas)]).max() <= 0.051 and sum(areas) == pytest.approx(100, abs=0.5)


def test_score_maps_and_iterations_by_keyboard(page):
    for view, least in (("score maps", 2), ("iterations", 5)):
        page.get_by_label(view, exact=True).focus()
        page.keyboard.press("Space")
        page.wait_for_function(f"document.querySelectorAll('.strip img').length >= {least}")
    page.wait_for_selector(".strip >> text=after 10 iterations")
    page.get_by_label("before and after", exact=True).focus()
    page.keyboard.press("Space")
    page.wait_for_selector(".strip", state="hidden")


def test_a_wrong_picture_gets_a_sentence_in_the_page(page, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff" + bytes(2000))
    page.set_input_files("input[type=file] >> nth=0", tmp_path / "broken.jpg")
    page.wait_for_selector("text=broken.jpg: cannot be read as a picture")


def test_it_fits_a_phone(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("input[type=range][aria-label*='iterations']").scroll_into_view_if_needed()
    assert page.evaluate("document.querySelector('#pair').getBoundingClientRect().top") >= 0  # seen while one moves them


def test_twenty_at_once_are_answered_or_refused_and_memory_is_bounded(server):
    process = psutil.Process(server.process.pid)
    paths = [server.upload(f"scene{seed}.png", png(render(seed)[0])) for seed in range(20)]
    server.segment(paths[0])
    before = process.memory_info().rss
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(server.segment, paths))
    done = [answer for answer in answers if isinstance(answer, dict)]
    refused = [answer for answer in answers if not isinstance(answer, dict)]
    assert len(done) >= QUEUE and len(done) + len(refused) == 20
    assert refused and all("queue is full" in answer.lower() for answer in refused), refused
    for answer, seed in zip(answers, range(20), strict=True):
        if isinstance(answer, dict):
            labels = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["palette_png"]))))
            assert labels.shape == render(seed)[0].shape[:2]
            assert sum(answer["areas"].values()) == pytest.approx(1)
    assert process.memory_info().rss - before < 400e6


def test_a_real_photograph(server, test_data):
    photograph = test_data / "data" / "VOCdevkit" / "VOC2012" / "JPEGImages" / "2007_006171.jpg"
    answer = server.segment(server.upload(photograph.name, photograph.read_bytes()))
    with Image.open(photograph) as picture, Image.open(io.BytesIO(base64.b64decode(answer["palette_png"]))) as labels:
        assert labels.size == picture.size and labels.mode == "P"
    assert sum(answer["areas"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("large.png", png(np.zeros((500, 500, 3), np.uint8)), "500x500 pixels, expected at most 0.2 million"),
        ("cut.png", png(render(1)[0])[:3000], "cut.png: cannot be read|cut.png: cannot decode"),
        ("text.jpg", b"no picture", "text.jpg: cannot be read as a picture"),
        ("bomb.png", png(np.zeros((1, 1), np.uint8))[:16] + (60000).to_bytes(4) * 2 + bytes(40), "bomb.png: "),
    ],
)
def test_refusals_name_the_file_and_no_folder(server, name, content, says):
    sentence = server.segment(server.upload(name, content))
    assert re.search(says, str(sentence)) and str(server.folder) not in str(sentence), sentence


def test_too_many_bytes_are_refused(server):
    assert "413" in server.upload("big.png", bytes(1_100_000))


def test_nothing_outside_its_folder_is_readable(server, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(np.zeros((40, 40, 3), np.uint8)))
    inside = server.upload("own.png", png(render(1)[0]))
    assert server.request(f"/gradio_api/file={inside}")[0] == 200
    up = "/".join([os.path.dirname(inside), *[".."] * 12]) + str(secret)
    own = os.path.abspath(sys.modules["deeplab_tf"].__file__)
    for path in (str(secret), up, "/etc/passwd", own, str(server.folder / "log")):
        assert server.request(f"/gradio_api/file={path}")[0] in (403, 404), path
        assert not isinstance(server.segment(path), dict), path
    assert "not fetched" in server.segment("https://example.org/a.png")
    assert server.request("/gradio_api/file=http://127.0.0.1:1/a.png")[0] == 400


def test_the_example_knows_its_own_scenes_only(server):
    path = server.upload("own.png", png(render(1)[0]))
    assert "expected a network for other pictures" in server.segment(path, network="rendered example, made scores")


def test_a_kept_lattice_gives_the_bits_of_a_new_one(picture):
    image, random = picture(30, 41), np.random.default_rng(1)
    probs = random.dirichlet(np.ones(5), (30, 41)).astype(np.float32)
    crf = DenseCRF(threads=1)
    kept = PictureCrf(image, probs, crf, kept=1)
    for change in ({}, {"w1": 9}, {"iterations": 2}, {"sigma_beta": 8}, {"w2": 0}, {}, {"normalization": "after"}):
        params = CrfParams(**change)
        assert np.array_equal(kept(params), crf.with_params(params)(image, probs)), change


@pytest.mark.parametrize("memory", [picture_crf.TRACE_MEMORY, 0])
def test_the_iterations_are_one_run_where_they_fit_the_memory(picture, monkeypatch, memory):
    image, probs = picture(30, 41), np.random.default_rng(1).dirichlet(np.ones(5), (30, 41)).astype(np.float32)
    monkeypatch.setattr(picture_crf, "TRACE_MEMORY", memory)
    runs, solver = [], DenseCRF._solver

    def counted(self, image):
        solve = solver(self, image)
        return lambda *request: runs.append(request[2].iterations) or solve(*request)

    monkeypatch.setattr(DenseCRF, "_solver", counted)
    colors = tuple((50 * k, 0, 0) for k in range(5))
    network = Segmenter("net", [f"class {k}" for k in range(5)], colors, lambda image: probs)
    desk, params = Desk([network], Limits()), CrfParams(iterations=7)
    monkeypatch.setattr("deeplab_tf.serving.web.desk.read_picture", lambda path, limits: image)
    shown = desk.show(["a.png"], "a.png", "net", True, params, "iterations", "the picture", 0.5)
    assert runs == ([7] if memory else [0, 1, 2, 5, 7])
    assert [f"after {step} iteration" in shown.strip for step in (0, 1, 2, 5, 7, 10)] == [True] * 5 + [False]
    answer = desk.answer(["a.png"], "a.png", "net")
    for labels, step in zip(answer.labels_after(params, (0, 3, 7)), (0, 3, 7), strict=True):
        assert np.array_equal(labels, answer(CrfParams(iterations=step)).argmax(axis=-1))
