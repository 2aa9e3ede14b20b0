"""The HTML report: one file that needs no network, with every answer behind the numbers."""

from pytest_promptune.report.html.rendering import page, render_html

__all__ = ["page", "render_html"]
