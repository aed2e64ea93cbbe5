"""``diffagent serve``: the HTTP server; logs go to stderr as JSON lines, stdout stays empty."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import click

from diffagent.agent.targets import TABLE, load
from diffagent.serving.commands.shared_options import ENGINE, catalog_option, with_server_models

if TYPE_CHECKING:
    from fastapi import FastAPI

    from diffagent.serving.server.config import ServerConfig


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Addresses other than loopback need --api-keys."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--api-keys", metavar="FILE", help="Keys that clients send, one a line.")
@click.option("--origin", "origins", multiple=True, help="A web page elsewhere that may call; repeatable.")
@click.option("--queue", default=64, show_default=True, help="Requests that may wait; more answer 429.")
@click.option("--batch", default=16, show_default=True, help="Requests that the agent takes at once.")
@click.option("--deadline", default=120.0, show_default=True, help="Seconds until a request answers 504.")
@click.option("--target", type=click.Choice(list(TABLE)), help="Where /v1/images/generations makes images.")
@click.option("--target-url", metavar="URL", help="The target's server; default: where it usually is.")
@click.option("--installed", is_flag=True, help="Choose among the models that the target's server has.")
@click.option("--nearest", is_flag=True, help="Replace what the target lacks by the nearest that it has.")
@click.option(
    "--max-price", type=float, help="The most one image may cost: Buzz on Civitai, kudos on AI Horde."
)
@click.option("--log-prompts", is_flag=True, help="Write prompts and error messages into the log.")
@catalog_option()
@ENGINE
def serve(
    host: str,
    port: int,
    api_keys: str | None,
    catalog: str | None,
    engine: str,
    llm: str | None,
    **options: Any,
) -> None:
    """Answer over HTTP: our own API, OpenAI's, and a page at /."""
    _require()
    from diffagent.agent.agent import Agent
    from diffagent.serving.server import logs
    from diffagent.serving.server.app import create_app
    from diffagent.serving.server.config import LOOPBACK_NAMES, ServerConfig, is_loopback
    from diffagent.serving.server.keys import Keys

    config = ServerConfig(
        host=host,
        keys=Keys.read(api_keys) if api_keys else Keys(),
        hosts=LOOPBACK_NAMES if is_loopback(host) else (),
        **options,
    )
    _check_target(config)
    if config.installed:
        assert config.target is not None
        catalog = with_server_models(catalog, config.target, config.target_url)
    with open_listener(host, port) as listener, contextlib.redirect_stdout(sys.stderr):  # vLLM prints
        logs.configure(config.log_prompts)
        run(create_app(Agent.load(catalog, llm, engine, concurrent=True), config), config, listener)


def open_listener(host: str, port: int) -> socket.socket:
    """A listening socket; clients that connect before the agent is loaded wait.

    Raises:
        BadInput: the address is in use, or not of this machine.
    """
    from diffagent.data.errors import BadInput
    from diffagent.serving.server.listener import BACKLOG, Listener

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return Listener(socket.create_server((host, port), family=family, backlog=BACKLOG))
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"cannot listen on {host}, port {port} ({reason}): choose another --port") from None


def run(app: FastAPI, config: ServerConfig, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then finish the accepted requests."""
    import uvicorn

    from diffagent.serving.server.connections import protocol_of
    from diffagent.serving.server.listener import BACKLOG

    slowest = max(config.deadline, config.image_deadline if config.target else 0)
    settings = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        loop="asyncio",  # uvloop's transports do not read in the small pieces that connections rely on
        http=protocol_of(config),
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=config.idle_seconds,  # type: ignore[arg-type]  # goes to loop.call_later
        timeout_graceful_shutdown=int(slowest) + 5,
    )
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again after its shutdown
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logging.getLogger("diffagent.server").info(
        "listening", extra={"fields": {"url": f"http://{shown}:{port}/"}}
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[listener])


def _require() -> None:
    from importlib.util import find_spec

    from diffagent.data.errors import MissingExtra

    missing = [
        name
        for name in ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
        if not find_spec(name)
    ]
    if missing:
        raise MissingExtra(f"diffagent serve needs {', '.join(missing)}: pip install 'diffagent[serve]'")


def _check_target(config: ServerConfig) -> None:
    """Check library, key and address of the target now rather than at the first image."""
    if config.target is not None:
        from diffagent.agent.executors import images

        images.require()
        load(config.target).executor(config.target_url)
