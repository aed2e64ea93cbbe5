"""The root command: lazy, one line an error, and a first word that is no command is a prompt."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from diffagent.data.errors import BadPrompt
from diffagent.serving.cli import main
from diffagent.serving.commands.registry import COMMANDS

Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(exit.value.code, int)
    return exit.value.code, out, err


def assert_one_line(err: str, *words: str) -> None:
    assert err.startswith("diffagent: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command(capsys: Captured, option: str) -> None:
    status, out, err = run(capsys, option)
    assert (status, err) == (0, "")
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name}" in out
        assert summary.split("(")[0].strip() in " ".join(out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_has_help(capsys: Captured, name: str) -> None:
    status, out, err = run(capsys, name, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: diffagent {name}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nope", "a fox"],
        ["call", "--nope", "a fox"],
        ["call"],
        ["call", "-k", "many", "a fox"],
        ["a fox", "--type", "Hypernetwork"],
        ["eval", "select"],
        ["data", "nope"],
        ["train", "prefilter", "raw"],
    ],
)
def test_wrong_usage_is_status_2_and_one_line(capsys: Captured, arguments: list[str]) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert_one_line(err)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "the prompt is empty"),
        (["call", " \n"], "the prompt is empty"),
        (["call", "<lora:x:1>"], "nothing but LoRA tags"),
        (["x" * 100_000], "100,000 characters"),
        (["a fox", "-k", "0"], "k: input should be greater than or equal to 1 (given: 0)"),
        (["a fox", "--seed", "-1"], "(given: -1)"),
        (["a fox", "--catalog", "/nowhere/c.sqlite"], "/nowhere/c.sqlite"),
        (["catalog", "list", "--catalog", "/nowhere/c.sqlite"], "/nowhere/c.sqlite"),
        (["eval", "select", "/nowhere/pairs.jsonl"], "/nowhere/pairs.jsonl"),
        (["eval", "hallucination", "/nowhere/p.txt"], "/nowhere/p.txt"),
    ],
)
def test_bad_input_is_status_1_and_one_line(capsys: Captured, arguments: list[str], says: str) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert_one_line(err, says)


@pytest.mark.parametrize("words", [["catalog"], ["eval"]])
def test_too_few_words_point_to_the_help(capsys: Captured, words: list[str]) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    path = " ".join(["diffagent", *words])
    assert err == f"diffagent: {path} needs arguments: see {path} --help\n"


def test_an_unknown_engine_is_told_which_there_are(capsys: Captured) -> None:
    status, out, err = run(capsys, "a fox", "--engine", "abacus")
    assert (status, out) == (1, "")
    assert_one_line(err, "'abacus'", "transformers")


def test_options_may_come_before_the_prompt(capsys: Captured) -> None:
    status, _, err = run(capsys, "--base-model", "sdxl", "")
    assert status == 1
    assert_one_line(err, "the prompt is empty")


def test_debug_shows_the_error_itself() -> None:
    with pytest.raises(BadPrompt, match="the prompt is empty"):
        main(["--debug", ""])


def test_an_error_that_nobody_thought_of_is_one_line_too(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffagent.agent.asking import request

    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(request.Request, "parse", breaks)
    status, out, err = run(capsys, "a fox")
    assert (status, out) == (1, "")
    assert_one_line(err, "unexpected ZeroDivisionError: two lines", "--debug")
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "a fox"])


def test_an_interrupt_is_status_1(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffagent.agent.asking import request

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(request.Request, "parse", interrupted)
    status, _, err = run(capsys, "a fox")
    assert (status, err) == (1, "\ndiffagent: interrupted\n")  # below the terminal's ^C


def test_the_version_is_the_packages(capsys: Captured) -> None:
    from importlib.metadata import version

    assert run(capsys, "--version") == (0, f"diffagent {version('diffagent')}\n", "")


HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "pydantic",
    "httpx",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
)
PROBE = (
    "import sys\n"
    "from diffagent.serving.cli import main\n"
    "try:\n    main(['--help'])\n"
    "except SystemExit as exit:\n    assert exit.code == 0\n"
    f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
    "sys.stderr.write(' '.join(heavy))\n"
)


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "call" in done.stdout


def test_a_process_shows_one_line_and_with_debug_the_traceback() -> None:
    command = [sys.executable, "-c", "from diffagent.serving.cli import main; main()"]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    plain = subprocess.run([*command, ""], capture_output=True, text=True, env=environment)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert_one_line(plain.stderr, "the prompt is empty")
    debugged = subprocess.run([*command, "--debug", ""], capture_output=True, text=True, env=environment)
    assert debugged.returncode == 1
    assert "Traceback (most recent call last)" in debugged.stderr
    assert "BadPrompt" in debugged.stderr
