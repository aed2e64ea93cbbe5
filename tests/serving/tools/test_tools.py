"""What programs may ask of the agent: arguments, answers and errors, whatever carries them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from invented_images import STYLES, picture
from pydantic import TypeAdapter, ValidationError
from stand_ins import ByteIdentifier

from diffagent.agent.agent import Agent
from diffagent.agent.targets import TARGETS, TargetName
from diffagent.data.errors import BadImage, BadInput, UnknownModel
from diffagent.serving.tools.example_images import MAX_BYTES, read_image
from diffagent.serving.tools.identify import identify
from diffagent.serving.tools.route import RouteArguments, route
from diffagent.serving.tools.search import SearchArguments, search
from diffagent.serving.wording import argument_line, wrong_arguments

PNG = b"\x89PNG\r\n\x1a\n invented"


def test_targets_are_those_of_the_agent() -> None:
    assert TypeAdapter(TargetName).json_schema()["enum"] == list(TARGETS)


@pytest.mark.parametrize("arguments", [RouteArguments, SearchArguments])
def test_every_argument_is_described_and_no_other_is_taken(arguments: Any) -> None:
    schema = arguments.model_json_schema()
    assert schema["additionalProperties"] is False
    assert all(len(field["description"]) > 15 for field in schema["properties"].values())


def test_route_gives_the_call_and_what_led_to_it(agent: Agent) -> None:
    answer = route(agent, {"prompt": "pixel art of a fox", "k": 3, "seed": 7})
    assert (answer.call.model, answer.call.seed, answer.request, answer.not_carried) == (
        "Tiny Pixels",
        7,
        None,
        [],
    )
    assert answer.candidates[0].model == "Tiny Pixels"
    assert len(answer.candidates) == 3
    assert set(answer.timings_ms) == {"prefilter", "llm", "total"}


def test_route_gives_the_request_of_a_target(agent: Agent) -> None:
    answer = route(agent, {"prompt": "pixel art of a fox", "target": "openai"})
    assert answer.request is not None
    assert (answer.request["model"], answer.not_carried) == ("Tiny Pixels", ["sampling_method"])


def test_what_a_target_lacks_is_an_error_that_names_the_argument(agent: Agent) -> None:
    with pytest.raises(BadInput) as error:
        route(agent, {"prompt": "pixel art of a fox, using PLMS", "target": "comfyui", "seed": 1})
    assert "the nearest is LMS: pass nearest to use it" in argument_line(error.value)
    answer = route(
        agent, {"prompt": "pixel art of a fox, using PLMS", "target": "comfyui", "seed": 1, "nearest": True}
    )
    assert answer.not_carried == ["sampling_method"]


def test_errors_speak_of_arguments_not_of_options() -> None:
    error = BadInput(
        "nothing is left:\nloosen --base-model, --type or well--known (--installed --target-url URL)"
    )
    line = "nothing is left: loosen base_model, type or well--known (installed target_url URL)"
    assert argument_line(error) == line
    refused = BadInput("PLMS is none; the nearest is LMS", "pass --nearest to use it")
    assert str(refused) == "PLMS is none; the nearest is LMS"
    assert refused.line() == "PLMS is none; the nearest is LMS: pass --nearest to use it"
    assert argument_line(refused, has_options=False) == "PLMS is none; the nearest is LMS"


def test_wrong_arguments_are_named_with_what_was_given() -> None:
    with pytest.raises(ValidationError) as error:
        RouteArguments.model_validate({"type": "VAE", "seed": -1, "colour": "red" * 50})
    line = wrong_arguments(error.value, ["prompt", "seed"])
    assert line == (
        "wrong arguments: prompt: field required; type: input should be 'Checkpoint' or 'LoRA' "
        "(given: 'VAE'); seed: input should be greater than or equal to 0 (given: -1); "
        f"colour: extra inputs are not permitted (given: {repr('red' * 50)[:57]}…); "
        "the arguments are prompt, seed"
    )


def searching(**options: object) -> SearchArguments:
    return SearchArguments.model_validate(options)


def test_search_finds_in_brief(agent: Agent) -> None:
    hits = search(agent.catalog, searching(words="ink fox"))
    (hit,) = hits.models
    assert (hit.model, hit.type, hit.air) == ("Ink Fox Style", "LoRA", "urn:air:sd1:lora:civitai:33@34")
    assert (hit.tags, hit.trigger_words, hit.downloads) == (["ink", "style"], ["inkfox"], 33)
    assert hits.hint is None
    sold = search(agent.catalog, searching(words="pixel art", commercial=True))
    assert [(hit.model, hit.images_may_be_sold) for hit in sold.models] == [("Tiny Pixels", True)]


def test_search_says_what_to_do_where_nothing_is_found(agent: Agent) -> None:
    hits = search(agent.catalog, searching(words="zeppelin"))
    assert hits.models == []
    assert hits.hint == "nothing matches 'zeppelin': try fewer or other words, or no filter"
    with pytest.raises(BadInput, match="SD 9"):
        search(agent.catalog, searching(words="fox", base_model="SD 9"))


def test_without_image_specifications_identify_says_what_to_do_instead(agent: Agent) -> None:
    with pytest.raises(BadInput, match=r"no image specifications .* ask route_prompt or search_models"):
        identify(agent, [PNG], 5)


def test_identify_names_the_likely_models_of_the_catalog(agent: Agent) -> None:
    agent.identifier = ByteIdentifier(agent.catalog)  # type: ignore[assignment]
    first, second = identify(agent, [b"1", b"2", b"345"], 2).models  # 5 bytes, 5 entries
    assert first.model_dump() == {
        "model": "Old Pickle",
        "air": "urn:air:sd1:checkpoint:civitai:55@56",
        "url": "https://civitai.com/models/55?modelVersionId=56",
        "type": "Checkpoint",
        "base_model": "SD 1.5",
        "probability": 0.25,  # a more probable one is not in the catalog
    }
    assert (second.model, second.probability) == ("Grand XL", 0.125)
    assert len(identify(agent, [b"1"], 50).models) == 5


def test_identify_asks_the_image_specifications(seeing: Agent) -> None:
    for model in STYLES:
        buffer = io.BytesIO()
        picture(model, 50).save(buffer, "PNG")
        answer = identify(seeing, [buffer.getvalue()], 1)
        assert [candidate.model for candidate in answer.models] == [model]
        assert answer.models[0].base_model == "Other"
    with pytest.raises(BadImage, match="broken"):
        identify(seeing, [PNG], 1)


def test_an_image_is_a_path_a_file_url_or_a_data_url(tmp_path: Path) -> None:
    path = tmp_path / "an image.png"
    path.write_bytes(PNG)
    encoded = base64.b64encode(PNG).decode()
    sources = [str(path), path.as_uri(), f"data:image/png;base64,{encoded[:8]}\n{encoded[8:]}"]
    assert [read_image(text) for text in sources] == [PNG] * 3
    for head in (b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8 "):
        path.write_bytes(head)
        assert read_image(str(path)) == head


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("https://example.org/a.png", "is a URL, which is not fetched: save it"),
        ("HTTP://example.org/a.png", "is a URL, which is not fetched"),
        ("/nowhere/a.png", "there is no file '/nowhere/a.png'"),
        ("nul\0byte", "give"),
        ("data:image/png,abc", "a data URL without base64"),
        ("data:image/png;base64,abc", "is neither base64"),
        ("data:image/png;base64,aGVsbG8=", "not a file of PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"),
        ("data:image/png;base64," + "A" * (MAX_BYTES // 3 * 4 + 4), "more than 20,971,520 bytes"),
    ],
)
def test_what_is_no_image_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput) as error:
        read_image(text)
    assert says in str(error.value)
    assert len(str(error.value)) < 250


def test_a_folder_a_text_and_a_huge_file_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("secret")
    with (tmp_path / "huge.png").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    for name, says in {
        "": "no file",
        "notes.txt": "not a file of PNG",
        "huge.png": "more than 20,971,520",
    }.items():
        with pytest.raises(BadInput, match=says) as error:
            read_image(str(tmp_path / name))
        assert "secret" not in str(error.value)


def test_a_model_that_is_not_there_offers_near_names(agent: Agent) -> None:
    with pytest.raises(UnknownModel, match="near: Tiny Pixels"):
        route(agent, {"prompt": "a fox", "model": "Tiny Pixel"})
