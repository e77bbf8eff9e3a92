"""Pictures as textures. Static ones, which are swapped: Dear PyGui uploads all others in every
frame, also those that are not in sight."""

from __future__ import annotations

from pathlib import Path

import dearpygui.dearpygui as dpg

from .canvas import Shown
from .live import Picture


class Textures:
    """The textures that are in use. One that is replaced lives until the next `sweep`, when what
    showed it shows the new one."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[object, Shown]] = {}
        self.gone: list[int | str] = []
        self.registry = dpg.add_texture_registry()

    def of_picture(self, key: str, picture: Picture) -> Shown:
        """The texture of a picture; the same one for the same picture."""
        before = self.known.get(key)
        if before is not None and before[0] is picture:
            return before[1]
        import numpy as np  # not before there is a picture: it takes a tenth of a second

        rgb = np.frombuffer(picture.rows, np.uint8).reshape(picture.height, picture.width, 3)
        rgba = np.ones((picture.height, picture.width, 4), np.float32)
        rgba[..., :3] = rgb / np.float32(255)
        return self._put(key, picture, picture.width, picture.height, rgba.ravel())

    def of_file(self, key: str, path: Path) -> Shown | None:
        """The texture of a stored picture, or None when it can't be read."""
        before = self.known.get(key)
        if before is not None and before[0] == path:
            return before[1]
        found = dpg.load_image(str(path))
        if found is None:
            return None
        width, height, _, data = found
        return self._put(key, path, width, height, data)

    def _put(self, key: str, what: object, width: int, height: int, data: object) -> Shown:
        if key in self.known:
            self.gone.append(self.known[key][1].texture)
        tag = dpg.add_static_texture(width, height, data, parent=self.registry)
        shown = Shown(tag, width, height)
        self.known[key] = (what, shown)
        return shown

    def keep(self, keys: set[str]) -> None:
        """Forget all other textures."""
        for key in [k for k in self.known if k not in keys]:
            self.gone.append(self.known.pop(key)[1].texture)

    def sweep(self) -> None:
        """Delete what nothing shows any more."""
        for tag in self.gone:
            dpg.delete_item(tag)
        self.gone.clear()
