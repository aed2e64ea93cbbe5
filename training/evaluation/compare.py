"""Fine-tuned and aligned models side by side: selection, hallucination, and what the community says.

In: held-out pairs and, for each system, an agent. Out: for the agent's calls and for the letter that the
language model alone would give, the share of right models, the community's score of the chosen ones
(normalised over all systems that are compared, a prompt at a time; raw figures beside), and the share of
answers that are not callable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffagent.agent.agent import Agent
from diffagent.agent.answering.answer import LABELS, question
from diffagent.agent.asking.request import Request
from diffagent.data.catalog.callability import flaw
from diffagent.data.errors import BadInput, DiffAgentError
from diffagent.data.prompts import strip_lora_tags, strip_trigger_words
from diffagent.training.evaluation import hallucination
from diffagent.training.evaluation.image_table import gain
from diffagent.training.evaluation.selection import Pair, same_model
from diffagent.training.rewards.community import Community, combined

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
NOT_OPTIMISED = (
    "recall",
    "hallucination",
    "raw relevance, to the half of the sample prompts that is never rewarded",
)
"""Of a table; rating and downloads are the reward's own."""
DECIDERS = ("agent", "llm")
"""Who chooses: the agent with its fused scores, or the language model's letter alone."""


@dataclass(frozen=True)
class Chosen:
    """What one system made of one pair: the AIR that each of DECIDERS chose, whether it is the pair's
    model, and what the community says of it; ``flawed``: the agent's call is not callable."""

    air: Mapping[str, str]
    hit: Mapping[str, bool]
    measured: Mapping[str, Mapping[str, float]]
    flawed: bool


@dataclass(frozen=True)
class Answers:
    """A system's choices, pair by pair, and the share of free answers that are not callable."""

    chosen: Sequence[Chosen]
    unconstrained: float | None


def parse_system(text: str) -> tuple[str, str, Path | None]:
    """``NAME=LLM[,FUSION.json]`` → its parts.

    Raises:
        BadInput: there is no name or no model.
    """
    name, _, rest = text.partition("=")
    llm, _, fusion = rest.partition(",")
    if not name or not llm:
        raise BadInput(f"system {text!r} is not NAME=LLM or NAME=LLM,FUSION.json, such as sft=tuned")
    return name, llm, Path(fusion) if fusion else None


def answers(
    agent: Agent, pairs: Sequence[Pair], community: Community, free: int, progress: Progress
) -> Answers:
    """A system's choices on held-out pairs; the first ``free`` prompts are answered without a grammar too.

    Pairs whose prompt no agent would route (nothing but LoRA tags) are left out.
    """
    pairs = [pair for pair in pairs if _routable(pair.prompt)]
    chosen = [_choose(agent, pair, community) for pair in progress(pairs, "calls")]
    loose = None
    if free:
        texts = [pair.prompt for pair in pairs[:free]]
        loose = hallucination.free_flaws(agent, texts, progress)
    return Answers(chosen, loose)


def _routable(prompt: str) -> bool:
    try:
        Request.from_prompt(prompt)
    except DiffAgentError:
        return False
    return True


def _choose(agent: Agent, pair: Pair, community: Community) -> Chosen:
    true = agent.catalog.by_air(pair.air)
    prompt = strip_lora_tags(pair.prompt)
    if true is not None:
        prompt = strip_trigger_words(prompt, true.all_words) or prompt
    decision = agent.decide(Request.from_prompt(prompt, negative_prompt=pair.negative_prompt))
    requirement = agent.prefilter.require(prompt, pair.negative_prompt)
    offered = agent.prefilter.rank(requirement, 16, agent.eligible.loadable)
    letters = agent.engine.choose(question(offered, prompt), list(LABELS[: len(offered)]))
    chosen = {"agent": decision.candidates[0].card, "llm": offered[int(np.argmax(letters))].card}
    measured = community.measure(pair.prompt, [card.air for card in chosen.values()])
    return Chosen(
        {name: card.air for name, card in chosen.items()},
        {name: same_model(card, true) for name, card in chosen.items()},
        {
            name: {part: float(values[i]) for part, values in measured.items()}
            for i, name in enumerate(chosen)
        },
        flaw(decision.call.model_dump(), agent.catalog) is not None,
    )


def table(systems: Mapping[str, Answers], seed: int = 0) -> dict[str, Any]:
    """System → its row; scores in percent. ``gain``: the last system less the first, with a 95 % bootstrap
    interval over pairs. ``not_optimised``: what of the measures the community's reward never reads."""
    names = list(systems)
    scores = {who: _scores([systems[name].chosen for name in names], who) for who in DECIDERS}
    rows: dict[str, Any] = {"not_optimised": list(NOT_OPTIMISED)}
    for i, name in enumerate(names):
        chosen = systems[name].chosen
        rows[name] = {
            "n": len(chosen),
            "hallucination": float(np.mean([one.flawed for one in chosen])),
            "unconstrained": systems[name].unconstrained,
        } | {who: _row(chosen, scores[who][i], who) for who in DECIDERS}
    if len(names) > 1:
        first, last = systems[names[0]].chosen, systems[names[-1]].chosen
        rows["gain"] = {
            who: {
                "community": gain(scores[who][-1] - scores[who][0], seed),
                "recall": gain(_hits(last, who) - _hits(first, who), seed),
            }
            for who in DECIDERS
        }
    return rows


def _scores(systems: Sequence[Sequence[Chosen]], who: str) -> Any:
    """The community's score [systems, pairs], normalised over the systems a pair at a time."""
    found = []
    for compared in zip(*systems, strict=True):
        parts = compared[0].measured[who]
        found.append(combined({p: np.array([one.measured[who][p] for one in compared]) for p in parts}))
    return np.array(found).T


def _row(chosen: Sequence[Chosen], scores: Any, who: str) -> dict[str, Any]:
    parts = chosen[0].measured[who]
    return {
        "recall": round(100 * float(_hits(chosen, who).mean()), 2),
        "community": round(100 * float(scores.mean()), 2),
        "raw": {
            part: round(float(np.mean([one.measured[who][part] for one in chosen])), 4) for part in parts
        },
        "models": len({one.air[who] for one in chosen}),
    }


def _hits(chosen: Sequence[Chosen], who: str) -> Any:
    return np.array([float(one.hit[who]) for one in chosen])
