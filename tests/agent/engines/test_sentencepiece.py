"""A tokenizer of SentencePiece, such as LLaMA-2's, puts a space before a text: no answer begins with one."""

from __future__ import annotations

import json

import httpx
import pytest

pytest.importorskip("sentencepiece", reason="needs pip install 'diffagent[test]'")
from tiny_llama import SPELLINGS, write_tiny_sentencepiece

from diffagent.agent.engines import Prompt
from diffagent.agent.engines.decode import Vocabulary, spell
from diffagent.agent.engines.endpoint import EndpointEngine
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.engines.remote import Remote
from diffagent.agent.engines.transformers_engine import TransformersEngine

LABELS = tuple("ABCDEFGH")
PROMPT = Prompt("Pick.", "a fox")
GRAMMAR = Grammar(
    ("B", ' {"model":"', Slot("model", ("Pixel Art", "Pixel", "Tiny 日本"), (-0.7, -0.9, -3.0)), '"}'), 1e-9
)


@pytest.fixture(scope="module", params=SPELLINGS)
def llama(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = tmp_path_factory.mktemp("sentencepiece")
    write_tiny_sentencepiece(folder, request.param)
    return TransformersEngine.load(str(folder), dtype="float32")


def test_the_letter_that_is_trained_is_the_letter_that_is_read(llama: TransformersEngine) -> None:
    import torch

    vocabulary = Vocabulary(llama.chat)
    trained = [spell(Grammar((f"{label} Tiny",)), vocabulary, f"{label} Tiny")[0] for label in LABELS]
    names = [llama.chat.tokenizer.id_to_token(token) for token in trained]
    assert names == list(LABELS)
    assert vocabulary.label_ids(LABELS) == trained
    logits = llama.plain.model(torch.tensor([llama.chat.prompt_ids(PROMPT)])).logits[0, -1]
    expected = torch.log_softmax(logits[trained], 0)
    assert llama.choose(PROMPT, LABELS) == pytest.approx(expected.tolist(), abs=1e-3)


def test_a_server_is_asked_for_the_same_letters(llama: TransformersEngine) -> None:
    batches: list[list[int]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "llama"}]})
        batches.append(json.loads(request.content)["logprob_token_ids"])
        logprobs = {f"token_id:{token}": -1.0 for token in batches[-1]}
        return httpx.Response(200, json={"choices": [{"index": 0, "logprobs": {"top_logprobs": [logprobs]}}]})

    remote = Remote("https://llm.invalid", transport=httpx.MockTransport(answer))
    EndpointEngine(remote, llama.chat, llama.digest).choose(PROMPT, LABELS)
    assert [[llama.chat.tokenizer.id_to_token(token) for token in ids] for ids in batches] == [list(LABELS)]


def test_a_draft_that_holds_costs_no_pass_after_choose(
    llama: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = llama.write(PROMPT, GRAMMAR)
    assert expected == 'B {"model":"Pixel Art"}'
    llama.choose(Prompt("Pick.", "something else"), LABELS, "A")
    llama.choose(PROMPT, LABELS, expected)
    passes = []
    extend = llama._decoder.extend

    def counted(ids: list[int], keep: int) -> object:
        passes.append(len(ids))
        return extend(ids, keep)

    monkeypatch.setattr(llama._decoder, "extend", counted)
    assert llama.write(PROMPT, GRAMMAR, expected) == expected
    assert passes == []


def test_a_prompt_begins_with_the_space_that_the_model_was_trained_with(llama: TransformersEngine) -> None:
    names = [llama.chat.tokenizer.id_to_token(token) for token in llama.chat.encode("a fox")]
    assert (names[0] or "").startswith("▁")
