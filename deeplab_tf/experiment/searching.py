"""The search of the CRF's parameters, over score maps that are there or that a run's network makes first."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import random
from collections.abc import Callable, Sequence

import tqdm

from deeplab_tf import locks
from deeplab_tf.crf import search, search_log
from deeplab_tf.crf.engines import engine_missing
from deeplab_tf.crf.params import CrfParams, save_preset
from deeplab_tf.datasets.masks import read_label
from deeplab_tf.datasets.pictures import read_image
from deeplab_tf.datasets.samples import Sample
from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.evaluation.evaluate import scores_about
from deeplab_tf.evaluation.picture_cache import read_about, score_cache
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.network import load_run
from deeplab_tf.inference.segment import segment

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a search found; `preset` is the file that holds it, None where nothing helps."""

    result: search.SearchResult
    pictures: int
    preset: pathlib.Path | None

    def sentence(self) -> str:
        """For the user: the best setting and what it gains, or that none does."""
        found = self.result
        before, after = 100 * found.before, 100 * found.rows[0].mean_iou
        how = f"{self.pictures} pictures, {found.seconds:.0f} s"
        if self.preset is None:
            return (
                f"nothing helps: mIoU {before:.2f} % without the CRF, at most {after:.2f} % with it ({found.params}); no "
                f"preset is written, leave the CRF out with --nocrf ({how})"
            )
        low, high = (100 * end for end in found.gain)
        chance = ", which may be chance" if low <= 0 else ""
        return (
            f"best: {found.params}, mIoU {before:.2f} % before, {after:.2f} % after the CRF ({low:+.2f} to {high:+.2f} "
            f"points with other pictures{chance}), {how}: {self.preset}"
        )


def drawn(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` pictures with masks, drawn with a fixed seed."""
    chosen = [one for one in samples if one.label]
    random.Random(0).shuffle(chosen)
    return chosen[:count]


def search_parameters(
    spec: DatasetSpec,
    samples: Sequence[Sample],
    scores: Callable[[str], str | os.PathLike],
    out: str | os.PathLike,
    base: CrfParams,
    *,
    exhaustive: bool = False,
    finer: bool = True,
    threads: int = 2,
) -> Outcome:
    """Searches, and writes settings.csv, heat_map.png and, where something helps, preset.json into `out`.

    Args:
      spec: the label table to read the masks by.
      samples: the pictures, in an order of chance.
      scores: id -> its score map.
      out: made if it is not there; a search that was stopped goes on from its search.jsonl.
      base: what is fixed.
      exhaustive, finer, threads: as `search` takes them.

    Raises:
      UserError: as `search` does; another search is at work there.
    """
    out = pathlib.Path(out)
    pictures = [search.Picture(one.id, str(scores(one.id)), one.image, one.label) for one in samples]
    if missing := engine_missing():
        _log.warning("%s", missing)
    with locks.holding(out, "crf_search"):
        result = search.search(
            pictures, num_classes=spec.num_classes, ignore_label=spec.ignore_label, read_image=read_image,
            read_label=lambda path: read_label(path, spec), base=base, log_file=out / "search.jsonl", exhaustive=exhaustive,
            finer=finer, threads=threads,
        )  # fmt: skip
        search_log.write_table(out / "settings.csv", result.rows)
        search_log.write_heat_map(out / "heat_map.png", result.rows)
        preset = out / "preset.json"
        if not result.helps:
            preset.unlink(missing_ok=True)  # an older one would be taken for this search's
            return Outcome(result, len(pictures), None)
        save_preset(preset, result.params)
    return Outcome(result, len(pictures), preset)


def make_scores(
    config: ExperimentConfig, workdir: str | os.PathLike, samples: Sequence[Sample], out: str | os.PathLike
) -> Callable[[str], pathlib.Path]:
    """Score maps of the pictures by the run's network, as its evaluation makes them: those that `eval --save_scores` kept are
    taken, others are made and kept in `out`/scores. Returns id -> file.

    Raises:
      UserError: the run cannot be loaded, or a picture does not decode.
    """
    run = load_run(workdir, config)
    about = scores_about(run.judged, **{name: value for name, value in run.how.items() if name != "memory_limit"})
    kept = pathlib.Path(workdir) / "eval" / config.data.eval_split / "scores"
    folder = kept if read_about(kept) == about else pathlib.Path(out) / "scores"
    cache = score_cache(folder, about)
    for one in tqdm.tqdm(samples, desc="score maps", unit="picture", leave=False, dynamic_ncols=True):
        image = read_image(one.image)
        if cache.get(one.id, image) is None:
            cache.put(one.id, image, segment(run.judged, image, **run.how))
    return cache.path


def in_folder(folder: str | os.PathLike) -> Callable[[str], pathlib.Path]:
    """id -> file, of score maps that lie in a folder."""
    return lambda id: pathlib.Path(folder) / f"{id}.npz"
