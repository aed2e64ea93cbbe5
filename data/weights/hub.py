"""The Hugging Face hub: a repository name in, a local snapshot folder out.

A look-up times out after 3 s, so that a machine without a hub waits no longer; with a silent name server the
hub's own client would wait much longer.
"""

from __future__ import annotations

import queue
import sys
import threading
from pathlib import Path
from typing import Any

TIMEOUT_S = 3.0


class HubError(Exception):
    """The hub lacks the repository, or does not answer; the message is the reason."""


def cached_snapshot(repo: str) -> Path | None:
    """The newest snapshot of ``repo`` in the hub's own cache, without asking the hub."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(repo, local_files_only=True))
    except Exception:  # nothing cached, or no name of a repository
        return None


def fetch(repo: str) -> Path:
    """Downloads configuration, tokenizer and tensors of ``repo``. Raises :class:`HubError`."""
    import huggingface_hub

    info = _look_up(repo)
    files = [file.rfilename for file in info.siblings or []]
    tensors = "*.safetensors" if any(file.endswith(".safetensors") for file in files) else "*.bin"
    megabytes = (
        sum(file.size or 0 for file in info.siblings or [] if Path(file.rfilename).match(tensors)) // 10**6
    )
    print(f"diffagent: fetching {repo} ({megabytes} MB) from the Hugging Face hub", file=sys.stderr)
    patterns = ["*.json", "*.jinja", "tokenizer*", tensors]
    try:
        path = huggingface_hub.snapshot_download(repo, allow_patterns=patterns, etag_timeout=TIMEOUT_S)
    except Exception as error:  # the hub's client raises its own kinds, its HTTP library's and OSError
        raise HubError(_reason(repo, error)) from None
    return Path(path)


def _look_up(repo: str) -> Any:
    from huggingface_hub import HfApi

    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(HfApi().model_info(repo, timeout=TIMEOUT_S, files_metadata=True))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=TIMEOUT_S)
    except queue.Empty:
        raise HubError(f"the Hugging Face hub ({repo}): no answer within {TIMEOUT_S:g} s") from None
    if isinstance(answer, Exception):
        raise HubError(_reason(repo, answer)) from None
    return answer


def _reason(repo: str, error: Exception) -> str:
    message = " ".join(str(error).split())[:160]
    return f"the Hugging Face hub ({repo}): {type(error).__name__}: {message}"
