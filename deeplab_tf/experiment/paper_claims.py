"""The paper in miniature: rows of its Tables 1-4 that are trained on rendered scenes, and what it claims of their order.

Literal tables; standard library only. A run is the name of a file in experiments/miniature; rows that are the same training
share it. What they start from, in the place of ImageNet's and MS-COCO's weights, their files say.
"""

from __future__ import annotations

import typing

from deeplab_tf.experiment.paper_tables import Row

TABLES: dict[str, tuple[str, tuple[Row, ...]]] = {  # the most telling first: in this order they are trained
    "table3": ("Table 3: ASPP, VGG-16", (
        Row("LargeFOV", "table2_poly_10_20k", 65.76, 69.84), Row("ASPP-S", "table3_aspp_s", 66.98, 69.73),
        Row("ASPP-L", "table3_aspp_l", 68.96, 71.57),
    )),
    "table1": ("Table 1: field of view, VGG-16", (
        Row("7x7, rate 4", "table1_7x7_r4", 64.38, 67.64), Row("4x4, rate 4", "table1_4x4_r4", 59.80, 63.74),
        Row("4x4, rate 8", "table1_4x4_r8", 63.41, 67.14), Row("3x3, rate 12", "table1_3x3_r12", 62.25, 67.64),
    )),
    "table4": ("Table 4: ResNet-101 (here ResNet-50)", (
        Row("plain", "table4_plain", 68.72), Row("+ MSC", "table4_msc", 71.27),
        Row("+ COCO (here other scenes)", "table4_coco", 73.28), Row("+ Aug", "table4_aug", 74.87),
        Row("+ LargeFOV", "table4_largefov", 75.54), Row("ASPP instead", "table4_aspp", 76.35, 77.69),
    )),
    "table2": ("Table 2: learning policy, VGG-16 LargeFOV", (
        Row("step, 30, 6K", "table1_3x3_r12", 62.25), Row("poly, 30, 6K", "table2_poly_30_6k", 63.42),
        Row("poly, 30, 10K", "table2_poly_30_10k", 64.90), Row("poly, 10, 10K", "table2_poly_10_10k", 64.71),
        Row("poly, 10, 20K", "table2_poly_10_20k", 65.88),
    )),
}  # fmt: skip
# What the quick subset trains: ASPP against LargeFOV, two fields of view, and the CRF behind all of them.
QUICK = ("table2_poly_10_20k", "table3_aspp_l", "table1_4x4_r4", "table1_4x4_r8")
SAME = 0.02  # rows that the paper calls equal are so here within this much mean IoU; 2.13 points part them before its CRF


class Claim(typing.NamedTuple):
    """An ordering that the paper claims.

    Attributes:
      text: in words.
      source: table or section.
      better, than: runs; mean IoU of the first is higher.
      stage: "before" or "after" the CRF.
      kind: "order"; "same", within `SAME`; "crf", `better` after the CRF is better than before it; "boundary", what the CRF
        adds to `better` is more near boundaries than far from them.
      paper: the paper's difference in points of mean IoU, where it gives one.
    """

    text: str
    source: str
    better: str
    than: str = ""
    stage: str = "before"
    kind: str = "order"
    paper: float | None = None


_FOV, _ASPP_S, _ASPP_L = "table2_poly_10_20k", "table3_aspp_s", "table3_aspp_l"
CLAIMS = (
    Claim("ASPP-L is better than ASPP-S", "Table 3", _ASPP_L, _ASPP_S, paper=1.98),
    Claim("ASPP-S is better than LargeFOV", "Table 3", _ASPP_S, _FOV, paper=1.22),
    Claim("ASPP-L is better than LargeFOV", "Table 3", _ASPP_L, _FOV, paper=3.20),
    Claim("ASPP-L stays better than LargeFOV after the CRF", "Table 3", _ASPP_L, _FOV, "after", paper=1.73),
    Claim("4x4: a larger field of view (rate 8) is better than a smaller (rate 4)", "Table 1", "table1_4x4_r8", "table1_4x4_r4",
          paper=3.61),
    Claim("3x3 at rate 12 is as good as 7x7 at rate 4 after the CRF, with a sixth of the parameters", "Table 1",
          "table1_3x3_r12", "table1_7x7_r4", "after", "same", paper=0.0),
    Claim("poly is better than step", "Table 2", "table2_poly_30_6k", "table1_3x3_r12", paper=1.17),
    Claim("more iterations help: 10K against 6K, batch 30", "Table 2", "table2_poly_30_10k", "table2_poly_30_6k", paper=1.48),
    Claim("a batch of 10 is as good as one of 30 at equal iterations", "Table 2", "table2_poly_10_10k", "table2_poly_30_10k",
          kind="same", paper=-0.19),
    Claim("more iterations help: 20K against 10K, batch 10", "Table 2", _FOV, "table2_poly_10_10k", paper=1.17),
    Claim("MSC helps", "Table 4", "table4_msc", "table4_plain", paper=2.55),
    Claim("pre-training on other pictures (COCO) helps", "Table 4", "table4_coco", "table4_msc", paper=2.01),
    Claim("augmentation by scale helps", "Table 4", "table4_aug", "table4_coco", paper=1.59),
    Claim("LargeFOV helps a ResNet", "Table 4", "table4_largefov", "table4_aug", paper=0.67),
    Claim("ASPP is better than LargeFOV on a ResNet", "Table 4", "table4_aspp", "table4_largefov", paper=0.81),
    Claim("the CRF helps LargeFOV", "Table 3", _FOV, kind="crf", paper=4.08),
    Claim("the CRF helps ASPP-S", "Table 3", _ASPP_S, kind="crf", paper=2.75),
    Claim("the CRF helps ASPP-L", "Table 3", _ASPP_L, kind="crf", paper=2.61),
    Claim("the CRF helps 4x4 at rate 4", "Table 1", "table1_4x4_r4", kind="crf", paper=3.94),
    Claim("the CRF helps 4x4 at rate 8", "Table 1", "table1_4x4_r8", kind="crf", paper=3.73),
    Claim("the CRF helps ResNet ASPP", "Table 4", "table4_aspp", kind="crf", paper=1.34),
    Claim("what the CRF adds to ASPP-L lies at the boundaries", "Fig. 10", _ASPP_L, kind="boundary"),
    Claim("what the CRF adds to ResNet ASPP lies at the boundaries", "Fig. 10", "table4_aspp", kind="boundary"),
)  # fmt: skip


def runs_of(only: typing.Collection[str] = (), quick: bool = False) -> tuple[str, ...]:
    """The runs of some tables (all without `only`), each once, in the order in which they are worth most."""
    rows = [row.run for name, (_, rows) in TABLES.items() if not only or name in only for row in rows]
    return tuple(dict.fromkeys(run for run in rows if run in QUICK or not quick))
