"""The report in a real browser, Debian's Chromium without a window: sorting, sliding, choosing, keys, phone, dark, offline."""

import os
import shutil

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed: no browser test")


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine: no browser test (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = driver.chromium.launch(executable_path=program, args=arguments)
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(make_report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report = make_report(size=12, commands=["python -m deeplab_tf.eval --workdir=runs/a"])
    report.write(path)
    return report, path


@pytest.fixture
def opened(browser, report):
    """Opens the page as a device of the given options does; nothing may be fetched, and the script must not complain."""
    contexts, complaints = [], []

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
        page.goto(f"file://{report[1]}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def names(page):
    return page.evaluate("[...document.querySelectorAll('.gallery > .item')].filter(e => !e.hidden).map(e => e.dataset.name)")


def layers(page, card=0):
    """Opacity of the layers that are seen of one card."""
    return page.evaluate(
        f"[...document.querySelectorAll('.gallery > .item')][{card}].querySelectorAll('.layer')"
        ".values().map(e => e.style.visibility === 'hidden' ? 0 : Number(e.style.opacity)).toArray()"
    )


def scene(*numbers):
    return [f"scene/<{number:02d}>" for number in numbers]


def test_sorting_by_iou_gain_class_and_name(opened, report):
    page = opened()
    items = [item for item, _ in report[0].gallery.items()]
    assert len(items) == 12
    assert names(page) == [item.id for item in sorted(items, key=lambda item: (item.scores[-1], item.order))]
    page.select_option("[name=sort]", "best")
    assert names(page) == [item.id for item in sorted(items, key=lambda item: (-item.scores[-1], item.order))]
    page.select_option("[name=sort]", "gained")
    assert names(page) == [item.id for item in sorted(items, key=lambda item: (item.scores[0] - item.scores[1], item.order))]
    page.select_option("[name=class]", "1")
    rows = {item.id: item.class_scores()[1] for item in items}
    assert names(page) == sorted(rows, key=lambda id: (round(rows[id][0], 4) - round(rows[id][1], 4), id))
    assert page.inner_text("#count") == "12 of 12 pictures with cat <tabby> & co, by its IoU in each"
    page.select_option("[name=class]", "2")
    assert names(page) == []
    page.select_option("[name=class]", "")
    page.select_option("[name=sort]", "name")
    assert names(page) == scene(*range(12))


def test_choosing_by_name_reason_and_from_the_table(opened, report):
    page = opened()
    page.keyboard.press("/")
    page.keyboard.type("/<1")
    assert sorted(names(page)) == scene(10, 11) and page.inner_text("#count") == "2 of 12 pictures"
    page.fill("[name=name]", "")
    page.select_option("[name=reason]", "worst")
    assert set(names(page)) == {item.id for item, reasons in report[0].gallery.items() if "worst" in reasons}
    page.select_option("[name=reason]", "")
    page.click("button[data-class='2']")
    assert names(page) == [] and page.input_value("[name=class]") == "2"


def test_the_slider_goes_from_picture_to_truth_to_before_to_after(opened):
    page = opened()
    page.uncheck("[name=blend]")
    slider = page.locator(".slide input").first
    assert layers(page) == [0, 0, 0, 1]
    slider.fill("1.5")
    assert layers(page) == [0, 1, 0.5, 0]
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert layers(page) == [0, 0, 1, 0]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert layers(page) == [1, 0, 0, 0] and layers(page, 1) == [0, 0, 0, 1]
    page.locator(".stops button", has_text="truth").first.click()
    assert layers(page) == [0, 1, 0, 0]
    page.check("[name=layer][value='2']", force=True)
    assert layers(page) == layers(page, 7) == [0, 0, 1, 0]
    page.check("[name=blend]")
    assert layers(page) == [1, 0, 0.6, 0]


def test_side_by_side_shows_every_layer(opened):
    page = opened()
    boxes = "[...document.querySelectorAll('.gallery .item:first-child img')].map(e => e.getBoundingClientRect().left)"
    assert len(set(page.evaluate(boxes))) == 2  # the layers, and the errors beside them
    page.check("[name=beside]")
    assert layers(page) == [1, 1, 1, 1]
    assert page.evaluate(boxes) == sorted(set(page.evaluate(boxes))) and len(page.evaluate(boxes)) == 5


def test_keys_go_from_picture_to_picture(opened):
    page = opened()
    focused = "document.activeElement.closest('.item').dataset.name"
    order = names(page)
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        assert page.evaluate(focused) == order[place]
    box = page.evaluate("(r => [r.top, innerHeight - r.bottom])(document.activeElement.getBoundingClientRect())")
    assert min(box) >= 0  # in sight


def test_the_confusion_matrix_changes_its_shares(opened, report):
    page = opened()
    cells = "[...document.querySelectorAll('.heat tbody tr')].map(r => [...r.querySelectorAll('td')].map(c => c.textContent))"
    for result, counts in enumerate(report[0].results.values()):
        page.check(f"[name=matrix][value='{result}']", force=True)
        for kind, axis in (("row", 1), ("column", 0)):
            page.check(f"[name=normalised][value={kind}]", force=True)
            shares = counts.matrix / counts.matrix.sum(axis=axis, keepdims=True).clip(1)
            assert page.evaluate(cells) == [[f"{100 * share:.0f}" if share >= 0.005 else "" for share in row] for row in shares]
    title = page.get_attribute(".heat tbody tr:nth-child(2) td:nth-child(2)", "title")
    assert title.startswith("cat <tabby> & co taken for background: ")


def test_failures_show_their_pictures(opened):
    page = opened()
    sizes = "[...document.querySelectorAll('.failures img')].map(e => e.naturalWidth * e.getBoundingClientRect().width)"
    assert len(page.evaluate(sizes)) == 6 * 4 and min(page.evaluate(sizes)) > 0


def test_it_fits_a_phone_and_follows_the_dark(opened):
    phone = opened(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    phone.locator(".maps").first.tap()  # goes to the next layer
    assert layers(phone)[3] == 0
    color = "getComputedStyle(document.body).backgroundColor"
    assert opened(color_scheme="light").evaluate(color) == "rgb(246, 247, 249)"
    assert opened(color_scheme="dark").evaluate(color) == "rgb(18, 21, 27)"


def test_without_a_script_the_pictures_stand_side_by_side(opened):
    page = opened(java_script_enabled=False)
    assert not page.is_visible("#tools") and page.locator(".gallery .item:first-child img >> visible=true").count() == 5
