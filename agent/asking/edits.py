"""Edits: changes of the previous call by a later message of a conversation.

In: the user's message. Out: an :class:`Edit`, or None for a new prompt.

    edit("make it landscape, 30 steps")   -> aspect 3:2, steps 30: the call's fields
    edit("use SDXL instead")              -> base model: the prompt is routed again
    edit("add a red hat")                 -> words: the prompt grows, the model stays
    edit("make it a watercolor")          -> words that restyle: the grown prompt is routed again

Rules, not a model: a message is an edit where its first clause is wholly settings, names a model of the
catalog, or opens with a verb of changing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from diffagent.agent.asking.sizes import size_for
from diffagent.agent.asking.wishes import Wishes, wishes, without_wishes
from diffagent.data.air import IN_TEXT
from diffagent.data.base_models import OTHER
from diffagent.data.base_models import find as find_base_model
from diffagent.data.errors import BadPrompt
from diffagent.data.prompts import join_parts
from diffagent.data.records import CFG_MAX, SIDE_MAX, SIDE_MIN, STEPS_MAX, Card, T2ICall
from diffagent.data.samplers import split

Find = Callable[[str], Card | None]
"""A function from a name or AIR to a card or None."""
LONGEST = 1000
"""The most characters of an edit."""
SETTINGS = ("size", "aspect", "sampler", "steps", "cfg_scale", "seed", "clip_skip", "base_model", "type")
"""The fields of :class:`~diffagent.agent.asking.wishes.Wishes` that an edit may set."""
_CLAUSES = re.compile(r"[,;\n]|\.(?!\d)|\b(?:and|then)\b", re.I)
_POLITE = re.compile(
    r"^(?:(?:please|now|ok(?:ay)?|and|but|then|also|so|can you|could you|would you|"
    r"i(?:'d| would) like(?: it)?|i want(?: it)?|let'?s)\b[\s,]*)+",
    re.I,
)
_SET_TO = re.compile(
    r"\b(steps|cfg(?:[ _-]?scale)?|guidance(?: scale)?|seed|clip skip|sampler)\s+(?:to|at|is)\s+", re.I
)
_USE = re.compile(r"\buse\b", re.I)
_FILLER = re.compile(
    r"\b(?:make|made|turn|change|set|switch|use|using|try|give|put|go|render|draw|do|have|keep|want|it|its|"
    r"this|that|them|me|my|the|an?|to|into|in|at|of|on|by|as|be|for|with|from|please|now|instead|rather|"
    r"than|again|image|picture|photo|one|version|format|mode|orientation|orientated|oriented|size|sized|"
    r"resolution|aspect|ratio|shape|sampler|base|model|number|steps?|seed|thanks|thank|you|pixels?|px)\b",
    re.I,
)
_NEW_SEED = re.compile(
    r"\b(?:another|new|different|random|other|next|fresh) seed\b|"
    r"\b(?:change|re-?roll|randomi[sz]e|shuffle) (?:the )?seed\b|"
    r"^(?:re-?roll(?: it)?|(?:try |once )?again|(?:try )?another one|one more|regenerate(?: it)?)$",
    re.I,
)
_NAMED = re.compile(
    r"^(?:use|using|try|take|with|go with|switch to|change (?:the )?model to|(?:the )?model:?) "
    r"(?:the )?(?:(?:model|lora|checkpoint) )?(.+?)(?: (?:model|lora|checkpoint))?(?: instead)?$",
    re.I,
)
_AVOID = re.compile(
    r"^(?:without|no|remove|drop|avoid|exclude|get rid of|leave out)\s+(?:the\s+|any\s+)?(.+)$", re.I
)
_ADD = re.compile(r"^(?:add|include|with|put|plus|give (?:it|him|her|them))\s+(.+?)(?:\s+instead)?$", re.I)
_RESTYLE = re.compile(
    r"^(?:(?:make|turn|change) (?:it|this|that|them|the (?:image|picture))(?: (?:look )?(?:into|to|like|as))?"
    r"|as|in (?=the style\b|a style\b))\s*(.+?)(?:\s+instead)?$",
    re.I,
)


@dataclass(frozen=True)
class Edit:
    """The changes of a message: ``settings`` (its prompt unused), ``model`` an AIR, ``words`` and ``avoid``
    to add to the prompt and the negative prompt; ``restyle``: the words ask for another kind of image."""

    settings: Wishes = field(default_factory=lambda: Wishes(""))
    model: str | None = None
    new_seed: bool = False
    words: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    restyle: bool = False

    @property
    def routes(self) -> bool:
        """Whether the model has to be chosen again."""
        return bool(self.model or self.restyle or self.settings.base_model or self.settings.type)

    def __add__(self, later: Edit) -> Edit:
        """Both edits in one; the later one wins where they differ."""
        changes = {name: value for name in SETTINGS if (value := getattr(later.settings, name)) is not None}
        if "size" in changes or "aspect" in changes:
            changes = {"size": None, "aspect": None, **changes}
        if later.model:
            changes |= {"base_model": None, "type": None}
        if later.new_seed and later.settings.seed is None:
            changes |= {"seed": None}
        later_choice = later.settings.base_model or later.settings.type
        return Edit(
            settings=replace(self.settings, **changes),
            model=later.model or (None if later_choice else self.model),
            new_seed=later.new_seed or (self.new_seed and later.settings.seed is None),
            words=self.words + later.words,
            avoid=self.avoid + later.avoid,
            restyle=self.restyle or later.restyle,
        )


def edit(text: str, find: Find = lambda name: None) -> Edit | None:
    """Returns the edit of a message; None for a prompt, and for more than 1,000 characters.

    Raises:
        BadPrompt: the message is an edit, but its values are out of range ("900 steps").
    """
    if len(text) > LONGEST:
        return None
    message = _POLITE.sub("", " ".join(text.split())).strip(" .!?")
    if not _is_settings(message) and (air := _model(message, find)):
        return Edit(model=air)
    change = Edit(settings=_settings(message))
    for number, clause in enumerate(filter(None, map(_trim, _CLAUSES.split(message)))):
        clause_change = _clause(clause, find) or (Edit(words=(clause,)) if number else None)
        if clause_change is None:
            return None
        change += clause_change
    if change == Edit():
        raise BadPrompt(
            f"{text[:60]!r} changes nothing that a call takes: steps are 1 to {STEPS_MAX}, cfg 1 to "
            f"{CFG_MAX}, sides {SIDE_MIN} to {SIDE_MAX} pixels; or describe the image to draw"
        )
    return change


def with_edit(call: T2ICall, change: Edit) -> T2ICall:
    """Returns the call with an edit's settings and words; its model is unchanged."""
    settings = change.settings
    width, height = settings.size or (call.width, call.height)
    if settings.aspect:
        row = find_base_model(call.base_model) or OTHER
        width, height = size_for(settings.aspect, row, call.width * call.height)
    seed = secrets.randbelow(2**32) if change.new_seed else call.seed
    sampler = split(settings.sampler) if settings.sampler else call.sampler
    fields: dict[str, Any] = {
        "width": width,
        "height": height,
        "sampling_method": sampler.method,
        "scheduler": sampler.scheduler,
        "sampling_steps": settings.steps or call.sampling_steps,
        "cfg_scale": settings.cfg_scale or call.cfg_scale,
        "clip_skip": settings.clip_skip or call.clip_skip,
        "seed": settings.seed if settings.seed is not None else seed,
        "prompt": join_parts([call.prompt, *change.words]),
        "negative_prompt": join_parts([call.negative_prompt, *change.avoid]),
    }
    return T2ICall.model_validate(call.model_dump() | fields)


def _settings(text: str) -> Wishes:
    return replace(wishes(_in_wish_words(text)), prompt="", negative_prompt="", leaning=False)


def _is_settings(text: str) -> bool:
    """Whether a text is settings and filler alone."""
    wish_text = _in_wish_words(text)
    rest = without_wishes(wish_text)
    return rest != wish_text and not re.search(r"\w", _FILLER.sub(" ", rest))


def _in_wish_words(text: str) -> str:
    """The text in wishes' words: "set steps to 30, use DDIM" as "steps: 30, using DDIM"."""
    return _USE.sub("using", _SET_TO.sub(r"\1: ", text))


def _clause(clause: str, find: Find) -> Edit | None:
    """The edit of one clause, without settings: those are read from the whole message."""
    if _NEW_SEED.search(clause):
        return Edit(new_seed=True)
    if _is_settings(clause):
        return Edit()
    if air := _model(clause, find):
        return Edit(model=air)
    if hit := _AVOID.match(clause):
        return Edit(avoid=(hit[1],))
    if hit := _ADD.match(clause):
        return Edit(words=(hit[1],))
    if hit := _RESTYLE.match(clause):
        return Edit(words=(hit[1],), restyle=True)
    return None


def _model(text: str, find: Find) -> str | None:
    """The AIR of the model that a text asks for by name or AIR."""
    air_hit = IN_TEXT.search(text)
    name_hit = _NAMED.match(text)
    card = (
        find(air_hit[0].rstrip(".,;")) if air_hit else find(name_hit[1].strip("\"'“”")) if name_hit else None
    )
    return card.air if card else None


def _trim(clause: str) -> str:
    return _POLITE.sub("", clause.strip()).strip(" .!?")
