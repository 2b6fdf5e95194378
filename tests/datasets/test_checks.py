"""check_data on a made set of broken files, as a user runs it."""

import contextlib
import errno
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplab_tf import check_data
from deeplab_tf.datasets import checks, repair, specs
from deeplab_tf.datasets.samples import list_samples
from deeplab_tf.datasets.wrong_files import user_errors
from deeplab_tf.errors import UserError
from deeplab_tf.experiment import flags
from deeplab_tf.pages import check_page

PICTURE, MASK = "images/train/p3.jpg", "masks/train/p3.png"  # 43 x 56


def rewrite(path, change):
    image = np.asarray(Image.open(path))
    Image.fromarray(change(image)).save(path)


def wrong_palette(path):
    ids = np.array(Image.open(path))
    colors = np.zeros((256, 3), np.uint8)
    colors[:3] = [(0, 0, 0), (0, 128, 0), (128, 0, 0)]  # those of VOC's map, two of them exchanged
    colors[255] = (224, 224, 192)
    image = Image.fromarray(ids, "P")
    image.putpalette(colors.tobytes())
    image.save(path)


def palette_cut_off(path):
    wrong_palette(path)
    path.write_bytes(path.read_bytes()[:400])


def rotated(path):
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(path, exif=exif, quality=95)


def with_id(value):
    return lambda path: rewrite(path, lambda ids: np.where(ids == 1, value, ids).astype(np.uint8))


def narrower(path):
    rewrite(path, lambda ids: ids[:, 1:])


def looped(path):
    path.unlink()
    os.symlink(path, path)


def made_folder(path):
    path.unlink()
    path.mkdir()


def interpolated(path):
    large = np.zeros((86, 112), np.uint8)
    large[11:51, 31:81] = 2
    Image.fromarray(cv2.resize(large, (56, 43), interpolation=cv2.INTER_AREA)).save(path)


def half_clear(path):
    ids = np.array(Image.open(path))
    alpha = np.full_like(ids, 255)
    alpha[3] = 77
    Image.fromarray(np.stack([ids, alpha], -1), "LA").save(path)


def sixteen_bits(path):
    image = np.asarray(Image.open(path)).astype(np.uint16) * 257
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


# What spoils a file, what check_data says of it, and what the trainer stops with (None: it trains).
FAULTS = {
    "truncated JPEG": (PICTURE, lambda path: path.write_bytes(path.read_bytes()[:400]), "cannot be read", "cannot be read"),
    "truncated PNG": (MASK, lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be read", "cannot be read"),
    "no pixels": (MASK, palette_cut_off, "damaged or incomplete PNG", "damaged or incomplete PNG"),
    "WebP": (PICTURE, lambda path: Image.open(path).save(path, format="WEBP"), "holds WebP", "holds WebP"),
    "GIF": (PICTURE, lambda path: Image.open(path).save(path, format="GIF"), "holds GIF", "holds GIF"),
    "WebP mask": (MASK, lambda path: Image.open(path).save(path, format="WEBP"), "holds WebP", "no PNG"),
    "zero bytes": (PICTURE, lambda path: path.write_bytes(b""), "empty file", "empty file"),
    "16 bits": (PICTURE, sixteen_bits, "16 bits", None),
    "CMYK": (PICTURE, lambda path: Image.open(path).convert("CMYK").save(path), "CMYK", None),
    "EXIF": (PICTURE, rotated, "EXIF orientation 6", "56x43 .* 43x56"),
    "wrong palette": (MASK, wrong_palette, "palette disagrees", None),
    "off by one pixel": (MASK, narrower, "55x43 pixels, its picture 56x43", "55x43 .* 56x43"),
    "id 21": (MASK, with_id(21), "21 ", "label id 21 "),
    "id 254": (MASK, with_id(254), "254 ", "label id 254 "),
    "interpolated": (MASK, interpolated, "interpolated", None),
    "lossy": (MASK, lambda path: Image.open(path).save(path, format="JPEG"), "no PNG", "no PNG"),
    "half clear": (MASK, half_clear, "56 pixels are not opaque", None),
    "empty": (MASK, lambda path: rewrite(path, lambda ids: np.full_like(ids, 255)), "every pixel is void", None),
    "missing mask": (MASK, lambda path: path.unlink(), "missing", "missing"),
    "symlink loop": (PICTURE, looped, "symbolic link", "missing"),
    "unreadable": (PICTURE, made_folder, "a folder", "missing"),
}


def check(folder):
    root, spec = folder
    return checks.check_data(spec, root, ["train", "val"])


def test_a_clean_set_has_no_findings(folder):
    report = check(folder)
    assert report.findings == ()
    frequencies = report.frequencies()
    assert frequencies.names == ("bg", "cat", "dog") and frequencies.pixels.sum() + frequencies.void == 56 * sum(
        40 + number % 7 for number in range(9)
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found_by_name_and_never_crashes_the_trainer_unnamed(folder, train_once, fault):
    root, spec = folder
    name, spoil, text, told = FAULTS[fault]
    spoil(root / name)
    findings = [finding for finding in check(folder).findings if finding.file == str(root / name)]
    assert any(text in finding.text for finding in findings), findings
    with contextlib.nullcontext() if told is None else pytest.raises(UserError, match=rf"train/p3\.\w+: .*({told})"):
        samples = list_samples(spec, root, "train")
        with user_errors(spec, samples):
            assert len(train_once(samples)) == 1


def test_unreadable_by_permission(folder):
    root, _ = folder
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / PICTURE).chmod(0)
    assert any(finding.file.endswith(PICTURE) for finding in check(folder).findings)


def test_duplicates_within_and_between_splits(folder):
    root, spec = folder
    (root / "val.txt").write_text("images/val/p7.jpg masks/val/p7.png\nimages/val/p7.jpg masks/val/p7.png\n")
    picture = Image.open(root / "images/train/p1.jpg")
    picture.save(root / "images/val/p7.jpg", quality=85)
    mask = Image.open(root / "masks/train/p1.png")
    mask.save(root / "masks/val/p7.png")
    texts = [finding.text for finding in check(folder).findings]
    assert sum("more than once" in text for text in texts) == 1
    assert any("looks the same as" in text and "p1.jpg" in text for text in texts)
    page = root.parent / "page.html"
    check_page.write_page(check(folder), page)
    assert page.read_text().count('val: p7<div class="bad">id &#39;p7&#39; stands more') == 2
    assert page.read_text().count('<div class="bad">looks the same as') == 2


def test_a_mask_of_two_pictures_is_found(folder):
    root, _ = folder
    os.symlink(root / "images/val/p8.jpg", root / "images/val/again.jpg")  # the same picture
    lines = [f"images/val/{name}.jpg masks/{mask}.png\n" for name, mask in
             (("p7", "train/p0"), ("p8", "val/p8"), ("again", "val/p8"))]  # fmt: skip
    (root / "val.txt").write_text("".join(lines))
    (text,) = [str(finding) for finding in check(folder).findings if "is the mask of" in finding.text]
    assert text.startswith(f"{root}/masks/train/p0.png: is the mask of 2 pictures, {root}/images/train/p0.jpg and")


def test_colours_of_no_class_are_listed_and_never_made_void(folder, tmp_path):
    root, spec = folder
    for name, color in (("p1", (200, 30, 10)), ("p3", (7, 8, 9))):
        colors = np.array([(0, 0, 0), (128, 0, 0), color], np.uint8)
        rewrite(root / f"masks/train/{name}.png", lambda ids, colors=colors: colors[np.minimum(ids, 2)])
    report = check(folder)
    assert any(str(finding).startswith(f"{root / MASK}: colours outside the label table") for finding in report.findings)
    (text,) = [finding.text for finding in report.findings if finding.file == str(root)]
    shares = re.findall(r"(#[0-9a-f]{6}) \(([\d.]+)%\)", text)
    assert {color for color, _ in shares} == {"#c81e0a", "#070809"} and 10 < sum(float(share) for _, share in shares) < 90
    assert "`dog #" in text
    left_out = repair.write_repaired(report, root, tmp_path / "fix").left_out
    assert len(left_out) == 2 and all("is no class" in finding.text for finding in left_out)
    (root / "labels.txt").write_text("bg\ncat\ndog #c81e0a\nvoid #070809\n")  # the cure it proposes
    spec = specs.get_dataset("folder", root)
    assert not any("colours" in finding.text for finding in check((root, spec)).findings)


def disk_full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_nothing_half_written_stays_on_a_full_disk(folder, tmp_path, monkeypatch):
    report = check(folder)
    write, count = pathlib.Path.write_bytes, itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "write_text", lambda path, *_, **__: write(path, b"half") and disk_full())
        patch.setattr(pathlib.Path, "write_bytes", lambda path, data: write(path, data) if next(count) < 5 else disk_full())
        with pytest.raises(UserError, match=r"page\.html: cannot be written \(No space left on device\)"):
            check_page.write_page(report, tmp_path / "page.html")
        with pytest.raises(UserError, match=r"p2\.png: cannot be written \(No space left on device\)"):
            repair.write_repaired(report, folder[0], tmp_path / "fix")
    assert list(tmp_path.iterdir()) == []
    assert repair.write_repaired(report, folder[0], tmp_path / "fix") == repair.Repaired(kept=9)


def test_the_door_on_a_clean_set(folder, tmp_path, capsys):
    page = tmp_path / "new" / "page.html"
    arguments = ["check_data", "--dataset=folder", f"--data_dir={folder[0]}", f"--page={page}"]
    flags.run(check_data.main, check_data.define, arguments)  # returns: exit code 0
    printed = capsys.readouterr()
    assert printed.out == "" and "cat" in printed.err
    assert "9/9" in printed.err and "nothing wrong found in 9 pictures and their masks (train, val)\n" in printed.err
    assert page.read_text().count("<img") == 18 and "<figcaption>train: p0<" in page.read_text()


def test_the_door_refuses_before_it_looks_at_pictures(folder, tmp_path, capsys, monkeypatch):
    root, _ = folder
    (tmp_path / "file").write_text("")
    (tmp_path / "records").mkdir()
    for name in ("dataset_info.json", "labels.txt"):
        (tmp_path / "records" / name).write_text("a\nb\n")
    monkeypatch.setattr(checks, "check_data", lambda *_: pytest.fail("looked at the pictures"))
    for argument, told in (
        (f"--page={tmp_path}", "is a folder"),
        (f"--page={tmp_path}/file/page.html", "is not a folder"),
        (f"--fix={root}", "not empty"),
        ("--splits=val,nope", "no such list"),
        ("--mapping=1:0", "expected --fix=NEWDIR beside it"),
        (f"--data_dir={tmp_path}/records", "holds TFDS records"),
        ("--data_dir=nowhere", f"no such folder in the current folder {os.getcwd()}"),
        ("--dataset=miniature", "holds other files than the rendered scenes"),
    ):
        with pytest.raises(SystemExit, match="2"):
            arguments = ["check_data", "--dataset=folder", f"--data_dir={root}", argument]
            flags.run(check_data.main, check_data.define, arguments)
        assert told in capsys.readouterr().err
    assert not (root / "train.txt").exists() and {path.name for path in tmp_path.iterdir()} == {"file", "records"}


def test_a_default_split_that_is_not_there_is_named(folder, capsys):
    root, _ = folder
    shutil.rmtree(root / "images/val")
    arguments = ["check_data", "--dataset=folder", f"--data_dir={root}"]
    with pytest.raises(SystemExit, match="2"):
        flags.run(check_data.main, check_data.define, arguments)
    assert "masks/val: masks without pictures" in capsys.readouterr().err
    shutil.rmtree(root / "masks/val")
    flags.run(check_data.main, check_data.define, arguments)
    said = capsys.readouterr().err
    assert "split 'val' is not there, only 'train' is checked" in said and "nothing wrong found in 7 pictures" in said
    with pytest.raises(SystemExit, match="2"):
        flags.run(check_data.main, check_data.define, [*arguments, "--splits=train,val"])
    (root / "images/train/p2.jpg").unlink()
    (finding,) = checks.check_data(specs.get_dataset("folder", root), root, ["train"]).findings
    assert str(finding) == f"{root}/masks/train/p2.png: a mask without a picture of that name; it is not used"


def test_the_door(folder):
    root, _ = folder
    command = [sys.executable, "-m", "deeplab_tf.check_data", "--dataset=folder", f"--data_dir={root}"]
    (root / MASK).write_bytes(b"")
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    spoilt = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert spoilt.returncode == 2 and "Traceback" not in spoilt.stderr
    assert "tensorflow" not in spoilt.stderr.lower() and "oneDNN" not in spoilt.stderr
    assert len(spoilt.stdout.splitlines()) == 1 and spoilt.stdout.startswith(f"{root / MASK}: no PNG")
    wrong = subprocess.run([*command[:3], "--dataset=nope", "--data_dir=x"], capture_output=True, text=True)
    assert wrong.returncode == 2 and len(wrong.stderr.strip().splitlines()) == 1


def test_real_data_is_clean(test_data):
    report = checks.check_data(specs.get_dataset("voc2012"), test_data / "data" / "VOCdevkit", ["train_aug", "val"])
    assert report.findings == ()
