"""The controls of training over the dock: play, pause, step, stop; how fast; where in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from ..worker.process import remote_command
from .boxes import measure
from .fields import Fields
from .flow import Flow
from .live import DEVICES, SPEEDS, Live
from .palette import Colour, Palette, faded
from .popups import Choice, Popups
from .theme import SIZE, button_theme, close_together

PRESET, SEED, SPEED, TIME = 118, 56, 118, 200
HIGH, LINE = 36, 33  # pixels of one line of it, and of each further one
TICK, GRAB = 4, 12  # pixels of a mark under the slider, and of the slider's handle at least


class Transport:
    """Draws the container "transport" for a tab's training."""

    def __init__(
        self, palette: Palette, popups: Popups, run: Callable[[str], Any],
        remember: Callable[[str], Any],
    ) -> None:  # fmt: skip
        self.palette, self.popups, self.run, self.remember = palette, popups, run, remember
        self.scale, self.wide = 1.0, 600.0  # the pixels that a line may take
        self.lines, self.left = 1, 600.0
        self.ticked: tuple[Any, ...] = ()
        self.fields = Fields()
        self.live: Live | None = None
        self.looking: int | None = None  # the step that is looked back to
        self.seen: tuple[Any, ...] = ()

    def show(self, live: Live) -> None:
        """Draw it anew where buttons differ, else only the words and the slider."""
        if live is not self.live:
            self.live, self.looking, self.seen = live, None, ()
        waiting = tuple(c.text for c in live.waiting) if live.alive else ()
        presets = tuple(live.session.root.presets)
        back = f"as it was at step {self.looking:,} · " if self.looking is not None else ""
        said = back + live.said()
        seen = (live.state, waiting, presets, live.options.preset, live.options.device,
                live.probing, self.palette.name, self.scale, live.total, bool(live.folder),
                self.branching, live.speed, self.wide, self.lines_of(said))  # fmt: skip
        if seen != self.seen and not self.fields.typing():
            self.seen = seen
            self.draw(live, waiting, said)
        dpg.set_value("transport:said", said)
        if dpg.does_item_exist("transport:time"):
            if self.looking is None:
                dpg.set_value("transport:time", live.step)
            self.ticks(live)

    def lines_of(self, said: str) -> int:
        """How many lines the words take; 0: they fit behind the buttons."""
        wide = measure(said, SIZE * self.scale) * 1.02
        return 0 if wide <= self.left else math.ceil(wide / max(self.wide, 1))

    @property
    def branching(self) -> tuple[int, str] | None:
        """The step and the checkpoint that a branch would begin at, while it is looked back."""
        if self.looking is None or self.live is None:
            return None
        past = [c for c in self.live.checkpoints() if c[0] <= self.looking]
        return past[-1] if past else (-1, "")

    @property
    def high(self) -> float:
        """The pixels that it takes."""
        return (HIGH + (self.lines - 1) * LINE) * self.scale

    def draw(self, live: Live, waiting: tuple[str, ...], said: str) -> None:
        """All of it."""
        self.fields.clear()
        dpg.delete_item("transport", children_only=True)
        dpg.push_container_stack("transport")
        self.flow = flow = Flow(self.wide, self.scale)
        self.ticked = ()
        self.steer(live, waiting)
        self.choose(live)
        flow.check("Probes")
        probes = dpg.add_checkbox(
            label="Probes", default_value=live.probing,
            callback=lambda _, on: live.set_probing(on),
        )  # fmt: skip
        self.tip(probes, "What each link carries, and which gradient comes back through it")
        if live.folder is not None and live.total:
            self.time(live)
        self.left = flow.left
        lines = self.lines_of(said)
        if lines:
            flow.turn()
        dpg.add_text("", tag="transport:said", color=self.palette.dim, wrap=-1 if not lines
                     else int(self.wide))  # fmt: skip
        self.lines = flow.end() + max(lines - 1, 0)
        dpg.pop_container_stack()

    def steer(self, live: Live, waiting: tuple[str, ...]) -> None:
        """Train, pause, step, stop, apply."""
        running = live.state == "running"
        going = live.alive and live.state != "starting"
        word = "Pause" if running else "Play" if going else "Train"
        play = self.button(word, "play", "Train a new run, or pause and play it (F5)")
        dpg.bind_item_theme(play, self.look(self.palette.accent))
        self.button("Step", "step", "One step of training, then pause (F10)")
        if live.folder is not None and live.state in ("stopped", "died"):
            self.button("Resume", "resume", "Go on with this run from its last checkpoint")
        if going:
            self.button("Stop", "stop", "Save a checkpoint and end the run (Shift+F5)")
        if waiting:
            item = self.button("Apply", "apply", "Go on with the changed graph (F6):\n"
                               + "\n".join(waiting[:12]))  # fmt: skip
            dpg.bind_item_theme(item, self.look(self.palette.warning))

    def choose(self, live: Live) -> None:
        """Preset and seed, or which preset is trained; how fast."""
        options, flow = live.options, self.flow
        if not live.alive:
            presets = ["as it stands", *live.session.root.presets]
            self.combo(presets, options.preset or presets[0], PRESET, self.preset,
                       "The preset that is trained")  # fmt: skip
            flow.text("seed", SEED + 8)  # with its field
            dpg.add_text("seed", color=self.palette.dim)
            self.fields.add(str(options.seed), SEED * self.scale, self.seed, decimal=True)
            flow.button("Options…")
            dpg.add_button(label="Options…", callback=self.options)
        elif options.preset:
            flow.text(options.preset)
            dpg.add_text(options.preset, color=self.palette.dim)
        words = {v: k for k, v in SPEEDS.items()}
        now = words.get(live.speed, f"{live.speed:g} steps/s")
        self.combo([*SPEEDS], now, SPEED, lambda k: live.set_speed(SPEEDS[k]),
                   "How fast it goes: slow it down to watch")  # fmt: skip

    def time(self, live: Live) -> None:
        """The slider over the run, back to the present, and a branch from a checkpoint."""
        self.flow.room(TIME * self.scale)
        wide = int(TIME * self.scale)
        with dpg.group() as group:
            item = dpg.add_slider_int(
                tag="transport:time", width=wide, max_value=max(live.total, 1), format="",
                default_value=live.step if self.looking is None else self.looking,
                callback=lambda _, step: self.travel(step), clamped=True,
            )  # fmt: skip
            dpg.add_drawlist(wide, int(TICK * self.scale), tag="transport:ticks")
        dpg.bind_item_theme(group, close_together())
        self.tip(item, "Look back: curves and pictures as they were at a step; the marks below are "
                       "checkpoints")  # fmt: skip
        if (branching := self.branching) is None:
            return
        self.flow.button("Now")
        dpg.add_button(label="Now", callback=lambda: self.travel(None))
        step, name = branching
        if name:
            label = f"Branch from {step:,}"
            self.flow.button(label)
            item = dpg.add_button(label=label, callback=lambda: self.branch_at(name))
            self.tip(item, f"Begin a new run at step {step:,}: the newest checkpoint up to here")
        else:
            self.flow.text("no checkpoint is left up to here")
            dpg.add_text("no checkpoint is left up to here", color=self.palette.dim)

    def ticks(self, live: Live) -> None:
        """A mark under the slider for each checkpoint, where its handle stands at that step."""
        steps, wide, most = [s for s, _ in live.checkpoints()], int(TIME * self.scale), live.total
        if (ticked := (steps, most)) == self.ticked:
            return
        self.ticked = ticked
        dpg.delete_item("transport:ticks", children_only=True)
        grab = max((wide - 4) / (most + 1), GRAB)
        for step in steps:
            x = 2 + grab / 2 + (wide - 4 - grab) * step / max(most, 1)
            dpg.draw_line((x, 0), (x, TICK * self.scale), color=self.palette.accent,
                          thickness=1.5 * self.scale, parent="transport:ticks")  # fmt: skip

    # What they do ---------------------------------------------------------------------------------

    def travel(self, step: int | None) -> None:
        """Look back to a step, or at the present again."""
        assert self.live is not None
        self.looking = None if step is None or step >= self.live.step else step
        self.live.revision += 1

    def branch_at(self, checkpoint: str) -> None:
        """A new run from a checkpoint."""
        assert self.live is not None
        self.looking = None
        self.live.branch(checkpoint)

    def preset(self, name: str) -> None:
        """Choose the preset that is trained."""
        assert self.live is not None
        self.live.options.preset = "" if name == "as it stands" else name

    def seed(self, text: str) -> None:
        """Set the seed of initial weights and all draws; one that is none is told, and gone."""
        assert self.live is not None
        if text.isdecimal() and int(text) < 2**63:
            self.live.options.seed = int(text)
        else:
            refused = f"seed: expects a whole number from 0 to 2^63 − 1, not {text!r}"
            self.live.session.tell(refused, "refused")
        self.seen = ()  # the field shows what holds

    def options(self) -> None:
        """Device, precision, compilation, another machine: a menu of what can be switched."""
        live = self.live
        assert live is not None
        options = live.options

        def set_(name: str, value: Any) -> None:
            setattr(options, name, value)
            live.revision += 1

        rows = [
            Choice(f"Device: {name}", "●" if options.device == name else "", "",
                   partial(set_, "device", name))
            for name in DEVICES
        ]  # fmt: skip
        for name, label in (("amp", "bfloat16 where it is safe"), ("compile", "torch.compile"),
                            ("channels_last", "Channels last")):  # fmt: skip
            on = getattr(options, name)
            rows.append(Choice(label, "on" if on else "", "", partial(set_, name, not on)))
        rows.append(Choice(f"Machine: {options.remote or 'this one'}…", "", "", self.remote))
        x, y = dpg.get_mouse_pos(local=False)
        self.popups.menu(x, y, rows)

    def remote(self) -> None:
        """Ask for the machine to train on, by ssh."""
        live = self.live
        assert live is not None

        def chosen(text: str) -> None:
            try:
                if text.strip():
                    remote_command(text.strip())  # refuses what is no host
            except ValueError as wrong:
                live.session.tell(str(wrong), "refused")
                return
            live.options.remote = text.strip()
            self.remember(text.strip())
            live.revision += 1

        self.popups.type(
            "Train on another machine", "user@host, with nodegraph installed; nothing: this one",
            live.options.remote, chosen,
        )  # fmt: skip

    # Pieces ---------------------------------------------------------------------------------------

    def button(self, label: str, command: str, tip: str) -> int | str:
        """A button that runs a command."""
        self.flow.button(label)
        item: int | str = dpg.add_button(label=label, callback=lambda: self.run(command))
        self.tip(item, tip)
        return item

    def combo(
        self, items: list[str], value: str, wide: int, done: Callable[[str], Any], tip: str
    ) -> None:
        """A choice of one of several words."""
        self.flow.room(wide * self.scale)
        item = dpg.add_combo(
            items, default_value=value, width=int(wide * self.scale),
            callback=lambda _, text: done(text),
        )  # fmt: skip
        self.tip(item, tip)

    def tip(self, item: int | str, text: str) -> None:
        """What shows when the mouse rests on an item."""
        with dpg.tooltip(item, delay=0.4):
            dpg.add_text(text, wrap=420)

    def look(self, colour: Colour) -> int | str:
        """The theme of a button that matters now."""
        return button_theme(faded(colour, 70), faded(colour, 120))
