"""Addresses: a server's base URL, checked before anything is sent to it."""

from __future__ import annotations

from urllib.parse import urlsplit

from diffagent.data.errors import BadInput


def base_url(url: str, *, name: str, example: str, keys: str) -> str:
    """Returns an address without a trailing slash.

    Args:
        url: the address that somebody gave.
        name: what the address is called in an error.
        example: what is asked for, with an example.
        keys: where a key goes instead.

    Raises:
        BadInput: not http or https, no host, or with a password, query or fragment.
    """
    import httpx

    try:
        parts, _ = urlsplit(url), httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{url!r} is not a web address: give {example}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadInput(f"{name} may hold no user, password, query or fragment: {keys}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
