"""Margins as a user gives them."""

from __future__ import annotations


class Percent(float):
    """A margin given in per cent, as a fraction: of one for shares, of the reference for everything else."""
