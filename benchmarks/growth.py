"""What a sample costs as there are more: `python benchmarks/growth.py ENVIRONMENTS [--samples N …]`.

Samples of 0 ms, ten runs of each case. Time per sample is the whole process less one of 10 samples,
memory per finished sample likewise; both at 1,000, 10,000 and 100,000. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import environments
from contenders import CONTENDERS
from measuring import Run, clean_environment, load, run

RUNS = 10
FEW = 10
SAMPLES = (1_000, 10_000, 100_000)
#: The table names two; both run in the same environment.
NAMES = ("plain pytest", "pytest-promptune")
KIB_PER_MIB = 1024


def measure(name: str, samples: int, installed: Path) -> Run:
    """One run in a fresh folder: no baseline, a new experiment log."""
    (contender,) = (one for one in CONTENDERS if one.name == name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        contender.prepare(folder)
        variables = {"CASES": str(samples // RUNS), "RUNS": str(RUNS), "DELAY": "0"}
        return run(
            [contender.program(installed), *contender.arguments],
            folder=folder,
            environment=clean_environment(folder, **variables),
            memory=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("environments", type=Path, help="the folder that environments.py filled")
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    arguments = parser.parse_args()
    installed = arguments.environments.absolute()
    print(f"promptune {environments.version_of(installed, 'promptune')}, load {load():.1f}\n")
    print("| | samples | wall, s | ms a sample | times that of the fewest | KiB a sample |")
    print("|---|---|---|---|---|---|")
    for name in NAMES:
        measure(name, FEW, installed)  # warms caches
        least = measure(name, FEW, installed)
        first = None
        for samples in arguments.samples:
            one = measure(name, samples, installed)
            each = 1000 * (one.wall_s - least.wall_s) / (samples - FEW)
            first = first or each
            kib = KIB_PER_MIB * ((one.memory_mib or 0.0) - (least.memory_mib or 0.0)) / (samples - FEW)
            row = f"| {name} | {samples:,} | {one.wall_s:.1f} | {each:.2f} | {each / first:.2f} | {kib:.1f} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
