"""An invented hub on a port, and the shared replay of Civitai's API."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from invented_hub import AnsweringHub, Serve


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a hub on a loopback port; returns its base URL."""
    with ExitStack() as stack:

        def start(hub: AnsweringHub) -> str:
            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_GET(self) -> None:
                    size = int(self.headers.get("Content-Length", 0))
                    answer = hub.answer(self.command, self.path, dict(self.headers), self.rfile.read(size))
                    if not answer[0] or int(answer[1].get("Content-Length", 0)) > len(answer[2]):
                        self.close_connection = True
                    if not answer[0]:
                        return
                    self.send_response(answer[0])
                    for name, value in {"Content-Length": str(len(answer[2])), **answer[1]}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(answer[2])

                do_POST = do_GET

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients get killed
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def replay() -> Iterator[Callable[..., str]]:
    """Starts the shared replay of Civitai's API with the given options; returns its base URL."""
    script = Path(os.environ.get("DIFFAGENT_DATA") or "nowhere") / "civitai" / "replay.py"
    if not script.is_file():
        pytest.skip("needs the shared data: set DIFFAGENT_DATA to its folder")
    with ExitStack() as stack:

        def start(*options: str) -> str:
            command = [sys.executable, str(script), *options]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.terminate)
            assert process.stdout is not None
            return process.stdout.readline().split()[1]

        yield start
