"""A cache of text embeddings, since most commands on a crawl encode its sample prompts.

    texts → the cache's vectors, by SHA-256 → the missing ones from the encoder, into the cache

The cache is one SQLite file per encoder, with digests and vectors but no text. It grows batch by batch, so an
interrupted run can go on, and several processes may use it at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import numpy as np

from diffagent.data.weights.weights import home

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 512
"""Texts per write: the most that an interrupted run loses."""
WAIT = 60.0
"""Seconds to wait for another process's write."""
_TABLE = "CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"


class StorableEncoder(Protocol):
    """An encoder whose vectors are stored under its digest."""

    @property
    def digest(self) -> str: ...

    @property
    def size(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class VectorCache:
    """A caching :class:`~diffagent.data.encoders.text_encoder.Encoder` in front of another one."""

    def __init__(self, encoder: StorableEncoder) -> None:
        self._encoder = encoder
        self._path = home() / "vectors" / f"{encoder.digest[:16]}.sqlite"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds ``texts`` → float32 ``[len(texts), size]``, like the encoder."""
        keys = [sha256(text.encode("utf-8", "replace")).digest() for text in texts]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=WAIT)
        try:
            connection.execute(_TABLE)
            vectors_by_key = _load_vectors(connection, list(set(keys)))
            new = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors_by_key}
            for part in _parts(sorted(new, key=lambda key: len(new[key]))):
                vectors = self._encoder.encode([new[key] for key in part])
                vectors_by_key |= dict(zip(part, vectors, strict=True))
                rows = ((key, vectors_by_key[key].tobytes()) for key in part)
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        finally:
            connection.close()
        embeddings = np.empty((len(keys), self._encoder.size), np.float32)
        for row, key in enumerate(keys):
            embeddings[row] = vectors_by_key[key]
        return embeddings


def _load_vectors(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
    vectors: dict[bytes, NDArray[np.float32]] = {}
    for part in _parts(keys):
        places = ",".join("?" * len(part))
        rows = connection.execute(f"SELECT text, vector FROM vectors WHERE text IN ({places})", part)
        vectors |= {key: np.frombuffer(vector, np.float32) for key, vector in rows}
    return vectors


def _parts(keys: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE)]
