"""Builders of invented model items in the form of Civitai's models listing."""

from __future__ import annotations

import hashlib
from typing import Any

Json = dict[str, Any]


def sha256(name: str) -> str:
    """The invented SHA-256 of an invented file."""
    return hashlib.sha256(name.encode()).hexdigest().upper()


def file(name: str, **changes: Any) -> Json:
    digest = sha256(name)
    hashes = {"AutoV1": digest[-8:], "AutoV2": digest[:10], "SHA256": digest, "BLAKE3": sha256(name + "!")}
    clean = {"pickleScanResult": "Success", "virusScanResult": "Success", "type": "Model"}
    return {"name": name, **clean, "hashes": hashes, **changes}


def image(
    image_id: int, prompt: str = "a lighthouse at dawn", meta: Json | None = None, **changes: Any
) -> Json:
    """An SFW image with generation data."""
    full = {
        "prompt": prompt,
        "Size": "512x768",
        "steps": 20,
        "sampler": "Euler a",
        "cfgScale": 7,
        **(meta or {}),
    }
    return {"id": image_id, "nsfw": "None", "width": 512, "height": 768, "meta": full, **changes}


def version(version_id: int, *images: Json, **changes: Any) -> Json:
    return {
        "id": version_id,
        "name": f"v{version_id}",
        "createdAt": f"2030-01-01T00:00:{version_id % 60:02}.000Z",
        "baseModel": "SD 1.5",
        "trainedWords": [],
        "files": [file(f"file{version_id}.safetensors", primary=True)],
        "images": list(images),
        **changes,
    }


def item(model_id: int, *versions: Json, **changes: Any) -> Json:
    """A checkpoint, unless ``type`` says LORA."""
    return {
        "id": model_id,
        "name": f"Invented {model_id}",
        "type": "Checkpoint",
        "nsfw": False,
        "poi": False,
        "tags": ["landscape"],
        "allowNoCredit": True,
        "allowCommercialUse": "Rent",
        "allowDerivatives": True,
        "allowDifferentLicense": False,
        "stats": {
            "downloadCount": model_id,
            "favoriteCount": 2,
            "commentCount": 1,
            "ratingCount": 3,
            "rating": 4.5,
        },
        "modelVersions": list(versions) or [version(model_id * 10)],
        **changes,
    }
