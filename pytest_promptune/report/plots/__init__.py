"""Pictures of what was found, with the extra ``[plots]``; matplotlib is imported when one is drawn."""

from pytest_promptune.report.plots.canvas import Plot, is_available, load_ahead
from pytest_promptune.report.plots.of_final import draw_final
from pytest_promptune.report.plots.of_view import draw

__all__ = ["Plot", "draw", "draw_final", "is_available", "load_ahead"]
