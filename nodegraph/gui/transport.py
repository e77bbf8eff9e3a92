"""The controls of training over the dock: play, pause, step, stop; how fast; where in time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from ..worker.process import remote_command
from .fields import Fields
from .live import DEVICES, SPEEDS, Live
from .palette import Colour, Palette, faded
from .popups import Choice, Popups
from .theme import button_theme

PRESET, SEED, SPEED, TIME = 118, 56, 118, 200


class Transport:
    """Draws the container "transport" for a tab's training."""

    def __init__(
        self, palette: Palette, popups: Popups, run: Callable[[str], Any],
        remember: Callable[[str], Any],
    ) -> None:  # fmt: skip
        self.palette, self.popups, self.run, self.remember = palette, popups, run, remember
        self.scale = 1.0
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
        seen = (live.state, waiting, presets, live.options.preset, live.options.device,
                live.probing, self.palette.name, self.scale, live.total, bool(live.folder),
                self.looking is None)  # fmt: skip
        if seen != self.seen and not self.fields.typing():
            self.seen = seen
            self.draw(live, waiting)
        back = f"as it was at step {self.looking:,} · " if self.looking is not None else ""
        dpg.set_value("transport:said", back + live.said())
        if self.looking is None and dpg.does_item_exist("transport:time"):
            dpg.set_value("transport:time", live.step)

    def draw(self, live: Live, waiting: tuple[str, ...]) -> None:
        """All of it."""
        self.fields.clear()
        s, options = self.scale, live.options
        dpg.delete_item("transport", children_only=True)
        dpg.push_container_stack("transport")
        with dpg.group(horizontal=True):
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
            if not live.alive:
                presets = ["as it stands", *live.session.root.presets]
                self.combo(
                    presets,
                    options.preset or presets[0],
                    PRESET,
                    self.preset,
                    "The preset that is trained",
                )
                dpg.add_text("seed", color=self.palette.dim)
                self.fields.add(str(options.seed), SEED * s, self.seed, decimal=True)
                dpg.add_button(label="Options…", callback=self.options)
            elif options.preset:
                dpg.add_text(options.preset, color=self.palette.dim)
            words = {v: k for k, v in SPEEDS.items()}
            now = words.get(live.speed, f"{live.speed:g} steps/s")
            self.combo(
                [*SPEEDS],
                now,
                SPEED,
                lambda k: live.set_speed(SPEEDS[k]),
                "How fast it goes: slow it down to watch",
            )
            probes = dpg.add_checkbox(
                label="Probes", default_value=live.probing,
                callback=lambda _, on: live.set_probing(on),
            )  # fmt: skip
            self.tip(probes, "What each link carries, and which gradient comes back through it")
            if live.folder is not None and live.total:
                self.time(live)
            dpg.add_text("", tag="transport:said", color=self.palette.dim)
        dpg.pop_container_stack()

    def time(self, live: Live) -> None:
        """The slider over the run, back to the present, and a branch from a checkpoint."""
        item = dpg.add_slider_int(
            tag="transport:time", width=int(TIME * self.scale), max_value=max(live.total, 1),
            default_value=live.step if self.looking is None else self.looking, format="",
            callback=lambda _, step: self.travel(step), clamped=True,
        )  # fmt: skip
        self.tip(item, "Look back: curves and pictures as they were at a step")
        if self.looking is not None:
            dpg.add_button(label="Now", callback=lambda: self.travel(None))
            item = dpg.add_button(label="Branch", callback=self.branch)
            self.tip(item, "Begin a new run at the checkpoint before this step")

    # What they do ---------------------------------------------------------------------------------

    def travel(self, step: int | None) -> None:
        """Look back to a step, or at the present again."""
        assert self.live is not None
        self.looking = None if step is None or step >= self.live.step else step
        self.live.revision += 1

    def branch(self) -> None:
        """Offer the checkpoints up to the step that is looked at."""
        live = self.live
        assert live is not None and self.looking is not None
        past = [c for c in live.checkpoints() if c[0] <= (self.looking or 0)][-8:]
        choices = [
            Choice(f"Branch at step {step}", name, "", partial(self.branch_at, name))
            for step, name in reversed(past)
        ]
        x, y = dpg.get_mouse_pos(local=False)
        self.popups.menu(x, y, choices or [Choice("no checkpoint is left", "", "", lambda: None)])

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
        item: int | str = dpg.add_button(label=label, callback=lambda: self.run(command))
        self.tip(item, tip)
        return item

    def combo(
        self, items: list[str], value: str, wide: int, done: Callable[[str], Any], tip: str
    ) -> None:
        """A choice of one of several words."""
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
