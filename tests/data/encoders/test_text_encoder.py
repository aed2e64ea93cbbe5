from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffagent.data.encoders.text_encoder import TextEncoder
from diffagent.data.errors import MissingWeights
from diffagent.data.weights.weights import DEFAULT_TEXT_ENCODER, resolve

TEXTS = [
    "A cute happy corgi, pixel art",
    "masterpiece, best quality, 1girl, solo, " * 60,
    "",
    "日本 😀 \u202e (x:1.2) <lora:y:1>",
    "a dog",
]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load()


def test_equals_bert_with_mean_pooling(encoder: TextEncoder) -> None:
    import torch
    from transformers import AutoTokenizer
    from transformers.models.bert.modeling_bert import BertModel

    folder = resolve(DEFAULT_TEXT_ENCODER).path
    tokens = AutoTokenizer.from_pretrained(folder)(
        TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.inference_mode():
        states = BertModel.from_pretrained(folder)(**tokens).last_hidden_state
    weights = tokens["attention_mask"][:, :, None]
    expected = torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=1)
    assert np.abs(encoder.encode(TEXTS) - expected.numpy()).max() < 1e-5


def test_rows_are_unit_vectors_in_order_whatever_the_batch(encoder: TextEncoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.size) == (5, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    for row, text in zip(vectors, TEXTS, strict=True):
        assert np.abs(encoder.encode([text])[0] - row).max() < 1e-5
    assert np.abs(encoder.encode(TEXTS, batch_tokens=2) - vectors).max() < 1e-5


def test_meaning_is_near(encoder: TextEncoder) -> None:
    dog, puppy, car = encoder.encode(["a small dog", "a cute puppy", "the engine of a car"])
    assert dog @ puppy > dog @ car + 0.3


def test_no_text_and_no_unicode(encoder: TextEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)
    assert np.isfinite(encoder.encode(["\ud800", "\x00\x07", "x" * 100_000])).all()


def test_other_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "tokenizer.json").write_text(
        (resolve(DEFAULT_TEXT_ENCODER).path / "tokenizer.json").read_text()
    )
    with pytest.raises(MissingWeights, match=r"type 't5' .* takes a BERT"):
        TextEncoder.load(str(tmp_path))


def test_encoding_imports_no_transformers() -> None:
    script = (
        "import sys; from diffagent.data.encoders.text_encoder import TextEncoder;"
        "assert 'torch' not in sys.modules;"
        "TextEncoder.load().encode(['x']); assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
