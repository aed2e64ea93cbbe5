"""A server process on an invented catalog, for tests that press it hard.

    python tests/stand_in_server.py CATALOG SECONDS '{"head_seconds": 1}'

The options are those of ``ServerConfig``; SECONDS is how long its engine takes for an answer.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stand_ins import ByteIdentifier, RuleEngine, WordEncoder, plain_ranker

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.engines import Prompt
from diffagent.data.catalog.catalog import Catalog
from diffagent.serving.commands.serve import open_listener, run
from diffagent.serving.server import logs
from diffagent.serving.server.app import create_app
from diffagent.serving.server.config import ServerConfig


@dataclass
class SlowEngine(RuleEngine):
    """Takes its time for each choice."""

    seconds: float = 0.0

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        time.sleep(self.seconds)
        return super().choose(prompt, options, draft)


def main(path: str, seconds: str, options: str) -> None:
    config = ServerConfig(**json.loads(options))
    with open_listener(config.host, 0) as socket, Catalog.open(path) as catalog:
        logs.configure()
        prefilter = Prefilter.of(catalog, WordEncoder(), plain_ranker())
        agent = Agent(catalog, prefilter, SlowEngine(seconds=float(seconds)), Fusion(choice_weight=0.1))
        agent.identifier = ByteIdentifier(catalog)  # type: ignore[assignment]
        run(create_app(agent, config), config, socket)


if __name__ == "__main__":
    main(*sys.argv[1:])
