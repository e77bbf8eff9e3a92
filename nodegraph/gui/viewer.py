"""The pictures of views and peeks, enlarged, side by side: as they are now, or as they were."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from .canvas import Shown
from .live import Live
from .palette import Palette

CAPTION = 30  # pixels over a picture


class Viewer:
    """Draws the dock's tab of pictures; what is there is drawn anew, what changed is swapped."""

    def __init__(
        self, palette: Palette, choose: Callable[[str, str, Callable[[Path], Any]], Any]
    ) -> None:
        self.palette, self.choose = palette, choose
        self.scale = 1.0
        self.images: dict[str, int | str] = {}
        self.captions: dict[str, int | str] = {}
        self.drawn: tuple[Any, ...] = ()
        self.looking: int | None = None

    def clear(self) -> None:
        """Draw everything anew the next time."""
        self.drawn = ()

    def show(
        self, live: Live, shown: dict[str, Shown], parent: str, high: int, looking: int | None
    ) -> None:
        """Bring the pictures up to a run, or to the step that is looked back to."""
        self.looking = looking
        sizes = tuple((name, s.width, s.height) for name, s in shown.items())
        drawn = (id(live), sizes, self.palette.name, self.scale, high, looking is None)
        if drawn != self.drawn:
            self.drawn = drawn
            self.build(live, shown, parent, high - int(CAPTION * self.scale))
        for name, picture in shown.items():
            dpg.configure_item(self.images[name], texture_tag=picture.texture)
            found = live.pictures.get(name)
            if found is not None:
                step = found.step if looking is None else live.frame_step(name, looking)
                dpg.set_value(self.captions[name], f"{name} · {found.view} · step {step:,}")

    def build(self, live: Live, shown: dict[str, Shown], parent: str, high: int) -> None:
        """All pictures in a row, as high as there is room."""
        dpg.delete_item(parent, children_only=True)
        self.images.clear()
        self.captions.clear()
        dpg.push_container_stack(parent)
        if not shown and self.looking is not None:
            dpg.add_text("No picture was kept up to this step.", color=self.palette.dim)
        elif not shown:
            dpg.add_text(
                "Pictures of views appear here while the graph trains. Add one from the palette "
                "(ImageGrid, Scatter, …), or right-click an output and peek at it.",
                color=self.palette.dim, wrap=700,
            )  # fmt: skip
        with dpg.group(horizontal=True, horizontal_spacing=int(16 * self.scale)):
            for name, picture in shown.items():
                with dpg.group():
                    with dpg.group(horizontal=True):
                        self.captions[name] = dpg.add_text(name, color=self.palette.dim)
                        if name in live.peeks:
                            dpg.add_button(label=f"×##{name}", small=True,
                                           callback=partial(live.peek, name))  # fmt: skip
                        elif live.folder is not None:
                            dpg.add_button(label=f"save##{name}", small=True,
                                           callback=partial(self.save, live, name))  # fmt: skip
                    wide = picture.width * high / picture.height
                    self.images[name] = dpg.add_image(
                        picture.texture, width=int(min(wide, 3 * high)), height=high
                    )
        dpg.pop_container_stack()

    def save(self, live: Live, name: str) -> None:
        """Copy the stored picture, which says which run and step it is of."""
        path = live.frame(name, live.step if self.looking is None else self.looking)
        if path is None:
            live.session.tell("this picture is not stored yet", "refused")
            live.session.revision += 1
            return
        self.choose("Save the picture", ".png", lambda target: shutil.copyfile(path, target))
