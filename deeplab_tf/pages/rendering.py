"""Pages from templates: every page stands on `templates/base.html`, and is one file that needs no other."""

from __future__ import annotations

import functools
import math
import os
import pathlib

import jinja2

from deeplab_tf.whole_files import make_folder, replacing


def render(template: str, **values: object) -> str:
    """The page of `templates/TEMPLATE` with `values` put in; text is escaped, wherever it came from."""
    return _environment().get_template(template).render(**values)


def save(path: str | os.PathLike, page: str) -> None:
    """Writes the page; a reader never sees half of it.

    Raises:
      UserError: the folder or the disk refuses; what was there stays.
    """
    path = pathlib.Path(path)
    make_folder(path.parent)
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "signed": signed, "rgb": rgb}
    environment.tests["number"] = lambda value: value is not None and not math.isnan(value)
    return environment


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in %, without the sign; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{digits}f}"


def signed(value: float | None) -> str:
    """A difference of fractions in points, with its sign."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:+.1f}".replace("-", "−")


def rgb(color: tuple[int, int, int]) -> str:
    """A colour as CSS writes it."""
    return "rgb({},{},{})".format(*map(int, color))
