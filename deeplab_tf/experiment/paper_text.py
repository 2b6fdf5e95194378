"""The findings of the paper in miniature in words: rows of text for the page, and Markdown. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

from deeplab_tf.experiment.paper_claims import CLAIMS, SAME, TABLES
from deeplab_tf.experiment.paper_tables import Row

MARKS = "<!-- miniature: begin -->", "<!-- miniature: end -->"
RULE = "|---|---|---|---|---|"


def text_of(found: Mapping) -> str:
    """Markdown: the tables, then the claims."""
    parts = []
    for table in tables_of(found):
        lines = [f"**{table['title']}**", "", "| row | paper, before / after CRF | before CRF | after CRF | seeds |", RULE]
        parts.append("\n".join([*lines, *(f"| {' | '.join(row.values())} |" for row in table["rows"])]))
    lines = ["**What the paper claims of their order** (points of mean IoU; 95 %, paired bootstrap over pictures and seeds; "
             f"equal: within {100 * SAME:g} points)", "", "| claim | source | paper | here | verdict |", RULE]  # fmt: skip
    parts.append("\n".join([*lines, *(f"| {' | '.join(one.values())} |" for one in claims_of(found))]))
    return "\n\n".join(parts) + "\n"


def tables_of(found: Mapping) -> list[dict]:
    """{"title", "rows"}: a row's texts are label, paper, before, after, seeds; the mean over seeds with its 95 % interval,
    blank where it was not run."""
    runs = found["runs"]
    return [{"title": title, "rows": [_row(row, runs.get(row.run)) for row in rows]} for title, rows in TABLES.values()]


def claims_of(found: Mapping) -> list[dict]:
    """The texts of every claim: claim, source, paper, found, verdict; the last two blank where its runs are not there."""
    tried = {one["claim"]: one for one in found["claims"]}
    return [
        {"claim": claim.text, "source": claim.source, "paper": "" if claim.paper is None else f"{claim.paper:+.2f}"}
        | ({"found": _difference(tried[claim.text]), "verdict": tried[claim.text]["verdict"]} if claim.text in tried
           else {"found": "", "verdict": ""})
        for claim in CLAIMS
    ]  # fmt: skip


def _row(row: Row, run: Mapping | None) -> dict:
    paper = " / ".join("–" if value is None else f"{value:.2f}" for value in (row.before, row.after))
    before, after, seeds = (_rate(run["before"]), _rate(run["after"]), str(len(run["seeds"]))) if run else ("", "", "")
    return {"label": row.label, "paper": paper, "before": before, "after": after, "seeds": seeds}


def _rate(found: Mapping | None) -> str:
    if found is None:
        return "–"
    ends = found["interval"]
    between = f" ({100 * ends[0]:.1f} to {100 * ends[1]:.1f})" if ends else ""
    return f"{100 * found['mean_iou']:.1f}{between}"


def _difference(found: Mapping) -> str:
    ends, seeds = found["interval"], len(found["seeds"])
    between = f" ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})" if ends else ""
    return f"{100 * found['difference']:+.1f}{between}, {seeds} seed{'s' * (seeds > 1)}"
