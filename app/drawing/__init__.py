"""Drawing Vega-Lite descriptions, in a process of their own. Knows no business word."""

from app.drawing.renderer import Format, Renderer

__all__ = ["Format", "Renderer"]
