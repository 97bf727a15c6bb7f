"""Names beside points, placed so that none lies on another or on a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from abx_amr.plots import canvas

#: Where a name may stand, in points from its point, the best first; farther ones get a line.
_NEAR = ((7, 0), (6, 8), (6, -8), (-7, 0), (-6, 8), (-6, -8), (0, 10), (0, -10))
_FAR = tuple((x, y) for y in (22, -22, 36, -36, 50, -50, 64, -64) for x in (14, -14, 50, -50))
_MARGIN = 1.0  # pixels around a name
_POINT = 4.0  # pixels around a point


def place_labels(
    axis: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    *,
    colours: Sequence[str],
    is_optional: Sequence[bool],
    taken: Sequence[Any] = (),
) -> list[Annotation]:
    """Write each name beside its point, first come first served; return those.

    Args:
        axis: Complete but for the names: its limits no longer change.
        points: Where each belongs, in data coordinates.
        names: What is written.
        colours: One each; "black" is the colour of the page's text, in light and dark.
        is_optional: Whether a name is left out where it does not fit beside its point.
        taken: Further artists that names keep clear of, such as a legend.
    """
    figure = axis.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    room = axis.get_window_extent()
    middles = [axis.transData.transform(point) for point in points]
    filled = [Bbox([[x - _POINT, y - _POINT], [x + _POINT, y + _POINT]]) for x, y in middles]
    filled += [artist.get_window_extent() for artist in taken]
    written = []
    for point, name, colour, may_go in zip(points, names, colours, is_optional, strict=True):
        label = axis.annotate(
            canvas.label(name),
            point,
            xytext=_NEAR[0],
            textcoords="offset points",
            fontsize=8,
            color=colour,
            annotation_clip=False,
        )
        (overlap, _), best = min(
            ((_overlap(_put(label, offset), filled, room), rank), offset)
            for rank, offset in enumerate(_NEAR if may_go else (*_NEAR, *_FAR))
        )
        if may_go and overlap > 0:
            label.remove()
            continue
        filled.append(_put(label, best))
        if best in _FAR:
            axis.annotate(
                "",
                point,
                xytext=best,
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkB": 3},
            )
        written.append(label)
    return written


def _put(label: Annotation, offset: tuple[int, int]) -> Bbox:
    """Move a name to an offset from its point and return what it covers."""
    x, y = offset
    label.set_position(offset)
    label.set_horizontalalignment("left" if x > 0 else "right" if x < 0 else "center")
    label.set_verticalalignment("bottom" if y > 0 else "top" if y < 0 else "center")
    return label.get_window_extent().padded(_MARGIN)


def _overlap(box: Bbox, filled: Sequence[Bbox], room: Bbox) -> float:
    """Return the area of a box that is taken already or lies outside the room."""
    inside = Bbox.intersection(box, room)
    outside = box.width * box.height - (inside.width * inside.height if inside else 0.0)
    total = outside
    for other in filled:
        common = Bbox.intersection(box, other)
        total += common.width * common.height if common else 0.0
    return total
