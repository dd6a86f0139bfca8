"""Answers `/livez`, `/readyz` and `/metrics` in a thread of its own, so also while scoring. Opens a socket.

It shows numbers and states, never a line of a log, and changes nothing: there is no other path and no
other method than GET. A connection is for one request and a short time, and there are never many: clients
that ask nothing take neither all descriptors of the process nor the place of those that do.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Final

import msgspec
import structlog
from aiohttp import web

from detector.errors import BadSetup
from detector.web.health import Health

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format
STOP_S = 5.0  # for answers in hand
_OK, _NOT_NOW = 200, 503

_log: Final = structlog.get_logger("web")


class Limits(msgspec.Struct, frozen=True):
    """What clients may take."""

    connections: int = 64  # at a time; more are closed at once
    connection_s: float = 10.0


class _Running(msgspec.Struct, frozen=True):
    """How to end the thread, and the port that it listens on."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    port: int


@contextmanager
def serving(
    listen: str,
    health: Health,
    metrics: Callable[[], bytes],
    limits: Limits = Limits(),  # noqa: B008  (frozen)
) -> Iterator[int]:
    """Serve at HOST:PORT until the end; gives the port, which the system chooses where 0 is asked for.

    Raises:
        BadSetup: nobody can listen there.
    """
    started: Future[_Running] = Future()
    thread = Thread(
        target=_run, args=(listen, _app(health, metrics), limits, started), name="web", daemon=True
    )
    thread.start()
    running = started.result()
    _log.info("serving", host=_split(listen)[0], port=running.port)
    try:
        yield running.port
    finally:
        running.loop.call_soon_threadsafe(running.stop.set)
        thread.join(STOP_S)


def _app(health: Health, metrics: Callable[[], bytes]) -> web.Application:
    app = web.Application()
    app.router.add_get("/livez", partial(_livez, health), allow_head=False)
    app.router.add_get("/readyz", partial(_readyz, health), allow_head=False)
    app.router.add_get("/metrics", partial(_metrics, metrics), allow_head=False)
    return app


async def _livez(health: Health, _: web.Request) -> web.Response:
    reason = health.stuck()
    return _json({"status": "stuck", "reason": reason} if reason else {"status": "live"}, well=not reason)


async def _readyz(health: Health, _: web.Request) -> web.Response:
    missing = health.missing()
    said = {"status": "not ready", "missing": missing} if missing else {"status": "ready"}
    return _json(said, well=not missing)


async def _metrics(page: Callable[[], bytes], _: web.Request) -> web.Response:
    return _last(web.Response(body=page(), headers={"Content-Type": METRICS_TYPE}))


def _json(said: object, *, well: bool) -> web.Response:
    body = msgspec.json.encode(said) + b"\n"
    return _last(web.Response(body=body, status=_OK if well else _NOT_NOW, content_type="application/json"))


def _last(response: web.Response) -> web.Response:
    """The connection ends with it."""
    response.force_close()
    return response


def _run(listen: str, app: web.Application, limits: Limits, started: "Future[_Running]") -> None:
    """The thread; what keeps it from starting is raised where it was started."""
    try:
        asyncio.run(_serve(listen, app, limits, started))
    except Exception as error:
        if started.done():
            raise
        started.set_exception(error)


async def _serve(listen: str, app: web.Application, limits: Limits, started: "Future[_Running]") -> None:
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    try:
        host, port = _split(listen)
        try:
            listener = await loop.create_server(_bounded(runner, limits), host, port)
        except OSError as error:
            raise BadSetup(
                f"web.listen: cannot listen on {listen} ({_reason(error)}): free it, or name another"
            ) from error
        started.set_result(_Running(loop, stop, listener.sockets[0].getsockname()[1]))
        await stop.wait()
        listener.close()
    finally:
        await runner.cleanup()


def _bounded(runner: web.AppRunner, limits: Limits) -> Callable[[], asyncio.Protocol]:
    """What takes a connection: the server, for a time, or where there are many already, nobody."""
    server = runner.server
    if server is None:
        raise RuntimeError("the runner has not been set up")

    def protocol() -> asyncio.Protocol:
        if len(server.connections) >= limits.connections:
            return _Refusal()
        handler = server()
        asyncio.get_running_loop().call_later(limits.connection_s, handler.force_close)
        return handler

    return protocol


class _Refusal(asyncio.Protocol):
    """Closes what it is given."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


def _reason(error: OSError) -> str:
    """What is wrong in the system's own words; those of asyncio name the address again."""
    if error.errno is None or error.errno < 0:  # of looking up a name
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _split(listen: str) -> tuple[str, int]:
    """Host and port; an address of IPv6 is in brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
