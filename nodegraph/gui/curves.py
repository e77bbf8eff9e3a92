"""Losses and metrics over the steps, with what was changed; several runs laid over each other."""

from __future__ import annotations

import csv
import io
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from nodegraph.nodes.ops.extent import Calm, calm, extent, leaves

from .boxes import measure
from .live import Curve, Live
from .palette import CURVES, Palette, faded, hexed
from .theme import SIZE

MOST = 4000  # points of a line that are drawn
SIDE = 250  # pixels of the list beside the plot
NAME = 140  # pixels of a name that leaves room for a value beside it
SLOW = 1.0  # seconds between two drawings of a very long line
INSET = 0.05  # of the height of the plot: how far from its edge a mark stands


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """An exponential moving average, unbiased at the beginning (D. Kingma & J. Ba, Adam, 2015)."""
    if not weight:
        return list(values)
    found, average, whole = [], 0.0, 1.0
    for value in values:
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            whole *= weight
        found.append(average / (1 - whole) if whole < 1 else value)
    return found


def thinned(steps: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most `MOST` of the points; of those that fall together the extremes stay."""
    size = -(-len(steps) // (MOST // 2))
    if size < 2:
        return list(steps), list(values)
    kept: set[int] = {0, len(steps) - 1}
    for start in range(0, len(steps), size):
        part = range(start, min(start + size, len(steps)))
        kept |= {min(part, key=values.__getitem__), max(part, key=values.__getitem__)}
    return [steps[i] for i in sorted(kept)], [values[i] for i in sorted(kept)]


def as_csv(runs: Mapping[str, Mapping[str, Curve]]) -> str:
    """All numbers of some runs, a line each: run, name, step, value."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["run", "name", "step", "value"])
    for run, curves in runs.items():
        for name, curve in curves.items():
            rows.writerows([run, name, int(s), v] for s, v in zip(curve.steps, curve.values))
    return text.getvalue()


class Curves:
    """A plot, and a list with what is shown and its values under the mouse."""

    def __init__(
        self, palette: Palette, choose: Callable[[str, str, Callable[[Path], Any]], Any]
    ) -> None:
        self.palette, self.choose = palette, choose
        self.scale = 1.0
        self.log, self.weight, self.whole = False, 0.0, False
        self.hidden: set[str] = set()
        self.others: dict[str, Mapping[str, Curve]] = {}  # runs that are laid over this one
        self.live: Live | None = None
        self.lines: dict[tuple[str, str], int | str] = {}
        self.ends: dict[tuple[str, str], int | str] = {}  # the dot at the end of each line
        self.values: dict[str, int | str] = {}  # the text beside each name
        self.drawn: tuple[Any, ...] = ()
        self.known: dict[tuple[str, str], tuple[tuple[Any, ...], float]] = {}  # as lines are drawn
        self.calm: dict[tuple[str, str], tuple[list[float], list[float], Calm | None]] = {}
        self.gone: set[tuple[str, str]] = set()  # lines that leave the plot
        self.heights: tuple[float, float] | None = None  # of the plot, where lines leave it

    def clear(self) -> None:
        """Draw everything anew the next time."""
        self.drawn = ()

    def show(self, live: Live, parent: str, looking: int | None, high: int) -> None:
        """Bring the plot up to a run."""
        self.live = live
        names = tuple(live.curves)
        drawn = (id(live), names, tuple(self.others), self.log, self.palette.name, self.scale, high)
        if drawn != self.drawn:
            self.drawn = drawn
            self.build(live, parent, high)
        if not names and not self.others:
            return
        if self.draw_lines(live):
            self.fit()
        dpg.set_value("curves:marks", [[float(step) for step, _ in live.marks]])
        at = [float(looking)] if looking is not None else []
        dpg.set_value("curves:time", [at])
        self.hover()

    def draw_lines(self, live: Live) -> bool:
        """Those that have grown, or are to be drawn otherwise; very long ones once a second.
        Whether there were any."""
        now, any_ = time.monotonic(), False
        for key, line in self.lines.items():
            run, name = key
            curve = (self.others[run] if run else live.curves).get(name)
            if curve is None:
                continue
            look = (self.weight, self.log, name in self.hidden)
            known = (len(curve.steps), curve.steps[-1:], *look)
            before, when = self.known.get(key, ((), 0.0))
            if known == before or (known[2:] == before[2:] and len(curve.steps) > MOST
                                   and now - when < SLOW):  # fmt: skip
                continue
            self.known[key] = (known, now)
            values = smoothed(curve.values, self.weight)
            if self.log:
                values = [v if v > 0 else math.nan for v in values]
            for item in (line, self.ends[key]):
                dpg.configure_item(item, show=name not in self.hidden)
            shown = thinned(curve.steps, values)
            dpg.set_value(line, [*map(list, shown)])
            dpg.set_value(self.ends[key], [curve.steps[-1:], values[-1:]])
            heights = [math.log10(v) for v in shown[1]] if self.log else shown[1]
            self.calm[key] = (shown[0], shown[1], None if name in self.hidden else calm(heights))
            any_ = True
        return any_

    def fit(self) -> None:
        """Fit the axis to the lines, without those that run away from the others."""
        ends = self.heights_of_lines()
        heights = ends and (self.value(ends[0]), self.value(ends[1]))
        if heights != self.heights:
            self.heights = heights
            if heights is None:
                dpg.set_axis_limits_auto("curves:y")
                dpg.configure_item("curves:y", auto_fit=True)
            else:
                dpg.configure_item("curves:y", auto_fit=False)
                dpg.set_axis_limits("curves:y", *heights)
        self.mark_leaving(ends)

    def heights_of_lines(self) -> tuple[float, float] | None:
        """The ends of the axis, their logarithms if it is one of logarithms; None if it shows all
        of every line."""
        known = [found for _, _, found in self.calm.values() if found]
        seen = None if self.whole else extent(known)
        if seen is None or seen == (min(f.least for f in known), max(f.most for f in known)):
            return None
        edge = 0.08 * (seen[1] - seen[0]) or 0.5
        return seen[0] - edge, seen[1] + edge

    def value(self, height: float) -> float:
        """The number that stands at a height of the axis."""
        return 10**height if self.log else height

    def mark_leaving(self, ends: tuple[float, float] | None) -> None:
        """Mark where lines leave the plot."""
        self.gone.clear()
        above: list[tuple[float, float]] = []
        below: list[tuple[float, float]] = []
        if ends and self.heights:
            inset = INSET * (ends[1] - ends[0])
            for key, (steps, values, found) in self.calm.items():
                if found and (out := leaves(values, *self.heights)):
                    self.gone.add(key)
                    index, over = out
                    height = ends[1] - inset if over else ends[0] + inset
                    (above if over else below).append((steps[index], self.value(height)))
        for tag, points in (("above", above), ("below", below)):
            dpg.set_value(f"curves:{tag}", [*map(list, zip(*points))] or [[], []])

    def names(self, live: Live) -> list[str]:
        """All names, of this run first."""
        return [*dict.fromkeys([*live.curves, *(n for c in self.others.values() for n in c)])]

    def build(self, live: Live, parent: str, high: int) -> None:
        """The plot and the list, for the curves that there are."""
        s, p = self.scale, self.palette
        dpg.delete_item(parent, children_only=True)
        self.lines.clear()
        self.ends.clear()
        self.values.clear()
        self.known.clear()
        self.calm.clear()
        self.heights = None
        dpg.push_container_stack(parent)
        if not live.curves and not self.others:
            dpg.add_text("Curves appear here while the graph trains: press Train.", color=p.dim)
            dpg.pop_container_stack()
            return
        with dpg.group(horizontal=True):
            side = int(SIDE * s)
            with dpg.plot(
                tag="curves:plot", width=-side, height=high, no_menus=True, no_mouse_pos=True,
                no_title=True,
            ) as plot:  # fmt: skip
                dpg.bind_item_theme(plot, plot_theme())
                dpg.add_plot_axis(dpg.mvXAxis, label="step", auto_fit=True, tag="curves:x")
                scale = dpg.mvPlotScale_Log10 if self.log else dpg.mvPlotScale_Linear
                with dpg.plot_axis(dpg.mvYAxis, auto_fit=True, scale=scale, tag="curves:y"):
                    self.add_lines("", live.curves)
                    for run, curves in self.others.items():
                        self.add_lines(run, curves)
                    for tag, shape in (
                        ("above", dpg.mvPlotMarker_Up),
                        ("below", dpg.mvPlotMarker_Down),
                    ):
                        item = dpg.add_scatter_series([], [], tag=f"curves:{tag}")
                        dpg.bind_item_theme(item, dot_theme(p.warning, shape, 5.5))
                    for tag, colour in (("marks", p.warning), ("time", p.accent)):
                        item = dpg.add_inf_line_series([], tag=f"curves:{tag}")
                        dpg.bind_item_theme(item, line_theme(faded(colour, 170), 1.5))
            with dpg.child_window(width=side - 8, height=high, border=False):
                self.tools()
                self.list(live)
        dpg.pop_container_stack()

    def add_lines(self, run: str, curves: Mapping[str, Curve]) -> None:
        """The lines of a run; those of another one are paler."""
        for index, name in enumerate(curves):
            colour = hexed(CURVES[self.index(name, index) % len(CURVES)])
            shown = faded(colour, 110) if run else colour
            self.lines[run, name] = line = dpg.add_line_series([], [])
            dpg.bind_item_theme(line, line_theme(shown, 2.0))
            # A line of one point draws nothing: its end does.
            self.ends[run, name] = end = dpg.add_scatter_series([], [])
            dpg.bind_item_theme(end, dot_theme(shown))

    def index(self, name: str, default: int) -> int:
        """The place of a name in the list: the same name has the same colour in all runs."""
        names = self.names(self.live) if self.live else []
        return names.index(name) if name in names else default

    def tools(self) -> None:
        """Scale, smoothing, export."""
        with dpg.group(horizontal=True):
            dpg.add_checkbox(label="log", default_value=self.log,
                             callback=lambda _, on: self.set(log=on))  # fmt: skip
            dpg.add_slider_float(
                width=int(90 * self.scale), max_value=0.99, default_value=self.weight,
                format="smooth %.2f", callback=lambda _, weight: self.set(weight=weight),
            )  # fmt: skip
        with dpg.group(horizontal=True):
            # First: small buttons stand on the line of a box, but a box not on theirs.
            box = dpg.add_checkbox(label="all of it", default_value=self.whole,
                                   callback=lambda _, on: self.set(whole=on))  # fmt: skip
            with dpg.tooltip(box):
                dpg.add_text("Also what runs away from the rest and leaves the plot (▲)")
            dpg.add_button(label="CSV", small=True, callback=self.export_csv)
            dpg.add_button(label="PNG", small=True, callback=self.export_png)
            if self.others:
                dpg.add_button(label="this run alone", small=True, callback=self.alone)

    def list(self, live: Live) -> None:
        """A line for each curve: shown or not, its colour, its value, which stands under a long
        name."""
        for index, name in enumerate(self.names(live)):
            with dpg.group(horizontal=True):
                box = dpg.add_checkbox(
                    default_value=name not in self.hidden,
                    callback=lambda _, on, n=name: self.toggle(n, on),
                )  # fmt: skip
                dpg.bind_item_theme(box, check_theme(hexed(CURVES[index % len(CURVES)])))
                with dpg.group(horizontal=measure(name, SIZE) < NAME):
                    dpg.add_text(name, color=self.palette.text, wrap=int(SIDE * 0.8 * self.scale))
                    self.values[name] = dpg.add_text("", color=self.palette.dim)
        for run in self.others:
            dpg.add_text(f"paler: {run}", color=self.palette.dim, wrap=int(SIDE * 0.9 * self.scale))
        for step, words in live.marks[-6:]:
            dpg.add_text(f"at {step}: {words}", color=self.palette.warning,
                         wrap=int(SIDE * 0.9 * self.scale))  # fmt: skip

    def hover(self) -> None:
        """The values at the step under the mouse, else the last ones."""
        live = self.live
        assert live is not None
        hovered = dpg.does_item_exist("curves:plot") and dpg.is_item_hovered("curves:plot")
        at = dpg.get_plot_mouse_pos()[0] if hovered else math.inf
        for name, item in self.values.items():
            curve = live.curves.get(name)
            if curve and curve.steps:
                index = max(bisect_right(curve.steps, at) - 1, 0)
                where = f"  at {int(curve.steps[index])}" if hovered else ""
                off = "  leaves the plot" if ("", name) in self.gone else ""
                dpg.set_value(item, f"{curve.values[index]:.4g}{where}{off}")

    # What a person does ---------------------------------------------------------------------------

    def set(self, **changes: Any) -> None:
        """Change the scale or the smoothing."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.known.clear()
        if self.live:
            self.live.revision += 1

    def toggle(self, name: str, on: bool) -> None:
        """Show a curve, or not."""
        self.hidden = self.hidden - {name} if on else self.hidden | {name}
        if self.live:
            self.live.revision += 1

    def lay_over(self, run: str, curves: Mapping[str, Curve]) -> None:
        """Another run's curves over this one's, or no more."""
        if self.others.pop(run, None) is None:
            self.others[run] = curves
        self.clear()

    def alone(self) -> None:
        """No other runs."""
        self.others.clear()
        self.clear()
        if self.live:
            self.live.revision += 1

    def export_csv(self) -> None:
        """Write all numbers as a table."""
        live = self.live
        assert live is not None
        name = live.folder.name if live.folder else "this run"
        text = as_csv({name: live.curves, **self.others})
        self.choose("Export the numbers", ".csv",
                    lambda path: path.write_text(text, encoding="utf-8"))  # fmt: skip

    def export_png(self) -> None:
        """Write a picture of the plot."""
        left, top = dpg.get_item_rect_min("curves:plot")
        wide, high = dpg.get_item_rect_size("curves:plot")
        area = (int(left), int(top), int(wide), int(high))
        self.choose("Export a picture", ".png", lambda path: save_area(path, area))


def save_area(path: Path, area: tuple[int, int, int, int]) -> None:
    """Write a part of the window as PNG, once it has been drawn again."""
    import numpy as np

    from ..provenance import png

    left, top, wide, high = area

    def take(_: Any, buffer: Any) -> None:
        width, height = buffer.get_width(), buffer.get_height()
        pixels = np.frombuffer(buffer, np.float32).reshape(height, width, 4)
        part = pixels[top : top + high, left : left + wide, :3]
        rows = (np.ascontiguousarray(part) * 255).round().astype(np.uint8)
        path.write_bytes(png(rows.shape[1], rows.shape[0], rows.tobytes(), {"view": "curves"}))

    dpg.output_frame_buffer(callback=take)


@cache
def line_theme(colour: tuple[int, int, int, int], thick: float) -> int | str:
    """The theme of a line in a plot."""
    plots = {"category": dpg.mvThemeCat_Plots}
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvPlotCol_Line, colour, **plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_LineWeight, thick, **plots)
    return made


@cache
def dot_theme(
    colour: tuple[int, int, int, int], shape: int = dpg.mvPlotMarker_Circle, size: float = 3.5
) -> int | str:
    """The theme of a dot in a plot."""
    plots = {"category": dpg.mvThemeCat_Plots}
    with dpg.theme() as made, dpg.theme_component(dpg.mvScatterSeries):
        dpg.add_theme_style(dpg.mvPlotStyleVar_Marker, shape, **plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_MarkerSize, size, **plots)
        dpg.add_theme_color(dpg.mvPlotCol_MarkerFill, colour, **plots)
        dpg.add_theme_color(dpg.mvPlotCol_MarkerOutline, colour, **plots)
    return made


@cache
def plot_theme() -> int | str:
    """Room around lines, and around the plot for its labels."""
    plots = {"category": dpg.mvThemeCat_Plots}
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvPlotStyleVar_PlotPadding, 10, 8, **plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_FitPadding, 0.02, 0.08, **plots)
    return made


@cache
def check_theme(colour: tuple[int, int, int, int]) -> int | str:
    """The theme of a box to check that has the colour of a curve."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvThemeCol_CheckMark, colour)
        dpg.add_theme_color(dpg.mvThemeCol_FrameBg, faded(colour, 60))
    return made
