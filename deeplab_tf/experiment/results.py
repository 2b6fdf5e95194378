"""Where the results of an evaluation lie, and what they may replace. Light: the doors ask before TensorFlow is imported."""

from __future__ import annotations

import json
import os
import pathlib

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.run_folder import load_config
from deeplab_tf.whole_files import check_writable


def result_folder(
    config: ExperimentConfig, workdir: str | os.PathLike | None, out: str | os.PathLike | None, overwrite: bool
) -> pathlib.Path:
    """The folder of result.json: `out`, or WORKDIR/eval/SPLIT.

    Raises:
      UserError: it cannot be written; a result in `out`, or one of more pictures than this evaluation's, would be
        replaced without `overwrite`.
    """
    check_writable(out or workdir, "--out" if out else "--workdir")
    folder = pathlib.Path(out or pathlib.Path(workdir) / "eval" / config.data.eval_split)
    there, limit = read_result(folder), config.eval.max_images
    if there is None or overwrite:
        return folder
    if out:
        raise UserError(f"--out {out}: got result.json there already; name another folder or give --overwrite.")
    whole = there.get("settings", {}).get("max_images") is None
    if limit is not None and whole and there.get("images", 0) > limit:
        raise UserError(
            f"--max_images: got {limit}, and {folder / 'result.json'} is of the whole set, {there['images']} pictures; "
            "give the few a place of their own with --out=FOLDER, or --overwrite."
        )
    return folder


def read_result(folder: str | os.PathLike) -> dict | None:
    """What result.json holds; None where there is none that can be read."""
    try:
        result = json.loads((pathlib.Path(folder) / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def named_settings(config: ExperimentConfig, workdir: str | os.PathLike | None) -> dict:
    """What result.json says of the settings: split and pictures, and every setting that is not the run's own (without a
    run: not the default)."""
    trained = (load_config(workdir) if workdir else ExperimentConfig()).flat()
    changed = {name: value for name, value in config.flat().items() if value != trained[name]}
    limit = {} if config.eval.max_images is None else {"max_images": config.eval.max_images}
    return {"split": config.data.eval_split} | limit | changed
