"""``diffagent mcp`` in a process of its own: an agent of stand-ins, noisy, and slow on demand.

    python mcp_stand_in.py NOTES mcp --catalog PATH [--llm seeing]

Each call that is begun leaves its prompt in the file NOTES; a prompt with "slow" takes half a second, one
with "endless" a minute, and one with "boom" breaks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from stand_ins import ByteIdentifier, RuleEngine, WordEncoder, plain_ranker

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.engines import Prompt
from diffagent.data.catalog.catalog import Catalog
from diffagent.serving.cli import main

NOTES = Path(sys.argv[1])


class NotedEngine(RuleEngine):
    """Notes what it is asked, and writes to stdout what no client should read."""

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        words = prompt.earlier[0][0]
        with NOTES.open("a", encoding="utf-8") as notes:
            notes.write(words.splitlines()[-1] + "\n")
        print("noise from Python")
        subprocess.run([sys.executable, "-c", "print('noise from a child')"], check=True)
        if "slow" in words or "endless" in words:
            time.sleep(0.5 if "slow" in words else 60)
        if "boom" in words:
            raise ZeroDivisionError("a secret path")
        return super().choose(prompt, options, draft)


def load(catalog: str | None, llm: str | None, engine: str) -> Agent:
    database = Catalog.open(catalog)
    prefilter = Prefilter.of(database, WordEncoder(), plain_ranker())
    agent = Agent(database, prefilter, NotedEngine(), Fusion(choice_weight=0.1))
    if llm == "seeing":
        agent.identifier = ByteIdentifier(database)  # type: ignore[assignment]
    return agent


if __name__ == "__main__":
    os.environ["PYTHONUNBUFFERED"] = "1"
    Agent.load = load  # type: ignore[method-assign, assignment]
    main(sys.argv[2:])
