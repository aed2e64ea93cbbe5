"""Headers, sidecars, previews and what trainers wrote: files as the programs write them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_files import header, parts, write_gguf
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import save_file

from diffagent.data.library.headers import BadHeader, read_header
from diffagent.data.library.previews import read_text
from diffagent.data.library.sidecars import SidecarNotes, beside, of_modelspec, read_notes
from diffagent.data.library.training import of_training

VERSION = {
    "id": 7002,
    "modelId": 700,
    "name": "v2",
    "baseModel": "Pony",
    "trainedWords": ["inkfox, <lora:ink:1>", "night ink"],
    "description": "<p>Use at <b>0.7</b>.</p>",
    "model": {"name": "Ink Fox", "type": "LORA", "nsfw": False},
    "files": [{"name": "ink.safetensors", "hashes": {"SHA256": "AB" * 32, "AutoV3": "CD" * 6}}],
    "images": [
        {
            "url": "x",
            "nsfw": "None",
            "width": 512,
            "height": 768,
            "meta": {"prompt": "inkfox in snow", "sampler": "Euler a", "steps": 20},
        }
    ],
}


def test_a_header_is_read_without_the_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": np.zeros((3, 4), np.float32), "y": np.zeros((), np.int64)}, path, {"ss_tag": "1"})
    contents = read_header(path)
    assert contents.shapes == {"x": (3, 4), "y": ()}
    assert contents.metadata == {"ss_tag": "1"}
    assert contents.types == {"F32": 1, "I64": 1}
    data = path.read_bytes()
    start = data[: 8 + int.from_bytes(data[:8], "little")]
    assert contents.digest == hashlib.sha256(start + len(data).to_bytes(8, "little")).hexdigest()


def test_gguf_shapes_are_in_pytorchs_order(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    write_gguf(
        path, {"double_blocks.0.img_mlp.0.weight": [12288, 3072], "img_in.bias": [3072]}, "flux", "Q4_0"
    )
    contents = read_header(path)
    assert contents.shapes == {"double_blocks.0.img_mlp.0.weight": (12288, 3072), "img_in.bias": (3072,)}
    assert contents.metadata["general.architecture"] == "flux"
    assert contents.types == {"Q4_0": 1, "F16": 1}
    with path.open("rb+") as stream:
        stream.truncate(path.stat().st_size // 2)
    with pytest.raises(BadHeader, match=r"half-copied: .* \(50%\): copy it again"):
        read_header(path)


def entry(shape: list[int], start: int, end: int, dtype: str = "F16") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("table", "room", "word"),
    [
        ({"a": entry([2], 0, 4), "b": entry([2], 2, 6)}, 6, "tensors overlap"),
        ({"a": entry([2], 0, 4), "b": entry([2], 6, 10)}, 10, "a hole of 2 bytes"),
        ({"a": entry([3], 0, 4)}, 4, "lying shapes"),
        ({"a": entry([1 << 62, 1 << 62], 0, 4)}, 4, "lying shapes"),
        ({"a": entry([2], 0, 4)}, 9, "5 bytes too many"),
        ({"a": entry([2], 0, 4)}, 1, r"half-copied: 1 of 4 bytes of tensors are there \(25%\)"),
        ({"a": entry([-2], 0, 4)}, 4, "has no type, shape and place"),
        ({"a": entry([2], 4, 0)}, 4, "has no type, shape and place"),
        ({"a": entry([True, 2], 0, 4)}, 4, "has no type, shape and place"),
        ({"a": {"dtype": "F16"}}, 4, "has no type, shape and place"),
        ([1], 0, "not a JSON object"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, table: dict[str, Any], room: int, word: str) -> None:
    text = json.dumps(table).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(room))
    with pytest.raises(BadHeader, match=word):
        read_header(path)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"abc", "3 bytes"),
        (b"PK\x03\x04" + bytes(99), "a pickle under another name"),
        (b"\x80\x04\x95" + bytes(99), "a pickle under another name"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>", "a web page saved as a model"),
        (b'{"error":"Unauthorized","message":"log in"}', "a server's answer saved as a model"),
        (bytes(200), "begins with zeros"),
        (b"random text that is long enough to be a file of something", "not a safetensors file"),
        ((40).to_bytes(8, "little") + b"[" * 40, "not JSON"),
        ((30_000).to_bytes(8, "little") + b"[" * 30_000, "not JSON"),
        ((90).to_bytes(8, "little") + b'{"a":1,"a":2}'.ljust(90), "has no type, shape and place"),
        ((1 << 40).to_bytes(8, "little") + b"{" * 99, "does not begin with the length of a header"),
        ((200).to_bytes(8, "little") + b"{" * 99, "half-copied: 107 bytes, its header alone has 208"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "damaged"),
        (b"GGUF\x09\0\0\0" + bytes(16), "version 9"),
        (b"GGUF\x03\0\0\0" + bytes(7), "half-copied"),
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, data: bytes, word: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(BadHeader, match=word):
        read_header(path)


def test_a_tensor_named_twice_is_refused(tmp_path: Path) -> None:
    tensor = b'"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}'
    text = b"{" + tensor + b"," + tensor + b"}"
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(BadHeader, match="two tensors are named 'a'"):
        read_header(path)


def test_long_pictures_in_the_metadata_are_dropped(tmp_path: Path) -> None:
    start, _ = header({}, metadata={"modelspec.thumbnail": "x" * 2_000_000, "modelspec.title": "Ink"})
    (tmp_path / "a.safetensors").write_bytes(start)
    assert read_header(tmp_path / "a.safetensors").metadata == {"modelspec.title": "Ink"}


def notes_of(tmp_path: Path, **files: object) -> SidecarNotes:
    for suffix, data in files.items():
        (tmp_path / ("ink." + suffix.replace("_", "."))).write_text(json.dumps(data), "utf-8")
    names = beside("ink", [path.name for path in tmp_path.iterdir()])
    return read_notes(tmp_path / "ink.safetensors", names)


def test_civitai_info(tmp_path: Path) -> None:
    notes = notes_of(tmp_path, civitai_info=VERSION)
    assert (notes.name, notes.base_model, notes.model_id, notes.version_id) == ("Ink Fox", "Pony", 700, 7002)
    assert notes.trigger_words == ("inkfox", "night ink")
    assert notes.sha256 == "ab" * 32
    assert notes.about == "Use at 0.7 ."
    assert notes.images[0]["meta"]["prompt"] == "inkfox in snow"


def test_the_users_notes_of_a1111_come_before_the_hubs(tmp_path: Path) -> None:
    user_notes = {
        "description": "",
        "sd version": "SDXL",
        "activation text": "fox, ink",
        "preferred weight": 0.65,
        "negative text": "blurry",
        "notes": "mine",
    }
    notes = notes_of(tmp_path, civitai_info=VERSION, json=user_notes)
    assert notes.trigger_words == ("fox", "ink")
    assert (notes.weight, notes.base_model, notes.name) == (0.65, "SDXL", "Ink Fox")
    assert notes.sources == ("A1111", "civitai.info")


def test_what_a1111_leaves_unset_says_nothing(tmp_path: Path) -> None:
    unset = {"description": "", "sd version": "Unknown", "activation text": "", "preferred weight": 0}
    notes = notes_of(tmp_path, civitai_info=VERSION, json=unset)
    assert (notes.base_model, notes.weight, notes.trigger_words) == ("Pony", None, ("inkfox", "night ink"))


def test_lora_manager(tmp_path: Path) -> None:
    data = {
        "file_name": "ink",
        "model_name": "Ink of Mine",
        "size": 12,
        "sha256": "EF" * 32,
        "tags": ["ink", "fox"],
        "base_model": "Illustrious",
        "usage_tips": '{"strength":0.8}',
        "civitai": VERSION,
        "notes": "good",
        "modelDescription": "<p>Inks.</p>",
        "preview_url": None,
    }
    notes = notes_of(tmp_path, metadata_json=data)
    assert (notes.name, notes.base_model, notes.weight) == ("Ink of Mine", "Illustrious", 0.8)
    assert (notes.tags, notes.version_id, notes.sha256) == (("ink", "fox"), 7002, "ef" * 32)
    assert notes.trigger_words == ("inkfox", "night ink")


def test_stability_matrix(tmp_path: Path) -> None:
    data = {
        "ModelId": 700,
        "ModelName": "Ink Fox",
        "ModelDescription": "<p>Inks</p>",
        "Tags": ["ink"],
        "ModelType": "LORA",
        "VersionId": 7002,
        "VersionName": "v2",
        "BaseModel": "SDXL 1.0",
        "Hashes": {"SHA256": "AB" * 32},
        "TrainedWords": ["inkfox"],
        "UserTitle": "My Inks",
    }
    (tmp_path / "ink.cm-info.json").write_text(json.dumps(data))
    notes = notes_of(tmp_path)
    assert (notes.name, notes.base_model, notes.version_id) == ("My Inks", "SDXL 1.0", 7002)
    assert (notes.trigger_words, notes.tags, notes.sha256) == (("inkfox",), ("ink",), "ab" * 32)


def test_swarmui(tmp_path: Path) -> None:
    data = {
        "modelspec.title": "Ink",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.trigger_phrase": "inkfox; night",
        "modelspec.tags": "ink, fox",
        "modelspec.usage_hint": "at 0.7",
        "modelspec.thumbnail": "data:image/jpeg;base64,AAAA",
    }
    notes = notes_of(tmp_path, swarm_json=data)
    assert (notes.name, notes.base_model) == ("Ink", "stable-diffusion-xl-v1-base/lora")
    assert (notes.tags, notes.about, notes.sources) == (("ink", "fox"), "at 0.7", ("SwarmUI",))
    assert of_modelspec({}).sources == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": 1}', "[" * 100_000, '{"files": 3, "images": "x", "id": []}']
)
def test_damaged_sidecars_are_passed_over(tmp_path: Path, text: str) -> None:
    for suffix in ("civitai.info", "json", "metadata.json", "cm-info.json", "swarm.json"):
        (tmp_path / f"ink.{suffix}").write_text(text)
    notes = notes_of(tmp_path)
    assert (notes.name, notes.base_model, notes.trigger_words) == (None, None, ())


INFOTEXT = "inkfox in snow\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Size: 512x768"


def test_previews_tell_how_they_were_made(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8))
    info = PngInfo()
    info.add_text("parameters", INFOTEXT)
    picture.save(tmp_path / "a.png", pnginfo=info)
    packed = PngInfo()
    packed.add_itxt("parameters", INFOTEXT + " 墨", zip=True)
    picture.save(tmp_path / "b.png", pnginfo=packed)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + INFOTEXT.encode("utf-16-be")
    picture.save(tmp_path / "c.jpg", exif=exif)
    picture.save(tmp_path / "d.webp", exif=exif)
    picture.save(tmp_path / "e.png")
    (tmp_path / "f.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 40)
    (tmp_path / "g.jpg").write_bytes(b"no picture")
    assert [read_text(tmp_path / name) for name in ("a.png", "b.png", "c.jpg", "d.webp")] == [
        INFOTEXT,
        INFOTEXT + " 墨",
        INFOTEXT,
        INFOTEXT,
    ]
    assert [read_text(tmp_path / name) for name in ("e.png", "f.png", "g.jpg", "none.png")] == [
        "",
        "",
        "",
        "",
    ]


def test_captions_give_subjects_and_trigger_words() -> None:
    training = of_training(
        {
            "ss_tag_frequency": json.dumps(
                {"10_inkfox": {"inkfox": 20, "1girl": 20, "snow": 9, "long_hair": 15, "naked": 9}}
            ),
            "ss_dataset_dirs": json.dumps({"10_inkfox": {"n_repeats": 10, "img_count": 20}}),
            "ss_sd_model_name": "C:\\models\\ponyDiffusionV6XL.safetensors",
            "sshs_model_hash": "0xDA259DF60E36AB",
            "sshs_legacy_hash": "e3b0c44298fc1c14",
        }
    )
    assert training.trigger_words == ("inkfox",)
    assert training.subjects == ("inkfox", "snow")
    assert (training.trained_on, training.hashes) == ("ponyDiffusionV6XL", ("da259df60e36",))


def test_without_captions_the_folders_name_is_the_trigger() -> None:
    training = of_training({"ss_dataset_dirs": json.dumps({"12_sks fox": {"n_repeats": 12, "img_count": 8}})})
    assert training.trigger_words == ("sks fox",)
    assert of_training({"ss_tag_frequency": "[" * 99_999, "ss_dataset_dirs": '"x"'}).trigger_words == ()


def test_the_parts_are_those_of_real_models() -> None:
    assert parts()["flux_dev"]["double_blocks.18.img_mlp.0.weight"] == [12288, 3072]
    assert len(parts()["sdxl"]) == 1680
