"""From planned items to samples: which app, under which variant, called once, shared by all its tests."""

from pytest_promptune.sampling.budget import SPENT, Budget
from pytest_promptune.sampling.joining import FirstSamples
from pytest_promptune.sampling.sampler import LOOK_AHEAD, LOOK_AHEAD_CAREFUL, Sampler
from pytest_promptune.sampling.stored import STORED, StoredSamples

__all__ = [
    "LOOK_AHEAD",
    "LOOK_AHEAD_CAREFUL",
    "SPENT",
    "STORED",
    "Budget",
    "FirstSamples",
    "Sampler",
    "StoredSamples",
]
