"""Fuzzed requests against the server, from its own OpenAPI document and from raw bytes.

    PYTHONPATH=tests python tests/fuzzing.py 10000

serves the invented catalog with a tiny real Llama and prints how often each status was answered.
"""

from __future__ import annotations

import collections
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from image_servers import FakeA1111, serving
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from server_runs import served
from stand_ins import ENTRIES, ByteIdentifier, WordEncoder, plain_ranker
from tiny_llama import write_tiny_llama

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.serving.server.app import create_app
from diffagent.serving.server.config import ServerConfig

Statuses = collections.Counter[tuple[str, int]]
POSTS = ("/v1/route", "/v1/emit", "/v1/identify", "/v1/chat/completions", "/v1/images/generations")
KINDS = (
    "application/json",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=b",
    "text/plain",
    "",
)
KNOWN: dict[str, Any] = {
    "model": "Tiny Pixels",
    "type": "Checkpoint",
    "base_model": "SD 1.5",
    "air": "urn:air:sd1:checkpoint:civitai:11@12",
    "base_checkpoint": None,
    "loras": [],
    "sampling_method": "Euler a",
}
"""What no fuzzer guesses: a model of the catalog, a sampler."""


@contextmanager
def fuzzed_server(folder: Path) -> Iterator[str]:
    """The URL of a server with all of its parts: a tiny Llama, an identifier, an image server behind it."""
    write_tiny_llama(folder)
    engine = TransformersEngine.load(str(folder), device="cpu", dtype="float32")
    with Catalog.create(folder / "invented.sqlite") as database:
        add_entries(database, ENTRIES, WordEncoder())
    studio = FakeA1111()
    studio.checkpoints = (("11.safetensors", "a1" * 32), ("22.safetensors", "b2" * 32))
    with Catalog.open(folder / "invented.sqlite") as catalog, serving(studio) as target:
        prefilter = Prefilter.of(catalog, WordEncoder(), plain_ranker())
        agent = Agent(catalog, prefilter, engine, Fusion(choice_weight=1.0, parameter_weight=1.0))
        agent.identifier = ByteIdentifier(catalog)  # type: ignore[assignment]
        config = ServerConfig(target="a1111", target_url=target, nearest=True)
        with served(create_app(agent, config)) as url:
            yield url


def fuzz(url: str, cases: int) -> Statuses:
    """About that many requests; fails on an answer of 500 or more, or an error in another shape."""
    counts: Statuses = collections.Counter()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = []
    for outcome in schema.get_all_operations():
        assert isinstance(outcome, Ok), outcome
        operations.append(outcome.ok())
    each = max(1, cases * 4 // 5 // (2 * len(POSTS) + 1))
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                weight = each if operation.path in POSTS else each // 10 + 1
                _from_schema(operation, mode, weight, counts)
        raw = cases - sum(counts.values())
        _from_bytes(client, max(1, raw), counts)
    return counts


def _from_schema(operation: Any, mode: GenerationMode, cases: int, counts: Statuses) -> None:
    @seed(1)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            _deepen(operation.path, case.body)
        answer = case.call()
        _check(operation.path, answer.status_code, answer.content, counts, case.body)

    try:
        ask()
    except Unsatisfiable:  # nothing of this operation can be wrong
        if mode is not GenerationMode.NEGATIVE:
            raise


def _deepen(path: str, body: Any) -> None:
    """Makes a body that fits the schema one that can be answered, so that what lies behind is met too."""
    if path == "/v1/emit":
        body["call"] |= KNOWN
    elif path == "/v1/chat/completions":
        body["messages"] = [*body["messages"][:3], {"role": "user", "content": "a fox"}]
        body.pop("tool_choice", None)


def _from_bytes(client: httpx.Client, cases: int, counts: Statuses) -> None:
    """Bodies that are no JSON, or JSON of any shape, under any content type."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.characters(codec=None), max_size=20)
    )
    names = st.sampled_from(
        ["prompt", "messages", "role", "content", "images", "call", "k", "seed", "model", "n"]
    )
    values = st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=5), inner, max_size=4)
        ),
    )

    @seed(2)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(POSTS),
        st.sampled_from(KINDS),
        st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()),
    )
    def ask(path: str, kind: str, body: bytes) -> None:
        answer = client.post(path, content=body, headers={"Content-Type": kind})
        _check(path, answer.status_code, answer.content, counts, body)

    ask()


def _check(path: str, status: int, content: bytes, counts: Statuses, request: object) -> None:
    counts[path, status] += 1
    assert 200 <= status < 500, f"{path} answered {status} to {request!r:.2000}: {content!r:.500}"
    if status >= 400 and content.startswith(b"{"):
        error = json.loads(content)["error"]
        assert sorted(error) == ["message", "type"], error


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DIFFAGENT_HOME"] = folder
        with fuzzed_server(Path(folder)) as url:
            counts = fuzz(url, cases)
    for (path, status), number in sorted(counts.items()):
        print(f"{number:7,} {status} {path}")
    print(f"{sum(counts.values()):7,} requests, none answered 500 or more")


if __name__ == "__main__":
    main()
