"""Search of the CRF's parameters on a few pictures with cached scores (the protocol of section 4.1).

w2 and sigma_gamma are fixed; a coarse grid over w1, sigma_alpha, sigma_beta comes first, then half steps round its
best setting. All w1 of a (sigma_alpha, sigma_beta) pair share one lattice per picture. Pictures are added in rounds, and
settings that are clearly behind after a round are dropped, unless the search is exhaustive.
"""

import concurrent.futures
import dataclasses
import itertools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.crf.scores import load_scores
from deeplab_tf.crf.search_log import SearchLog
from deeplab_tf.errors import UserError


class Setting(NamedTuple):
    """A point of the grid."""

    w1: float
    sigma_alpha: float
    sigma_beta: float


@dataclasses.dataclass(frozen=True)
class Grid:
    """Values to try; the defaults are the paper's: w1 3:6, sigma_alpha 30:10:100, sigma_beta 3:6."""

    w1: tuple[float, ...] = (3, 4, 5, 6)
    sigma_alpha: tuple[float, ...] = (30, 40, 50, 60, 70, 80, 90, 100)
    sigma_beta: tuple[float, ...] = (3, 4, 5, 6)

    def settings(self) -> list[Setting]:
        return list(itertools.starmap(Setting, itertools.product(self.w1, self.sigma_alpha, self.sigma_beta)))

    def round(self, best: Setting) -> "Grid":
        """Half a step to either side of `best`, nothing at or below 0."""
        def values(centre, steps):
            half = min(np.diff(sorted(steps)), default=0) / 2
            return tuple(sorted({float(centre + k * half) for k in (-1, 0, 1) if centre + k * half > 0}))
        return Grid(*(values(centre, steps) for centre, steps in
                      zip(best, (self.w1, self.sigma_alpha, self.sigma_beta), strict=True)))


class Picture(NamedTuple):
    """One picture of the search: its id and files. `score` is what `crf.scores.save_scores` wrote."""

    id: str
    score: str
    image: str
    label: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A setting's result: mIoU as a fraction over the `pictures` it was tried on (all, unless it was dropped)."""

    setting: Setting
    mean_iou: float
    pictures: int


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """All settings, best first; `before` is the mIoU without the CRF; `runs` counts picture-settings computed now."""

    params: CrfParams
    rows: tuple[Row, ...]
    before: float
    runs: int
    seconds: float


def counts(labels: np.ndarray, predictions: np.ndarray, num_classes: int, ignore_label: int) -> np.ndarray:
    """int64 [3, num_classes]: pixels right, labelled and predicted per class, of one picture."""
    known = labels != ignore_label
    labels, predictions = labels[known].astype(np.int64), predictions[known]
    right = np.bincount(labels[labels == predictions], minlength=num_classes)
    return np.stack([right, np.bincount(labels, minlength=num_classes),
                     np.bincount(predictions, minlength=num_classes)])


def mean_iou(total: np.ndarray) -> np.ndarray:
    """mIoU [...] of summed counts [..., 3, num_classes]; classes that occur nowhere are left out (VOC's way)."""
    right, union = total[..., 0, :], total[..., 1, :] + total[..., 2, :] - total[..., 0, :]
    present = union > 0
    return (right / np.maximum(union, 1)).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)


def behind(results: np.ndarray, draws: int = 200, deviations: float = 2.5) -> np.ndarray:
    """Which settings trail the leader by more than chance explains.

    Args:
        results: int [settings, pictures, 3, classes], the same pictures for all settings.
        draws: bootstrap samples of pictures, the same for all settings, so that differences are paired.
        deviations: how many standard deviations of the difference count as clear.

    Returns:
        bool [settings]; False for the leader.
    """
    pictures = results.shape[1]
    scores = mean_iou(results.sum(axis=1))
    leader = int(scores.argmax())
    weights = np.random.default_rng(0).multinomial(pictures, np.full(pictures, 1 / pictures), size=draws)
    flat = results.reshape(len(results), pictures, -1).astype(np.float64)
    drawn = np.stack([mean_iou((weights @ one).reshape(draws, *results.shape[2:])) for one in flat])
    spread = (drawn - drawn[leader]).std(axis=1)
    return scores[leader] - scores > deviations * spread + 1e-12


class _Runner:
    """Computes and remembers the counts of (setting, picture)."""

    def __init__(self, pictures, base, num_classes, ignore_label, readers, log, threads, report):
        self.pictures, self.base, self.report = pictures, base, report
        self.num_classes, self.ignore_label = num_classes, ignore_label
        self.read_image, self.read_label = readers
        self.crf = DenseCRF(base, threads=1)
        self.log, self.runs, self.pool = log, 0, concurrent.futures.ThreadPoolExecutor(threads)

    def results(self, settings: Sequence[Setting], first: int, last: int) -> None:
        """Compute pictures first..last-1 of these settings, where the log does not hold them."""
        pairs: dict[tuple[float, float], list[Setting]] = {}
        for setting in settings:
            pairs.setdefault(setting[1:], []).append(setting)
        wanted = []
        for picture in self.pictures[first:last]:
            missing = [[one for one in group if (one, picture.id) not in self.log] for group in pairs.values()]
            if any(missing):
                wanted.append((picture, [group for group in missing if group]))
        start, total, done = time.monotonic(), sum(len(groups) for _, groups in wanted), 0
        for picture, groups in wanted:
            image, probs, labels = self._read(picture)
            jobs = [self.pool.submit(self._pair, image, probs, labels, group) for group in groups]
            for group, job in zip(groups, jobs, strict=True):
                for setting, found in zip(group, job.result(), strict=True):
                    self.log.add(setting, picture.id, found)
                    self.runs += 1
            done += len(groups)
            self.report(f"{picture.id}: {done} of {total} lattices of this round, "
                        f"{(time.monotonic() - start) / done * (total - done):.0f} s left")

    def table(self, settings: Sequence[Setting], last: int) -> np.ndarray:
        return np.array([[self.log[setting, picture.id] for picture in self.pictures[:last]] for setting in settings])

    def before(self) -> float:
        totals = np.zeros((3, self.num_classes), np.int64)
        for picture in self.pictures:
            _, probs, labels = self._read(picture)
            totals += counts(labels, probs.argmax(axis=-1), self.num_classes, self.ignore_label)
        return float(mean_iou(totals))

    def _read(self, picture):
        image, probs, labels = self.read_image(picture.image), load_scores(picture.score), self.read_label(picture.label)
        expected = (*image.shape[:2], self.num_classes)
        if probs.shape != expected or labels.shape != expected[:2]:
            raise UserError(f"score map {picture.score}: got {list(probs.shape)} for a label of {list(labels.shape)}, "
                            f"expected {list(expected)}; make the scores anew.")
        return image, probs, labels

    def _pair(self, image, probs, labels, settings):
        _, sigma_alpha, sigma_beta = settings[0]
        params = dataclasses.replace(self.base, sigma_alpha=sigma_alpha, sigma_beta=sigma_beta)
        refined = self.crf.with_params(params).sweep(image, probs, [setting.w1 for setting in settings])
        return [counts(labels, q.argmax(axis=-1), self.num_classes, self.ignore_label) for q in refined]


def search(pictures: Sequence[Picture], *, num_classes: int, read_image: Callable[[str], np.ndarray],
           read_label: Callable[[str], np.ndarray], log_file: str, ignore_label: int = 255, grid: Grid | None = None,
           base: CrfParams | None = None, exhaustive: bool = False, finer: bool = True, threads: int = 2,
           report: Callable[[str], None] = print) -> SearchResult:
    """Find the parameters with the highest mIoU.

    Args:
        pictures: in a random order of the caller's choice; the first ones decide the first round.
        num_classes, ignore_label: of the labels.
        read_image: file -> uint8 [height, width, 3], RGB.
        read_label: file -> integer [height, width].
        log_file: results as they come; a search that was stopped goes on from it.
        grid: coarse grid; None: the paper's.
        base: what is fixed (w2, sigma_gamma, iterations, normalization); None: w2 = 3, sigma_gamma = 3.
        exhaustive: try every setting on every picture.
        finer: follow with half steps round the best.
        threads: lattices in work at the same time.
        report: takes lines of progress.

    Raises:
        UserError: no pictures, a score map that does not fit its picture, or a log of another search.
    """
    if not pictures:
        raise UserError("CRF search: got no pictures, expected at least one with a score map and a label.")
    start, grid, base = time.monotonic(), grid or Grid(), base or CrfParams(w2=3, sigma_gamma=3)
    fixed = {key: value for key, value in dataclasses.asdict(base).items() if key not in Setting._fields}
    with SearchLog(log_file, {**fixed, "num_classes": num_classes}) as log:
        runner = _Runner(pictures, base, num_classes, ignore_label, (read_image, read_label), log, threads, report)
        with runner.pool:
            rows = _race(runner, grid.settings(), exhaustive, report)
            if finer:
                near = grid.round(rows[0].setting).settings()
                rows += _race(runner, [one for one in near if all(one != row.setting for row in rows)]
                              + [rows[0].setting], exhaustive, report)
            before = runner.before()
    whole = {row.setting: row for row in rows if row.pictures == len(pictures)}
    dropped = {row.setting: row for row in rows if row.setting not in whole}
    ranked = [*sorted(whole.values(), key=_rank), *sorted(dropped.values(), key=_rank)]
    best = dataclasses.replace(base, **ranked[0].setting._asdict())
    return SearchResult(best, tuple(ranked), before, runner.runs, time.monotonic() - start)


def _rank(row: Row):
    return -row.pictures, -row.mean_iou, row.setting


def _race(runner: _Runner, settings: list[Setting], exhaustive: bool, report) -> list[Row]:
    """Rows of all settings, best first. Rounds double; each drops who is clearly behind, and at least half."""
    count = len(runner.pictures)
    rounds = [count] if exhaustive else [size for size in (4, 8, 16, 32, 64, 128) if size < count] + [count]
    rows, alive, done = [], list(settings), 0
    for last in rounds:
        runner.results(alive, done, last)
        table = runner.table(alive, last)
        scores = mean_iou(table.sum(axis=1))
        order = np.argsort(-scores, kind="stable")
        if last < count:
            clearly = behind(table)
            stay = [place for place in order if not clearly[place]][:max(2, -(-len(alive) // 2))]
        else:
            stay = list(order)
        rows += [Row(alive[place], float(scores[place]), last) for place in range(len(alive))
                 if last == count or place not in stay]
        report(f"after {last} pictures: {len(stay)} of {len(alive)} settings stay, best {alive[order[0]]} with mIoU "
               f"{scores[order[0]]:.4f}")
        alive, done = [alive[place] for place in sorted(stay)], last
    return sorted(rows, key=_rank)
