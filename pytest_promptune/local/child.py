"""The program of the child process that serves the model; the one file that imports xllamacpp.

`server.py` runs it by its path, on its own (it imports nothing of this package), and they talk over pipes:

- stdin, first line: a JSON object, the arguments of `load`. The API key arrives here and not on the command
  line, where other users could read it.
- stdout, one line: ``{"url": "http://127.0.0.1:PORT"}`` once it serves, or ``{"missing": "why"}`` where
  xllamacpp can't be imported. Anything else is an error: the last lines of stderr say which.
- stdin's end: the process ends. So it can't outlive the one that started it, however that one died.

One model server with two threads is slower than one with a single thread (they wait for each other at every
layer), so the child runs one single-threaded server per core and spreads the connections over them.
"""

import asyncio
import json
import os
import sys
from typing import Any, TextIO
from urllib.parse import urlsplit

#: Tokens of one prompt with its answer; each takes 23 kB of memory in each server.
CONTEXT = 2048
#: Memory for the prompts of the past, in MiB, over all servers (the default is 8 GiB each).
PROMPT_CACHE = 256


def load(*, gguf: str, api_key: str, alias: str, servers: int) -> list[Any]:
    """Start that many servers of the model, each on a free port of the loopback interface."""
    import xllamacpp  # type: ignore[import-untyped]  # it has no stubs

    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.model_alias = {alias}
    if hasattr(params, "hostnames"):
        params.hostnames = ["127.0.0.1"]
    else:  # xllamacpp before 2026.10
        params.hostname = "127.0.0.1"
    params.port = 0
    params.api_keys = [api_key]
    params.n_parallel = 1
    params.n_ctx = CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = PROMPT_CACHE // servers
    if hasattr(params, "ui"):
        params.ui = False
    params.verbosity = 1
    return [xllamacpp.Server(params) for _ in range(servers)]


class Spread:
    """A listener that hands each connection to the server that has the fewest."""

    def __init__(self, urls: list[str]) -> None:
        parts = [urlsplit(url) for url in urls]
        self.load = {(str(part.hostname), int(part.port or 80)): 0 for part in parts}

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side closes it."""
        address = min(self.load, key=lambda one: self.load[one])
        self.load[address] += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(*address)
            await asyncio.gather(self._copy(reader, server_writer), self._copy(server_reader, writer))
        finally:
            self.load[address] -= 1

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the other side went away: its client knows
        finally:
            writer.close()


async def serve(urls: list[str], answer: TextIO) -> None:
    """Say where the child listens, then spread connections until stdin ends."""
    listener = await asyncio.start_server(Spread(urls).connect, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), file=answer, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    # At once, and not by leaving: the servers' destructors hang now and then, and there is nothing to save.
    os._exit(0)


def main(answer: TextIO) -> None:
    """Load, serve, end with stdin."""
    arguments = json.loads(sys.stdin.readline())
    try:
        servers = load(**arguments)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=answer, flush=True)
        return
    asyncio.run(serve([server.listening_address for server in servers], answer))


if __name__ == "__main__":
    # The C++ code prints to stdout too; the pipe is kept for the answer alone.
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)
        main(pipe)
