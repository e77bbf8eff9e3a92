"""A palette as a Dear PyGui theme, and the fonts."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import dearpygui.dearpygui as dpg

from .palette import THEMES, Colour, Palette, faded

SIZE = 15  # px of text at 100 %


def fonts_folder() -> Path:
    """DejaVu, which has Greek and Cyrillic, comes with matplotlib; the package is not imported."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


@cache
def load_fonts(percent: int) -> dict[str, int | str]:
    """Regular, bold and mono at a text size of 80–200 %; kept, for fonts are not given back."""
    folder = fonts_folder()
    size = SIZE * percent / 100
    with dpg.font_registry():
        fonts = {
            "text": dpg.add_font(str(folder / "DejaVuSans.ttf"), size),
            "bold": dpg.add_font(str(folder / "DejaVuSans-Bold.ttf"), size),
            "title": dpg.add_font(str(folder / "DejaVuSans-Bold.ttf"), size * 1.5),
            "mono": dpg.add_font(str(folder / "DejaVuSansMono.ttf"), size * 0.9),
        }
    return fonts


def colours(palette: Palette) -> dict[int, Colour]:
    """Which part of the window has which colour."""
    p = palette
    light = faded(p.accent, 60)
    return {
        dpg.mvThemeCol_WindowBg: p.panel, dpg.mvThemeCol_ChildBg: p.panel,
        dpg.mvThemeCol_PopupBg: p.panel, dpg.mvThemeCol_MenuBarBg: p.panel,
        dpg.mvThemeCol_Border: p.edge, dpg.mvThemeCol_BorderShadow: (0, 0, 0, 0),
        dpg.mvThemeCol_Text: p.text, dpg.mvThemeCol_TextDisabled: p.dim,
        dpg.mvThemeCol_FrameBg: p.raised, dpg.mvThemeCol_FrameBgHovered: p.edge,
        dpg.mvThemeCol_FrameBgActive: p.edge, dpg.mvThemeCol_Button: p.raised,
        dpg.mvThemeCol_ButtonHovered: p.edge, dpg.mvThemeCol_ButtonActive: light,
        dpg.mvThemeCol_Header: light, dpg.mvThemeCol_HeaderHovered: p.raised,
        dpg.mvThemeCol_HeaderActive: light, dpg.mvThemeCol_Tab: p.panel,
        dpg.mvThemeCol_TabHovered: p.raised, dpg.mvThemeCol_TabActive: p.raised,
        dpg.mvThemeCol_TabUnfocused: p.panel, dpg.mvThemeCol_TabUnfocusedActive: p.raised,
        dpg.mvThemeCol_CheckMark: p.accent, dpg.mvThemeCol_SliderGrab: p.accent,
        dpg.mvThemeCol_SliderGrabActive: p.accent, dpg.mvThemeCol_Separator: p.edge,
        dpg.mvThemeCol_TitleBg: p.panel, dpg.mvThemeCol_TitleBgActive: p.raised,
        dpg.mvThemeCol_ScrollbarBg: p.panel, dpg.mvThemeCol_ScrollbarGrab: p.edge,
        dpg.mvThemeCol_ScrollbarGrabHovered: p.dim, dpg.mvThemeCol_ScrollbarGrabActive: p.dim,
        dpg.mvThemeCol_TextSelectedBg: light, dpg.mvThemeCol_NavHighlight: p.accent,
        dpg.mvThemeCol_ModalWindowDimBg: (0, 0, 0, 110),
        dpg.mvThemeCol_TableHeaderBg: p.panel, dpg.mvThemeCol_TableBorderLight: p.edge,
        dpg.mvThemeCol_TableBorderStrong: p.edge, dpg.mvThemeCol_TableRowBg: p.panel,
        dpg.mvThemeCol_TableRowBgAlt: p.panel,
    }  # fmt: skip


def bind(palette: Palette, scale: float) -> None:
    """Make this the theme of the whole window, and the regular font the one of all text."""
    dpg.bind_font(load_fonts(round(100 * scale))["text"])
    dpg.bind_theme(whole(palette.name, scale))
    dpg.set_viewport_clear_color(list(palette.edge))  # seen between the parts, as hair lines


@cache
def whole(name: str, scale: float) -> int | str:
    """The theme of a palette, by its name."""
    palette = THEMES[name]
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        for part, colour in colours(palette).items():
            dpg.add_theme_color(part, colour, category=dpg.mvThemeCat_Core)
        for part, colour in (
            (dpg.mvPlotCol_PlotBg, palette.canvas), (dpg.mvPlotCol_FrameBg, palette.canvas),
            (dpg.mvPlotCol_PlotBorder, palette.canvas),
        ):  # fmt: skip
            dpg.add_theme_color(part, colour, category=dpg.mvThemeCat_Plots)
        core = {
            dpg.mvStyleVar_FrameRounding: (5,), dpg.mvStyleVar_ChildRounding: (0,),
            dpg.mvStyleVar_PopupRounding: (6,), dpg.mvStyleVar_WindowRounding: (6,),
            dpg.mvStyleVar_GrabRounding: (4,), dpg.mvStyleVar_TabRounding: (4,),
            dpg.mvStyleVar_FramePadding: (8 * scale, 4 * scale),
            dpg.mvStyleVar_ItemSpacing: (8 * scale, 6 * scale),
            dpg.mvStyleVar_WindowPadding: (0, 0), dpg.mvStyleVar_ScrollbarSize: (10,),
            dpg.mvStyleVar_WindowBorderSize: (1,), dpg.mvStyleVar_ChildBorderSize: (0,),
            dpg.mvStyleVar_PopupBorderSize: (1,), dpg.mvStyleVar_SelectableTextAlign: (0, 0.5),
        }  # fmt: skip
        for style, value in core.items():
            dpg.add_theme_style(style, *value, category=dpg.mvThemeCat_Core)
        dpg.add_theme_style(dpg.mvPlotStyleVar_PlotPadding, 0, 0, category=dpg.mvThemeCat_Plots)
        dpg.add_theme_style(dpg.mvPlotStyleVar_PlotBorderSize, 0, category=dpg.mvThemeCat_Plots)
    return theme


@cache
def button_theme(colour: Colour, hovered: Colour | None = None) -> int | str:
    """A theme for a button of a colour, and of another one under the mouse."""
    core = {"category": dpg.mvThemeCat_Core}
    with dpg.theme() as theme, dpg.theme_component(dpg.mvButton):
        dpg.add_theme_color(dpg.mvThemeCol_Button, colour, **core)
        if hovered is not None:
            dpg.add_theme_color(dpg.mvThemeCol_ButtonHovered, hovered, **core)
    return theme


@cache
def unpainted() -> int | str:
    """A theme for a child window that its content covers: software drawing pays for each layer."""
    with dpg.theme() as theme, dpg.theme_component(dpg.mvChildWindow):
        dpg.add_theme_color(dpg.mvThemeCol_ChildBg, (0, 0, 0, 0), category=dpg.mvThemeCat_Core)
    return theme


@cache
def padded(x: float, y: float) -> int | str:
    """A theme that gives a child window an inner margin."""
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, x, y, category=dpg.mvThemeCat_Core)
    return theme


@cache
def close_together() -> int | str:
    """A theme for widgets that stand directly under each other."""
    with dpg.theme() as theme, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvStyleVar_ItemSpacing, 0, 1, category=dpg.mvThemeCat_Core)
    return theme
