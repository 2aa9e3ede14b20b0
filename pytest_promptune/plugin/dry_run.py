"""A pytest plugin (``-p``) for ``pytest-promptune nodes --dry-run``: no model is asked, no host reached.

It takes from the command line what would record, report or repeat something, keeps promptune tests alone,
closes the network except for this machine, puts fakes in place of all models, and lets threads that an app
starts know in which node they were started.
"""

from __future__ import annotations

import contextvars
import functools
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

#: Seed of the fakes, from the command.
SEED = "PROMPTUNE_DRY_RUN_SEED"

#: What asks for another session than this one.
_OTHER = ("baseline", "compare", "resume", "replay", "plan", "variant", "stage", "max_cost")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Before anybody reads them: options that would do more than run the cases, and xdist's workers."""
    for name in _OTHER:
        if getattr(config.option, f"promptune_{name}", None) is not None:
            setattr(config.option, f"promptune_{name}", None)
    config.option.promptune_report = config.option.promptune_report[-1:]  # the last one is the command's
    if hasattr(config.option, "dist"):
        config.option.dist, config.option.tx, config.option.numprocesses = "no", [], None
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Other tests aren't asked for, and might do anything."""
    kept = [item for item in items if "sample" in getattr(item, "fixturenames", ())]
    left_out = [item for item in items if item not in kept]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, Any, Any]:
    """Before anything of the project is imported."""
    from pytest_promptune.langgraph.fakes import install

    _close_network()
    _keep_context()
    install(int(os.environ.get(SEED, "0")))
    return (yield)


def _keep_context() -> None:
    """Threads and pools that an app makes by itself run in the context of what started them.

    Python gives them an empty one (before 3.14's ``thread_inherit_context``), so that a model call in there
    would belong to no sample.
    """
    submit: Callable[..., Future[Any]] = ThreadPoolExecutor.submit
    start = threading.Thread.start

    @functools.wraps(submit)
    def kept(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return submit(self, contextvars.copy_context().run, fn, *args, **kwargs)

    @functools.wraps(start)
    def started(self: threading.Thread) -> None:
        own, context = self.run, contextvars.copy_context()
        setattr(self, "run", functools.partial(context.run, own))  # noqa: B010 - mypy refuses a method's name
        start(self)

    setattr(ThreadPoolExecutor, "submit", kept)  # noqa: B010 - as above
    setattr(threading.Thread, "start", started)  # noqa: B010 - as above


def _close_network() -> None:
    """What isn't on this machine can't be reached: an SDK that a node calls by itself asks no provider."""
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _local_only(getattr(socket.socket, name)))
    look_up = socket.getaddrinfo

    @functools.wraps(look_up)
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse(host)
        return look_up(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo


def _local_only(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def connect(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple):
            _refuse(address[0])
        return original(self, address)

    return connect


def _refuse(host: Any) -> None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if isinstance(name, str) and name and not _is_here(name):
        raise PermissionError(f"{name}: a dry run reaches no other host")


def _is_here(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified
