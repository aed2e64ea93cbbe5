"""The story of SFTA on the small hub, stage by stage; each stage is a folder, and finished once its
``done.json`` exists.

    1-pictures   200 subjects, four hands, five styles       5-sft      trained to its validation minimum
    2-models     a base and eight models                     6-rrhf     candidates, images, scores, alignment
    3-scorers    three that reward, three that report        7-tables   Tables 1 and 2, sheets, blind page
    4-dabench    pairs and the catalog

    diffagent train story OUT                                about two hours on two cores; again: resumes

A finished stage is not run again; an interrupted one is resumed from its last checkpoint.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.errors import BadInput
from diffagent.training.evaluation.image_table import default_call, five_calls, free_caller, measure, table
from diffagent.training.evaluation.sheets import blind_page, sheets
from diffagent.training.rewards.unified import ImageMetrics
from diffagent.training.rrhf.config import RRHFConfig
from diffagent.training.rrhf.queries import default_card, read_queries
from diffagent.training.sft.answer_trainer import read_log
from diffagent.training.sft.dialogues import Mix
from diffagent.training.sft.recipe import AdapterConfig, SftRecipe
from diffagent.training.sft.tuned_model import TunedModel
from diffagent.training.smallhub import hub
from diffagent.training.smallhub.models import BASE, Schedule, model_folders, models, train_all
from diffagent.training.smallhub.packed import unpack
from diffagent.training.smallhub.pictures import Pictures, draw, fetch
from diffagent.training.smallhub.pipeline import reader
from diffagent.training.smallhub.scorers import SmallScorer, train_scorers

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.training.rewards.studio import Studio

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
Say = Callable[[str], None]
STAGES = ("1-pictures", "2-models", "3-scorers", "4-dabench", "5-sft", "6-rrhf", "7-tables")
MODEL_HANDS = (0,)
"""The hand that the models learn: from several hands with equal captions they would learn the mean."""
REWARD_HANDS, REPORT_HANDS = (0, 1), (2, 3)
IMAGES = 3


@dataclass(frozen=True)
class Story:
    """The settings of a story: its folder, its language model, and ``scale``, which multiplies steps and
    counts; ``hub`` is a packed hub with models and scorers that are used instead of new ones
    (:mod:`diffagent.training.smallhub.packed`); ``seed`` is that of the pairs and both training stages."""

    out: Path
    llm: str
    scale: float = 1.0
    hub: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 10:
            raise BadInput(f"scale is {self.scale}: give a number above 0, such as 1 or 0.01")

    def times(self, count: int, least: int = 1) -> int:
        return max(least, round(self.scale * count))

    def folder(self, stage: str) -> Path:
        return self.out / stage

    @cached_property
    def encoder(self) -> TextEncoder:
        return TextEncoder.load()

    @cached_property
    def pictures(self) -> Pictures:
        return Pictures.read(self.folder("1-pictures") / "pictures.npz")

    @property
    def catalog(self) -> Path:
        return self.folder("4-dabench") / "catalog.sqlite"

    def schedule(self) -> Schedule:
        whole = Schedule()
        base, style = self.times(whole.base, 2), self.times(whole.style, 4)
        return replace(whole, base=base, style=style, early=min(style - 1, self.times(whole.early)))

    def unpack(self) -> None:
        """Unpacks models and scorers from the packed hub."""
        if self.hub is not None:
            unpack(self.hub, self.models, self.folder("3-scorers"))

    @property
    def models(self) -> dict[str, Path]:
        """Model name → its folder."""
        return model_folders(self.folder("2-models"))

    def scorers(self, side: str, progress: Progress) -> list[SmallScorer]:
        """The scorers that reward, or those that report."""
        hands, seed = (REWARD_HANDS, 10) if side == "reward" else (REPORT_HANDS, 20)
        folder = self.folder("3-scorers") / side
        steps = self.times(1200, 5)
        return train_scorers(self.pictures, hands, self.encoder, folder, seed, progress, steps)

    def studio(self, agent: Agent) -> Studio:
        """A studio with the executor of local diffusers on the models' folders."""
        from diffagent.agent.targets.diffusers import LocalDiffusers
        from diffagent.training.rewards.studio import Studio

        cards = hub.cards()
        folders = {cards[name].air: folder for name, folder in self.models.items()}
        maker = LocalDiffusers(files=folders, reader=reader(self.encoder))
        return Studio(self.out / "images", agent.catalog, maker=maker, size=(hub.SIDE, hub.SIDE))

    def agent(self, llm: str) -> Agent:
        from diffagent.agent.agent import Agent

        return Agent.of(self.catalog, TunedModel.find(llm).engine())


def tell(story: Story, until: str | None, progress: Progress, say: Say) -> dict[str, Any]:
    """Runs every unfinished stage; returns stage → the contents of its ``done.json``.

    Raises:
        BadInput: there is no stage ``until``, or the folder has another seed.
    """
    if until is not None and until not in STAGES:
        raise BadInput(f"there is no stage {until!r}: the stages are {', '.join(STAGES)}")
    reports = {}
    for stage in STAGES:
        drawn = stage in STAGES[3:]  # pictures, models and scorers are the same for all seeds
        mark = story.folder(stage) / "done.json"
        if not mark.is_file():
            say(f"== {stage}")
            began = time.monotonic()
            mark.parent.mkdir(parents=True, exist_ok=True)
            report = _RUN[stage](story, progress, say)
            report["seed"] = story.seed
            report["seconds"] = round(time.monotonic() - began, 1)
            mark.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        reports[stage] = json.loads(mark.read_text("utf-8"))
        if drawn and reports[stage]["seed"] != story.seed:
            raise BadInput(
                f"{story.out} has the seed {reports[stage]['seed']}, not {story.seed}: give another OUT"
            )
        if stage == until:
            break
    return reports


def _pictures(story: Story, progress: Progress, say: Say) -> dict[str, Any]:
    folder = story.folder("1-pictures")
    pictures = draw(fetch(folder / "packages"), story.times(200, 8))
    pictures.save(folder / "pictures.npz")
    return {"subjects": len(pictures.subjects), "pictures": int(pictures.pixels[..., 0, 0, 0].size)}


def _models(story: Story, progress: Progress, say: Say) -> dict[str, Any]:
    story.unpack()
    folders = train_all(
        story.pictures, list(MODEL_HANDS), story.encoder, story.schedule(), story.folder("2-models"), progress
    )
    return {name: json.loads((folder / "training.json").read_text()) for name, folder in folders.items()}


def _scorers(story: Story, progress: Progress, say: Say) -> dict[str, Any]:
    """Trains both sets and tests each on the other's hands: how often a picture beats another subject's."""
    import numpy as np
    from PIL import Image

    from diffagent.training.smallhub.models import caption

    accuracies: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    pictures = story.pictures
    for side, hands in (("reward", REPORT_HANDS), ("report", REWARD_HANDS)):
        for scorer in story.scorers(side, progress):
            wins = []
            for _ in range(story.times(100, 5)):
                hand, style = int(rng.choice(hands)), int(rng.integers(1, 5))
                true_subject, other_subject = rng.permutation(len(pictures.subjects))[:2]
                pair = [
                    Image.fromarray(pictures.pixels[hand, style, i].transpose(1, 2, 0))
                    for i in (true_subject, other_subject)
                ]
                right_score, other_score = scorer.score(
                    caption(pictures.subjects[true_subject], pictures.styles[style], 0), pair
                )
                wins.append(right_score > other_score)
            accuracies[f"{side} {scorer.name}"] = {"right_of_two": float(np.mean(wins))}
    return accuracies


def _dabench(story: Story, progress: Progress, say: Say) -> dict[str, Any]:
    whole = hub.Sizes()
    sizes = hub.Sizes(*(story.times(getattr(whole, part), 16) for part in hub.PARTS))
    folder = story.folder("4-dabench")
    hub.write(story.pictures.subjects, sizes, story.encoder, folder, story.seed)
    return {part: len((folder / f"{part}.jsonl").read_text().splitlines()) for part in hub.PARTS}


def _sft(story: Story, progress: Progress, say: Say) -> dict[str, Any]:
    """Fine-tunes, and again up to the step of the least held-out loss, if it precedes the end."""
    from diffagent.training.sft.limits import Limits
    from diffagent.training.sft.sft import train

    folder = story.folder("5-sft")
    recipe = SftRecipe(
        "story", story.llm, Mix(memory=1), lora=AdapterConfig(16, 32), epochs=1, batch=8, learning_rate=4e-4,
        held_out=min(64, story.times(64, 8)), eval_steps=story.times(25, 2), save_steps=story.times(50, 2),
        seed=story.seed,
    )  # fmt: skip

    def run(limits: Limits | None) -> dict[str, Any]:
        resume = (folder / "log.jsonl").is_file() and bool(
            list(folder.glob("checkpoint-*/trainer_state.json"))
        )
        return train(
            recipe, story.folder("4-dabench"), folder, resume=resume and limits is None, limits=limits,
            catalog=story.catalog, progress=progress, say=say,
        )  # fmt: skip

    report = run(None)
    losses = [(row["eval_loss"], row["step"]) for row in read_log(folder / "log.jsonl") if "eval_loss" in row]
    if losses and min(losses)[1] < report["steps"]:
        say(f"the held-out loss was least at step {min(losses)[1]}: training up to there")
        report = run(Limits(steps=int(min(losses)[1])))
    return {"steps": report["steps"], "eval_losses": losses}


def _rrhf(story: Story, progress: Progress, say: Say) -> dict[str, Any]:
    from diffagent.training.rrhf.align import align
    from diffagent.training.rrhf.collecting import AlignmentTask

    folder, dabench = story.folder("6-rrhf"), story.folder("4-dabench")
    sft = str(story.folder("5-sft"))
    agent = story.agent(sft)
    config = RRHFConfig(
        "story", form="memory", responses=5, diversity=2.0, parameters="drawn", images=IMAGES, epochs=2,
        batch=2, learning_rate=1e-4, held_out=min(20, story.times(20, 2)), eval_steps=story.times(25, 2),
        save_steps=story.times(25, 2), seed=story.seed,
    )  # fmt: skip
    default = default_card(agent, BASE)
    queries = read_queries(dabench / "align.jsonl", agent, "memory", config.k, default, story.seed)
    studio = story.studio(agent)
    reward = ImageMetrics(studio, story.scorers("reward", progress), range(IMAGES))
    task = AlignmentTask(config, TunedModel.find(sft), queries, default, reward, dabench)
    resume = bool(list(folder.glob("checkpoint-*/trainer_state.json")))
    report = align(task, agent, folder, resume=resume, progress=progress, say=say)
    return {"responses": report["responses"], "steps": report["steps"], "images_generated": studio.generated}


def _tables(story: Story, progress: Progress, say: Say) -> dict[str, Any]:
    from diffagent.training.evaluation.hallucination import read_prompts

    folder = story.folder("7-tables")
    texts = read_prompts(story.folder("4-dabench") / "test.jsonl", None, 0)
    calls_by_stage = []
    for stage in ("5-sft", "6-rrhf"):
        agent = story.agent(str(story.folder(stage)))
        default = default_card(agent, BASE)
        ask = free_caller(agent, "memory", default)
        calls_by_stage.append([ask(text) for text in progress(texts, f"calls of {stage}")])
    call_sets = [
        five_calls(text, default_call(agent, default, text), sft, rrhf)
        for text, sft, rrhf in zip(texts, *calls_by_stage, strict=True)
    ]
    studio = story.studio(agent)
    metrics = ImageMetrics(studio, story.scorers("report", progress), range(100, 100 + IMAGES))
    results = table(call_sets, measure(call_sets, metrics, progress))
    sheets(call_sets, studio, metrics.seeds, folder)
    blind_page(call_sets, studio, folder / "blind.html", seeds=metrics.seeds)
    shares = good_shares(call_sets)
    (folder / "tables.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return {"table": results, "good_model": shares, "images_generated": studio.generated}


def good_shares(call_sets: Any) -> dict[str, float]:
    """The share of prompts for which a system names the better model of the requested style."""
    models_by_name = {hub_model.name: hub_model for hub_model in models()}
    shares = {}
    for name in ("SFT", "RRHF"):
        chosen = [(row.prompt, models_by_name[row.calls[name].model]) for row in call_sets]
        shares[name] = sum(model.good and model.style in prompt for prompt, model in chosen) / len(chosen)
    return shares


_RUN: dict[str, Callable[[Story, Progress, Say], dict[str, Any]]] = dict(
    zip(STAGES, (_pictures, _models, _scorers, _dabench, _sft, _rrhf, _tables), strict=True)
)
