"""The scan: what each of over ninety files is, and what hostile folders do to it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from library_files import parts, prefixed, write, write_folder, write_gguf
from safetensors.numpy import save_file

from diffagent.data.errors import BadInput
from diffagent.data.library.entries import Line, shelve
from diffagent.data.library.scan import Problems, read_file, scan
from diffagent.data.library.state import Override, State

SMALL = {"double_blocks.0.img_attn.proj.weight": np.zeros((2, 2), np.float16)}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state") as store:
        yield store


def lines_of(state: State, root: Path) -> tuple[dict[str, Line], int, list[str]]:
    problems = Problems()
    count = sum(was_read for _, was_read in scan(state, [root], problems))
    return {line.shown: line for line in shelve(state.files).lines}, count, problems.lines


def test_every_file_is_told_for_what_it_is(tmp_path: Path, state: State) -> None:
    items = write_folder(tmp_path / "models")
    lines, count, problems = lines_of(state, tmp_path / "models")
    facts = {name: (line.kind, line.base.name, line.usable) for name, line in lines.items()}
    assert facts == {item.path: (item.kind, item.base, item.usable) for item in items}
    assert len(items) >= 100
    assert sum(item.usable for item in items) >= 60
    assert count == len(items)
    assert problems == []


def test_a_second_scan_reads_what_changed_and_forgets_what_is_gone(tmp_path: Path, state: State) -> None:
    root = tmp_path / "models"
    for name in ("one", "two", "three"):
        save_file(SMALL, _made(root / f"{name}.safetensors"))
    assert lines_of(state, root)[1] == 3
    assert lines_of(state, root)[1] == 0
    (root / "one.json").write_text(json.dumps({"activation text": "inkfox", "sd version": "SDXL"}))
    os.utime(root / "two.safetensors", ns=(1, 1))
    (root / "three.safetensors").unlink()
    lines, count, _ = lines_of(state, root)
    assert count == 2
    assert sorted(lines) == ["one.safetensors", "two.safetensors"]
    entry = next(file for file in state.files() if file.path.stem == "one")
    assert entry.notes.trigger_words == ("inkfox",)


def test_links_are_followed_and_lead_round_once(tmp_path: Path, state: State) -> None:
    root, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    save_file(SMALL, _made(elsewhere / "linked.safetensors"))
    root.mkdir()
    (root / "more").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    (root / "lost.safetensors").symlink_to(tmp_path / "nowhere")
    (root / "self.safetensors").symlink_to(root / "self.safetensors")
    lines, _, problems = lines_of(state, root)
    assert sorted(lines) == ["lost.safetensors", "more/linked.safetensors", "self.safetensors"]
    assert "leads nowhere" in lines["lost.safetensors"].why
    assert "circle" in lines["self.safetensors"].why
    assert problems == []


def test_a_gguf_file_is_usable_where_its_loaders_are(tmp_path: Path, state: State) -> None:
    root = tmp_path / "models"
    for name, part, arch in (("fl", "flux_dev", "flux"), ("qw", "qwen_image", "qwen_image")):
        write_gguf(_made(root / f"unet/{name}-Q4_0.gguf"), parts()[part], arch)
    write_gguf(_made(root / "unet/xl-Q8_0.gguf"), prefixed("model.diffusion_model.", "sdxl"), "sdxl")
    lines, _, _ = lines_of(state, root)
    assert lines["unet/fl-Q4_0.gguf"].usable
    assert "for ComfyUI with ComfyUI-GGUF or Forge" in lines["unet/fl-Q4_0.gguf"].why
    assert "for ComfyUI with ComfyUI-GGUF or Forge Neo" in lines["unet/qw-Q4_0.gguf"].why
    assert not lines["unet/xl-Q8_0.gguf"].usable
    assert lines["unet/xl-Q8_0.gguf"].why == "no target loads SDXL 1.0 as GGUF: get it as safetensors"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_told(tmp_path: Path, state: State) -> None:
    root = tmp_path / "models"
    save_file(SMALL, _made(root / "mine.safetensors"))
    save_file(SMALL, _made(root / "closed" / "other.safetensors"))
    (root / "mine.safetensors").chmod(0)
    (root / "closed").chmod(0)
    try:
        lines, _, problems = lines_of(state, root)
    finally:
        (root / "closed").chmod(0o700)
    assert "no permission" in lines["mine.safetensors"].why
    assert len(problems) == 1
    assert "no permission" in problems[0]


def test_names_in_many_scripts_and_names_that_are_no_text(tmp_path: Path, state: State) -> None:
    root = tmp_path / "models"
    names = [
        "墨 风格",
        "Чернила",
        "حبر",
        "स्याही",
        "หมึก",
        "μελάνι",
        "דיו",
        "먹물",
        "インク",
        "tinta ñ",
        "🦊 ink",
        "a\nb",
    ]
    for n, name in enumerate(names):
        save_file({f"double_blocks.{n}.x": np.zeros(n + 1, np.float16)}, _made(root / f"{name}.safetensors"))
    Path(os.fsdecode(os.fsencode(root) + b"/odd\xff.safetensors")).write_bytes(b"")
    lines, _, _ = lines_of(state, root)
    assert len(lines) == len(names) + 1
    assert {"墨 风格.safetensors", "a�b.safetensors", "odd�.safetensors"} <= set(lines)
    assert lines_of(state, root)[1] == 0


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, state: State) -> None:
    with pytest.raises(BadInput, match="is not a folder: give the models folder"):
        list(scan(state, [tmp_path / "missing"], Problems()))


def test_a_folder_above_takes_in_the_one_below(tmp_path: Path, state: State) -> None:
    save_file(SMALL, _made(tmp_path / "models" / "loras" / "a.safetensors"))
    list(scan(state, [tmp_path / "models" / "loras"], Problems()))
    list(scan(state, [tmp_path / "models"], Problems()))
    assert state.roots() == [tmp_path / "models"]
    assert [file.shown for file in state.files()] == ["loras/a.safetensors"]


def test_files_that_differ_behind_one_header_have_names_of_their_own(tmp_path: Path, state: State) -> None:
    root = tmp_path / "models"
    sd15 = {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
            "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)}  # fmt: skip
    for name, value in (("one", 1), ("two", 2)):
        tensors = {key: np.full(shape, value, np.float16) for key, shape in sd15.items()}
        save_file(tensors, _made(root / f"{name}.safetensors"))
    save_file(tensors, root / "two-again.safetensors")
    lines, _, _ = lines_of(state, root)
    airs = {name: str(line.air) for name, line in lines.items()}
    assert airs["one.safetensors"].partition("+")[0] == airs["two.safetensors"].partition("+")[0]
    assert airs["one.safetensors"] != airs["two.safetensors"]
    assert lines["two.safetensors"].why == "a copy of two-again.safetensors"


def test_the_users_word_wins_and_moves_with_the_file(tmp_path: Path, state: State) -> None:
    root = tmp_path / "models"
    write(root / "a.safetensors", parts()["sdxl_diffusers"])
    lines, _, _ = lines_of(state, root)
    assert lines["a.safetensors"].base.name == "SDXL 1.0"
    state.set_override(next(iter(state.files())).key, Override(base_model="Pony", trigger_words=("x",)))
    (root / "sub").mkdir()
    (root / "a.safetensors").rename(root / "sub" / "b.safetensors")
    lines, _, _ = lines_of(state, root)
    assert (lines["sub/b.safetensors"].base.name, lines["sub/b.safetensors"].base.by) == ("Pony", "your word")


def test_files_cut_anywhere_or_changed_anywhere_end_with_a_word(tmp_path: Path) -> None:
    """Each kind of file, cut at a random byte or with random bytes of its header changed."""
    root = tmp_path / "models"
    items = write_folder(root)
    draw = random.Random(4)
    for item in draw.sample(items, 40):
        with (root / item.path).open("rb") as stream:
            data = stream.read(200_000)
        for number in range(4):
            content = bytearray(data[: draw.randrange(len(data) + 1)] if number % 2 else data[:5_000])
            for _ in range(number):
                if content:
                    content[draw.randrange(len(content))] = draw.randrange(256)
            path = root / f"broken{Path(item.path).suffix}"
            path.write_bytes(content)
            facts = read_file(path)
            assert facts.problem is None or (facts.problem.isprintable() and len(facts.problem) < 300)


@pytest.mark.wide
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is Linux's")
def test_ten_thousand_files_and_headers_of_100_mb_stay_within_300_mb(tmp_path: Path) -> None:
    """In a process of its own: 10,000 LoRAs, a header of 100 MB, one of 15 MB and many of 2 MB."""
    root = tmp_path / "models"
    lora = {f"lora_unet_down_blocks_0_attentions_0_x_{n}.lora_down.weight": [4, 768] for n in range(20)}
    write(root / "0.safetensors", lora)
    data = (root / "0.safetensors").read_bytes()
    for n in range(10_000):
        folder = root / str(n % 100)
        folder.mkdir(exist_ok=True)
        (folder / f"{n}.safetensors").write_bytes(data[:-8] + n.to_bytes(8, "little"))
    for n, size in enumerate([100_000_000, 15_000_000, *[2_000_000] * 20]):
        entry = b'"t%08d":{"dtype":"F16","shape":[0],"data_offsets":[0,0]},'
        text = b"{" + b"".join(entry % k for k in range(size // len(entry % 0)))[:-1] + b"}"
        (root / f"huge{n}.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    program = r"""
import re, sys
from pathlib import Path
from diffagent.data.library.entries import shelve
from diffagent.data.library.scan import Problems, scan
from diffagent.data.library.state import State
with State.open(Path(sys.argv[1])) as state:
    count = sum(1 for _ in scan(state, [Path(sys.argv[2])], Problems()))
    shelf = shelve(state.files)
peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
print(count, len(shelf.lines), int(peak[1]) // 1024)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "state"), str(root)]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    files, lines, megabytes = map(int, process.stdout.split())
    assert files == lines == 10_000 + 1 + 22
    assert megabytes < 300


def test_a_killed_scan_goes_on_where_it_was(tmp_path: Path) -> None:
    root, folder = tmp_path / "models", tmp_path / "state"
    root.mkdir()
    for n in range(3000):
        save_file({f"double_blocks.0.x{n}": np.zeros(4, np.float16)}, root / f"{n}.safetensors")
    program = (
        "import sys; from pathlib import Path\n"
        "from diffagent.data.library.scan import Problems, scan\n"
        "from diffagent.data.library.state import State\n"
        "with State.open(Path(sys.argv[1])) as state:\n"
        "    for n, _ in enumerate(scan(state, [Path(sys.argv[2])], Problems())):\n"
        "        print(n, flush=True)\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program, str(folder), str(root)], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    for line in running.stdout:
        if int(line) > 1500:
            break
    running.kill()
    running.wait()
    running.stdout.close()
    start_time = time.monotonic()
    with State.open(folder) as state:
        count = sum(was_read for _, was_read in scan(state, [root], Problems()))
        assert len(list(state.files())) == 3000
    assert 0 < count < 3000
    assert time.monotonic() - start_time < 60


def test_a_damaged_memory_is_put_aside(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "state.sqlite").write_bytes(b"no database" * 1000)
    with State.open(folder) as state:
        assert list(state.files()) == []
    assert (folder / "state.damaged").is_file()


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
