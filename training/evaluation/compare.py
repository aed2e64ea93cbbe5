"""Fine-tuned and aligned models side by side: selection, hallucination, and the community's score.

In: held-out pairs and, for each system, an agent. Out: for the agent's calls and for the letter of the
language model alone, the share of correct models, the community's score of the chosen ones (normalised over
all compared systems, a prompt at a time, with raw figures), and the share of answers that are not callable.
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
from diffagent.training.corpora.held_out_pairs import HeldOutPair
from diffagent.training.evaluation import hallucination
from diffagent.training.evaluation.image_table import gain
from diffagent.training.evaluation.selection import same_model
from diffagent.training.rewards.community import Community, combine

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
NOT_OPTIMISED = (
    "recall",
    "hallucination",
    "raw relevance, to the half of the sample prompts that is never rewarded",
)
"""The measures of a table that the reward does not contain; it contains rating and downloads."""
DECIDERS = ("agent", "llm")
"""The deciders: the agent with its fused scores, or the language model's letter alone."""


@dataclass(frozen=True)
class PairChoice:
    """A system's choice for a pair: the AIR that each of DECIDERS chose, whether it is the pair's model, and
    the community's measures of it; ``flawed``: the agent's call is not callable."""

    air: Mapping[str, str]
    hit: Mapping[str, bool]
    measured: Mapping[str, Mapping[str, float]]
    flawed: bool


@dataclass(frozen=True)
class Answers:
    """A system's choices, pair by pair, and the share of unconstrained answers that are not callable."""

    chosen: Sequence[PairChoice]
    unconstrained: float | None


def parse_system(text: str) -> tuple[str, str, Path | None]:
    """``NAME=LLM[,FUSION.json]`` → its parts.

    Raises:
        BadInput: the name or the model is missing.
    """
    name, _, rest = text.partition("=")
    llm, _, fusion = rest.partition(",")
    if not name or not llm:
        raise BadInput(f"system {text!r} is not NAME=LLM or NAME=LLM,FUSION.json, such as sft=tuned")
    return name, llm, Path(fusion) if fusion else None


def answers(
    agent: Agent, pairs: Sequence[HeldOutPair], community: Community, free: int, progress: Progress
) -> Answers:
    """A system's choices on held-out pairs; the first ``free`` prompts are also answered without a grammar.

    Pairs whose prompt an agent refuses (nothing but LoRA tags) are left out.
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


def _choose(agent: Agent, pair: HeldOutPair, community: Community) -> PairChoice:
    true = agent.catalog.by_air(pair.air)
    prompt = strip_lora_tags(pair.prompt)
    if true is not None:
        prompt = strip_trigger_words(prompt, true.all_words) or prompt
    decision = agent.decide(Request.from_prompt(prompt, negative_prompt=pair.negative_prompt))
    requirement = agent.prefilter.require(prompt, pair.negative_prompt)
    candidates = agent.prefilter.rank(requirement, 16, agent.eligible.loadable)
    letters = agent.engine.choose(question(candidates, prompt), list(LABELS[: len(candidates)]))
    chosen = {"agent": decision.candidates[0].card, "llm": candidates[int(np.argmax(letters))].card}
    measures = community.measure(pair.prompt, [card.air for card in chosen.values()])
    return PairChoice(
        {name: card.air for name, card in chosen.items()},
        {name: same_model(card, true) for name, card in chosen.items()},
        {
            name: {part: float(values[i]) for part, values in measures.items()}
            for i, name in enumerate(chosen)
        },
        flaw(decision.call.model_dump(), agent.catalog) is not None,
    )


def table(systems: Mapping[str, Answers], seed: int = 0) -> dict[str, Any]:
    """System → its row; scores in percent. ``gain``: the last system less the first, with a 95 % bootstrap
    interval over pairs. ``not_optimised``: the measures that the community's reward does not contain."""
    names = list(systems)
    scores = {who: _scores([systems[name].chosen for name in names], who) for who in DECIDERS}
    rows: dict[str, Any] = {"not_optimised": list(NOT_OPTIMISED)}
    for i, name in enumerate(names):
        chosen = systems[name].chosen
        rows[name] = {
            "n": len(chosen),
            "hallucination": float(np.mean([choice.flawed for choice in chosen])),
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


def _scores(systems: Sequence[Sequence[PairChoice]], who: str) -> Any:
    """The community's scores [systems, pairs], normalised over the systems a pair at a time."""
    scores = []
    for pair_choices in zip(*systems, strict=True):
        parts = pair_choices[0].measured[who]
        scores.append(
            combine({p: np.array([choice.measured[who][p] for choice in pair_choices]) for p in parts})
        )
    return np.array(scores).T


def _row(chosen: Sequence[PairChoice], scores: Any, who: str) -> dict[str, Any]:
    parts = chosen[0].measured[who]
    return {
        "recall": round(100 * float(_hits(chosen, who).mean()), 2),
        "community": round(100 * float(scores.mean()), 2),
        "raw": {
            part: round(float(np.mean([choice.measured[who][part] for choice in chosen])), 4)
            for part in parts
        },
        "models": len({choice.air[who] for choice in chosen}),
    }


def _hits(chosen: Sequence[PairChoice], who: str) -> Any:
    return np.array([float(choice.hit[who]) for choice in chosen])
