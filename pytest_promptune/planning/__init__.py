"""What a session would do: the matrix, what it takes, what it could find, and whether it would get that far.

Nothing here calls an app, and nothing is written.
"""

from pytest_promptune.planning.planner import Given, Planner

__all__ = ["Given", "Planner"]
