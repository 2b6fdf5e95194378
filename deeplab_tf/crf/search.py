"""Search of the CRF's parameters on a few pictures with cached scores (the protocol of section 4.1).

w2 and sigma_gamma are fixed; a coarse grid over w1, sigma_alpha, sigma_beta comes first, then half steps round its
best setting. All w1 of a (sigma_alpha, sigma_beta) pair share one lattice per picture.

The paper's grid fits photographs and strong networks. Where the best setting lies on its edge the search goes on beyond it
(`LADDERS`), with w2 = 0 too, and where nothing in it helps it tries gentle settings (`GENTLE`); what does not gain over the
scores as they are is not recommended.

Unless the search is exhaustive, only every third value of the grid is tried at first, and from there the neighbours of
the best three settings until none is new: mIoU over all pictures is smooth in the parameters, while over a few pictures
it cannot tell them apart (halving the settings after 4, 8, 16 pictures loses the winner). A setting that is clearly
behind after some pictures is dropped all the same.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from deeplab_tf.crf.dense_crf import DenseCRF
from deeplab_tf.crf.params import CrfParams
from deeplab_tf.crf.scores import load_scores, picture_digest
from deeplab_tf.crf.search_log import SearchLog
from deeplab_tf.errors import UserError


class Setting(NamedTuple):
    """A point of the grid."""

    w1: float
    sigma_alpha: float
    sigma_beta: float
    w2: float


LADDERS = {  # the next values beyond a grid's edge, either way
    "w1": (0.25, 0.5, 1, 2, 8, 12, 16),
    "sigma_alpha": (2.5, 5, 10, 20, 130, 170, 220),
    "sigma_beta": (1, 2, 8, 10, 14, 20, 30),
    "w2": (0,),
}


@dataclasses.dataclass(frozen=True)
class Grid:
    """Values to try; the defaults are the paper's: w1 3:6, sigma_alpha 30:10:100, sigma_beta 3:6, w2 fixed."""

    w1: tuple[float, ...] = (3, 4, 5, 6)
    sigma_alpha: tuple[float, ...] = (30, 40, 50, 60, 70, 80, 90, 100)
    sigma_beta: tuple[float, ...] = (3, 4, 5, 6)
    w2: tuple[float, ...] = (3,)

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        return {name: getattr(self, name) for name in Setting._fields}

    def settings(self) -> list[Setting]:
        return list(itertools.starmap(Setting, itertools.product(*self.axes.values())))

    def every_third(self) -> "Grid":
        """Its first, fourth, seventh, ... values."""
        return Grid(*(steps[::3] for steps in self.axes.values()))

    def neighbours(self, centre: Setting) -> list[Setting]:
        """What lies one step from `centre` along one of the parameters."""
        found = []
        for name, steps in self.axes.items():
            place = steps.index(getattr(centre, name))
            found += [centre._replace(**{name: steps[near]}) for near in (place - 1, place + 1) if 0 <= near < len(steps)]
        return found

    def beyond(self, best: Setting) -> "Grid":
        """With the next value of `LADDERS` where `best` lies on an edge; w2 may go only where another parameter does."""
        axes = {name: _grown(steps, getattr(best, name), LADDERS[name]) for name, steps in self.axes.items() if name != "w2"}
        edge = any(steps != getattr(self, name) for name, steps in axes.items())
        return Grid(**axes, w2=_grown(self.w2, best.w2, LADDERS["w2"]) if edge else self.w2)

    def joined(self, other: "Grid") -> "Grid":
        """The values of both."""
        return Grid(*(tuple(sorted({*steps, *getattr(other, name)})) for name, steps in self.axes.items()))

    def finer(self, best: Setting) -> "Grid":
        """Half a step to either side of `best`, nothing at or below 0; w2 stays."""

        def values(centre, steps):
            half = min((abs(one - centre) for one in steps if one != centre), default=0) / 2
            return tuple(sorted({float(centre + k * half) for k in (-1, 0, 1) if centre + k * half > 0}))

        searched = {name: values(getattr(best, name), steps) for name, steps in self.axes.items() if name != "w2"}
        return Grid(**searched, w2=(best.w2,))


GENTLE = Grid(w1=(0.5, 1, 2), sigma_alpha=(5, 20), sigma_beta=(5, 10, 20), w2=(0,))
"""Where the paper's grid does nothing but harm: weak bilateral kernels alone, near in place, far in colour."""


def _grown(steps: tuple[float, ...], best: float, ladder: tuple[float, ...]) -> tuple[float, ...]:
    below = [value for value in ladder if value < steps[0]][-1:] if best == steps[0] else []
    above = [value for value in ladder if value > steps[-1]][:1] if best == steps[-1] else []
    return (*below, *steps, *above)


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
    """All settings, best first; `before` is the mIoU without the CRF, `gain` the interval (95 %, paired bootstrap over the
    pictures) of the best one's gain over it; `runs` counts picture-settings computed now."""

    params: CrfParams
    rows: tuple[Row, ...]
    before: float
    gain: tuple[float, float]
    runs: int
    seconds: float

    @property
    def helps(self) -> bool:
        """Whether the best setting gains on these pictures."""
        return self.rows[0].mean_iou > self.before


def counts(labels: np.ndarray, predictions: np.ndarray, num_classes: int, ignore_label: int) -> np.ndarray:
    """int64 [3, num_classes]: pixels right, labelled and predicted per class, of one picture."""
    known = labels != ignore_label
    labels, predictions = labels[known].astype(np.int64), predictions[known]
    right = np.bincount(labels[labels == predictions], minlength=num_classes)
    return np.stack([right, np.bincount(labels, minlength=num_classes), np.bincount(predictions, minlength=num_classes)])


def mean_iou(total: np.ndarray) -> np.ndarray:
    """mIoU [...] of summed counts [..., 3, num_classes]; classes that occur nowhere are left out (VOC's way)."""
    right, union = total[..., 0, :], total[..., 1, :] + total[..., 2, :] - total[..., 0, :]
    present = union > 0
    return (right / np.maximum(union, 1)).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1)


def behind(results: np.ndarray, draws: int = 200, deviations: float = 3) -> np.ndarray:
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
        self.keys = {one.id: _key(one, self.read_label) for one in pictures}
        self.log, self.runs, self.pool = log, 0, concurrent.futures.ThreadPoolExecutor(threads)

    def results(self, settings: Sequence[Setting], first: int, last: int) -> None:
        """Compute pictures first..last-1 of these settings, where the log does not hold them."""
        pairs: dict[tuple, list[Setting]] = {}
        for setting in settings:
            pairs.setdefault(setting[1:], []).append(setting)
        wanted = []
        for picture in self.pictures[first:last]:
            missing = [[one for one in group if (one, self.keys[picture.id]) not in self.log] for group in pairs.values()]
            if any(missing):
                wanted.append((picture, [group for group in missing if group]))
        start, total, done = time.monotonic(), sum(len(groups) for _, groups in wanted), 0
        queue = self._queued(wanted)
        jobs: list[tuple] = next(queue, [])
        while jobs:
            following: list[tuple] = next(queue, [])  # read and queued before this picture is awaited, so that no thread idles
            for identity, group, job in jobs:
                for setting, found in zip(group, job.result(), strict=True):
                    self.log.add(setting, self.keys[identity], found)
                    self.runs += 1
            done += len(jobs)
            self.report(
                f"{jobs[0][0]}: {done} of {total} lattices of this round, "
                f"{(time.monotonic() - start) / done * (total - done):.0f} s left"
            )
            jobs = following

    def _queued(self, wanted):
        for picture, groups in wanted:
            read = self._read(picture)
            yield [(picture.id, group, self.pool.submit(self._pair, *read, group)) for group in groups]

    def table(self, settings: Sequence[Setting], last: int) -> np.ndarray:
        keys = [self.keys[picture.id] for picture in self.pictures[:last]]
        return np.array([[self.log[setting, key] for key in keys] for setting in settings])

    def before(self) -> np.ndarray:
        """int64 [pictures, 3, classes] without the CRF."""
        read = (self._read(picture) for picture in self.pictures)
        return np.stack(
            [counts(labels, probs.argmax(axis=-1), self.num_classes, self.ignore_label) for _, probs, labels in read]
        )

    def _read(self, picture):
        image, labels = self.read_image(picture.image), self.read_label(picture.label)
        probs = load_scores(picture.score, picture_digest(image))
        expected = (*image.shape[:2], self.num_classes)
        if probs.shape != expected or labels.shape != expected[:2]:
            raise UserError(
                f"score map {picture.score}: got {list(probs.shape)} for a label of {list(labels.shape)}, "
                f"expected {list(expected)}; make the scores anew."
            )
        return image, probs, labels

    def _pair(self, image, probs, labels, settings):
        params = dataclasses.replace(self.base, **settings[0]._asdict())
        refined = self.crf.with_params(params).sweep(image, probs, [setting.w1 for setting in settings])
        return [counts(labels, q.argmax(axis=-1), self.num_classes, self.ignore_label) for q in refined]


def _key(picture: Picture, read_label: Callable[[str], np.ndarray]) -> str:
    """Of a picture's results in the log: they are those of its scores, its pixels and its labels as they are read, and what
    was made anew, a mended mask as well, has another key."""
    digest = hashlib.blake2b(digest_size=8)
    for kind, path in (("score map", picture.score), ("picture", picture.image)):
        try:
            digest.update(pathlib.Path(path).read_bytes())
        except OSError as error:
            raise UserError(
                f"{kind} {path}: cannot be read ({error.strerror}); make score maps with eval --save_scores."
            ) from error
    digest.update(np.ascontiguousarray(read_label(picture.label)).tobytes())
    return f"{picture.id} {digest.hexdigest()}"


def search(
    pictures: Sequence[Picture],
    *,
    num_classes: int,
    read_image: Callable[[str], np.ndarray],
    read_label: Callable[[str], np.ndarray],
    log_file: str,
    ignore_label: int = 255,
    grid: Grid | None = None,
    base: CrfParams | None = None,
    exhaustive: bool = False,
    finer: bool = True,
    threads: int = 2,
    report: Callable[[str], None] = print,
) -> SearchResult:
    """Find the parameters with the highest mIoU.

    Args:
        pictures: in a random order of the caller's choice; the first ones decide who is dropped early.
        num_classes, ignore_label: of the labels.
        read_image: file -> uint8 [height, width, 3], RGB.
        read_label: file -> integer [height, width].
        log_file: results as they come; a search that was stopped goes on from it.
        grid: coarse grid; None: the paper's, with the w2 of `base`.
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
    start, base = time.monotonic(), base or CrfParams(w2=3, sigma_gamma=3)
    grid = grid or Grid(w2=(base.w2,))
    fixed = {key: value for key, value in dataclasses.asdict(base).items() if key not in Setting._fields}
    with SearchLog(log_file, {**fixed, "num_classes": num_classes}) as log:
        runner = _Runner(pictures, base, num_classes, ignore_label, (read_image, read_label), log, threads, report)
        with _stopping_at_once(runner.pool):
            race, before = _Race(runner, exhaustive, report), runner.before()
            race.enter((grid if exhaustive else grid.every_third()).settings())
            if not exhaustive:
                grid = _walk(race, grid)
                if race.rows[0].mean_iou <= mean_iou(before.sum(axis=0)):
                    report("nothing in the grid helps: trying gentle settings")
                    race.enter(GENTLE.settings())
                    grid = _walk(race, grid.joined(GENTLE))
            if finer:
                race.enter(grid.finer(race.rows[0].setting).settings())
            best = race.rows[0].setting
            gain = _gain(before, runner.table([best], len(pictures))[0])
    return SearchResult(
        dataclasses.replace(base, **best._asdict()),
        tuple(race.rows),
        float(mean_iou(before.sum(axis=0))),
        gain,
        runner.runs,
        time.monotonic() - start,
    )


def _walk(race: "_Race", grid: Grid) -> Grid:
    """From neighbour to neighbour of the best until none is new, beyond the grid's edge too; returns the grid as it grew."""
    while True:
        while race.enter([near for leader in race.leaders() for near in grid.neighbours(leader)]):
            pass
        larger = grid.beyond(race.rows[0].setting)
        if larger == grid:
            return grid
        grid = larger


def _gain(before: np.ndarray, after: np.ndarray, draws: int = 1000) -> tuple[float, float]:
    """The middle 95 % of the gain in mIoU when the pictures are drawn anew; int [pictures, 3, classes] each."""
    count, weights = len(before), np.random.default_rng(0)
    drawn = weights.multinomial(count, np.full(count, 1 / count), size=draws)
    scores = [mean_iou(np.tensordot(drawn, one, 1)) for one in (before, after)]
    return tuple(np.quantile(scores[1] - scores[0], [0.025, 0.975]).tolist())


@contextlib.contextmanager
def _stopping_at_once(pool: concurrent.futures.ThreadPoolExecutor):
    """What is queued goes when the block is left, also by Ctrl-C, which does not wait for lattices in work."""
    try:
        yield
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Race:
    """Settings tried so far, best first; those that were dropped come after those that saw all pictures."""

    def __init__(self, runner: _Runner, exhaustive: bool, report: Callable[[str], None]):
        self.rows: list[Row] = []
        self._runner, self._report, count = runner, report, len(runner.pictures)
        self._rounds = [] if exhaustive else [size for size in (8, 16, 32, 64) if size < count]

    def leaders(self) -> list[Setting]:
        """The best three of those that saw all pictures."""
        return [row.setting for row in self.rows[:3] if row.pictures == len(self._runner.pictures)]

    def enter(self, settings: Iterable[Setting]) -> bool:
        """Try those that are new, side by side with the leaders so far; whether there were any."""
        known, count = {row.setting for row in self.rows}, len(self._runner.pictures)
        alive = [one for one in dict.fromkeys(settings) if one not in known]
        if not alive:
            return False
        entered, leaders, done = len(alive), self.leaders(), 0
        for last in [*self._rounds, count]:
            self._runner.results(alive, done, last)
            group = [*alive, *leaders]
            table = self._runner.table(group, last)
            drop = behind(table) if last < count else np.zeros(len(group), bool)
            for setting, score, dropped in zip(alive, mean_iou(table.sum(axis=1)), drop, strict=False):
                if dropped or last == count:
                    self.rows.append(Row(setting, float(score), last))
            alive, done = [setting for setting, dropped in zip(alive, drop, strict=False) if not dropped], last
        self.rows.sort(key=lambda row: (-row.pictures, -row.mean_iou, row.setting))
        self._report(
            f"{entered} settings tried, {entered - len(alive)} of them dropped before the last picture; best so far "
            f"{self.rows[0].setting} with mIoU {self.rows[0].mean_iou:.4f}"
        )
        return True
