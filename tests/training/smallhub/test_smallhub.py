"""The small hub's parts on invented pictures: styles, models that an executor opens, scorers, pairs."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="needs pip install 'diffagent[images]'")
import torch
from PIL import Image
from stand_ins import WordEncoder, quiet

from diffagent.agent.executors import silent
from diffagent.agent.targets.diffusers import LocalDiffusers
from diffagent.agent.targets.emitting import emit
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput
from diffagent.training.evaluation.image_table import default_call
from diffagent.training.smallhub import hub
from diffagent.training.smallhub.models import BASE, Schedule, caption, models, train_all
from diffagent.training.smallhub.pictures import STYLES, Pictures, apply_style, shared_subjects
from diffagent.training.smallhub.pipeline import condition, reader
from diffagent.training.smallhub.scorers import CHANNELS, KINDS, PLACES, SmallScorer, build, fit, spoil
from diffagent.training.smallhub.story import STAGES, Story, tell

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
SUBJECTS = ("fox", "castle", "lamp", "boat")
TINY = Schedule(base=4, style=3, early=1, batch=4, every=2, channels=(8, 16))


class Wide(WordEncoder):
    """Word directions in MiniLM's width."""

    def encode(self, texts: Any) -> np.ndarray:
        return np.tile(super().encode(texts), (1, 6))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Four squares of a colour and place of their own, in four hands of a tint of their own."""
    plain = np.full((4, 4, 128, 128, 3), 255, np.uint8)
    for hand in range(4):
        for subject in range(4):
            at = 16 + 16 * subject
            plain[hand, subject, at : at + 48, at : at + 48] = (60 * subject, 200 - 40 * hand, 90)
    pixels = [
        [[apply_style(picture, style) for picture in hand] for style in ("plain", *STYLES)] for hand in plain
    ]
    return Pictures(SUBJECTS, np.array(pixels))


def test_styles_differ_and_files_bring_the_pictures_back(pictures: Pictures, tmp_path: Path) -> None:
    assert pictures.pixels.shape == (4, 5, 4, 3, 32, 32)
    first = pictures.pixels[0, :, 0].astype(int)
    gaps = [np.abs(first[i] - first[j]).mean() for i in range(5) for j in range(i)]
    assert min(gaps) > 2
    assert first[4].mean() < 100 < first[2].mean()  # night is dark, drawings are on white
    pictures.save(tmp_path / "p.npz")
    copy = Pictures.read(tmp_path / "p.npz")
    assert copy.subjects == SUBJECTS
    assert (copy.pixels == pictures.pixels).all()


def test_drawn_edges_are_the_subjects_and_not_the_papers() -> None:
    square = np.full((128, 128, 3), 255, np.uint8)
    square[32:96, 32:96] = 0
    for style in ("line drawing", "neon night"):
        drawing = apply_style(square, style).astype(int)
        paper = drawing[:, 0, 0]
        frame = np.concatenate([drawing[:, 0], drawing[:, -1], drawing[:, :, 0], drawing[:, :, -1]], axis=1)
        assert (frame == paper[:, None]).all()
        assert np.abs(drawing[:, 6:10, 16] - paper[:, None]).max() > 100  # the square's upper side
        assert (drawing[:, 16, 16] == paper).all()


def test_subjects_are_those_that_all_sets_draw() -> None:
    sets: dict[str, dict[str, Any]] = {
        "one": {"icons": {"fox": {}, "lamp": {}}, "aliases": {"boat": {"parent": "lamp"}}},
        "two": {"icons": {"fox": {}, "boat": {}, "flag": {}}},
    }
    assert shared_subjects(sets, ["flag", "boat", "fox"]) == ["boat", "fox"]


def test_icons_are_rendered_on_white(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="needs pip install 'diffagent[story]'")
    from diffagent.training.smallhub.pictures import draw

    red = {"body": '<path fill="#f00" d="M0 0h8v16H0z"/>'}
    icons = {
        "icons": {"red-door": red},
        "aliases": {"gate": {"parent": "red-door"}},
        "width": 16,
        "height": 16,
    }
    path = tmp_path / "set.tgz"
    with tarfile.open(path, "w:gz") as archive:
        files = {"icons": icons, "metadata": {"categories": {"Objects": ["gate", "red-door"]}}}
        for name, icon in files.items():
            data = json.dumps(icon).encode()
            member = tarfile.TarInfo(f"package/{name}.json")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    drawings = draw({"one": path, "two": path})
    assert drawings.subjects == ("gate", "red door")
    assert drawings.pixels[1, 0, 1, :, 16, 8].tolist() == [255, 0, 0]
    assert drawings.pixels[1, 0, 1, :, 16, 24].tolist() == [255, 255, 255]


def test_a_prompts_parts_are_its_condition() -> None:
    vectors = condition(["a fox, pixel art", ""], Wide())
    assert vectors.shape == (2, 4, 384)
    assert (vectors[0].abs().sum(-1) > 0).tolist() == [True, True, False, False]
    assert not vectors[1].any()
    np.testing.assert_allclose(vectors[0, 1], Wide().encode(["pixel art"])[0], rtol=1e-6)


@pytest.mark.wide
def test_models_are_trained_once_go_on_and_open_in_the_executor(pictures: Pictures, tmp_path: Path) -> None:
    labels: list[str] = []

    def noted(items: Iterable[Any], label: str) -> Iterable[Any]:
        for item in items:
            labels.append(label)
            yield item
            if label == "base" and item == 3:
                raise KeyboardInterrupt

    encoder = Wide()
    with pytest.raises(KeyboardInterrupt):
        train_all(
            pictures, [0, 1], encoder, TINY, tmp_path / "m", lambda items, label: noted(items, label[7:])
        )
    labels.clear()
    folders = train_all(pictures, [0, 1], encoder, TINY, tmp_path / "m", noted)
    assert labels.count("model, base") == 2  # it went on behind step 2
    assert len(folders) == 9
    labels.clear()
    train_all(pictures, [0, 1], encoder, TINY, tmp_path / "m", noted)
    assert labels == []
    poor, good = (model.name for model in models() if model.style == "pixel art")
    steps = [json.loads((folders[name] / "training.json").read_text())["steps"] for name in (poor, good)]
    assert steps == [1, 3]

    catalog = hub.write(SUBJECTS, hub.Sizes(16, 8, 8), encoder, tmp_path / "dabench")
    with Catalog.open(catalog) as database:
        card = hub.cards()[good]
        from diffagent.agent.agent import Agent
        from diffagent.agent.choosing.fusion import Fusion
        from diffagent.agent.choosing.prefilter import Prefilter

        agent = Agent(database, Prefilter.of(database, encoder), None, Fusion())  # type: ignore[arg-type]
        call = default_call(agent, card, "a fox, pixel art").model_copy(
            update={"seed": 3, "sampling_steps": 2}
        )
        maker = LocalDiffusers(files={card.air: folders[good]}, reader=reader(encoder))
        request = emit(call, "diffusers", database, nearest=True).request
        images = [asyncio.run(maker.image(request, silent)).data for _ in range(2)]
    assert images[0] == images[1]  # the seed decides
    assert Image.open(io.BytesIO(images[0])).size == (64, 64)


def test_a_folder_that_is_no_pipeline_is_said(tmp_path: Path) -> None:
    from diffagent.data.errors import JobFailed

    maker = LocalDiffusers(files={"urn:air:sd1:checkpoint:civitai:1@1": tmp_path})
    with pytest.raises(JobFailed, match="holds no pipeline of diffusers"):
        maker._pipeline(
            {
                "checkpoint": {"air": "urn:air:sd1:checkpoint:civitai:1@1", "file": "a.safetensors"},
                "pipeline": "x",
            },
            silent,
        )


@pytest.mark.wide
@pytest.mark.parametrize("kind", KINDS)
def test_scorers_learn_to_tell_words_and_whole_pictures(kind: str) -> None:
    """Features in which place n lights up for subject n; spoilt copies are noise."""
    torch.manual_seed(0)
    words = condition([caption(s, "pixel art", 0) for s in SUBJECTS], Wide())
    whole = torch.zeros(4, PLACES, CHANNELS)
    for n in range(4):
        whole[n, :, 300 * n : 300 * n + 40] = 1.0 + torch.rand(PLACES, 40)
    data = (whole.repeat(24, 1, 1), torch.randn(96, PLACES, CHANNELS), words.repeat(24, 1, 1)[None])
    net = build(kind, 0)
    fit(net, kind, data, 0, 40, quiet)
    view = {"order": [0, 1, 2, 3]}
    scorer = SmallScorer(kind, net.eval(), lambda pixels: whole[view["order"]], Wide())
    blank = [Image.new("RGB", (32, 32))] * 4
    right = 0
    for n, subject in enumerate(SUBJECTS):
        scores = scorer.score(caption(subject, "pixel art", 0), blank)
        right += int(np.argmax(scores)) == n
    assert right >= 3


def test_spoilt_copies_differ(pictures: Pictures) -> None:
    rng = np.random.default_rng(0)
    picture = pictures.pixels[0, 0, 0]
    gaps = [
        np.abs(spoil(picture, pictures.pixels[0, 0], rng).astype(int) - picture).mean() for _ in range(20)
    ]
    assert min(gaps) > 1


def test_pairs_use_both_models_of_a_style_by_turns_and_keep_parts_apart() -> None:
    subjects = [f"thing {n}" for n in range(40)]
    rows = hub.pairs(subjects, hub.Sizes(200, 40, 40))
    assert [len(rows[part]) for part in hub.PARTS] == [200, 40, 40]
    prompts = {part: {row["instruction"]["prompt"] for row in rows[part]} for part in rows}
    assert not prompts["train"] & prompts["test"]
    styles = {model.name: model.style for model in models()}
    counts = Counter(row["api"]["model"] for row in rows["train"])
    for style in STYLES:
        count, other_count = (counts[name] for name, of in styles.items() if of == style)
        assert abs(count - other_count) <= 1 <= min(count, other_count)
    assert all(styles[row["api"]["model"]] in row["instruction"]["prompt"] for row in rows["test"])
    assert BASE not in {row["api"]["model"] for row in rows["train"]}


def test_stages_are_named_and_bad_scales_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="scale is 0"):
        Story(tmp_path, "x", 0)
    with pytest.raises(BadInput, match="the stages are 1-pictures, "):
        tell(Story(tmp_path, "x"), "8-end", quiet, print)
    for stage in STAGES[:2]:
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "done.json").write_text('{"n": 1}')
    assert tell(Story(tmp_path, "x"), STAGES[1], quiet, print) == {stage: {"n": 1} for stage in STAGES[:2]}
    for stage in STAGES[2:4]:
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "done.json").write_text('{"n": 1, "seed": 2}')
    assert tell(Story(tmp_path, "x", seed=2), STAGES[3], quiet, print)[STAGES[3]] == {"n": 1, "seed": 2}
    with pytest.raises(BadInput, match="has the seed 2, not 0: give another OUT"):
        tell(Story(tmp_path, "x"), STAGES[3], quiet, print)


def test_each_seed_draws_other_pairs_of_the_same_parts() -> None:
    from diffagent.training.smallhub.hub import Sizes, pairs

    subjects = [f"thing {n}" for n in range(40)]
    draws = [pairs(subjects, Sizes(), seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert [len(draws[0][part]) for part in draws[0]] == [len(draws[2][part]) for part in draws[2]]
