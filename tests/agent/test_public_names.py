"""The public interface: six names of ``diffagent.agent``, imported when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import diffagent.agent


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("Agent", "diffagent.agent.agent"),
        ("Candidate", "diffagent.agent.choosing.prefilter"),
        ("Decision", "diffagent.agent.decision"),
        ("DiffAgentError", "diffagent.data.errors"),
        ("Request", "diffagent.agent.asking.request"),
        ("T2ICall", "diffagent.data.records"),
    ],
)
def test_a_public_name_is_the_class_of_its_module(name: str, module: str) -> None:
    public = getattr(diffagent.agent, name)
    assert (public.__name__, public.__module__) == (name, module)


def test_what_is_public_is_listed() -> None:
    names = ["Agent", "Candidate", "Decision", "DiffAgentError", "Request", "T2ICall"]
    assert diffagent.agent.__all__ == names
    assert set(names) <= set(dir(diffagent.agent))
    scope: dict[str, object] = {}
    exec("from diffagent.agent import *", scope)
    assert set(names) <= set(scope)


def test_the_package_imports_nothing_until_a_name_is_used() -> None:
    script = (
        "import sys, diffagent.agent\n"
        "assert not {'numpy', 'pydantic', 'torch'} & set(sys.modules)\n"
        "from diffagent.agent import DiffAgentError\n"
        "assert not {'numpy', 'pydantic', 'torch'} & set(sys.modules)\n"
        "from diffagent.agent import Agent, Candidate, Decision, Request, T2ICall\n"
        "assert 'pydantic' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'diffagent\.agent' has no attribute 'Nobody'"):
        getattr(diffagent.agent, "Nobody")  # noqa: B009
