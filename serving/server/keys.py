"""API keys: a file with one key a line, held as digests and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from diffagent.data.errors import BadInput

SHORTEST = 16
"""The fewest characters of a key; shorter keys can be guessed."""


@dataclass(frozen=True)
class Keys:
    """The SHA-256 digests of the accepted keys; none: no key is required."""

    digests: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, path: str | Path) -> Keys:
        """The keys of a file, one a line; empty lines and those that begin with ``#`` are skipped.

        Raises:
            BadInput: the file cannot be read or holds no key, or a key is too short or not printable ASCII.
        """
        try:
            lines = Path(path).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"the API keys {path} cannot be read ({error}): give a file, a key a line"
            ) from None
        keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        for number, key in enumerate(keys, 1):
            if len(key) < SHORTEST or not (key.isascii() and key.isprintable()) or " " in key:
                raise BadInput(
                    f"{path}: key {number} is not {SHORTEST} or more ASCII characters without spaces: "
                    'make one with python -c "import secrets; print(secrets.token_urlsafe(32))"'
                )
        if not keys:
            raise BadInput(f"{path} holds no API key: write one a line")
        return cls(tuple(map(_digest, keys)))

    def __bool__(self) -> bool:
        return bool(self.digests)

    def accept(self, authorization: str | None) -> bool:
        """Whether an ``Authorization: Bearer KEY`` header holds one of the keys.

        Every key is compared, and by digests, so that neither time nor length reveals anything.
        """
        scheme, _, key = (authorization or "").partition(" ")
        digest = _digest(key.strip())
        matches = [hmac.compare_digest(digest, accepted) for accepted in self.digests]
        return scheme.casefold() == "bearer" and any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
