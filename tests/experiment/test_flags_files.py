"""Every .flags file is a claim that holds: its commands parse, its network is built, its header names every deviation.

The paper's Tables 1, 2, 3, 4, 6, 7 and 9 stand here once more as literals, and every row has its file.
"""

import functools
import importlib
import pathlib
import re
import shlex
import typing

import pytest
from absl import flags as absl_flags

from deeplab_tf.datasets.specs import get_dataset
from deeplab_tf.experiment.config import ExperimentConfig
from deeplab_tf.experiment.flags import config_from_flags, define_config
from deeplab_tf.experiment.recipes import RESNET101, deviations, notes

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "experiments"
FILES = sorted([*FOLDER.glob("*.flags"), *FOLDER.glob("miniature/*.flags")])
NAMES = [path.relative_to(FOLDER).with_suffix("").as_posix() for path in FILES]
CONTINUED = re.compile(r"\\\n#\s+")


class Row(typing.NamedTuple):
    """A row of the paper: its table and number, file, mIoU in % (before and after the CRF) and what it has."""

    table: int
    row: int
    file: str
    miou: tuple[str, ...]
    model: str
    has: str = ""
    solver: str = "poly 10 20000"  # policy, effective batch, steps


STEP = "step 30 6000"
FOV, R101 = "vgg16_largefov", "resnet101"
ROWS = (
    Row(1, 1, "table1_vgg16_7x7_r4", ("64.38", "67.64"), "vgg16_fc6_7x7_r4", "CRF", STEP),
    Row(1, 2, "table1_vgg16_4x4_r4", ("59.80", "63.74"), "vgg16_fc6_4x4_r4", "CRF", STEP),
    Row(1, 3, "table1_vgg16_4x4_r8", ("63.41", "67.14"), "vgg16_fc6_4x4_r8", "CRF", STEP),
    Row(1, 4, "table1_vgg16_largefov", ("62.25", "67.64"), FOV, "CRF", STEP),
    Row(2, 1, "table2_vgg16_step_30_6k", ("62.25",), FOV, "", STEP),
    Row(2, 2, "table2_vgg16_poly_30_6k", ("63.42",), FOV, "", "poly 30 6000"),
    Row(2, 3, "table2_vgg16_poly_30_10k", ("64.90",), FOV, "", "poly 30 10000"),
    Row(2, 4, "table2_vgg16_poly_10_10k", ("64.71",), FOV, "", "poly 10 10000"),
    Row(2, 5, "table2_vgg16_poly_10_20k", ("65.88",), FOV),
    Row(3, 1, "table3_vgg16_largefov", ("65.76", "69.84"), FOV, "CRF"),
    Row(3, 2, "table3_vgg16_aspp_s", ("66.98", "69.73"), "vgg16_aspp_s", "CRF"),
    Row(3, 3, "table3_vgg16_aspp_l", ("68.96", "71.57"), "vgg16_aspp_l", "CRF"),
    Row(4, 1, "table4_resnet101", ("68.72",), R101),
    Row(4, 2, "table4_resnet101_msc", ("71.27",), R101, "MSC"),
    Row(4, 3, "table4_resnet101_coco", ("73.28",), R101, "MSC COCO"),
    Row(4, 4, "table4_resnet101_aug", ("74.87",), R101, "MSC COCO Aug"),
    Row(4, 5, "table4_resnet101_largefov", ("75.54",), "resnet101_largefov", "MSC COCO Aug"),
    Row(4, 6, "table4_resnet101_aspp", ("76.35",), "resnet101_aspp", "MSC COCO Aug"),
    Row(4, 7, "table4_resnet101_aspp_crf", ("77.69",), "resnet101_aspp", "MSC COCO Aug CRF"),
    Row(6, 1, "table6_vgg16_largefov", ("37.6",), FOV),
    Row(6, 2, "table6_vgg16_largefov_crf", ("39.6",), FOV, "CRF"),
    Row(6, 3, "table6_resnet101", ("39.6",), R101),
    Row(6, 4, "table6_resnet101_msc_aug", ("41.4",), R101, "MSC Aug"),
    Row(6, 5, "table6_resnet101_coco", ("42.9",), R101, "MSC COCO Aug"),
    Row(6, 6, "table6_resnet101_largefov", ("43.5",), "resnet101_largefov", "MSC COCO Aug"),
    Row(6, 7, "table6_resnet101_aspp", ("44.7",), "resnet101_aspp", "MSC COCO Aug"),
    Row(6, 8, "table6_resnet101_aspp_crf", ("45.7",), "resnet101_aspp", "MSC COCO Aug CRF"),
    Row(7, 1, "table7_resnet101", ("58.90",), R101),
    Row(7, 2, "table7_resnet101_msc_aug", ("63.10",), R101, "MSC Aug"),
    Row(7, 3, "table7_resnet101_coco", ("64.40",), R101, "MSC COCO Aug"),
    Row(7, 4, "table7_resnet101_coco_crf", ("64.94",), R101, "MSC COCO Aug CRF"),
    Row(7, 5, "table7_resnet101_largefov", ("62.18",), "resnet101_largefov", "MSC COCO Aug"),
    Row(7, 6, "table7_resnet101_aspp", ("62.76",), "resnet101_aspp", "MSC COCO Aug"),
    Row(9, 1, "table9_vgg16_half", ("62.97",), FOV, "half"),
    Row(9, 2, "table9_vgg16_half_crf", ("64.18",), FOV, "half CRF"),
    Row(9, 3, "table9_vgg16_full", ("64.89",), FOV),
    Row(9, 4, "table9_vgg16_full_crf", ("65.94",), FOV, "CRF"),
    Row(9, 5, "table9_resnet101", ("66.6",), R101),
    Row(9, 6, "table9_resnet101_largefov", ("69.2",), "resnet101_largefov"),
    Row(9, 7, "table9_resnet101_aspp", ("70.4",), "resnet101_aspp"),
    Row(9, 8, "table9_resnet101_aug", ("71.0",), "resnet101_aspp", "Aug"),
    Row(9, 9, "table9_resnet101_aug_crf", ("71.4",), "resnet101_aspp", "Aug CRF"),
)
VOC = "voc2012"
DATASETS = {1: VOC, 2: VOC, 3: VOC, 4: VOC, 6: "pascal_context", 7: "pascal_person_part", 9: "cityscapes"}


@pytest.fixture(autouse=True)
def project_root(monkeypatch):
    """Nested flag files are named from here, as in the commands."""
    monkeypatch.chdir(ROOT)


def header(name) -> str:
    """The comment of a file in one line a paragraph; commands too."""
    lines = [line for line in (FOLDER / f"{name}.flags").read_text().splitlines() if line.startswith("#")]
    text = CONTINUED.sub("", "\n".join(lines))
    return re.sub(r"\n#   (?!python)", " ", text).replace("\n# ", "\n").removeprefix("# ")


def commands(name) -> list[list[str]]:
    """The doors that the header calls: [door, argument, …]."""
    found = [shlex.split(line) for line in header(name).splitlines() if line.strip().startswith("python -m ")]
    return [[words[2].removeprefix("deeplab_tf."), *words[3:]] for words in found]


def paragraph(name, start) -> str:
    return next((line for line in header(name).splitlines() if line.startswith(start)), "")


def parse(*arguments) -> ExperimentConfig:
    flags = absl_flags.FlagValues()
    define_config(flags)
    flags(["door", *arguments])
    return config_from_flags(flags)


def config_of(name) -> ExperimentConfig:
    """What the header's training command describes, or the file alone where another row's run is evaluated."""
    arguments = next((words[1:] for words in commands(name) if words[0] == "train"), [f"--flagfile=experiments/{name}.flags"])
    return parse(*(argument for argument in arguments if not argument.startswith("--workdir=")))


def has(config) -> str:
    """The paper's tick marks, read off the settings."""
    items = {
        "MSC": config.model.scales == (0.5, 0.75, 1.0),
        "half": config.model.scales == (0.5,),
        "COCO": config.model.weights in ("init.caffemodel", "deeplab_resnet101_coco"),
        "Aug": config.data.augment_scales == RESNET101["augment_scales"],
        "CRF": config.eval.crf,
    }
    return " ".join(item for item, there in items.items() if there)


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_the_header_are_the_doors(name):
    called = commands(name)
    assert called and {"train", "eval"} & {words[0] for words in called}
    assert any(f"--flagfile=experiments/{name}.flags" in words for words in called)
    for door, *arguments in called:
        flags = absl_flags.FlagValues()
        importlib.import_module(f"deeplab_tf.{door}").define(flags)
        flags([door, *arguments])
        assert door != "train" or flags.workdir.startswith("runs/")


@pytest.mark.parametrize("name", NAMES)
def test_the_header_claims(name):
    assert "mIoU" in paragraph(name, "Expected: ")
    assert paragraph(name, "Measured: ")


@pytest.mark.parametrize("name", NAMES)
def test_the_header_names_every_deviation_and_no_other(name):
    config, text = config_of(name), paragraph(name, "Deviations from the published recipe")
    expected = (*deviations(config), *notes(config))
    missing = [line for line in expected if line not in text]
    assert not missing, f"{name}.flags: write into its header: {', '.join(expected)}"
    assert text.count("(published: ") == len(deviations(config))
    assert deviations(config) or ": none" in text


@functools.cache
def built(model, classes, width, head_rates, output_stride, scales, precision):
    """What the network says of its scales, and its number of outputs; the network itself is dropped."""
    from deeplab_tf.experiment.network import model_of

    config = ExperimentConfig.create(
        model=model, width=width, head_rates=head_rates, output_stride=output_stride, scales=scales, precision=precision,
    )  # fmt: skip
    network = model_of(config, classes)
    return tuple(getattr(network, "scales", (1.0,))), getattr(network, "network", network).output_shape[-1]


@pytest.mark.parametrize("name", NAMES)
def test_the_network_is_built(name, zero_weights):
    config = config_of(name)
    model, classes = config.model, 2 if config.data.dataset == "folder" else get_dataset(config.data.dataset).num_classes
    settings = (model.model, classes, model.width, model.head_rates, model.output_stride, model.scales, model.precision)
    assert built(*settings) == (model.scales, classes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_a_row_of_the_paper_has_its_file(row):
    config, solver = config_of(row.file), config_of(row.file).solver
    assert header(row.file).startswith(f"Table {row.table}, row {row.row}: ")
    expected = paragraph(row.file, "Expected: ")
    assert re.findall(r"[\d.]+(?= %)", expected) == list(row.miou) and "(paper)" in expected
    assert (config.data.dataset, config.model.model) == (DATASETS[row.table], row.model)
    assert f"{solver.policy} {solver.batch_size * solver.iter_size} {solver.steps}" == row.solver
    assert has(config) == row.has


EVALUATED = [row.file for row in ROWS if "train" not in [words[0] for words in commands(row.file)]]


@pytest.mark.parametrize("name", EVALUATED)
def test_a_row_that_differs_after_training_evaluates_a_run_of_its_settings(name):
    run = next(word for word in commands(name)[-1] if word.startswith("--workdir=runs/")).removeprefix("--workdir=runs/")
    row, of_run = parse(f"--flagfile=experiments/{name}.flags"), parse(f"--flagfile=experiments/{run}.flags")
    assert (row.model, row.data, row.solver) == (of_run.model, of_run.data, of_run.solver)
    assert row.eval.crf and not of_run.eval.crf and run in [row.file for row in ROWS]


def test_every_row_of_a_table_is_there_and_no_other():
    for table in DATASETS:
        rows = [row for row in ROWS if row.table == table]
        assert [row.row for row in rows] == list(range(1, len(rows) + 1))
        assert sorted(name for name in NAMES if name.startswith(f"table{table}_")) == sorted(row.file for row in rows)


@pytest.mark.parametrize("dataset", sorted(set(DATASETS.values())))
def test_the_file_of_a_set_is_its_best_row(dataset):
    best = max((row for row in ROWS if DATASETS[row.table] == dataset), key=lambda row: float(row.miou[-1]))
    settings, of_row = config_of(dataset).flat(), config_of(best.file).flat()
    assert best.miou[-1] in paragraph(dataset, "Expected: ") and best.file in header(dataset)
    assert {name for name in settings if settings[name] != of_row[name]} <= {"data_dir", "weights", "crf_preset"}


def test_second_stage_and_coarse_annotations():
    second, coarse = config_of("voc2012_test"), config_of("table8_vgg16_half_coarse_crf")
    assert second.data.train_split == "trainval_aug" and "runs/table4_resnet101_aspp/" in second.model.weights
    assert coarse.data.train_split == "train+train_extra" and has(coarse) == "half CRF"
    assert "64.8 % mIoU" in paragraph("table8_vgg16_half_coarse_crf", "Expected: ")
    assert config_of("coco_resnet101").data.dataset == "coco_voc"


def test_the_conference_rows_pool_as_their_release():
    """Table 1 and the first row of Table 2; the others have the second release's net."""
    with_pool = {name for name in NAMES if config_of(name).model.v1_average_pool}
    assert with_pool == {row.file for row in ROWS if row.solver == STEP} | {"voc2012_test_vgg16_step"}
    assert all("average pool" in paragraph(name, "Pools: ") for name in with_pool)
    assert not any(config_of(name).model.dilated_pools for name in NAMES)


def test_figure_10_and_the_test_rows_of_vgg16():
    for name, run in (("fig10_vgg16", "table3_vgg16_aspp_l"), ("fig10_resnet101", "table4_resnet101_aspp")):
        config = config_of(name)
        assert config.eval.crf and config.eval.trimap == "void"
        trained = config_of(run).replace(weights=config.model.weights)  # the command of the run names a file of its own
        assert (config.model, config.solver) == (trained.model, trained.solver)
    for end, miou, crf in (("step", "65.1", False), ("poly", "67.7", False), ("aspp_l", "72.6", True)):
        name = f"voc2012_test_vgg16_{end}"
        assert f"{miou} % mIoU" in paragraph(name, "Expected: ") and config_of(name).data.train_split == "trainval_aug"
        assert config_of(name).eval.crf == crf


def test_splits_are_those_of_the_data_set():
    for name in NAMES:
        data = config_of(name).data
        if data.dataset != "folder":
            assert {*data.train_split.split("+"), data.eval_split} <= set(get_dataset(data.dataset).split_names), name


def test_base_files_say_what_they_are_and_are_used():
    nested = "\n".join(path.read_text() for path in FOLDER.rglob("*.flags"))
    for path in FOLDER.rglob("base/*.flags"):
        assert path.read_text().startswith("# ")
        assert f"--flagfile={path.relative_to(ROOT)}" in nested, path
