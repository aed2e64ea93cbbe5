"""``train rrhf``, ``eval community`` and ``eval images`` say what they lack before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from diffagent.data.errors import BadInput
from diffagent.serving.cli import root
from diffagent.serving.commands.rrhf import community_of


def test_the_commands_are_there() -> None:
    for words in ("train rrhf", "train story", "eval community", "eval images"):
        result = CliRunner().invoke(root, [*words.split(), "--help"])
        assert result.exit_code == 0, words
        assert "diffagent " + words in result.stdout or words.split()[1] in result.stdout


def test_the_communitys_reward_needs_the_crawl() -> None:
    with pytest.raises(BadInput, match="pass --raw RAW"):
        community_of(None, None, [], "reward")


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        root, ["train", "rrhf", str(tmp_path), "-o", str(tmp_path), "--recipe", "none"]
    )
    assert isinstance(result.exception, BadInput) or result.exit_code != 0
