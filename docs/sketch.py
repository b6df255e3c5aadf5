"""Small pictures as SVG, a few kilobytes each: of lines, and of what a Plotly figure has in it.

They need no browser and no other library, and take the colour of the text around them: a dark page is no
other file.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

#: Colours that stand out on white and on black (Okabe and Ito, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P",
            18: "E", 21: "Z"}  # fmt: skip
SECONDS_OF_A_YEAR = 365.2425 * 86400


@dataclass(frozen=True)
class Line:
    """Points to draw: joined, as marks, as bars from a base, or as an area down to one."""

    x: Any
    y: Any
    name: str = ""
    colour: str = ""
    kind: str = "line"
    dash: str = ""
    base: Any = 0.0
    width: float = 2.0


@dataclass(frozen=True)
class Axis:
    """What stands along a side: title, ends, and the names of places where it has names."""

    title: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()
    reverse: bool = False


@dataclass
class Panel:
    """Lines over two axes, within a part of the picture (left, bottom, right, top; 0 to 1)."""

    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    lines: list[Line] = field(default_factory=list)
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


def short(value: float, share: bool = False) -> str:
    """A number as an axis has it: three digits and a prefix, or what is small of a share as a power.

    >>> [short(v) for v in (0, 0.0002, 0.002, 12.5, 4000, 3.5e12)]
    ['0', '200µ', '0.002', '12.5', '4k', '3.5T']
    >>> [short(v, share=True) for v in (0.25, 2e-7, 1e-15, 4000)]
    ['0.25', '2e-7', '1e-15', '4k']
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ""
    if share and abs(value) < 0.001:
        return f"{value:.3g}".replace("e-0", "e-")
    if abs(value) < 1e-15:
        return f"{value:.0e}"
    power = min(21, max(-15, math.floor(math.log10(abs(value)) / 3 + 1e-9) * 3))
    if -3 < power + 3 <= 0 or 0.01 <= abs(value) < 1:  # 0.25 reads better than 250m
        power = 0
    return f"{value / 10.0**power:.3g}{PREFIXES[power]}"


def places(axis: Axis, low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Where an axis has its marks, and what they say."""
    share = axis.title.endswith("[1]")  # a millionth of one is no "micro"
    if axis.names:
        step = math.ceil(len(axis.names) / max(most, 1))
        return [(float(i), name) for i, name in enumerate(axis.names) if i % step == 0]
    if axis.log:
        first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
        step = max(1, math.ceil((last - first + 1) / most))
        decades = [(float(p), short(10.0**p, share)) for p in range(first, last + 1, step)]
        if len(decades) >= 2:
            return decades
        fine = [m * 10.0**p for p in range(first - 1, last + 1) for m in (1, 2, 5)]
        found = [(math.log10(v), short(v, share)) for v in fine if low <= math.log10(v) <= high]
        return found or [(low, short(10**low, share)), (high, short(10**high, share))]
    rough = (high - low) / max(most - 1, 1) or 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    found = np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1) * step
    plain = abs(high) < 10000 and abs(low) < 10000 and step >= 0.01  # years, percent
    return [(float(v), f"{v:.10g}" if plain else short(float(v), share)) for v in found]


def _fitted(name: str, most: int) -> str:
    return name if len(name) <= most else name[: max(most - 1, 1)] + "…"


def _numbers(values: Any, axis: Axis) -> np.ndarray:
    found = np.asarray(values, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(found) if axis.log else found


def _ends(axis: Axis, values: Iterable[np.ndarray]) -> tuple[float, float]:
    seen = np.concatenate([np.ravel(v) for v in values] or [np.zeros(1)])
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    if axis.names:
        low, high = -0.6, len(axis.names) - 0.4
    elif not axis.log and 0 < low < 0.3 * high:
        low = 0.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    if not axis.names:
        room = 0.04 * (high - low)
        low, high = low - room * (low != 0), high + room * (high != 0)
    given = [math.log10(v) if axis.log and v is not None else v for v in (axis.low, axis.high)]
    return (low if given[0] is None else given[0], high if given[1] is None else given[1])


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """Joined points; a gap where one is missing, none that nobody would see."""
    parts, pen = [], "M"
    last: tuple[float, float] | None = None
    for a, b in zip(x, y, strict=True):
        if not (math.isfinite(a) and math.isfinite(b)):
            pen, last = "M", None
            continue
        if last and abs(a - last[0]) + abs(b - last[1]) < 0.4:
            continue
        parts.append(f"{pen}{a:.1f} {b:.1f}")
        pen, last = "L", (a, b)
    return "".join(parts)


def _bars(line: Line, panel: Panel, to_x: Any, to_y: Any) -> list[str]:
    upright = line.kind == "bar"
    along, value = (line.x, line.y) if upright else (line.y, line.x)
    at = _numbers(along, panel.x if upright else panel.y)
    side = panel.y if upright else panel.x
    base = np.broadcast_to(np.asarray(line.base, float), at.shape)
    top = _numbers(np.asarray(value, float) + base, side)
    foot = np.where(base > 0, _numbers(base, side), -99.0) if side.log else base
    half = 0.5 * line.width
    out = []
    for a, b, t in zip(at, foot, top, strict=True):
        if not math.isfinite(t):
            continue
        x1, x2 = (to_x(a - half), to_x(a + half)) if upright else (to_x(b), to_x(t))
        y1, y2 = (to_y(b), to_y(t)) if upright else (to_y(a - half), to_y(a + half))
        out.append(f'<rect x="{min(x1, x2):.1f}" y="{min(y1, y2):.1f}" width="{abs(x2 - x1):.1f}" '
                   f'height="{abs(y2 - y1):.1f}" fill="{line.colour}"/>')  # fmt: skip
    return out


def _marks(line: Line, panel: Panel, to_x: Any, to_y: Any) -> list[str]:
    if line.kind in ("bar", "barh"):
        return _bars(line, panel, to_x, to_y)
    x, y = to_x(_numbers(line.x, panel.x)), to_y(_numbers(line.y, panel.y))
    if line.kind == "area":
        base = to_y(
            _numbers(np.broadcast_to(np.asarray(line.base, float), np.shape(line.y)), panel.y)
        )
        seen = np.isfinite(x) & np.isfinite(y) & np.isfinite(base)
        outline = _path(np.r_[x[seen], x[seen][::-1]], np.r_[y[seen], base[seen][::-1]])
        return [f'<path d="{outline}Z" fill="{line.colour}" fill-opacity=".35"/>']
    if line.kind == "marks":
        seen = np.isfinite(x) & np.isfinite(y)
        step = max(1, int(seen.sum()) // 400)
        dots = "".join(
            f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[seen][::step], y[seen][::step], strict=True)
        )
        return [f'<path d="{dots}" stroke="{line.colour}" stroke-width="{3 * line.width:.1f}" '
                'stroke-linecap="round" fill="none"/>']  # fmt: skip
    dash = ' stroke-dasharray="5 4"' if line.dash else ""
    return [f'<path d="{_path(x, y)}" stroke="{line.colour}" stroke-width="{line.width:.1f}"{dash} '
            'stroke-linejoin="round" fill="none"/>']  # fmt: skip


def _panel(
    panel: Panel, box: tuple[float, float, float, float], ink: str, font: float
) -> list[str]:
    """One panel within a box of pixels (left, top, right, bottom), its axes' numbers outside of it."""
    left, top, right, bottom = box
    grown = [np.add(n.y, n.base) if n.kind == "bar" else n.y for n in panel.lines]
    wide = [np.add(n.x, n.base) if n.kind == "barh" else n.x for n in panel.lines]
    feet = [(panel.y, n.base) for n in panel.lines if n.kind in ("bar", "area") and not panel.y.log]
    sides = [n.base for n in panel.lines if n.kind == "barh" and not panel.x.log]
    x_low, x_high = _ends(panel.x, [_numbers(v, panel.x) for v in [*wide, *sides]])
    y_low, y_high = _ends(panel.y, [_numbers(v, panel.y) for v in [*grown, *(b for _, b in feet)]])
    if panel.x.reverse:
        x_low, x_high = x_high, x_low
    if panel.y.reverse:
        y_low, y_high = y_high, y_low

    def to_x(v: Any) -> Any:
        return left + (v - x_low) / (x_high - x_low) * (right - left)

    def to_y(v: Any) -> Any:
        return bottom - (v - y_low) / (y_high - y_low) * (bottom - top)

    out = [f'<g stroke="{ink}" stroke-opacity=".22">']
    across = max(2, int((right - left) / (font * 4.5)))
    x_marks = places(panel.x, *sorted((x_low, x_high)), across)
    y_marks = places(panel.y, *sorted((y_low, y_high)), max(2, int((bottom - top) / (font * 2.4))))
    if not panel.x.names:
        out += [f'<path d="M{to_x(v):.1f} {top:.1f}V{bottom:.1f}"/>' for v, _ in x_marks]
    if not panel.y.names:
        out += [f'<path d="M{left:.1f} {to_y(v):.1f}H{right:.1f}"/>' for v, _ in y_marks]
    out.append(
        f'</g><path d="M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}" stroke="{ink}" fill="none"/>'
    )
    room = int((right - left) / max(len(x_marks), 1) / (font * 0.56)) if panel.x.names else 99
    out.append(f'<g fill="{ink}" text-anchor="middle">')
    out += [f'<text x="{to_x(v):.1f}" y="{bottom + font * 1.2:.1f}">{escape(_fitted(name, room))}</text>'
            for v, name in x_marks]  # fmt: skip
    out.append(f'</g><g fill="{ink}" text-anchor="end">')
    out += [f'<text x="{left - 4:.1f}" y="{to_y(v) + font * 0.35:.1f}">{escape(_fitted(name, 11))}</text>'
            for v, name in y_marks]  # fmt: skip
    clip = f"c{zlib.crc32(repr((box, panel.x, panel.y)).encode()):x}"
    out.append(
        f'</g><clipPath id="{clip}"><rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{bottom - top:.1f}"/></clipPath><g clip-path="url(#{clip})">'
    )
    for line in panel.lines:
        out += _marks(line, panel, to_x, to_y)
    out.append("</g>")
    return out


def _legend(
    names: Sequence[tuple[str, str]], left: float, top: float, font: float, ink: str
) -> list[str]:
    """Names of lines with their colour, one below the other."""
    out = []
    for i, (name, colour) in enumerate(names):
        at = top + i * font * 1.3
        out.append(f'<path d="M{left:.1f} {at:.1f}h14" stroke="{colour}" stroke-width="3"/>'
                   f'<text x="{left + 19:.1f}" y="{at + font * 0.35:.1f}" fill="{ink}">'
                   f"{escape(name)}</text>")  # fmt: skip
    return out


def svg(panels: Sequence[Panel], width: int = 400, height: int = 280, *, ink: str = "currentColor",
        font: float = 12.0, titles: bool = True, label: str = "") -> str:  # fmt: skip
    """The picture as text of SVG."""
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'font-family="system-ui,sans-serif" font-size="{font:g}" role="img" '
           f'aria-label="{escape(label)}">']  # fmt: skip
    named = [(n.name, n.colour) for p in panels for n in p.lines if n.name] if titles else []
    above = font * (1.3 * len(named) + 0.6) if len(named) > 1 else font * 0.8
    under = font * (3.2 if titles else 1.6)
    for panel in panels:
        longest = max((len(name) for name in panel.y.names), default=0)
        aside = font * (min(11, longest) * 0.56 + 0.8 if longest else 3.2) + font * 1.6 * titles
        x1, y1, x2, y2 = panel.part
        inside = (aside, above, width - font, height - under)
        wide, tall = inside[2] - inside[0], inside[3] - inside[1]
        box = (inside[0] + x1 * wide, inside[1] + (1 - y2) * tall, inside[0] + x2 * wide,
               inside[1] + (1 - y1) * tall)  # fmt: skip
        out += _panel(panel, box, ink, font)
        if titles:
            middle, centre = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            out.append(
                f'<text x="{middle:.1f}" y="{box[3] + font * 2.7:.1f}" fill="{ink}" text-anchor="middle">'
                f"{escape(panel.x.title)}</text>"
                f'<text transform="translate({font:.1f} {centre:.1f}) rotate(-90)" fill="{ink}" '
                f'text-anchor="middle">{escape(panel.y.title)}</text>'
            )
    if len(named) > 1:
        out += _legend(named, panels[0].part[0] + font * 5, font, font, ink)
    out.append("</svg>")
    return "".join(out)
