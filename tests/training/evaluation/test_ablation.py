"""Ablations: shares and paired differences by hand, and the systems on an invented catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from graded_requests import ABSENT, OIL, PIXELS, XL, request
from stand_ins import RuleEngine, plain_suitability, quiet

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.data.errors import BadInput
from diffagent.serving.commands import training as cli
from diffagent.training.corpora.plain_requests import PlainRequest
from diffagent.training.evaluation.ablation import exchange_letters, other_requests, summarise, systems, text
from diffagent.training.fitting.asking_weights import CandidateScores

MakeAgent = Callable[..., Agent]
HARBOUR, LAKE = (
    request(prompt, {air: 3 if air == good else 0 for air in (PIXELS, OIL, XL)})
    for prompt, good in (("a harbour", OIL), ("a calm lake", XL))
)
UNKNOWN = request("a fox", {ABSENT: 3})


def reads(medium_of: dict[str, str], letter: str = "A") -> RuleEngine:
    """An engine that reads a medium by the last word of a prompt, and likes one letter."""

    class Reader(RuleEngine):
        def write(self, prompt: Any, grammar: Any, draft: str = "") -> str:
            medium = medium_of[prompt.user.split()[-1]]
            self.like = lambda slot, option: 9.0 if option == medium else 0.0
            return super().write(prompt, grammar, draft)

    return Reader(lambda label: 9.0 if label == letter else 0.0)


RIGHT = {"harbour": "oil painting", "lake": "photo"}


def test_shares_and_paired_differences_by_hand() -> None:
    rows = [
        CandidateScores((2.0, 1.0), (-3.0, -1.0), (0, 3)),  # the letters make it good
        CandidateScores((2.0, 1.0), (-3.0, -1.0), (2, 3)),  # and so here
        CandidateScores((2.0, 1.0), (-1.0, -3.0), (3, 0)),  # good either way
        CandidateScores((2.0, 1.0), (-3.0, -1.0), (3, 1)),  # the letters spoil it
    ]
    summary = summarise({"agent": (rows, 1.0), "no choice": (rows, 0.0)})
    assert summary["n"] == 4
    assert summary["systems"]["agent"] == {"good": 0.75, "acceptable": 0.75, "wrong": 0.0}
    alone = summary["systems"]["no choice"]
    assert (alone["good"], alone["acceptable"], alone["wrong"]) == (0.5, 0.75, 0.25)
    assert alone["difference"] == -0.25  # two lost, one won
    low, high = alone["ci95"]
    assert -1 <= low < -0.25 < high <= 0.75
    lines = text(summary).split("\n")
    assert lines[0] == "4 requests"
    assert lines[2].split() == ["agent", "75.0", "75.0", "0.0"]
    assert lines[3].split()[:6] == ["no", "choice", "50.0", "75.0", "25.0", "-25.0"]


def test_a_difference_that_is_the_same_everywhere_has_no_width() -> None:
    good, bad = [CandidateScores((1.0,), (0.0,), (3,))] * 9, [CandidateScores((1.0,), (0.0,), (1,))] * 9
    untuned = summarise({"agent": (bad, 0.0), "untuned": (good, 0.0)})["systems"]["untuned"]
    assert (untuned["difference"], untuned["ci95"]) == (1.0, [1.0, 1.0])


def test_each_request_lends_its_word_to_one_other() -> None:
    for n in (2, 3, 50):
        others = other_requests(n, seed=1)
        assert sorted(others) == list(range(n))
        assert all(other != place for place, other in enumerate(others))
    assert other_requests(50, 1) != other_requests(50, 2)


def test_letters_are_cut_or_repeated_to_as_many_as_are_shown() -> None:
    two, three = (
        CandidateScores((2, 1), (-1, -2), (3, 0)),
        CandidateScores((3, 2, 1), (-4, -5, -6), (3, 0, 0)),
    )
    first, second = exchange_letters([two, three], [three, two])
    assert (first.prior, first.letters, first.grades) == ((2, 1), (-4, -5), (3, 0))
    assert second.letters == (-1, -2, -1)


def test_systems_on_the_invented_catalog(make_reader: MakeAgent) -> None:
    agent = make_reader(reads(RIGHT), Fusion(reading_weight=1.0, choice_weight=0.5))
    misled = reads({"harbour": "pixel art", "lake": "photo"})
    measures = systems(
        agent, [HARBOUR, UNKNOWN, LAKE], quiet, without=plain_suitability(kin=1.0), untuned=misled
    )
    assert list(measures) == ["agent", "no choice", "without", "shuffled", "untuned"]
    assert [weight for _, weight in measures.values()] == [0.5, 0.0, 0.0, 0.5, 0.5]
    summary = summarise(measures)
    assert summary["n"] == 2  # of the third nothing is in the catalog
    good = {name: row["good"] for name, row in summary["systems"].items()}
    # rules read photos; the other's reading is wrong for both
    assert good == {"agent": 1.0, "no choice": 1.0, "without": 0.5, "shuffled": 0.0, "untuned": 0.5}
    assert agent.suitability.linear.max() == 4.0  # the agent is as it was


def test_a_choice_may_win_one_request_and_lose_another(make_reader: MakeAgent) -> None:
    engine = reads({"harbour": "photo", "lake": "photo"}, letter="C")  # the photo's checkpoint is A
    measures = systems(
        make_reader(engine, Fusion(reading_weight=1.0, choice_weight=9.0)), [HARBOUR, LAKE], quiet
    )
    assert [[row.first(weight) for row in rows] for rows, weight in measures.values()] == [
        [3, 0],
        [0, 3],
        [3, 0],
    ]
    summary = summarise(measures)["systems"]
    assert list(summary) == ["agent", "no choice", "shuffled"]
    assert (summary["no choice"]["difference"], summary["no choice"]["ci95"]) == (0.0, [-1.0, 1.0])


def test_too_few_requests_are_refused(make_reader: MakeAgent) -> None:
    with pytest.raises(BadInput, match="of 2 requests 1 have a candidate in this catalog"):
        systems(make_reader(), [HARBOUR, UNKNOWN], quiet)


def test_the_command_prints_one_object(
    make_reader: MakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_reader(reads(RIGHT), Fusion(reading_weight=1.0))
    monkeypatch.setattr(Agent, "load", lambda **options: agent)
    monkeypatch.setattr(cli, "_untuned", lambda *arguments: RuleEngine())
    path, without = tmp_path / "requests.jsonl", tmp_path / "without.npz"
    plain_suitability().save(without)
    path.write_text("".join(line(plain_request) for plain_request in (HARBOUR, LAKE)))
    arguments = ["ablation", "--requests", str(path), "--split", "train", "--without", str(without)]
    outcome = CliRunner().invoke(cli.evaluate, [*arguments, "--json"], catch_exceptions=False)
    summary = json.loads(outcome.stdout)
    assert (summary["n"], summary["weights"]) == (2, {"read": 1.0, "asked": 0.0})
    assert list(summary["systems"]) == ["agent", "no choice", "without", "shuffled", "untuned"]
    assert summary["systems"]["without"]["difference"] == -0.5
    output = CliRunner().invoke(cli.evaluate, arguments, catch_exceptions=False).stdout
    assert "100.0" in output.split("\n")[2]


def line(plain_request: PlainRequest) -> str:
    graded = [{"air": candidate.air, "grade": candidate.grade} for candidate in plain_request.candidates]
    fields = {
        "id": plain_request.id,
        "prompt": plain_request.prompt,
        "kind": plain_request.kind,
        "slots": plain_request.slots,
    }
    return json.dumps({**fields, "special": plain_request.special, "candidates": graded}) + "\n"
