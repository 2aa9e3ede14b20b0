"""Statistics of repeated runs over cases: comparison, gate, goals and planning; free of pytest and of files.

Reading order: ``model`` (the values), ``cells`` (cleaning), ``permutation`` (p-values), ``interval``,
``multiplicity``, ``verdict``, and ``judging``, which puts them together.
"""
