"""Parts of static pages: a frame, tables, histograms and plots in SVG. No script, no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

WIDTH, HEIGHT, MARGIN = 640, 220, 40
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .2em .7em; text-align: left; border-bottom: 1px solid #ddd;
vertical-align: top } svg { max-width: 100% } text { font-size: 11px; fill: #555 } audio { height: 2em }
"""
_COLOURS: Final = ("#1f5fa8", "#c4541a", "#2c8a4b", "#8a3c9c")


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table."""
    lines = ["".join(f"<th>{escape(cell)}" for cell in head)]
    lines += ["".join(f"<td>{escape(str(cell))}" for cell in row) for row in rows]
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def histogram(values: Sequence[float], unit: str) -> str:
    """Return a histogram of `values`."""
    if not values:
        return ""
    counts, edges = np.histogram(values, bins=min(30, max(5, len(values) // 4)))
    width = (WIDTH - 2 * MARGIN) / len(counts)
    most = max(counts)
    bars = [
        f'<rect x="{MARGIN + i * width:.1f}" y="{_y(count, 0, most):.1f}" width="{width - 1:.1f}" '
        f'height="{HEIGHT - MARGIN - _y(count, 0, most):.1f}" fill="{_COLOURS[0]}"/>'
        for i, count in enumerate(counts.tolist())
    ]
    return _svg([*bars, *_axes(edges[0], edges[-1], 0, float(most), unit)])


def plot(lines: Mapping[str, Sequence[tuple[float, float]]], unit: str, base: Mapping[str, float] | None = None) -> str:
    """Return a plot of one or more lines of points (x, y); `base` values are dashed across it."""
    base = base or {}
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    xs, ys = [x for x, _ in points], [y for _, y in points] + list(base.values())
    low, high = min(ys), max(ys)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    first, last = min(xs), max([*xs, min(xs) + 1e-9])
    parts = _axes(first, last, low, high, unit)
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        at = [(_x(x, first, last), _y(y - low, 0, high - low)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in at]
        parts.append(
            f'<text x="{WIDTH - MARGIN - 120}" y="{16 + 14 * number}" style="fill:{colour}">{escape(name)}</text>'
        )
        if name in base:
            y = _y(base[name] - low, 0, high - low)
            parts.append(
                f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" '
                'stroke-dasharray="4 4"/>'
            )
    return _svg(parts)


def _axes(first: float, last: float, low: float, high: float, unit: str) -> list[str]:
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    return [
        f'<path d="M{MARGIN} {MARGIN / 2} V{bottom} H{right}" fill="none" stroke="#999"/>',
        f'<text x="{MARGIN}" y="{bottom + 15}">{first:.4g}</text>',
        f'<text x="{right}" y="{bottom + 15}" text-anchor="end">{last:.4g}</text>',
        f'<text x="{WIDTH / 2}" y="{bottom + 28}" text-anchor="middle">{escape(unit)}</text>',
        f'<text x="{MARGIN - 4}" y="{bottom}" text-anchor="end">{low:.3g}</text>',
        f'<text x="{MARGIN - 4}" y="{MARGIN / 2 + 8}" text-anchor="end">{high:.3g}</text>',
    ]


def _x(value: float, first: float, last: float) -> float:
    return MARGIN + (value - first) / (last - first) * (WIDTH - 2 * MARGIN)


def _y(value: float, low: float, high: float) -> float:
    bottom = HEIGHT - MARGIN
    return bottom - (value - low) / max(high - low, 1e-9) * (bottom - MARGIN / 2)


def _svg(parts: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">' + "".join(parts) + "</svg>"
