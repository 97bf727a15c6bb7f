"""Figures of plots/ as SVG inside a page: small, with ids of their own, in the page's colours."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pandas as pd
from markupsafe import Markup

from abx_amr.reports import wording

#: Colours of a figure that follow the page, light or dark.
_ACCENTS = {"#0072b2": "var(--blue)", "#d55e00": "var(--vermilion)"}
_OF_THE_PAGE = {
    **_ACCENTS,
    "#000000": "var(--ink)",
    "#222222": "var(--ink)",
    "#e3e3e3": "var(--line)",
    "#ffffff": "var(--paper)",
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "abx-amr",
    "path.simplify": True,
    "path.simplify_threshold": 0.4,
    "figure.dpi": 72,
}
_FONT = re.compile(r"font: (?:(?P<weight>bold|\d+) )?(?P<size>[\d.]+px) [^;]*;?")
_NUMBER = re.compile(r"-?\d+\.\d+")
_USUAL_WIDTH = 576.0  # of a figure, in its units; a narrower one is drawn narrower
_LONG = 400  # characters of a path from which one decimal is enough
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_LINK = "{http://www.w3.org/1999/xlink}href"


def inline_svg(
    figure_name: str,
    tables: Mapping[str, pd.DataFrame],
    *,
    description: str = "",
    **settings: Any,
) -> Markup | None:
    """Return a figure of plots/ as SVG, None where there is nothing to see in these tables.

    Args:
        figure_name: Its NAME.
        tables: Name -> table; those that it reads must be among them.
        description: What is told to who does not see it (default: the figure's caption).
        settings: Further arguments of its `draw`.

    Raises:
        InputError: there is no such figure, or it does not draw these tables.
    """
    from abx_amr.errors import InputError, unknown
    from abx_amr.plots.catalogue import figures

    known = {module.NAME: module for module in figures()}
    if figure_name not in known:
        raise InputError(unknown("figure", figure_name, known))
    module = known[figure_name]
    if any(name not in tables for name in module.READS):
        return None
    given = [_with_plain_names(tables[name]) for name in module.READS]
    if given[0].empty or not getattr(module, "is_worth_drawing", lambda *tables: True)(*given):
        return None
    return as_svg(module.draw(*given, title="", **settings), description or module.CAPTION)


def as_svg(figure: Any, description: str) -> Markup:
    """Return a matplotlib figure as an element of a page."""
    import matplotlib
    from matplotlib.collections import QuadMesh

    from abx_amr.plots.canvas import named_points

    for mesh in figure.findobj(QuadMesh):
        mesh.set_rasterized(True)  # thousands of cells are one small image
    points = dict(named_points(figure))
    for number, artist in enumerate(points):
        artist.set_gid(f"points-{number}")
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # once; a figure with an engine is drawn twice
            figure.set_layout_engine("none")
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing, dpi=110)
    root = ElementTree.fromstring(wording.visible(buffer.getvalue()))
    for number, named in enumerate(points.values()):
        _name_points(root, f"points-{number}", named)
    # Ids differ between the figures of a page, and are the same whenever it is written.
    prefix = f"f{hashlib.sha256(buffer.getvalue().encode()).hexdigest()[:8]}"
    return _element(root, description, prefix=prefix)


def _name_points(root: ElementTree.Element, of: str, named: Any) -> None:
    """Give each mark of a group its name, shown when it is pointed at, and its trial."""
    group = next((e for e in root.iter() if e.get("id") == of), None)
    marks = [] if group is None else [e for e in group.iter() if e.tag.endswith("}use")]
    if group is not None and not marks:
        marks = [group]  # a line
    if len(marks) != len(named):
        return  # one lies outside of the figure: which is not known
    for mark, point in zip(marks, named, strict=True):
        ElementTree.SubElement(mark, "title").text = wording.visible(point.name)
        mark.set("class", "mark")
        if point.trial is not None:
            mark.set("data-trial", str(point.trial))


def _element(root: ElementTree.Element, description: str, *, prefix: str) -> Markup:
    """Return the tree as an element: no metadata, ids of its own, short numbers, no namespace."""
    for parent in root.iter():
        for child in [c for c in parent if c.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    used: dict[str, str] = {}

    def own(name: str) -> str:
        return used.setdefault(name, f"{prefix}-{len(used)}")

    for element in root.iter():
        if link := element.attrib.pop(_LINK, None):
            element.set("href", f"#{own(link[1:])}" if link.startswith("#") else link)
        for key in ("style", "clip-path"):
            if (text := element.get(key)) is not None:
                element.set(key, _REFERENCE.sub(lambda m: f"url(#{own(m[1])})", text))
    for element in root.iter():
        if (name := element.attrib.pop("id", None)) in used:
            element.set("id", used[str(name)])
        element.tag = element.tag.rpartition("}")[2]
        _shorten(element)
    for key in ("version", "width", "height"):
        root.attrib.pop(key, None)
    root.set("class", "plot")
    wide = float(root.get("viewBox", f"0 0 {_USUAL_WIDTH} 1").split()[2]) / _USUAL_WIDTH
    if wide < 1:
        root.set("style", f"--wide:{wide:.3g}")
    root.set("role", "img")
    root.set("aria-label", wording.visible(description))
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _shorten(element: ElementTree.Element) -> None:
    if path := element.get("d"):
        digits = 1 if len(path) > _LONG else 2
        rounded = _NUMBER.sub(lambda m: f"{float(m[0]):.{digits}f}".rstrip("0").rstrip("."), path)
        element.set("d", re.sub(r"\s*([MLQCz])\s*", r"\1", rounded))
    for key in ("x", "y"):
        if (text := element.get(key)) and _NUMBER.fullmatch(text):
            element.set(key, f"{float(text):.2f}")
    if style := element.get("style"):
        style = _FONT.sub(
            lambda m: (
                f"font-size:{m['size']};" + (f"font-weight:{m['weight']};" * bool(m["weight"]))
            ),
            style,
        )
        # A white or black text stands on a shade, which is the same in light and dark.
        follows = _ACCENTS if element.tag == "text" else _OF_THE_PAGE
        for colour, named in follows.items():
            style = style.replace(colour, named)
        element.set("style", style.replace("; ", ";").replace(": ", ":"))


def _with_plain_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts are no formulas to matplotlib and hold nothing unseen."""
    renamed = table.rename(columns=plain)
    for column in renamed.select_dtypes(exclude="number"):
        renamed[column] = renamed[column].map(plain)
    return renamed


def plain(text: Any) -> Any:
    r"""Return a text in which a dollar begins no formula.

    >>> print(plain("a$b"), plain(3))
    a\$b 3
    """
    return wording.visible(text).replace("$", r"\$") if isinstance(text, str) else text
