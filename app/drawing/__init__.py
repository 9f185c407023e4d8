"""Draws Vega-Lite specifications in a separate process. Contains no domain logic."""

from app.drawing.renderer import Format, Renderer

__all__ = ["Format", "Renderer"]
