"""AIRs: every form of Civitai's grammar and of ours, read and printed without loss."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from diffagent.data.air import AIR, ModelAir, is_air
from diffagent.data.errors import BadInput

SHA256 = "0123456789abcdef" * 4

FORMS = [
    ("urn:air:sd1:checkpoint:civitai:4384@128713", AIR("sd1", "checkpoint", "civitai", "4384", "128713")),
    ("urn:air:sdxl:checkpoint:civitai:101055", AIR("sdxl", "checkpoint", "civitai", "101055")),
    ("urn:air:sdxl:lycoris:civitai:1@2", AIR("sdxl", "lycoris", "civitai", "1", "2")),
    ("urn:air:sdxl:dora:civitai:1@2", AIR("sdxl", "dora", "civitai", "1", "2")),
    ("urn:air:illustrious:lora:civitai:1@2", AIR("illustrious", "lora", "civitai", "1", "2")),
    (
        "urn:air:flux1:diffusionmodel:civitai:618692@691639+1234.safetensors",
        AIR("flux1", "diffusionmodel", "civitai", "618692", "691639", "1234", "safetensors"),
    ),
    (
        "urn:air:zimageturbo:unet:civitai:1@2.gguf",
        AIR("zimageturbo", "unet", "civitai", "1", "2", None, "gguf"),
    ),
    ("urn:air:sd3_5m:text_encoders:civitai:1+9", AIR("sd3_5m", "text_encoders", "civitai", "1", None, "9")),
    ("urn:air:hidream-o1:checkpoint:civitai-r2:1@2", AIR("hidream-o1", "checkpoint", "civitai-r2", "1", "2")),
    (
        "urn:air:flux1:vae:huggingface:black-forest-labs/FLUX.1-dev@main/ae.safetensors",
        AIR(
            "flux1", "vae", "huggingface", "black-forest-labs/FLUX.1-dev", "main", "ae.safetensors"
        ),
    ),
    (
        "urn:air:sd1:lora:huggingface:me/inks+v2/inks.safetensors",
        AIR("sd1", "lora", "huggingface", "me/inks", None, "v2/inks.safetensors"),
    ),
    ("urn:air:sd1:lora:huggingface:me/inks", AIR("sd1", "lora", "huggingface", "me/inks")),
    (
        "urn:air:sd1:lora:huggingface:me/inks-v1.5@refs/pr/7/sub/a b".replace(" ", "_"),
        AIR("sd1", "lora", "huggingface", "me/inks-v1.5", "refs/pr/7", "sub/a_b"),
    ),
    (
        "urn:air:sdxl:checkpoint:horde:AlbedoBase XL (SDXL) 3.1+x@y",
        AIR("sdxl", "checkpoint", "horde", "AlbedoBase XL (SDXL) 3.1+x@y"),
    ),
    (f"urn:air:sd1:lora:local:{SHA256}", AIR("sd1", "lora", "local", SHA256)),
    (
        f"urn:air:sd1:lora:local:{SHA256}.safetensors",
        AIR("sd1", "lora", "local", SHA256, None, None, "safetensors"),
    ),
    (
        "urn:air:other:other:comfyregistry:some-nodes@1.2.3",
        AIR("other", "other", "comfyregistry", "some-nodes", "1.2.3"),
    ),
    (
        "urn:air:other:checkpoint:orchestrator:blob-7@v1+2.ckpt",
        AIR("other", "checkpoint", "orchestrator", "blob-7", "v1", "2", "ckpt"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "air"), FORMS, ids=[text for text, _ in FORMS])
def test_every_form_is_read_and_printed(text: str, air: AIR) -> None:
    assert AIR.parse(text) == air
    assert str(air) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "urn:air:", "a fox", "civitai:1@2", "urn:air:sd1:checkpoint:civitai:",
        "urn:air:sd1:checkpoint:civitai:x@2", "urn:air:sd1:checkpoint:civitai:1@",
        "urn:air::checkpoint:civitai:1", "urn:air:sd1:checkpoint:civitai:1@2 ",
        "urn:air:sd1:checkpoint:civitai:1@2\n", "urn:air:sd1:checkpoint:civitai:\uff11@2",
        "x urn:air:sd1:checkpoint:civitai:1@2", "urn:air:sd1:checkpoint:civitai:" + "9" * 19,
        "urn:air:sd1:checkpoint:huggingface:org", "urn:air:sd1:checkpoint:huggingface:org/re:po",
        "urn:air:sd1:checkpoint:huggingface:org/repo/file", "urn:air:sd1:checkpoint:horde: x",
        "urn:air:sd1:checkpoint:horde:x\ny", "urn:air:sd1:lora:local:0123",
        f"urn:air:sd1:lora:local:{SHA256}@1",
    ],
)  # fmt: skip
def test_what_is_no_air_is_an_error_that_shows_the_form(text: str) -> None:
    with pytest.raises(BadInput, match=r"not an AIR: .*it is urn:air:ECOSYSTEM:TYPE:SOURCE") as error:
        AIR.parse(text)
    assert len(str(error.value).splitlines()) == 1
    assert AIR.read(text) is None


def test_case_matters_only_where_a_source_says_so() -> None:
    assert str(AIR.parse("URN:AIR:SDXL:Lora:Civitai:1@2.SafeTensors")) == (
        "urn:air:sdxl:lora:civitai:1@2.safetensors"
    )
    assert AIR.parse(f"urn:air:sd1:lora:local:{SHA256.upper()}").id == SHA256
    assert AIR.parse("urn:air:sd1:lora:huggingface:Me/Inks").id == "Me/Inks"
    assert is_air(" URN:AIR:x")
    assert not is_air("a fox of urn:air:x")


def test_parts_that_would_be_read_otherwise_are_refused() -> None:
    for parts in (
        ("civitai", "1 2"),
        ("horde", "x "),
        ("huggingface", "repo"),
        ("x", "a", None, None, "PDF"),
    ):
        with pytest.raises(BadInput, match="do not make an AIR"):
            AIR("sd1", "checkpoint", *parts)


def test_the_model_of_a_file() -> None:
    air = AIR.parse("urn:air:flux1:diffusionmodel:civitai:6@7+8.safetensors")
    assert str(air.model) == "urn:air:flux1:diffusionmodel:civitai:6@7"
    assert (air.model_type, air.civitai_ids, air.key) == ("Checkpoint", (6, 7), "6@7")
    bare = AIR.parse("urn:air:sd1:vae:civitai:6")
    assert bare.model is bare
    assert (bare.model_type, bare.civitai_ids, bare.key) == (None, None, "6")


def test_a_field_takes_the_airs_that_a_call_can_name() -> None:
    field = TypeAdapter(ModelAir)
    assert field.validate_python("urn:air:sd1:LORA:civitai:1@2") == "urn:air:sd1:lora:civitai:1@2"
    for text, reason in [
        ("urn:air:sd1:vae:civitai:1@2", "names a vae"),
        ("urn:air:sd1:lora:civitai:1", "has no version"),
        ("urn:air:sd1:lora:x y", "not an AIR"),
    ]:
        with pytest.raises(ValidationError, match=reason):
            field.validate_python(text)


WORDS = st.text(string.ascii_lowercase + string.digits + "_-", min_size=1, max_size=12)
NUMBERS = st.integers(0, 10**18 - 1).map(str)
NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=16)
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
FORMATS = st.none() | st.sampled_from(["safetensors", "ckpt", "gguf", "diffusers"])


@st.composite
def airs(draw: st.DrawFn) -> AIR:
    source = draw(st.sampled_from(["civitai", "huggingface", "horde", "local", "comfyregistry"]))
    head = draw(WORDS), draw(WORDS), source
    if source == "civitai":
        return AIR(*head, draw(NUMBERS), draw(st.none() | NUMBERS), draw(st.none() | NUMBERS), draw(FORMATS))
    if source == "huggingface":
        version = draw(st.none() | NAMES | NAMES.map(lambda name: f"refs/pr/{name}"))
        paths = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
        file = draw(st.none() | paths) if version != "refs" else None
        return AIR(*head, f"{draw(NAMES)}/{draw(NAMES)}", version, file)
    if source == "horde":
        words = st.text(st.characters(blacklist_characters="\r\n"), min_size=1, max_size=20)
        return AIR(*head, draw(words.map(str.strip).filter(bool)))
    if source == "local":
        return AIR(*head, draw(HASHES), None, None, draw(FORMATS))
    return AIR(*head, draw(WORDS), draw(st.none() | WORDS), draw(st.none() | WORDS), draw(FORMATS))


@given(air=airs())
def test_printing_and_reading_are_inverse(air: AIR) -> None:
    assert AIR.parse(str(air)) == air


@given(text=st.text(max_size=60) | st.text(max_size=40).map(lambda tail: f"urn:air:sd1:lora:{tail}"))
def test_any_text_is_an_air_or_an_error(text: str) -> None:
    air = AIR.read(text)
    if air is None:
        with pytest.raises(BadInput):
            AIR.parse(text)
    else:
        assert AIR.parse(str(air)) == air


@pytest.mark.parametrize(
    ("air", "url"),
    [
        ("urn:air:sd1:lora:civitai:12@34", "https://civitai.com/models/12?modelVersionId=34"),
        ("urn:air:sd1:lora:civitai:12", "https://civitai.com/models/12"),
        ("urn:air:other:checkpoint:huggingface:org/repo", "https://huggingface.co/org/repo"),
        ("urn:air:sd1:checkpoint:horde:Deliberate 3.0", None),
    ],
)
def test_a_models_page(air: str, url: str | None) -> None:
    assert AIR.parse(air).url == url
