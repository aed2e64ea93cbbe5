from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffagent.agent.pmi.reduction import Halves

pytest.importorskip("faiss", reason="needs pip install 'diffagent[match]'")

from diffagent.agent.pmi.exact import unit
from diffagent.agent.pmi.reduction import kernel
from diffagent.agent.pmi.store import FILES, Store, require_faiss
from diffagent.data.errors import BadCatalog, BadInput, MissingExtra

PROMPTS = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)


def invented(models: int, seed: int = 1) -> Halves:
    return unit(np.random.default_rng(seed).standard_normal((models, 5, 12), np.float32)).astype(np.float16)


@pytest.fixture(scope="module")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    features = invented(40)
    Store.build(folder, [features[:25], features[25:]], PROMPTS, 0.03, 2)
    return folder


@pytest.fixture
def folder(store_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(store_folder, tmp_path / "store")


def test_what_is_stored_comes_back(folder: Path) -> None:
    features, store = invented(40), Store.open(folder, gamma=0.03)
    assert len(store) == 40
    assert (store.features == features).all()
    assert (store.prompts == PROMPTS).all()
    grams = kernel(features.astype(np.float32), 0.03)
    assert store.gram == pytest.approx(grams[:, *np.tril_indices(5, -1)], abs=1e-6)
    rows = store.reduction.reduce(features.astype(np.float32), grams).astype(np.float32)
    assert store.index.reconstruct_n(0, 40) == pytest.approx(rows, abs=1e-3)


def test_bounds_hold_for_all_models(folder: Path) -> None:
    store, features = Store.open(folder), invented(40).astype(np.float32)
    assert store.reduction.radius == pytest.approx(
        np.linalg.norm(features - features[:25].mean(0), axis=2).max(), abs=1e-5
    )
    assert 0 < store.reduction.norm_gap < 1e-3


def test_another_gamma_is_refused(folder: Path) -> None:
    with pytest.raises(BadCatalog, match=r"gamma 0\.03, not 0\.02: build it again"):
        Store.open(folder, gamma=0.02)


@pytest.mark.parametrize("name", [*FILES, "store.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadCatalog, match=name):
        Store.open(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-100])
    with pytest.raises(BadCatalog, match=rf"{name} has .* bytes instead of"):
        Store.open(folder)


@pytest.mark.parametrize("name", ["index.faiss", "reduction.npz"])
def test_a_flipped_bit_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BadCatalog, match=rf"{name} is damaged"):
        Store.open(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}'])
def test_a_damaged_manifest_is_an_error(folder: Path, text: str) -> None:
    (folder / "store.json").write_text(text, "utf-8")
    with pytest.raises(BadCatalog, match=r"store\.json is damaged"):
        Store.open(folder)


def test_another_format_is_refused(folder: Path) -> None:
    facts = json.loads((folder / "store.json").read_text("utf-8"))
    (folder / "store.json").write_text(json.dumps({**facts, "format": 99}), "utf-8")
    with pytest.raises(BadCatalog, match="format 99, not 1"):
        Store.open(folder)


def test_a_build_that_stops_halfway_is_no_store(folder: Path) -> None:
    def blocks() -> Iterator[Halves]:
        yield invented(25)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store.build(folder, blocks(), PROMPTS)
    with pytest.raises(BadCatalog, match=r"store\.json is missing"):
        Store.open(folder)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_features_that_are_not_of_unit_length_are_refused(tmp_path: Path, value: float) -> None:
    features = invented(8)
    features[3, 2] *= value
    with pytest.raises(BadInput, match="model 11 does not have length 1"):
        Store.build(tmp_path, [invented(8), features], PROMPTS)


def test_no_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no models were given"):
        Store.build(tmp_path, [], PROMPTS)


def test_without_faiss_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "faiss":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'diffagent\[match\]'"):
        require_faiss()
