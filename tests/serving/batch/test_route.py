"""Batch routing: what is read, in which order it is written, and what a kill leaves."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diffagent.agent.agent import Agent
from diffagent.data.errors import BadInput
from diffagent.data.records import T2ICall
from diffagent.serving.batch.route import Body, route
from diffagent.serving.batch.rows import BatchRow, open_source
from diffagent.serving.cli import main


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class Echo:
    """Answers each row with its prompt, notes what it was asked, and fails at a given prompt."""

    def __init__(self, fatal: str = "") -> None:
        self.asked: list[str] = []
        self.fatal = fatal

    def __call__(self, blocks: Iterable[list[BatchRow]]) -> Iterator[list[Body]]:
        for rows in blocks:
            for row in rows:
                if row.options["prompt"] == self.fatal:
                    raise RuntimeError("power cut")
                self.asked.append(row.options["prompt"])
            yield [{"call": {"prompt": row.options["prompt"]}} for row in rows]


def run(path: Path, out: Path, answer: Echo, block: int = 2, **settings: Any) -> dict[str, int]:
    return route(open_source(str(path)), out, answer, settings, block).to_dict()


def test_rows_of_a_file_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        b'{"prompt": "a", "negative_prompt": null, "colour": "red"}\n\n'
        b'{"id": "x", "prompt": "b", "negative_prompt": "c", "images": ["d.png"]}\n'
        b'{"id": 7, "instruction": {"prompt": "e", "negative_prompt": "f"}, "air": "g"}\n'
        b'not json\n["h"]\n{"id": "y"}\n{"id": 9, "prompt": 5}\n\xff\xfe\n'
        b'{"id": [1], "prompt": "i"}'
    )
    source = open_source(str(path))
    rows = list(source)
    assert rows[:3] == [
        BatchRow(0, {"prompt": "a"}, passed={"colour": "red"}),
        BatchRow("x", {"prompt": "b", "negative_prompt": "c", "images": ["d.png"]}),
        BatchRow(7, {"prompt": "e", "negative_prompt": "f"}, passed={"air": "g"}),
    ]
    assert [row.id for row in rows] == [0, "x", 7, 3, 4, "y", 9, 7, 8]
    assert [bool(row.fault) for row in rows] == [False] * 3 + [True] * 5 + [False]
    assert "not JSON" in rows[3].fault
    assert rows[5].fault == "prompt is null, but it has to be text: say what to draw"
    assert (source.count, source.passed) == (9, ("colour",))


def test_rows_of_tables(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text(
        'id,prompt,negative_prompt,images,rating\n1,"a, ""b""\nc",,,5\n'
        ',d,e,f.png,4\n3,g,,"[""h"", ""i""]",1\n4,j\n',
        encoding="utf-8-sig",
    )
    source = open_source(str(path))
    assert list(source)[:3] == [
        BatchRow("1", {"prompt": 'a, "b"\nc'}, passed={"rating": "5"}),
        BatchRow(1, {"prompt": "d", "negative_prompt": "e", "images": ["f.png"]}, passed={"rating": "4"}),
        BatchRow("3", {"prompt": "g", "images": ["h", "i"]}, passed={"rating": "1"}),
    ]
    assert "5 columns" in list(source)[3].fault
    assert source.passed == ("rating",)
    tabs = tmp_path / "in.tsv"
    tabs.write_text("prompt\tid\nk, l\tm\n", encoding="utf-8")
    assert list(open_source(str(tabs))) == [BatchRow("m", {"prompt": "k, l"})]


def test_rows_of_a_dataset(tmp_path: Path) -> None:
    import datasets

    dataset = datasets.Dataset.from_list(
        [{"id": "a", "prompt": "b", "hue": 1}, {"id": "c", "prompt": None, "hue": 2}]
    )
    dataset.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=dataset, test=dataset.select([1])).save_to_disk(tmp_path / "two")
    source = open_source(str(tmp_path / "one"))
    assert [(row.id, row.options.get("prompt"), bool(row.fault)) for row in source] == [
        ("a", "b", False),
        ("c", None, True),
    ]
    assert (source.count, source.passed) == (2, ("hue",))
    assert [row.id for row in open_source(f"{tmp_path}/two:test")] == ["c"]
    with pytest.raises(BadInput, match="splits train, test"):
        open_source(str(tmp_path / "two"))
    (tmp_path / "files").mkdir()
    write(tmp_path / "files/train.jsonl", [{"prompt": "z"}])
    assert [row.options["prompt"] for row in open_source(f"{tmp_path}/files:train")] == ["z"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.doc", "a\n", "not a .jsonl, .ndjson, .csv, .tsv, .txt file"),
        ("in.csv", "text\na\n", "no column 'prompt'"),
        ("absent.jsonl", None, "neither a file nor a readable dataset"),
    ],
)
def test_inputs_that_are_refused(tmp_path: Path, name: str, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        list(open_source(str(tmp_path / name)))


ROWS = [
    {"id": "a", "prompt": "one"},
    {"id": "b", "prompt": "two"},
    {"id": "c", "prompt": "one"},
    {"id": "d"},
    {"id": "e", "prompt": "one", "negative_prompt": "x"},
    {"id": "f", "prompt": "two"},
    {"id": "g", "prompt": "three"},
]
ANSWERED = ["one", "two", "one", None, "one", "two", "three"]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 50])
def test_order_is_kept_and_rows_that_ask_the_same_are_computed_once(tmp_path: Path, block: int) -> None:
    answer, out = Echo(), tmp_path / "out.jsonl"
    summary = run(write(tmp_path / "in.jsonl", ROWS), out, answer, block)
    assert answer.asked == ["one", "two", "one", "three"]
    rows = lines(out)
    assert [row["id"] for row in rows] == list("abcdefg")
    assert [row.get("call", {}).get("prompt") for row in rows] == ANSWERED
    assert rows[3]["error"] == {
        "type": "BadInput",
        "message": "prompt is null, but it has to be text: say what to draw",
    }
    assert summary == {"rows": 7, "calls": 6, "errors": 1, "computed": 4, "copied": 2, "kept": 0}


@pytest.mark.parametrize("torn", [b"", b'{"id": "c", "ca', b"\0" * 30 + b"\n"])
def test_a_run_that_ended_early_goes_on_where_it_was(tmp_path: Path, torn: bytes) -> None:
    path, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    with pytest.raises(RuntimeError):
        run(path, out, Echo(fatal="three"))
    count = len(lines(out))
    assert count == 6
    with out.open("ab") as file:
        file.write(torn)
    answer = Echo()
    summary = run(path, out, answer)
    assert answer.asked == ["three"]
    assert [row["id"] for row in lines(out)] == list("abcdefg")
    assert (summary["kept"], summary["computed"]) == (6, 1)
    assert run(path, out, Echo(fatal="three"))["kept"] == 7


def test_equal_rows_of_the_earlier_run_are_copied(tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    run(path, out, Echo())
    whole = out.read_bytes()
    out.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    answer = Echo()
    assert run(path, out, answer)["copied"] == 2
    assert answer.asked == ["one", "three"]
    assert out.read_bytes() == whole


def test_another_input_or_other_options_are_refused(tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    run(path, out, Echo(), k=16)
    before = out.read_bytes()
    with pytest.raises(BadInput, match=r"begun with another k$"):
        run(path, out, Echo(), k=8)
    with pytest.raises(BadInput, match=r"begun with another input, rows$"):
        run(write(tmp_path / "other.jsonl", ROWS[:3]), out, Echo(), k=16)
    (tmp_path / "out.jsonl.run.json").unlink()
    with pytest.raises(BadInput, match="no run of this command made it"):
        run(path, out, Echo(), k=16)
    assert out.read_bytes() == before


def test_lines_that_are_not_of_this_input_are_refused(tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    run(path, out, Echo())
    write(out, [{"id": "z", "call": {}}])
    with pytest.raises(BadInput, match=r"line 1 .* does not belong to this input"):
        run(path, out, Echo())


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path, out = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"

    def meanwhile(blocks: Iterable[list[BatchRow]]) -> Iterator[list[Body]]:
        with pytest.raises(BadInput, match="another process is writing"):
            run(path, out, Echo())
        yield from Echo()(blocks)

    assert route(open_source(str(path)), out, meanwhile, {}, 2).rows == 7


Captured = pytest.CaptureFixture[str]


def test_the_command_writes_calls_and_error_rows(
    tmp_path: Path, agent: Agent, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Agent, "load", lambda *arguments: agent)
    rows = [
        {"prompt": "pixel art of a fox"},
        {"id": "empty", "prompt": " "},
        {"prompt": "x", "images": ["a.png"]},
    ]
    path, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    with pytest.raises(SystemExit) as exit:
        main(["route", str(path), "-o", str(out), "--seed", "7"])
    printed = capsys.readouterr()
    assert exit.value.code == 0
    assert json.loads(printed.out) == {
        "rows": 3,
        "calls": 1,
        "errors": 2,
        "computed": 3,
        "copied": 0,
        "kept": 0,
    }
    assert "3/3" in printed.err
    assert "row/s" in printed.err
    first, empty, images = lines(out)
    assert T2ICall.model_validate(first["call"]).seed == 7
    assert first["call"] == agent.call("pixel art of a fox", seed=7).model_dump()
    assert (empty["id"], empty["error"]["type"]) == ("empty", "BadPrompt")
    assert "example images" in images["error"]["message"]


SLOW = """
import sys, time
from pathlib import Path
from diffagent.serving.batch.route import route
from diffagent.serving.batch.rows import open_source

def answer(blocks):
    for rows in blocks:
        time.sleep(0.02)
        yield [{"call": {"prompt": row.options["prompt"]}} for row in rows]

route(open_source(sys.argv[1]), Path(sys.argv[2]), answer, {}, 3)
"""


@pytest.mark.wide
def test_kill_9_loses_and_repeats_nothing(tmp_path: Path) -> None:
    rows = [{"id": n, "prompt": f"p{n % 150}"} for n in range(200)]
    path, out = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    command = [sys.executable, "-c", SLOW, str(path), str(out)]
    for least in (1, 60, 120):
        process = subprocess.Popen(command)
        wait_for(lambda least=least: out.exists() and out.read_bytes().count(b"\n") >= least)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert out.read_bytes().count(b"\n") < 200
        with out.open("ab") as file:
            file.write(b'{"id": 1')
            os.fsync(file.fileno())
    subprocess.run(command, check=True)
    assert [(row["id"], row["call"]["prompt"]) for row in lines(out)] == [
        (n, f"p{n % 150}") for n in range(200)
    ]


def wait_for(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_line_of_text_is_a_prompt_and_a_column_may_hold_the_prompts(tmp_path: Path) -> None:
    text = tmp_path / "in.txt"
    text.write_text("a fox\n\n  a lake  \n", "utf-8")
    assert [row.options for row in open_source(str(text))] == [{"prompt": "a fox"}, {"prompt": "a lake"}]
    table = tmp_path / "in.csv"
    table.write_text("caption,prompt,seed,base_model\na fox,ignored,7,SD 1.5\n", "utf-8")
    (row,) = open_source(str(table), "caption")
    assert row.options == {"prompt": "a fox", "seed": 7, "base_model": "SD 1.5"}
    with pytest.raises(BadInput, match=r"no column 'words'.*\(caption, prompt, seed, base_model\)"):
        open_source(str(table), "words")


def test_other_columns_stand_beside_the_call_even_where_rows_ask_the_same(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "artist": "x"}, {"prompt": "a", "artist": "y"}, {"prompt": 5, "notes": "mine"}]
    out = tmp_path / "out.jsonl"
    assert run(write(tmp_path / "in.jsonl", rows), out, Echo())["copied"] == 1
    assert lines(out)[:2] == [
        {"id": 0, "artist": "x", "call": {"prompt": "a"}},
        {"id": 1, "artist": "y", "call": {"prompt": "a"}},
    ]
    assert lines(out)[2]["in_notes"] == "mine"


@pytest.fixture
def loaded(make_agent: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent()
    monkeypatch.setattr(Agent, "load", lambda *_: agent)


@pytest.mark.usefixtures("loaded")
def test_a_table_comes_out_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text('id,prompt,artist,seed\na,pixel art of a fox,"x, y",7\nb,,z,\n', "utf-8")
    with pytest.raises(SystemExit) as exit:
        main(["route", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")])
    assert exit.value.code == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["id"], first["artist"], first["call_model"], first["call_seed"]) == (
        "a", "x, y", "Tiny Pixels", "7",
    )  # fmt: skip
    assert (second["id"], second["artist"], second["call_model"]) == ("b", "z", "")
    assert "prompt is empty" in second["error"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    "text", ["pixel art of a fox\na lake\n", '{"prompt": "pixel art of a fox"}\n{"prompt": "a lake"}\n']
)
def test_stdin_comes_in_and_calls_go_to_stdout(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(SystemExit) as exit:
        main(["route", "-", "-o", "-"])
    out, err = capsys.readouterr()
    assert exit.value.code == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == [0, 1]
    assert json.loads(out.splitlines()[0])["call"]["model"] == "Tiny Pixels"
    assert '"rows": 2' in err
