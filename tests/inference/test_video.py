"""Videos: as many frames at the same times as before, and the labels of the frames."""

import csv
import fractions

import numpy as np
import pytest

from deeplab_tf.errors import UserError
from deeplab_tf.inference.label_files import LabelFiles
from deeplab_tf.inference.picture_files import find_pictures
from deeplab_tf.inference.predictions import predict_pictures

av = pytest.importorskip("av", reason="PyAV is not installed: no videos")
FILES = LabelFiles(("dark", "light"), ((0, 0, 0), (255, 0, 0)))
TIMES = (0, 1, 2, 5, 6)  # of the frames, in ticks: one has a gap before it


def network(image):
    """Light pixels are of class 1."""
    light = image.mean(axis=-1, keepdims=True) / 255
    return np.concatenate([1 - light, light], axis=-1).astype(np.float32)


@pytest.fixture(params=[(48, 64), (47, 63)], ids=["even", "odd"])
def film(request, tmp_path):
    """A light bar that grows by an eighth of the picture a frame."""
    height, width = request.param
    with av.open(str(tmp_path / "film.mp4"), "w") as target:
        stream = target.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        stream.time_base = stream.codec_context.time_base = fractions.Fraction(1, 10)
        for number, time in enumerate(TIMES):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[:, : width * (number + 1) // 8] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, stream.time_base
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return tmp_path / "film.mp4"


def frames(path):
    with av.open(str(path)) as source:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in source.decode(video=0)]


def test_overlay_and_shares_by_frame(film):
    out = film.parent / "out"
    outcome = predict_pictures(network, find_pictures([film]), out, FILES)
    assert [path.name for path in outcome.written] == ["film_overlay.mp4", "film_shares.csv"] and outcome.pictures == 1
    before, after = frames(film), frames(out / "film_overlay.mp4")
    assert [time for time, _ in before] == pytest.approx([time for time, _ in after]) and len(after) == len(TIMES)
    with open(out / "film_shares.csv") as table:
        rows = list(csv.DictReader(table))
    width = before[0][1].shape[1]
    for number, ((time, _), (_, overlay), row) in enumerate(zip(before, after, rows, strict=True)):
        bar = width * (number + 1) // 8
        assert float(row["seconds"]) == pytest.approx(time, abs=1e-3)
        assert float(row["light"]) == pytest.approx(bar / width, abs=0.02) and overlay.shape == before[0][1].shape
        assert overlay[:, : bar - 4, 0].min() > 200 > 170 > overlay[:, : bar - 4, 1].max()  # white under half red
    assert predict_pictures(network, find_pictures([film]), out, FILES).skipped == 1


def test_a_file_that_is_no_video_is_told_of(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"no film" * 100)
    outcome = predict_pictures(network, find_pictures([tmp_path / "film.mp4"]), tmp_path / "out", FILES)
    ((path, reason),) = outcome.failed
    assert path.name == "film.mp4" and "cannot be read as a video" in reason
    assert not list((tmp_path / "out").glob("film*"))


def test_without_pyav_the_way_out_is_told(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "film.mp4").write_bytes(b"")
    outcome = predict_pictures(network, find_pictures([tmp_path / "film.mp4"]), tmp_path / "out", FILES)
    with pytest.raises(UserError, match="deeplab_tf.video."):
        raise UserError(outcome.failed[0][1])
