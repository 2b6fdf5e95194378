"""The report page: what stands in it, which pictures it shows, and that it stands alone."""

import base64
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.errors import UserError
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve
from deeplab_tf.pages.gallery import Gallery
from deeplab_tf.pages.report import Report

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 0, 250))
NAMES = ("background", "cat <tabby> & co", "never seen")


def _scene(seed, wrong=0):
    rng = np.random.default_rng(seed)
    label = np.zeros((30, 44), np.uint8)
    label[5:20, 8:30] = 1
    label[:, 40:] = 255
    prediction = np.where(label == 255, 0, label)
    prediction[5 : 5 + wrong] = 0
    return rng.integers(0, 256, (30, 44, 3)).astype(np.uint8), label, prediction


def _report(with_crf=True, **options):
    before, after = ConfusionMatrix(3), ConfusionMatrix(3) if with_crf else None
    gallery = Gallery(PALETTE, 8)
    curves = TrimapCurve(3, "void", 10), TrimapCurve(3, "void", 10)
    for seed in range(12):
        image, label, prediction = _scene(seed, wrong=seed)
        better = _scene(seed, wrong=seed // 2)[2]
        before.update(label, prediction)
        curves[0].update(label, prediction)
        if with_crf:
            after.update(label, better)
            curves[1].update(label, better)
        gallery.offer(f"scene/{seed:02d}", image, label, prediction, better if with_crf else None)
    trimap = {"trimap_before": curves[0], "trimap_after": curves[1] if with_crf else None}
    return Report("net on set", NAMES, PALETTE, before, after, gallery, **trimap, **options)


class _Text(html.parser.HTMLParser):
    """Collects text and checks that every tag is closed."""

    def __init__(self, page):
        super().__init__()
        self.text, self.open, self.tags = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("with_crf", [True, False])
def test_page_holds_the_figures_and_stands_alone(with_crf, tmp_path):
    report = _report(with_crf, settings={"flip": False, "tile": None}, figures={"Pictures": "12"}, warnings=("Watch <out>!",))
    report.write(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    parsed = _Text(page)
    text = " ".join(parsed.text)
    assert f"{100 * report.before.mean_iou():.1f}" in text and "Watch <out>!" in text and "cat <tabby> & co" in text
    assert ("after CRF" in text) == with_crf
    if with_crf:
        assert f"{100 * report.after.iou()[1]:.1f}" in text
        assert f"+{100 * (report.after.mean_iou() - report.before.mean_iou()):.1f}" in text
    assert "Not in this set and left out: never seen" in text and "flip" in text
    for _, attributes in parsed.tags:
        assert attributes.get("src", "data:").startswith("data:") and "href" not in attributes
    assert "http" not in page and "url(" not in page and "@import" not in page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_maps_show_palette_colours_and_void_is_transparent():
    image, label, prediction = _scene(0)
    gallery = Gallery(PALETTE, 1)
    gallery.offer("one", image, label, prediction, None)
    item = gallery.groups()["A random sample"][0]
    assert item.after is None and item.score == item.score_before == 1.0

    def decode(uri, kind):
        assert uri.startswith(f"data:image/{kind};base64,")
        return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))

    truth = np.array(decode(item.label, "png").convert("RGBA"))
    np.testing.assert_array_equal(truth[..., 3], np.where(label == 255, 0, 255))
    np.testing.assert_array_equal(truth[label == 1], [[200, 0, 0, 255]] * np.count_nonzero(label == 1))
    predicted = np.array(decode(item.before, "png").convert("RGB"))
    np.testing.assert_array_equal(predicted, np.asarray(PALETTE, np.uint8)[prediction])
    assert decode(item.image, "jpeg").size == (44, 30)


def test_large_pictures_are_reduced_without_new_colours():
    label = np.kron(np.eye(8, dtype=np.uint8), np.ones((100, 200), np.uint8))
    gallery = Gallery(PALETTE, 1)
    gallery.offer("large", np.zeros((*label.shape, 3), np.uint8), label, label, None)
    item = gallery.groups()["A random sample"][0]
    picture = Image.open(io.BytesIO(base64.b64decode(item.before.split(",", 1)[1]))).convert("RGB")
    assert picture.size == (480, 240)
    assert {color for _, color in picture.getcolors()} == {PALETTE[0], PALETTE[1]}


def test_gallery_holds_the_worst_the_best_and_a_sample():
    gallery, order = Gallery(PALETTE, 12), np.random.default_rng(1).permutation(16)
    for wrong in [int(k) for k in order for _ in range(5)]:
        image, label, prediction = _scene(0, wrong=wrong)
        gallery.offer(f"{wrong}-{gallery._seen}", image, label, prediction, None)
    groups = gallery.groups()
    assert [len(groups[name]) for name in groups] == [6, len(groups["The worst pictures"]), len(groups["The best pictures"])]
    shown = [item.id for items in groups.values() for item in items]
    assert len(set(shown)) == len(shown) <= 12
    sampled = [item for item in groups["A random sample"]]
    worst = [item.score for item in groups["The worst pictures"]] + [item.score for item in sampled]
    assert {item.id.split("-")[0] for item in groups["The worst pictures"]} == {"15"}
    assert {item.id.split("-")[0] for item in groups["The best pictures"]} == {"0"}
    assert min(worst) == groups["The worst pictures"][0].score


def test_sample_is_drawn_from_the_whole_set():
    """Of 300 pictures the sample must not be the first ones; every third of the set is likely to be in it."""
    gallery = Gallery(PALETTE, 9)
    image, label, prediction = _scene(0)
    for k in range(300):
        gallery.offer(str(k), image, label, prediction, None)
    drawn = [int(item.id) for item in gallery.groups()["A random sample"]]
    assert drawn == sorted(drawn) and max(drawn) > 100 and len(drawn) == 5


def test_gallery_may_be_empty_and_all_void_pictures_are_no_extremes():
    image, label, prediction = _scene(0)
    none = Gallery(PALETTE, 0)
    none.offer("a", image, label, prediction, None)
    assert none.groups() == {}
    gallery = Gallery(PALETTE, 4)
    for k in range(6):
        gallery.offer(str(k), image, np.full_like(label, 255), prediction, None)
    assert list(gallery.groups()) == ["A random sample"]


def test_write_replaces_the_page_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    report = _report()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(UserError, match="report.html: cannot be written .disk full"):
        report.write(path)
    assert path.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_many_classes_and_nothing_counted_still_make_a_page():
    counts, names = ConfusionMatrix(60), [f"class {k}" for k in range(60)]
    palette = [(k, 2 * k, 4 * k) for k in range(60)]
    page = Report("empty", names, palette, counts, None, Gallery(palette, 0), trimap_before=TrimapCurve(60, "void")).html()
    assert len(re.findall(r'<td class="(?:hit|miss)', page)) == 3600 and "nan" not in page.lower()
    _Text(page)
