"""What test servers take: a zip of label maps under their names, every one checked before any is packed."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tqdm
from PIL import Image

from deeplab_tf.datasets.colors import color_table
from deeplab_tf.datasets.masks import read_mask_values
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError
from deeplab_tf.whole_files import replacing

_SHOWN = 3  # files that a sentence names


@dataclasses.dataclass(frozen=True)
class Format:
    """How a server wants label maps.

    Attributes:
      name: id -> file inside the zip.
      label_ids: the data set's own ids, else class ids 0 to K-1.
      palette: in the data set's colours, else grey.
    """

    name: Callable[[str], str]
    label_ids: bool = False
    palette: bool = False


FORMATS = {
    # The development kit's layout; comp6: trained with other data than VOC's own (SBD's masks are).
    "voc2012": Format(lambda id: f"results/VOC2012/Segmentation/comp6_test_cls/{id}.png", palette=True),
    # One flat folder; the server reads labelIds and finds a picture by city, sequence and frame.
    "cityscapes": Format(lambda id: f"{id}_labelIds.png", label_ids=True),
    "pascal_context": Format(lambda id: f"{id}.png"),
    "pascal_person_part": Format(lambda id: f"{id}.png"),
}


def write_submission(
    spec: DatasetSpec, samples: Sequence[Sample], predictions: str | os.PathLike, out: str | os.PathLike,
    *, label_ids: bool = False,
) -> int:  # fmt: skip
    """Checks the label maps of a split and packs them; returns how many.

    Args:
      spec: voc2012, cityscapes, pascal_context or pascal_person_part.
      samples: the pictures of the split.
      predictions: folder of ID.png as `predict` writes them (a picture's own name in place of its id will do).
      out: the zip; whole or not at all.
      label_ids: they hold the data set's own ids (`predict --label_ids`), else class ids.

    Raises:
      UserError: names label maps that are missing, of another size than their picture, or hold an unknown id.
    """
    form = FORMATS.get(spec.name)
    if form is None:
        raise UserError(f"--dataset: no submission is known for {spec.name}, expected one of {', '.join(FORMATS)}.")
    found = [_find(pathlib.Path(predictions), sample) for sample in samples]
    missing = [sample.id for sample, path in zip(samples, found, strict=True) if path is None]
    if missing:
        raise UserError(
            f"--predictions={predictions}: {len(missing)} of {len(samples)} pictures have no label map "
            f"({_some(missing)}), expected ID.png for each; predict them first."
        )
    with replacing(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for id, png in _encoded(spec, form, samples, found, label_ids):
            archive.writestr(zipfile.ZipInfo(form.name(id)), png)  # without times: the same maps give the same zip
    return len(samples)


def _encoded(spec, form: Format, samples, found, label_ids: bool) -> Iterator[tuple[str, bytes]]:
    ids = np.array(spec.ids)
    known = ids if label_ids else np.arange(spec.num_classes)
    class_of = np.full(1 << 16, -1)  # a PNG holds 16 bits at the most
    class_of[known] = np.arange(len(known))
    colors = color_table(spec.palette)
    for sample, path in tqdm.tqdm(list(zip(samples, found, strict=True)), unit="picture", leave=False, dynamic_ncols=True):
        values = _read(path, sample)
        classes = class_of[values]
        if classes.min() < 0:
            kind = "label ids" if label_ids else "class ids"
            raise UserError(
                f"{path}: holds the id {values[classes < 0][0]}, expected {kind} of {spec.name}; give "
                f"--{'no' if label_ids else ''}label_ids, or predict again."
            )
        picture = Image.fromarray((ids[classes] if form.label_ids else classes).astype(np.uint8))
        if form.palette:
            picture.putpalette(colors.tobytes())
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        yield sample.id, stream.getvalue()


def _read(path: pathlib.Path, sample: Sample) -> np.ndarray:
    values = read_mask_values(path)
    try:
        with Image.open(sample.image) as picture:
            size = picture.size
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: cannot be compared with {sample.image} ({error}); predict it again.") from error
    if values.ndim != 2:
        raise UserError(f"{path}: got a colour picture, expected a grey or palette PNG of ids; predict it again.")
    if values.shape[::-1] != size:
        raise UserError(
            f"{path}: is {values.shape[1]}x{values.shape[0]} and its picture {size[0]}x{size[1]}, expected one "
            "size; predict it again."
        )
    return values


def _find(folder: pathlib.Path, sample: Sample) -> pathlib.Path | None:
    image = pathlib.PurePath(sample.image)
    names = (sample.id, image.stem, f"{image.parent.name}/{image.stem}")
    return next((path for name in names if (path := folder / f"{name}.png").is_file()), None)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ("…" if len(names) > _SHOWN else "")
