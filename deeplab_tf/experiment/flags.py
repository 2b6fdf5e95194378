"""absl flags to values: the only library file that knows absl.flags.

A door defines its flags on a FlagValues of its own (`run(main, define)`), so that importing a door has no side
effect and two doors never disagree about a flag.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pathlib
import re
import sys
import tempfile
import types
import typing
from collections.abc import Callable, Collection, Iterator, Sequence

from absl import flags as absl_flags

from deeplab_tf.errors import UserError
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.crf_choice import with_crf_as_evaluated
from deeplab_tf.experiment.run_folder import load_config
from deeplab_tf.experiment.settings import CRF_STAGE, SECTIONS, TRAINED, all_settings, joined


def run(main: Callable, define: Callable, argv: list[str] | None = None, *, positional: bool = False) -> None:
    """Runs a door: parses `argv`, calls `main(flags, arguments)`; `arguments` are those without a flag, if `positional`.

    Exits with 2 and one line on stderr for what the user got wrong, with 130 after Ctrl-C, with 0 after --help. Any other
    exception is a bug of ours and keeps its traceback.
    """
    argv = sys.argv if argv is None else argv
    flags = absl_flags.FlagValues()
    absl_flags.DEFINE_bool("help", False, "show the flags and end", short_name="h", flag_values=flags)
    define(flags)
    try:
        arguments = _parse(flags, argv)
        note_given(flags, argv)
        if flags.help:
            print(_usage(main, flags, argv[0]))
            return
        if arguments and not positional:
            raise UserError(f"got {arguments[0]!r}, expected flags only (--name=value); --help lists them.")
        main(flags, arguments)
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C", file=sys.stderr)
        raise SystemExit(130) from None
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        raise SystemExit(1) from None


def _parse(flags: absl_flags.FlagValues, argv: list[str]) -> list[str]:
    flags.set_gnu_getopt(True)  # flags may stand behind the positional arguments
    try:
        return flags(argv)[1:]
    except absl_flags.UnrecognizedFlagError as error:
        meant = [f"--{name}" for name in flags if error.flagname in name]
        if meant:
            raise UserError(f"--{error.flagname}: no such flag, did you mean {' or '.join(meant)}?") from error
        raise UserError(_one_line(error)) from error
    except absl_flags.Error as error:
        raise UserError(_one_line(error)) from error
    except UnicodeDecodeError as error:
        raise UserError(f"--flagfile: {error}, expected a text file of flags.") from error


def _one_line(error: absl_flags.Error) -> str:
    message = " ".join(str(error).split()).removeprefix("ERROR:: ").replace(" ?", "?").rstrip(".")
    return message if message.endswith("?") else f"{message}; --help lists the flags."


def _usage(main: Callable, flags: absl_flags.FlagValues, program: str) -> str:
    """The door's docstring and flags; `deeplab-train --help` speaks of itself where `python -m deeplab_tf.train` would."""
    doc = sys.modules[main.__module__].__doc__ or ""
    if pathlib.PurePath(program).stem.startswith("deeplab-"):
        doc = re.sub(r"python -m deeplab_tf\.(\w+)", lambda door: f"deeplab-{door[1].replace('_', '-')}", doc)
    return f"{doc.strip()}\n\n{flags.get_help()}"


def define_config(flags: absl_flags.FlagValues, uses: Collection[str] | None = None) -> None:
    """One flag for every setting of `ExperimentConfig`, with its default and help.

    Args:
      flags: gets them.
      uses: the settings that the door uses; None: all. The others are known but not listed in the help: a flags file of a
        whole experiment may hold them, the command line may not (`note_given`).
    """
    foreign = absl_flags.FlagValues()
    for section, field, name in all_settings():
        hint = typing.get_type_hints(SECTIONS[section])[field.name]
        own = uses is None or name in uses
        _define(flags if own else foreign, name, hint, field.default, field.metadata["help"], field.metadata.get("choices"))
        if not own:
            flags[name] = foreign[name]
            flags[name].foreign = True


def _is_foreign(flag: absl_flags.Flag) -> bool:
    return getattr(flag, "foreign", False)


def note_given(flags: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Marks what the command line itself gives; refuses settings of other doors there, which a flags file may hold."""
    given = {word.lstrip("-").partition("=")[0] for word in argv[1:] if word.startswith("-")}
    for name in flags:
        flags[name].given = bool(given & {name, f"no{name}"})
        if _is_foreign(flags[name]) and flags[name].given:
            door = pathlib.PurePath(argv[0]).stem
            raise UserError(f"--{name}: {door} does not use it, expected its own flags (--help lists them); leave it out.")


def _define(flags, name, hint, default, help, choices) -> None:
    kind = _plain(hint)
    if choices:
        help = f"{help} ({', '.join(map(str, choices))})"
    if typing.get_origin(kind) is tuple:
        text = None if default is None else joined(default)
        absl_flags.DEFINE_string(name, text, f"{help}; comma separated", flag_values=flags)
        return
    define = {
        bool: absl_flags.DEFINE_bool,
        int: absl_flags.DEFINE_integer,
        float: absl_flags.DEFINE_float,
        str: absl_flags.DEFINE_string,
    }[kind]
    define(name, default, help, flag_values=flags)


def config_from_flags(flags: absl_flags.FlagValues, base: ExperimentConfig | None = None) -> ExperimentConfig:
    """The experiment the flags describe; with `base`, the config of a run, only flags that were given change it.

    A flags file describes a whole experiment: what it says of training is the run's affair, and where the run was trained
    otherwise a line on stderr says so.

    Raises:
      UserError: a value out of its range.
    """
    settings = {}
    for _, _, name in all_settings():
        if base is None or (flags[name].present and not _is_foreign(flags[name])):
            settings[name] = _value(flags, name)
    if base is not None:
        _tell_differences(flags, base)
    return (base or ExperimentConfig()).replace(**settings)


def _value(flags: absl_flags.FlagValues, name: str):
    """Of a setting, as the config holds it."""
    section, field, _ = next(setting for setting in all_settings() if setting.flag == name)
    kind = _plain(typing.get_type_hints(SECTIONS[section])[field.name])
    return _numbers(name, flags[name].value, kind) if typing.get_origin(kind) is tuple else flags[name].value


def config_of_file(path: str | os.PathLike) -> ExperimentConfig:
    """The experiment that a flags file describes.

    Raises:
      UserError: it is not there, names an unknown flag, or a value is out of its range.
    """
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such flags file, expected an experiment; run from the project's root.")
    flags = absl_flags.FlagValues()
    define_config(flags)
    _parse(flags, ["", f"--flagfile={path}"])
    return config_from_flags(flags)


def _tell_differences(flags: absl_flags.FlagValues, run: ExperimentConfig) -> None:
    there = {name: value for name, value in run.flat().items() if _is_foreign(flags[name]) and flags[name].present}
    other = [f"{name} {value}" for name, value in there.items() if _value(flags, name) != value]
    if other:
        print(f"note: the run was trained otherwise than the flags file says ({', '.join(other)}).", file=sys.stderr)


def _plain(hint):
    """`X | None` -> X."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint


def _numbers(name, text, kind):
    if text is None or text == "":
        return None
    number = typing.get_args(kind)[0]
    try:
        return tuple(number(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--{name}: got {text!r}, expected numbers separated by commas.") from None


def define_trained(flags: absl_flags.FlagValues, uses: Collection[str]) -> None:
    """The flags that name a trained network, and the settings `uses` of what is to be done with it."""
    define_config(flags, (*TRAINED, *uses))
    absl_flags.DEFINE_string("workdir", None, "folder of the run whose network is taken", flag_values=flags)


def config_of_trained(flags: absl_flags.FlagValues) -> ExperimentConfig:
    """The config of the trained network that the flags name: that of a run with what the flags change, or of a weights file.

    Raises:
      UserError: neither --workdir nor --weights is given, both are, or the weights come without --model and --dataset.
    """
    workdir, weights = flags.workdir, flags.weights
    if workdir:
        if flags["weights"].given:
            raise UserError(
                f"--workdir={workdir} and --weights={weights}: got both, expected the network of a run or a "
                "weights file; leave one out."
            )
        base = load_config(workdir)
        return config_from_flags(flags, base).replace(weights=base.model.weights)
    if not weights:
        raise UserError(
            "--workdir is not set, expected the folder of a run, or --weights=FILE --model=NAME --dataset=NAME (or "
            "--labels=labels.txt) in its place."
        )
    if flags.labels and not flags["dataset"].present:
        flags.dataset = "folder"
    for name, known in (("model", flags["model"].present), ("dataset", flags["dataset"].present or flags.labels)):
        if not known:
            raise UserError(
                f"--{name} is not set, expected which {flags[name].help} --weights={weights} was trained as; give --{name}=…."
            )
    return config_from_flags(flags)


def define_network(flags: absl_flags.FlagValues, uses: Collection[str]) -> None:
    """As `define_trained`, with a SavedModel as a third thing that the network may come from."""
    define_trained(flags, uses)
    absl_flags.DEFINE_string("saved_model", None, "exported network that is taken: a folder or a file", flag_values=flags)


def config_of_network(flags: absl_flags.FlagValues) -> ExperimentConfig:
    """As `config_of_trained`; of a SavedModel, whose settings are inside, what is left is the CRF.

    Raises:
      UserError: as there, or settings of a network are given beside a SavedModel.
    """
    if not flags.saved_model:
        return config_of_trained(flags)
    of_network = ("workdir", "weights", *TRAINED, "flip", "tile")
    inside = [name for name in of_network if flags[name].present and not _is_foreign(flags[name])]
    if inside:
        raise UserError(
            f"--{inside[0]}: given beside --saved_model={flags.saved_model}, whose network and labels are inside; "
            "leave one of them out."
        )
    return config_from_flags(flags)


def crf_as_evaluated(flags: absl_flags.FlagValues, config: ExperimentConfig) -> ExperimentConfig:
    """The config of the network that the flags name, with a run's CRF on or off as its evaluation found, which is told in a
    line; unchanged where --crf or --nocrf says it, and without a run."""
    if not flags.workdir or flags["crf"].present:
        return config
    config, why = with_crf_as_evaluated(config, flags.workdir)
    print(why, file=sys.stderr)
    return config


def given_crf(flags: absl_flags.FlagValues) -> list[str]:
    """The settings of the CRF that flags give; they win over what an exported network carries."""
    return [name for name in CRF_STAGE if name != "crf_workers" and flags[name].present]


def require(flags: absl_flags.FlagValues, name: str):
    """The value of a flag that must be given.

    Raises:
      UserError: it was not.
    """
    if flags[name].value is None:
        raise UserError(f"--{name} is not set, expected {flags[name].help}; give --{name}=….")
    return flags[name].value


def quiet_logs() -> None:
    """Log lines of this package to stderr; TensorFlow's own notices off unless the user set TF_CPP_MIN_LOG_LEVEL.

    Imports TensorFlow, whose first notices heed no level: they are held back, and shown if the import fails.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("deeplab_tf").setLevel(logging.INFO)
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3":
        with _held_back_stderr():
            importlib.import_module("tensorflow")


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
    """What is written to the process' stderr inside, by native code too, is dropped unless an exception leaves."""
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
