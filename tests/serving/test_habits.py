"""Habits of the command line: joined words, ``-``, help, defaults in a file and in the environment."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from diffagent.data.records import T2ICall
from diffagent.serving.cli import main
from diffagent.serving.commands import defaults

pytestmark = pytest.mark.usefixtures("loads")
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of settings, which is not there yet."""
    path = tmp_path / "settings" / "config.toml"
    monkeypatch.setenv("DIFFAGENT_CONFIG", str(path))
    return path


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    out, err = capsys.readouterr()
    return int(str(exit.value.code)), out, err


@pytest.mark.parametrize("words", [["a", "fox", "in", "the", "snow"], ["call", "a fox", "in the", "snow"]])
def test_words_are_joined(words: list[str], capsys: Captured) -> None:
    code, out, err = run(capsys, *words, "--steps", "9")
    call = T2ICall.parse(out)
    assert (code, err, call.prompt, call.sampling_steps) == (0, "", "a fox in the snow", 9)


def test_a_bare_command_prints_help(capsys: Captured) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert "Usage: diffagent" in out
    assert "generate" in out


def test_a_dash_is_stdin(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("château\n".encode())))
    code, out, _ = run(capsys, "call", "-")
    assert (code, T2ICall.parse(out).prompt) == (0, "château")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xd8\xff")))
    code, out, err = run(capsys, "call", "-")
    assert (code, out) == (1, "")
    assert "stdin is not text" in err


def test_config_sets_shows_and_forgets(capsys: Captured, config: Path) -> None:
    assert run(capsys, "config", "path")[1] == f"{config}\n"
    assert run(capsys, "config")[:2] == (0, "")
    assert run(capsys, "config", "set", "steps", "30")[0] == 0
    config.write_text("# mine\n" + config.read_text("utf-8"), "utf-8")
    assert run(capsys, "config", "set", "call.cfg", "4")[0] == 0
    assert run(capsys, "config", "set", "steps", "31")[0] == 0
    assert config.read_text("utf-8") == "# mine\nsteps = 31\n\n[call]\ncfg = 4.0\n"
    call = T2ICall.parse(run(capsys, "a fox")[1])
    assert (call.sampling_steps, call.cfg_scale) == (31, 4.0)
    call = T2ICall.parse(run(capsys, "a fox", "--steps", "7")[1])
    assert call.sampling_steps == 7
    settings = json.loads(run(capsys, "config", "--json")[1])["settings"]
    assert [(setting["command"], setting["option"], setting["value"]) for setting in settings] == [
        ("all", "sampling_steps", 31),
        ("call", "cfg_scale", 4.0),
    ]
    assert run(capsys, "config", "unset", "steps")[0] == 0
    assert "steps" not in config.read_text("utf-8")
    assert run(capsys, "config", "unset", "steps")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "tarket", "x"], "the nearest are target"),
        (["set", "target", "midjourney"], "'a1111', 'comfyui'"),
        (["set", "steps", "many"], "not a valid integer"),
        (["set", "generate.outputs", "x"], "the nearest are output"),
        (["set", "draw.output", "x"], "there is no command 'draw'"),
        (["set", "steps", "3", "4"], "one value"),
    ],
)
def test_settings_that_are_none(arguments: list[str], says: str, capsys: Captured, config: Path) -> None:
    code, out, err = run(capsys, "config", *arguments)
    assert code in (1, 2)
    assert out == ""
    assert says in err
    assert not config.exists()


def test_variables_go_before_the_file_and_a_commands_own_before_all(
    capsys: Captured, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.parent.mkdir()
    config.write_text("steps = 30\ncfg_scale = 4.0\nbase_model = 'sd1'\n", "utf-8")
    monkeypatch.setenv("DIFFAGENT_STEPS", "20")
    call = T2ICall.parse(run(capsys, "a fox")[1])
    assert (call.sampling_steps, call.cfg_scale) == (20, 4.0)
    monkeypatch.setenv("DIFFAGENT_CALL_SAMPLING_STEPS", "21")
    monkeypatch.setenv("DIFFAGENT_COMMERCIAL", "true")
    call = T2ICall.parse(run(capsys, "a fox")[1])
    assert (call.sampling_steps, call.model) == (21, "Tiny Pixels")  # the one whose pictures may be sold
    monkeypatch.setenv("DIFFAGENT_CALL_SAMPLING_STEPS", "many")
    code, _, err = run(capsys, "a fox")
    assert code == 1
    assert "DIFFAGENT_CALL_SAMPLING_STEPS sets --steps to 'many'" in err


def test_a_general_target_does_not_turn_calls_into_requests(capsys: Captured, config: Path) -> None:
    config.parent.mkdir()
    config.write_text('target = "comfyui"\ninstalled = true\ntarget_url = "http://127.0.0.1:1"\n', "utf-8")
    code, out, err = run(capsys, "a fox")
    assert (code, err) == (0, "")
    T2ICall.parse(out)
    config.write_text('[call]\ntarget = "openai"\n', "utf-8")
    assert json.loads(run(capsys, "a fox")[1])["response_format"] == "b64_json"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps = ", "cannot be read"),
        ("stepz = 3", "the nearest are steps"),
        ("[call]\nstepz = 3", "[call]"),
        ("[drawing]\nsteps = 3", "drawing"),
    ],
)
def test_a_file_that_is_wrong_is_named(text: str, says: str, capsys: Captured, config: Path) -> None:
    config.parent.mkdir()
    config.write_text(text, "utf-8")
    code, out, err = run(capsys, "a fox")
    assert (code, out) == (1, "")
    assert says in err
    assert str(config) in err


def test_the_file_is_in_the_platforms_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DIFFAGENT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert defaults.config_path().parts[-2:] == ("diffagent", "config.toml")
