"""Do all engines give the same call? Each prompt through several engines, the differences listed.

    python tests/benchmarks/engines_agree.py PROMPTS --engine vllm --engine http://127.0.0.1:8000

PROMPTS: any input of ``diffagent route`` (JSONL, CSV, a DABench file); without it, invented ones. The
transformers engine is the reference. A difference is a near tie where the two models' scores, by the
reference, are within ``--tie`` nats of each other. stdout: one JSON object; exit status 1 where fewer than
98 % agree on the model or one of the rest is no near tie.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from diffagent.agent.agent import Agent
from diffagent.agent.decision import Decision
from diffagent.agent.engines.loading import load_engine
from diffagent.serving.batch.rows import BatchRow, open_source

LEAST = 0.98


def compare(reference: Decision, other: Decision) -> dict[str, Any] | None:
    """How two calls of one prompt differ, None where they are the same."""
    first, second = reference.call.model_dump(), other.call.model_dump()
    differ = {name: [first[name], second[name]] for name in first if first[name] != second[name]}
    if not differ:
        return None
    scores = {candidate.card.air: candidate.score for candidate in reference.candidates}
    gap = scores[reference.call.air] - scores[other.call.air]
    return {"same_model": reference.call.air == other.call.air, "gap_nats": round(gap, 5), "differ": differ}


def agreement(reference: list[Any], other: list[Any], tie: float) -> dict[str, Any]:
    """Shares of prompts with the same model and with the same call, and what differs, by its place."""
    pairs = [
        (place, compare(first, second))
        for place, (first, second) in enumerate(zip(reference, other, strict=True))
        if isinstance(first, Decision) and isinstance(second, Decision)
    ]
    differences = [{"row": place, **how} for place, how in pairs if how]
    models = [how for how in differences if not how["same_model"]]
    return {
        "n": len(pairs),
        "same_model": 1 - len(models) / len(pairs),
        "same_call": 1 - len(differences) / len(pairs),
        "near_ties_only": all(how["gap_nats"] <= tie for how in models),
        "differences": differences,
    }


SUBJECTS = (
    "a fox", "an old fisherman", "a castle by the sea", "a robot made of paper", "a girl reading",
    "a red car", "a bowl of ramen", "a dragon", "a village in winter", "an astronaut", "a cat on a roof",
    "a steam train",
    "a lighthouse", "two dancers", "a forest shrine", "a knight in armour", "a coffee shop", "a wolf",
    "a floating island", "a portrait of a queen",
)  # fmt: skip
STYLES = (
    "pixel art", "oil painting, dramatic light", "watercolor, soft colors", "photo, golden hour, 35mm",
    "anime, detailed eyes, 1girl", "isometric, low poly", "ink drawing, monochrome", "SDXL, concept art",
    "3d render, octane, 1024x768", "line art coloring page, 30 steps",
)  # fmt: skip


def rows_of(source: str | None) -> Iterator[BatchRow]:
    """The sound rows of an input, or 200 invented ones."""
    if source is None:
        return (
            BatchRow(n, {"prompt": f"{subject}, {style}"})
            for n, (subject, style) in enumerate(product(SUBJECTS, STYLES))
        )
    return (row for row in open_source(source) if not row.fault)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", nargs="?")
    parser.add_argument("--engine", action="append", required=True)
    parser.add_argument("--llm")
    parser.add_argument("--catalog")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--tie", type=float, default=0.01)
    args = parser.parse_args()
    rows = islice(rows_of(args.prompts), args.skip, args.skip + args.limit)
    requests = [row.options for row in rows]
    agent = Agent.load(args.catalog, args.llm)
    reference = agent.decide_many(requests)
    shares = {}
    for name in args.engine:
        engine = load_engine(name, args.llm)
        there = Agent(agent.catalog, agent.prefilter, engine, agent.fusion)
        shares[name] = agreement(reference, there.decide_many(requests), args.tie)
    print(json.dumps(shares, ensure_ascii=False))
    good = all(share["same_model"] >= LEAST and share["near_ties_only"] for share in shares.values())
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
