"""Whole processes beside each other: `python benchmarks/compare.py ENVIRONMENTS [--rounds N]`.

Two scenarios: 300 samples of 50 ms, 32 in flight, and 3,000 samples that take no time. The contenders run in
rounds, one after the other, so that a busy machine is busy for all of them; what counts are the ratios within
a round. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import environments
from contenders import CONTENDERS, Contender
from measuring import FailedError, Run, clean_environment, load, run, spread

#: Rounds of contenders that run one sample at a time, where samples take time.
SERIAL_ROUNDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the samples are like."""

    name: str
    cases: int
    runs: int
    delay: float
    #: Name of the contender by which the others are divided.
    unit: str

    @property
    def variables(self) -> dict[str, str]:
        """What the suites read."""
        return {"CASES": str(self.cases), "RUNS": str(self.runs), "DELAY": str(self.delay)}


SCENARIOS = {
    "waiting": Scenario(
        name="300 samples of 50 ms, 32 in flight", cases=30, runs=10, delay=0.05, unit="bare asyncio loop"
    ),
    "working": Scenario(
        name="3,000 samples of 0 ms, 32 in flight", cases=300, runs=10, delay=0.0, unit="plain pytest"
    ),
}


class Place:
    """The folder in which a contender runs one scenario."""

    def __init__(self, contender: Contender, scenario: Scenario, *, installed: Path, folder: Path) -> None:
        self.contender = contender
        self._folder = folder
        self._program = contender.program(installed)
        folder.mkdir()
        contender.prepare(folder)
        self._environment = clean_environment(folder, **scenario.variables, **dict(contender.variables))
        self._arguments = [argument.replace("{runs}", str(scenario.runs)) for argument in contender.arguments]
        if contender.environment == environments.NODE:  # its suite is written, not run
            subprocess.run([sys.executable, contender.suite], cwd=folder, env=self._environment, check=True)
        if contender.before:
            self._run(contender.before)

    def measure(self, *, memory: bool = False) -> Run:
        """One run."""
        return self._run(self._arguments, memory=memory)

    def _run(self, arguments: tuple[str, ...] | list[str], *, memory: bool = False) -> Run:
        command = [self._program, *arguments]
        return run(command, folder=self._folder, environment=self._environment, memory=memory)


def measure(scenario: Scenario, contenders: list[Contender], *, installed: Path, rounds: int) -> str:
    """Run all contenders in rounds; gives the table."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in contenders}
    memory: dict[str, float | None] = {}
    loads = []
    with tempfile.TemporaryDirectory() as name:
        places = []
        for number, contender in enumerate(contenders):
            place = Place(contender, scenario, installed=installed, folder=Path(name) / str(number))
            try:
                memory[contender.name] = place.measure(memory=True).memory_mib  # and warm caches
            except FailedError as error:
                print(f"{contender.name} is left out: {error}", file=sys.stderr)
                continue
            places.append(place)
        with contextlib.suppress(KeyboardInterrupt):  # what was measured until then is told
            for round_number in range(rounds):
                loads.append(load())
                for place in places:
                    is_slow = place.contender.is_serial and scenario.delay > 0
                    if not (is_slow and round_number >= SERIAL_ROUNDS):
                        one = place.measure()
                        runs[place.contender.name].append(one)
                        print(f"{place.contender.name}: {one.wall_s:.2f} s", file=sys.stderr, flush=True)
    return table(scenario, {name: each for name, each in runs.items() if each}, memory, loads)


def table(
    scenario: Scenario, runs: dict[str, list[Run]], memory: dict[str, float | None], loads: list[float]
) -> str:
    """Medians, and the ratios of each round."""
    unit = [each.wall_s for each in runs[scenario.unit]]
    rounds = max(map(len, runs.values()))
    lines = [
        f"**{scenario.name}** ({rounds} rounds, load {min(loads):.1f}–{max(loads):.1f})",
        "",
        f"| | wall, s | times the {scenario.unit} | CPU, s | memory, MiB | rounds |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in runs.items():
        walls = [one.wall_s for one in each]
        ratios = [wall / base for wall, base in zip(walls, unit, strict=False)]
        cpu = spread([one.cpu_s for one in each])
        lines.append(
            f"| {name} | {spread(walls)} | {spread(ratios)} | {cpu} | {memory[name] or 0:.0f} | {len(each)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("environments", type=Path, help="the folder that environments.py filled")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs (default 5)")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="both by default")
    parser.add_argument("--only", action="append", metavar="NAME", help="contenders whose names contain it")
    arguments = parser.parse_args()
    installed = arguments.environments.absolute()
    scenarios = [SCENARIOS[name] for name in arguments.scenario or SCENARIOS]
    units = {scenario.unit for scenario in scenarios}
    contenders = [
        contender
        for contender in CONTENDERS
        if environments.is_there(installed, contender.environment)
        and (
            not arguments.only
            or contender.name in units
            or any(part in contender.name for part in arguments.only)
        )
    ]
    names = dict.fromkeys(contender.environment for contender in contenders)
    versions = ", ".join(f"{name} {environments.version_of(installed, name)}" for name in names)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {versions}\n")
    for scenario in scenarios:
        text = measure(scenario, contenders, installed=installed, rounds=arguments.rounds)
        print(text, end="\n\n", flush=True)


if __name__ == "__main__":
    main()
