"""The trainings of the paper in miniature, side by side, each in a process and a folder of its own: what is missing is run."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Sequence

import tqdm

from deeplab_tf.errors import UserError
from deeplab_tf.evaluation.parts import PICTURES
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.flags import config_of_file, quiet_logs
from deeplab_tf.experiment.paper_claims import runs_of
from deeplab_tf.experiment.run_folder import check_split, load_config
from deeplab_tf.experiment.settings import all_settings
from deeplab_tf.whole_files import check_writable

LOG, TRUNK = "log.txt", "trunk.npz"
_PLACES = ("data_dir", "weights")  # where things lie on this machine


@dataclasses.dataclass(frozen=True)
class Training:
    """One training with its evaluation.

    Attributes:
      run: name of the experiment's file.
      seed: of it.
      workdir: its folder.
      config: of it.
      after: the training whose trunk it starts from, or None.
    """

    run: str
    seed: int
    workdir: pathlib.Path
    config: ExperimentConfig
    after: Training | None = None

    @property
    def result(self) -> pathlib.Path:
        return self.workdir / "eval" / self.config.data.eval_split / "result.json"

    def done(self) -> bool:
        """Whether the result is there.

        Raises:
          UserError: it is that of other settings.
        """
        if not self.result.is_file():
            return False
        there, here = load_config(self.workdir).flat(), self.config.flat()
        changed = [f"{name} {there[name]!r} there, {here[name]!r} now" for section, _, name in all_settings()
                   if there[name] != here[name] and section not in ("devices", "record") and name not in _PLACES]  # fmt: skip
        if changed:
            raise UserError(
                f"{self.workdir} holds the run of other settings ({'; '.join(changed)}); remove it or name another "
                "folder with --runs."
            )
        return True

    def counts(self) -> tuple[pathlib.Path, ...]:
        """The files, below the folder, from which its row can be judged without the network."""
        there = self.result.parent.relative_to(self.workdir)
        return pathlib.Path("config.json"), there / "result.json", there / PICTURES

    def cost(self) -> float:
        """Work in pixels that the trunk sees: for the time left, not for comparisons."""
        data, solver = self.config.data, self.config.solver
        pictures = solver.steps * solver.batch_size * solver.iter_size
        return pictures * data.crop_size**2 * sum(scale**2 for scale in self.config.model.scales)


def trainings(
    names: Sequence[str], seeds: int, runs: str | os.PathLike, folder: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
) -> list[Training]:  # fmt: skip
    """The trainings of the experiments `names`, FOLDER/NAME.flags, in RUNS/NAME/seed-N: all seeds of the first one first.

    A file whose weights are …/NAME/seed-0/trunk.npz starts all its seeds from that one training, as the paper's rows all start
    from the same published weights; it comes before it.

    Raises:
      UserError: a file that is not there or wrong, or a folder that cannot be written.
    """
    check_writable(runs, "--runs")
    found: dict[tuple[str, int], Training] = {}

    def add(name: str, count: int) -> None:
        config, after = config_of_file(pathlib.Path(folder) / f"{name}.flags"), None
        if data_dir:
            config = config.replace(data_dir=str(pathlib.Path(data_dir) / config.data.dataset))
        if config.model.weights:
            first = pathlib.Path(config.model.weights).parts[-3]
            if (first, 0) not in found:
                add(first, 1)
            after = found[first, 0]
            config = config.replace(weights=str(after.workdir / TRUNK))
        for seed in range(count):
            workdir = pathlib.Path(runs) / name / f"seed-{seed}"
            found[name, seed] = Training(name, seed, workdir, config.replace(seed=seed), after)

    for name in names:
        add(name, seeds)
    return list(found.values())


def done_rows(
    seeds: int, runs: str | os.PathLike, folder: str | os.PathLike, data_dir: str | os.PathLike | None = None
) -> list[Training]:
    """Those trainings of all rows that have their result, as `trainings` takes them; what others start from is no row."""
    rows = runs_of()
    return [one for one in trainings(rows, seeds, runs, folder, data_dir) if one.run in rows and one.done()]


def run_missing(wanted: Sequence[Training], side_by_side: int) -> None:
    """Trains and evaluates what is not done, `side_by_side` at a time with one thread each; what was stopped goes on.

    Raises:
      UserError: a training failed; the others under way are stopped, and go on the next time.
    """
    left = [one for one in wanted if not one.done()]
    for config in {one.config.data.dataset: one.config for one in left}.values():
        check_split(config, config.data.train_split)  # renders the scenes once, before several want them
    context, under_way = multiprocessing.get_context("spawn"), {}
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that those under way are told
    with tqdm.tqdm(total=sum(one.cost() for one in wanted), bar_format=_BAR, dynamic_ncols=True) as bar:
        bar.update(sum(one.cost() for one in wanted if one not in left))
        bar.initial = bar.n  # the time left is told by what is run now
        try:
            while left or under_way:
                waiting = {one for one in (*left, *under_way.values())}
                for one in [one for one in left if one.after not in waiting][: side_by_side - len(under_way)]:
                    left.remove(one)
                    arguments = (one.config, str(one.workdir), any(other.after == one for other in wanted))
                    process = context.Process(target=_train_and_evaluate, args=arguments)
                    process.start()
                    under_way[process] = one
                bar.set_postfix_str(", ".join(f"{one.run} {one.seed}" for one in under_way.values()))
                multiprocessing.connection.wait([process.sentinel for process in under_way])
                for process in [process for process in under_way if process.exitcode is not None]:
                    one = under_way.pop(process)
                    _require_success(one, process.exitcode)
                    bar.update(one.cost())
        finally:
            for process in under_way:
                process.terminate()  # training saves a checkpoint
            for process in under_way:
                process.join()
            signal.signal(signal.SIGTERM, before)


_BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}"


def _require_success(one: Training, exit_code: int) -> None:
    if exit_code or not one.done():
        log = one.workdir / LOG
        said = log.read_text(errors="replace").replace("\r", "\n").strip().splitlines() if log.is_file() else []
        raise UserError(
            f"{one.workdir}: the training ended with exit code {exit_code} ({said[-1] if said else 'no word'}), "
            f"expected a result; read {log} and give the same command again."
        )


def _train_and_evaluate(config: ExperimentConfig, workdir: str, starts_others: bool) -> None:
    """In a process of its own, which ends with the one that started it; what it says goes to a file."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    os.makedirs(workdir, exist_ok=True)
    with open(os.path.join(workdir, LOG), "a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ["OMP_NUM_THREADS"] = "1"
    quiet_logs()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from deeplab_tf.experiment.evaluator import evaluate
    from deeplab_tf.experiment.trainer import train
    from deeplab_tf.weights.trunk import save_trunk

    try:
        trained = train(config, workdir)
        if trained["interrupted"]:
            sys.exit(130)
        if starts_others:
            save_trunk(trained["checkpoint"], os.path.join(workdir, TRUNK))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        result = evaluate(config, workdir)
        print(json.dumps({"mean_iou": result["mean_iou"], "crf": (result["crf"] or {}).get("mean_iou")}))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
