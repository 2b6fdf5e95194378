"""Whether the run that a folder holds is the one that is asked for: what a resumed run may have changed."""

from __future__ import annotations

import os
import pathlib

from deeplab_tf.datasets.specs import DatasetSpec
from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.run_folder import load_config, load_spec
from deeplab_tf.experiment.settings import all_settings

_MAY_DIFFER = {
    "data_dir", "atrous_method",
    *(name for section, _, name in all_settings() if section in ("devices", "record", "eval", "crf")),
}  # fmt: skip
"""Settings that a resumed run may have changed: they do not change what is learnt."""


def refuse_other_experiment(
    config: ExperimentConfig, spec: DatasetSpec, workdir: str | os.PathLike, checkpoint: pathlib.Path
) -> None:
    """Checks what goes on in `workdir` against what was begun there.

    A weights file may have moved, as the checkpoint holds the weights. Steps may be added where the learning rate does not
    depend on their number.

    Args:
      checkpoint: the newest one.

    Raises:
      UserError: names every setting that differs; for more steps, the way to them.
    """
    there, here = load_config(workdir).flat(), config.flat()
    for flat in (there, here):
        flat["weights"] = flat["weights"] and pathlib.Path(flat["weights"]).name
    changed = [name for name in here if there[name] != here[name] and name not in _MAY_DIFFER]
    more_steps = here["steps"] > there["steps"]
    if changed == ["steps"] and more_steps and config.solver.policy == "step":
        changed = []
    said = [f"{name} {there[name]!r} there, {here[name]!r} now" for name in changed]
    before, now = load_spec(workdir).class_names, spec.class_names
    if before != now:
        said.append(f"classes {', '.join(before)} there, {', '.join(now)} now")
    if said == [f"steps {there['steps']} there, {here['steps']} now"] and more_steps:
        raise UserError(
            f"--steps: got {here['steps']} for a run of {there['steps']}, whose learning rate falls to 0 at its last step, "
            f"expected the same number; train further from its weights: --weights={checkpoint} --workdir=ANOTHER."
        )
    if said:
        raise UserError(f"--workdir {workdir} holds another experiment ({'; '.join(said)}); choose another folder.")
