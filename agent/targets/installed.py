"""Installed models: a server's names of the catalog's models, and its samplers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from diffagent.agent.targets.fitting import Resources
from diffagent.data.errors import BadInput
from diffagent.data.samplers import Sampler


@dataclass(frozen=True)
class Installed:
    """A server's models and samplers.

    ``names``: AIR → the server's name of the model; ``unknown``: its models that the catalog lacks;
    ``ambiguous``: AIR → the server's files with the model's name, where no hash tells which it is;
    ``files``: folder → all files in it, where the server tells; ``lacking``: AIR → the missing files without
    which an installed model does not run.
    """

    target: str
    url: str
    names: Mapping[str, str]
    samplers: tuple[Sampler, ...] | None = None
    unknown: tuple[str, ...] = ()
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Hashes the server alone: equal servers have equal lists."""
        return hash((self.target, self.url))

    def check_unambiguous(self, resources: Resources) -> None:
        """Refuses a model whose name several files share.

        Raises:
            BadInput: with the names of the files.
        """
        for card in resources.cards:
            if files := self.ambiguous.get(card.air):
                raise BadInput(
                    f"{self.url} has {len(files)} files with the name {card.name} and does not tell which it "
                    f"is ({', '.join(files)}): give the others another name"
                )

    def check_present(self, resources: Resources) -> None:
        """Refuses a model that is not installed, even where another file has its name.

        Raises:
            BadInput: with the name of the model.
        """
        for card in resources.cards:
            if files := self.lacking.get(card.air):
                raise BadInput(
                    f"{self.url} has {card.name}, but not what it runs with ({'; '.join(files)})",
                    "put the files there, or choose among what it has with diffagent call --installed",
                )
            if card.air not in self.names:
                raise BadInput(
                    f"{self.url} does not have {card.name} ({card.file_name or card.air})",
                    "put the file there, or choose among what it has with diffagent call --installed",
                )
