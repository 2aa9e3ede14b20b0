"""The child's own listener: one address in front of several servers."""

from __future__ import annotations

import asyncio

from pytest_promptune.local.child import Spread


async def ask_through(spread: Spread, count: int) -> list[str]:
    """What each of so many connections, all open at once, hears back."""
    listener = await asyncio.start_server(spread.connect, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    connections = []
    answers = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"who?\n")
        answers.append((await reader.readline()).decode().strip())
        connections.append(writer)
    for writer in connections:
        writer.close()
        await writer.wait_closed()
    listener.close()
    await listener.wait_closed()
    while any(spread.load.values()):
        await asyncio.sleep(0.01)
    return answers


async def say(name: str) -> asyncio.Server:
    """A server that answers every line with its name."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(name.encode() + b"\n")
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def test_connections_are_spread_evenly() -> None:
    """Each goes to the server with the fewest, and none is counted after it closed."""

    async def run() -> list[str]:
        servers = [await say("a"), await say("b")]
        spread = Spread([f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in servers])
        answers = await asyncio.wait_for(ask_through(spread, 6), timeout=10)
        for one in servers:
            one.close()
        return answers

    assert sorted(asyncio.run(run())) == ["a", "a", "a", "b", "b", "b"]
