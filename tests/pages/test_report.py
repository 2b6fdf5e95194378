"""The report page: what stands in it, and that it stands alone."""

import html.parser
import json
import re

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.metrics.confusion_matrix import ConfusionMatrix
from deeplab_tf.metrics.trimap import TrimapCurve
from deeplab_tf.pages.curves import read_curves
from deeplab_tf.pages.gallery import Gallery
from deeplab_tf.pages.label_errors import LabelError
from deeplab_tf.pages.report import Intervals, Report
from deeplab_tf.pages.strips import Strip


class _Text(html.parser.HTMLParser):
    """Collects text and checks that every tag is closed."""

    def __init__(self, page):
        super().__init__()
        self.text, self.open, self.tags = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.mark.parametrize("names", [("before CRF", "after CRF"), ("prediction",)])
def test_page_holds_the_figures_and_stands_alone(make_report, names, tmp_path):
    report = make_report(names, settings={"flip": False, "tile": None}, figures={"Pictures": "12"}, warnings=("Watch <out>!",))
    report.write(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    parsed = _Text(page)
    text, results = parsed.words(), list(report.results.values())
    assert f"{100 * results[0].mean_iou():.1f}" in text and "Watch <out>!" in text and "cat <tabby> & co" in text
    assert ("after CRF" in text) == (len(names) == 2)
    assert f"{100 * results[-1].iou()[1]:.1f}" in text
    if len(names) == 2:
        assert f"+{100 * (results[1].mean_iou() - results[0].mean_iou()):.1f}" in text
    assert "Not in this set and left out: never seen" in text and "flip" in text
    for _, attributes in parsed.tags:
        assert attributes.get("src", "data:").startswith("data:") and attributes.get("href", "#").startswith("#")
    assert "http" not in page and "url(" not in page and "@import" not in page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_every_link_leads_into_the_page(make_report):
    parsed = _Text(make_report().html())
    places = {attributes["id"] for _, attributes in parsed.tags if "id" in attributes}
    links = [attributes["href"][1:] for _, attributes in parsed.tags if "href" in attributes]
    assert len(links) == 6 and set(links) <= places


def test_pictures_carry_their_scores_by_class(make_report):
    report = make_report()
    cards = [attributes for tag, attributes in _Text(report.html()).tags if tag == "article" and "data-facts" in attributes]
    items = [item for item, _ in report.gallery.items()]
    assert [card["data-name"] for card in cards] == [item.id for item in items]
    for card, item in zip(cards, items, strict=True):
        facts = json.loads(card["data-facts"])
        wrong = int(item.id[7:9])
        assert facts["classes"]["1"] == pytest.approx([1 - wrong / 15, 1 - wrong // 2 / 15], abs=1e-4)
        assert set(facts["classes"]) == {"0", "1"}
        assert facts["scores"] == pytest.approx(item.scores, abs=1e-4) and facts["order"] == wrong


def test_failures_say_what_was_taken_for_what(make_report):
    words = _Text(make_report(("prediction",)).html()).words()
    assert "73 % of the cat <tabby> & co was taken for background (242 pixels)." in words


def test_intervals_say_what_is_chance(make_report):
    known = Intervals(
        "3 sequences", {"before CRF": (0.5, 0.7), "after CRF": (0.611, 0.722)},
        {"before CRF": [(0.1, 0.2), None, (float("nan"),) * 2], "after CRF": [(0.333, 0.444), None, None]},
        gain=(-0.011, 0.033), per_class_gain=[(0.012, 0.034), None, None],
    )  # fmt: skip
    words = _Text(make_report(intervals=known).html()).words()
    assert "interval 61.1–72.2" in words and "gain −1.1 to +3.3 (may be chance)" in words and "33.3–44.4" in words
    assert "+1.2 to +3.4" in words and "95 % of the figures of sets drawn anew from the 3 sequences" in words
    assert "nan" not in words.lower()
    surely = Intervals("9 pictures", {}, {}, gain=(0.004, 0.033))
    assert "+0.4 to +3.3 (beyond chance)" in _Text(make_report(intervals=surely).html()).words()


def test_runs_stand_side_by_side(make_report):
    names = ("VGG-16", "VGG-16 + CRF", "ResNet-101", "ResNet-101 + CRF")
    report = make_report(names, sort="changed")
    parsed = _Text(report.html())
    figures = [attributes for tag, attributes in parsed.tags if tag == "figure" and attributes.get("class") == "layer"]
    assert len(figures) == len(report.gallery.items()) * (2 + len(names))
    lines = [attributes["class"] for tag, attributes in parsed.tags if tag == "path"]
    assert len(lines) == len(set(lines)) == 4
    assert {"value": "changed", "selected": None} in [attributes for _, attributes in parsed.tags]


def test_other_runs_curves_have_colours_of_their_own(make_report):
    report = make_report()
    curve = report.trimaps["after CRF"]
    page = make_report().html()
    more = Report(report.title, report.class_names, report.palette, report.results, report.gallery,
                  trimaps=dict(report.trimaps) | {"another run": curve}).html()  # fmt: skip
    paths = [re.findall(r'<path class="(r\d)"', text) for text in (page, more)]
    assert paths == [["r0", "r1"], ["r0", "r1", "r2"]]


def test_training_label_errors_strips_and_commands_are_shown(make_report, tmp_path):
    log = tmp_path / "train.jsonl"
    lines = [{"step": step, "loss": 2 / step, "learning_rate": 0.1} for step in (10, 20, 30)]
    lines.insert(2, {"step": 20, "mean_iou": 0.25})
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4')  # one is being written
    wrong = LabelError("p <1>", 0, 1, 0.97, 1234, "data:a", "data:b", "data:c")
    grey = np.zeros((20, 30, 3), np.uint8)
    strip = Strip.of("p <2>", "most pixels mended", "cat", (0, 1, 10), grey[:10, :10], grey)
    page = make_report(
        training=read_curves(log), label_errors=[wrong], strips=[strip], commands=["python -m a --b='c d'", "two"],
        flags="--dataset=voc2012\n",
    ).html()  # fmt: skip
    parsed = _Text(page)
    words = parsed.words()
    assert "data loss" in words and "learning rate" in words and "mean IoU of the evaluations" in words
    assert "97 % sure" in words and "Labelled background, predicted cat <tabby> & co: 1,234 pixels." in words
    assert "p <2>: cat most pixels mended before 1 10" in words
    assert "python -m a --b='c d' two" in words and "--dataset=voc2012" in words
    for _, attributes in parsed.tags:
        assert attributes.get("src", "data:").startswith("data:")


def test_write_replaces_the_page_as_a_whole(make_report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    report = make_report()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(UserError, match="report.html: cannot be written .disk full"):
        report.write(path)
    assert path.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_many_classes_and_nothing_counted_still_make_a_page():
    counts, names = ConfusionMatrix(60), [f"class {k}" for k in range(60)]
    palette = [(k, 2 * k, 4 * k) for k in range(60)]
    page = Report("empty", names, palette, {"prediction": counts}, Gallery(palette, 0),
                  trimaps={"prediction": TrimapCurve(60, "void")}).html()  # fmt: skip
    parsed = _Text(page)
    assert len(re.findall(r'<td class="(?:hit|miss)', page)) == 3600 and "nan" not in parsed.words().lower()
    assert "No pixel of this set lies in such a band." in parsed.words() and "NaN" not in page
