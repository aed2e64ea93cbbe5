"""The file of specifications: what goes in comes out, appended, replaced, and refused where encoders
differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diffagent.agent.pmi.specification_file import (
    HEADER,
    Encoders,
    Specification,
    SpecificationFile,
    prompt_key,
)
from diffagent.data.errors import BadInput, BadSpecifications

ENCODERS = Encoders("eyes", "ab" * 32, 3, (1, 1), 2, "words", "cd" * 32, 4)


def specification(
    air: str = "urn:air:other:checkpoint:huggingface:a/b", n: int = 2, seed: int = 0
) -> Specification:
    rng = np.random.default_rng(seed)
    shapes = (3,), (2,), (2, 2), (4,)
    content, style, crops, text = (
        rng.normal(size=(n, *shape)).astype(np.float16).astype(np.float32) for shape in shapes
    )
    return Specification(
        air,
        content,
        style,
        crops,
        text,
        np.arange(1, n + 1, dtype=np.uint64) * 2**60,
    )


def same(left: Specification, right: Specification) -> bool:
    for name in ("content", "style", "crops", "text", "prompts"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    return left.air == right.air


@pytest.fixture
def file(tmp_path: Path) -> SpecificationFile:
    file = SpecificationFile.create(tmp_path / "a.pmi", ENCODERS)
    file.append([specification("one", 2), specification("zwei ü", 3, 1)])
    return file


def test_what_goes_in_comes_out(file: SpecificationFile) -> None:
    copy = SpecificationFile.open(file.path)
    assert (len(copy), copy.airs, copy.encoders) == (5, ["one", "zwei ü"], ENCODERS)
    first, second = copy.specifications()
    assert same(first, specification("one", 2))
    assert same(second, specification("zwei ü", 3, 1))
    assert isinstance(copy.records, np.memmap)
    assert file.path.stat().st_size == HEADER + 5 * ENCODERS.record().itemsize


def test_adding_a_model_appends(file: SpecificationFile) -> None:
    before = file.path.read_bytes()[HEADER:]
    file.append([specification("three", 1)])
    after = SpecificationFile.open(file.path)
    assert after.airs == ["one", "zwei ü", "three"]
    assert file.path.read_bytes()[HEADER:].startswith(before)


def test_a_model_that_is_there_is_replaced(file: SpecificationFile) -> None:
    file.append([specification("one", 4, 7)])
    copy = SpecificationFile.open(file.path)
    assert copy.airs == ["zwei ü", "one"]
    assert same(copy.specifications()[1], specification("one", 4, 7))


def test_images_can_be_added_to_a_model(file: SpecificationFile) -> None:
    file.extend([specification("one", 1, 9)])
    assert [len(entry) for entry in SpecificationFile.open(file.path).specifications()] == [3, 3]


def test_an_empty_file_has_no_models(tmp_path: Path) -> None:
    SpecificationFile.create(tmp_path / "b.pmi", ENCODERS)
    copy = SpecificationFile.open(tmp_path / "b.pmi")
    assert (len(copy), copy.airs, copy.specifications(), len(copy.records)) == (0, [], [], 0)


def test_what_a_crash_leaves_behind_is_not_read(file: SpecificationFile) -> None:
    with file.path.open("ab") as stream:
        stream.write(b"half a record")
    copy = SpecificationFile.open(file.path)
    assert len(copy) == 5
    copy.append([specification("three", 1)])
    assert SpecificationFile.open(file.path).airs == ["one", "zwei ü", "three"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"SQLite format 3\0" * 500),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"diffagent pmi 1", b"diffagent pmi 9")),
        lambda path: path.write_bytes(path.read_bytes().replace(b'"content"', b'"contend"')),
    ],
)
def test_a_damaged_file_is_a_clear_error(file: SpecificationFile, damage: Callable[[Path], object]) -> None:
    damage(file.path)
    with pytest.raises(BadSpecifications, match="is not a file of image specifications") as error:
        SpecificationFile.open(file.path)
    assert error.value.hint == "make it again with diffagent pmi build"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadSpecifications, match="does not exist") as error:
        SpecificationFile.open(tmp_path / "none.pmi")
    assert error.value.hint == "build image specifications with diffagent pmi build"


def test_other_encoders_are_an_error(file: SpecificationFile) -> None:
    file.check(ENCODERS)
    with pytest.raises(BadSpecifications, match=r"image encoder eyes \(abab.*but ears \(0000"):
        file.check(replace(ENCODERS, image="ears", image_digest="0" * 64))
    with pytest.raises(BadSpecifications, match="text encoder words"):
        file.check(replace(ENCODERS, text_digest="0" * 64))
    with pytest.raises(BadSpecifications, match="lengths"):
        file.check(replace(ENCODERS, layers=(2,)))


def test_vectors_of_other_lengths_and_long_airs_are_refused(file: SpecificationFile) -> None:
    with pytest.raises(BadInput, match="shapes"):
        file.append([replace(specification(), style=np.zeros((2, 5), np.float32))])
    with pytest.raises(BadInput, match="at most 200"):
        file.append([specification("x" * 201)])
    assert len(SpecificationFile.open(file.path)) == 5


def test_values_beyond_half_precision_are_clipped(file: SpecificationFile) -> None:
    file.append([replace(specification("big", 1), style=np.full((1, 2), 1e9, np.float32))])
    assert np.isfinite(file.specifications()[2].style).all()


def test_prompt_keys() -> None:
    assert prompt_key("A  Fox\n") == prompt_key("a fox") != prompt_key("a fax")
    assert prompt_key("  ") == 0
    assert prompt_key("\ud800") != 0
