"""The agent: one prompt in, one callable T2I call out.

    prompt → wishes → the language model reads → k candidates → the language model chooses → the call

Rules read the request first; the language model verifies their reading, or says otherwise. What a model is
for is matched with the reading. The language model's log-probability of a candidate's letter is added to that
with a fitted weight; only entries of the catalog are offered, so a call can be a poor pick but never an
invented one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np
import numpy.typing as npt

from diffagent.agent.answering import answer, choice
from diffagent.agent.answering.answer import LABELS, expand, question, read
from diffagent.agent.answering.reasons import Basis, reasons
from diffagent.agent.answering.settings import settings
from diffagent.agent.answering.triggers import missing as missing_words
from diffagent.agent.answering.triggers import quality_words, triggers
from diffagent.agent.asking import reading
from diffagent.agent.asking.cutting import masked
from diffagent.agent.asking.enhance import enhance as enriched
from diffagent.agent.asking.language import foreign_tags, language, translated
from diffagent.agent.asking.negatives import board_tags, default_negative, joined_negative, unread
from diffagent.agent.asking.phrasing import MOVED, phrasing
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.request import Request, RequestOptions, clean
from diffagent.agent.asking.wishes import FEW, Wishes, wishes
from diffagent.agent.choosing.choosing import Shelf, version_of
from diffagent.agent.choosing.eligible import ANY, Eligible
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.nearest import is_lenient, nearest_base_model, refusal, title
from diffagent.agent.choosing.prefilter import Candidate, Prefilter, Ranker, best_candidates, read_matcher
from diffagent.agent.choosing.scope import Scope
from diffagent.agent.choosing.sections import ANY as EVERY
from diffagent.agent.choosing.sections import Section, Sections
from diffagent.agent.choosing.suitability import Facts, Suitability, features
from diffagent.agent.decision import Answer, Decision, Matches, Outcome, Pending
from diffagent.agent.engines import Choice, Writing
from diffagent.agent.pmi.requirement import missing
from diffagent.agent.targets import ITSELF, TARGETS
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.fitting import Emitted
from diffagent.agent.targets.seeds import seeded
from diffagent.data.base_models import crosses, family_of, find, is_meant, meant_by, side_of, usual_of
from diffagent.data.checkpoint_requests import Named, checkpoints
from diffagent.data.collecting import uncollected
from diffagent.data.errors import BadInput, DiffAgentError, UnknownModel
from diffagent.data.prompts import NETWORK_TAG
from diffagent.data.records import SIDE_MAX, Card, T2ICall, Usage

if TYPE_CHECKING:
    from diffagent.agent.engines import Engine
    from diffagent.agent.engines.grammar import Grammar
    from diffagent.agent.pmi.identifier import Identification, Identifier
    from diffagent.agent.targets.installed import Installed
    from diffagent.data.catalog.catalog import Catalog


MARKED = 50.0
"""Nats for a model whose name the request marks: more than any other evidence."""
TAGGED = ("tags", "score words")
"""The forms of prompts that are made of words of image boards."""
LOW, HIGH = 768**2, 1024**2
"""Pixels that a card of 6 GB still makes, and from which a base model takes any larger size."""


class Agent:
    """Turns prompts into T2I calls; load once, call often. Safe to call from several threads."""

    def __init__(self, catalog: Catalog, prefilter: Prefilter, engine: Engine, fusion: Fusion) -> None:
        self.catalog = catalog
        self.prefilter = prefilter
        """Of the entries that answer where no base model is asked for."""
        self.sections = Sections(catalog, prefilter)
        """The other entries."""
        self.engine = engine
        trust: Mapping[str, Any] = getattr(engine, "trust", {})  # of a model that nothing was fitted for
        self.fusion = replace(fusion, **trust)
        self.eligible = Eligible(prefilter)

    @cached_property
    def shelf(self) -> Shelf:
        """The entries that answer where no base model is asked for, by what they are for."""
        return Shelf(self.prefilter.cards)

    @property
    def section(self) -> Section:
        """The entries that answer where no base model is asked for."""
        return Section(self.prefilter, self.eligible, self.shelf)

    @classmethod
    def load(
        cls,
        catalog: str | Path | None = None,
        llm: str | None = None,
        engine: str = "transformers",
        *,
        concurrent: bool = False,
    ) -> Self:
        """The embedded default, or a catalog file, language model and engine of your own.

        ``engine`` is ``transformers``, ``vllm`` or the URL of a ``vllm serve`` or of any server of OpenAI's
        chat completions, of which ``llm`` names the model; ``concurrent`` says that many
        threads will ask at once.

        The first use fetches the default weights (about 190 MB) into the cache, with a progress bar.

        Raises:
            BadCatalog: the catalog cannot be read. MissingWeights: the weights can be found nowhere.
        """
        from diffagent.agent.engines.loading import load_engine
        from diffagent.data.catalog.catalog import Catalog, Filter, default_catalog
        from diffagent.data.encoders.text_encoder import TextEncoder

        opened = Catalog.open(Path(catalog) if catalog else default_catalog())
        with (
            uncollected(),
            ThreadPoolExecutor(2) as pool,
        ):  # importing torch takes as long as reading the specifications
            loading, encoder = (
                pool.submit(load_engine, engine, llm, concurrent),
                pool.submit(TextEncoder.load),
            )
            cards, matcher = read_matcher(opened, Filter(among=opened.unasked))
            prefilter = Prefilter(cards, matcher, Ranker.load(), encoder.result())
            return cls(opened, prefilter, loading.result(), Fusion.load())

    @classmethod
    def of(cls, catalog: str | Path | None, engine: Engine, fusion: Fusion | None = None) -> Self:
        """A catalog file (default: the one that ships) with an engine that is loaded already."""
        from diffagent.data.catalog.catalog import Catalog, default_catalog
        from diffagent.data.encoders.text_encoder import TextEncoder

        opened = Catalog.open(Path(catalog) if catalog else default_catalog())
        prefilter = Prefilter.of(opened, TextEncoder.load())
        return cls(opened, prefilter, engine, fusion or Fusion.load())

    def call(self, prompt: str, **options: Unpack[RequestOptions]) -> T2ICall:
        """One T2I call for a prompt; the options are the fields of :class:`Request`.

        Raises:
            BadPrompt, BadInput, BadImage, UnknownModel: see :meth:`decide`.
        """
        return self.decide(Request.from_prompt(prompt, **options)).call

    def route(self, prompts: Iterable[str], **options: Unpack[RequestOptions]) -> list[T2ICall]:
        """A call for each prompt, in order; the first that cannot be answered raises its error."""
        calls = []
        requests = [Request.from_prompt(prompt, **options) for prompt in prompts]
        for decision in self.decide_many(requests):
            if isinstance(decision, DiffAgentError):
                raise decision
            calls.append(decision.call)
        return calls

    def decide(self, request: Request) -> Decision:
        """A call, with its candidates, notes and timings.

        Raises:
            BadInput: nothing is left to choose from, or the catalog has no image specifications.
            BadImage: an image cannot be decoded. UnknownModel: ``model`` is not in the catalog.
            TargetError: the server whose models are asked for does not answer.
        """
        outcome = self.outcome(*self.chosen(self.prepare(request)))
        turn = self.parameters_turn(outcome)
        text = self.engine.write(turn.prompt, turn.grammar, turn.draft) if turn else outcome.grammar.draft()
        return self.finish(outcome, text)

    def answer(self, request: Request) -> Answer:
        """A decision, and what its target takes: among what a server has, where that is asked for; with a
        seed, drawn where none is asked for.

        Raises:
            BadInput, BadImage, UnknownModel, TargetError: see :meth:`decide`; or the target lacks a value.
        """
        there = self.installed(request)
        decision = self.decide(request.model_copy(update={"installed": there}) if there else request)
        if request.target != ITSELF:
            decision = replace(decision, call=seeded(decision.call))
        emitted = emit(
            decision.call,
            request.target,
            self.catalog,
            nearest=request.nearest,
            names=there.names if there else None,
            known_samplers=there.samplers if there else None,
            files=there.files if there else None,
        )
        return Answer(decision, emitted)

    def decide_many(self, requests: Sequence[Request | Mapping[str, Any]]) -> list[Decision | DiffAgentError]:
        """:meth:`decide` for each request (or its options by name), in order; batched where the engine can.

        A request that cannot be answered gets its error in place of a decision; an engine that is gone
        (:class:`~diffagent.data.errors.EngineGone`) is raised.
        """
        from diffagent.agent.batch import decide_many

        return decide_many(self, requests)

    def prepare(self, request: Request) -> Pending:
        """A request as far as it goes without the language model; errors of :meth:`decide`."""
        started = time.perf_counter()
        wished = request.wishes
        notes = [*_left_out(request.prompt), *request.phrasing.notes]
        english = self._in_english(wished.prompt, notes)
        if english != wished.prompt:
            wished = _spoken_in_english(wished, english)
        if request.enhance:
            wished = replace(wished, prompt=enriched(wished.prompt, self.engine))
        is_any = (request.base_model or "").casefold() == EVERY
        given = None if is_any else request.base_model
        scope = Scope(given, request.type, request.commercial or wished.commercial, request.target)
        installed = self.installed(request)
        if installed is not None:
            scope = replace(scope, installed=frozenset(installed.names), samplers=installed.samplers)
        seen = self.identify(request.images) if request.images else None
        marked = reading.marked(request.prompt)  # no words to draw
        read = replace(Reading.of(wished.prompt, request.prompt), marked=marked)
        named, asked = None, scope
        if request.model:
            named = self._named(request, scope, notes)
        else:
            scope = replace(scope, base_model=self._had(request, given, scope, read, notes))
            spoken = scope.base_model or self._had(request, self._meant(wished, scope), scope, read, notes)
            asked = replace(scope, base_model=spoken, type=scope.type or wished.type)
            read = self._with_checkpoints(read, request.prompt, asked, notes)
        form = _form(named.card.base_model if named else asked.base_model)
        read = read.in_dialect(form, wished.prompt)
        if form in TAGGED:
            wished = _with_board_tags(wished, request, notes)
        section, asked = self._section(asked, read, named, is_any or seen is not None, notes)
        read = section.shelf.grounded(read)
        if section.shelf.marked(read).any():
            wished = replace(wished, prompt=reading.unmarked(wished.prompt))
        matches = None
        if named is not None:
            candidates = [named]
        else:
            prefilter, choosable = section.prefilter, section.shelf.choosable
            allow, is_narrow = self._allowed(asked, scope, seen, section)
            if not is_narrow:
                notes.append(_not_narrowed(wished, scope))
            allow = self._fitting(allow, wished, section)
            if wished.is_fast:
                allow = _fast(allow, section, notes)
            if section.shelf.is_read and seen is None and (allow & choosable).any():
                columns, ranked = prefilter.matched(wished.prompt, wished.negative_prompt)
                matches = Matches(allow & choosable, columns, ranked)
                candidates = [] if self.fusion.read else self._suited(read, matches, request.k, section)
            else:
                requirement = prefilter.require(wished.prompt, wished.negative_prompt)
                evidence = None if seen is None else self._evidence(seen, section)
                candidates = prefilter.rank(requirement, request.k, allow, evidence)
        times = started, time.perf_counter()
        return Pending(
            request, wished, scope, read, tuple(candidates), tuple(notes), *times, section, seen, matches
        )

    def _with_checkpoints(self, read: Reading, prompt: str, asked: Scope, notes: list[str]) -> Reading:
        """The reading with the checkpoints that a prompt asks for by name, of those that may answer."""
        wished: set[str] = set()
        for name in checkpoints(masked(prompt)):
            cards = self._called(name, asked)
            wished |= {card.air for card in cards}
            if cards and name.version is not None and version_of(cards[0]) != name.version:
                notes.append(f'"{name.words}" cannot be had: the nearest, {cards[0].name}, was taken')
            elif not cards and not name.is_base_model:
                of = f" of {title(asked.base_model)}" if asked.base_model else ""
                notes.append(f'no checkpoint{of} called "{name.words}" can be had: others were considered')
        return replace(read, wished=frozenset(wished))

    def _called(self, name: Named, asked: Scope) -> list[Card]:
        """The checkpoints of a name in scope, of the entries that answer where no base model is asked for or
        else of the others."""
        for alike in (True, False):
            for section in (self.section, self.sections.asked):
                if section is not None and section.has(asked):
                    allow = section.eligible.mask(asked)
                    if cards := section.shelf.called(name, allow, alike=alike):
                        return cards
        return []

    def _section(
        self, asked: Scope, read: Reading, named: Candidate | None, all_alike: bool, notes: list[str]
    ) -> tuple[Section, Scope]:
        """The entries that a request is answered from, and which of them: those of the base model that is
        asked for, else the usual ones, unless the whole name of a character that it asks for is known to
        others alone."""
        usual, others = self.section, self.sections.asked
        if others is None:
            return usual, asked
        if named is not None:
            return (usual if any(card.air == named.card.air for card in usual.cards) else others), asked
        if all_alike:
            return self.sections.whole or usual, asked
        if not usual.has(asked):
            return (others if others.has(asked) else usual), asked
        if asked.base_model is not None:
            return usual, asked
        marked = others.shelf.marked(read) & others.eligible.mask(asked)
        if marked.any() and not usual.shelf.marked(read).any():
            return others, asked
        if card := _known_elsewhere(read, usual, others, asked):
            notes.append(
                f"{card.name} is for {card.base_model}, and no model of the usual base models draws it: name "
                "a base model to have another"
            )
            return others, replace(asked, base_model=card.base_model)
        return usual, asked

    def chosen(self, pending: Pending) -> tuple[Pending, list[Candidate]]:
        """A prepared request with the language model's reading, and its candidates by fused score."""
        if turn := self.reading_turn(pending):
            pending = self.considered(pending, self.engine.write(turn.prompt, turn.grammar, turn.draft))
        letters: Sequence[float] = ()
        if asked := self.choice_turn(pending):
            letters = self.engine.choose(asked.prompt, asked.options)
        return pending, self.picked(pending, letters)

    def installed(self, request: Request) -> Installed | None:
        """What the server of a request's target has, where only that may be chosen.

        Raises:
            BadInput: the target has no such lists, or the catalog knows none of its models.
            TargetError: the server does not answer.
        """
        if not isinstance(request.installed, bool):
            there: Installed | None = request.installed
            return there
        if not request.installed:
            return None
        from diffagent.agent.targets.installed_models import read_installed

        return read_installed(request.target, request.target_url, self.catalog)

    def reading_turn(self, pending: Pending) -> Writing | None:
        """What the language model is asked about the request, the rules' reading as the draft; None where
        nothing hangs on it."""
        if not pending.is_open or not self.fusion.read:
            return None
        legal = pending.reading.grammar(self.fusion.read)
        return Writing(reading.question(pending.wished.prompt), legal, pending.reading.line)

    def considered(self, pending: Pending, line: str) -> Pending:
        """A request with the language model's reading and the candidates by it."""
        read = pending.reading.revised(line)
        if pending.matches is None:
            return replace(pending, reading=read, line=line)
        candidates = self._suited(read, pending.matches, pending.request.k, pending.section, pending.reading)
        return replace(pending, reading=read, candidates=tuple(candidates), line=line)

    def choice_turn(self, pending: Pending) -> Choice | None:
        """Among what the language model is asked to choose; None where nothing is open."""
        scores = [candidate.score for candidate in pending.shown]
        if not pending.is_open or not self.fusion.is_open(scores, self.engine.digest):
            return None
        return self.choice_among(pending)

    def choice_among(self, pending: Pending) -> Choice:
        """The question for one of the candidates that are shown."""
        cards = [candidate.card for candidate in pending.shown]
        asked = choice.question(cards, pending.wished.prompt, pending.line or pending.reading.line)
        return Choice(asked, tuple(pending.labels))

    def picked(self, pending: Pending, letters: Sequence[float]) -> list[Candidate]:
        """The candidates by fused score, best first; ``letters`` are the log-probabilities of those shown."""
        if not letters:
            return list(pending.candidates)
        fused = self.fusion.weigh([candidate.score for candidate in pending.shown], letters)
        best = sorted(zip(pending.shown, fused, strict=True), key=lambda pair: -pair[1])
        ranked = [Candidate(candidate.card, score) for candidate, score in best]
        return ranked + list(pending.candidates[len(ranked) :])

    def outcome(self, pending: Pending, ranked: Sequence[Candidate]) -> Outcome:
        """What the choice of the first candidate settles: its checkpoint, and the legal answers."""
        card = ranked[0].card
        carrier = self.carrier(card, pending.wished, pending.scope, pending.reading, pending.section)
        legal = self.grammar(LABELS[0], card, pending.wished, pending.scope, carrier, pending.section)
        return Outcome(pending, tuple(ranked), carrier, legal)

    def parameters_turn(self, outcome: Outcome) -> Writing | None:
        """What the language model is asked to write of the chosen one's parameters; None where the priors
        alone decide."""
        legal = outcome.grammar
        if not legal.llm_weight:
            return None
        asked = question(outcome.ranked, outcome.pending.wished.prompt)
        return Writing(asked, legal, legal.draft().removesuffix(legal.tail))

    def finish(self, outcome: Outcome, text: str) -> Decision:
        """The decision of a written answer."""
        _, fields = read(text)
        pending, ranked, carrier = outcome.pending, outcome.ranked, outcome.carrier
        card = ranked[0].card
        request, wished, notes = pending.request, pending.wished, list(pending.notes)
        runs = (carrier or card).base_model
        prompt, negative, unread_notes = unread(
            wished.prompt, wished.negative_prompt, request.phrasing.avoid, runs
        )
        if unread_notes:
            moved = {MOVED.format(name=name) for name in request.phrasing.avoid}
            notes = [*(note for note in notes if note not in moved), *unread_notes]
            wished = replace(wished, prompt=prompt, negative_prompt=negative)
        words = () if request.no_trigger else triggers(card, wished.prompt)
        others: list[tuple[Card, Sequence[str]]] = []
        shelf = pending.section.shelf
        if pending.matches and (more := shelf.companion(card, pending.reading, pending.matches.allow)):
            others.append((more, () if request.no_trigger else triggers(more, wished.prompt)))
        added: list[str] = []
        quality = () if request.no_trigger else quality_words(runs, wished.prompt)
        if quality:
            notes.append(f'"{", ".join(quality)}" was added to the prompt: what {runs} reads')
            added += quality
        for lora, needed in [(card, words), *others]:
            if absent := missing_words(wished.prompt, needed):
                notes.append(f'"{", ".join(absent)}" was added to the prompt: trigger words of {lora.name}')
                added += absent
        if carrier is not None and (note := crosses(card.base_model, carrier.base_model).note):
            notes.append(f"{card.name} runs on {carrier.name}: {note}")
        if request.default_negative and not request.gives_negative:
            usual = default_negative(
                card.base_model, wished.prompt, fields["cfg_scale"], request=request.prompt
            )
            wished = replace(wished, negative_prompt=joined_negative(wished.negative_prompt, usual))
        call = expand(fields, card, wished, carrier=carrier, words=words, others=others, quality=quality)
        if wished.oversize:
            notes.append(_resized(wished.oversize, call))
        done = time.perf_counter()
        timings = {
            "prefilter": 1e3 * (pending.prefiltered - pending.started),
            "llm": 1e3 * (done - pending.prefiltered),
            "total": 1e3 * (done - pending.started),
        }
        cards = [one.card for one in ranked]
        why = reasons(pending.reading, cards, carrier, basis=self.basis(pending), added=tuple(added))
        n = request.n or request.phrasing.n or 1
        return Decision(call, ranked, timings, pending.seen, n, tuple(notes), why, tuple(added))

    def basis(self, pending: Pending) -> Basis:
        """What the choice of a request goes by."""
        if pending.request.model:
            return "named"
        if pending.seen is not None:
            return "images"
        return "read" if pending.matches is not None else "matched"

    def carrier(
        self,
        card: Card,
        wished: Wishes,
        scope: Scope,
        read: Reading | None = None,
        section: Section | None = None,
    ) -> Card | None:
        """The checkpoint that suits a LoRA and the request; None where a checkpoint answers."""
        if card.type != "LoRA":
            return None
        section = section or self.section
        if section.shelf.is_read:
            allowed = section.eligible.carriers(card, scope)
            carrier = section.shelf.carrier(card, read or Reading.of(wished.prompt), allowed)
            if carrier is not None:
                return carrier
        return section.eligible.base_checkpoint(card, scope)

    def identify(self, images: Sequence[Any]) -> Identification:
        """The catalog's models by how probably they made 1 to 6 example images.

        Raises:
            BadInput: no or too many images, or the catalog has no image specifications. BadImage: one cannot
            be decoded.
        """
        if self.identifier is None:
            raise missing(self.catalog.path)
        return self.identifier.identify(images)

    @cached_property
    def identifier(self) -> Identifier | None:
        """Of the image specifications beside the catalog; None where there are none."""
        from diffagent.agent.pmi.identifier import Identifier

        return Identifier.beside(self.catalog.path)

    def _allowed(
        self, asked: Scope, scope: Scope, seen: Identification | None, section: Section
    ) -> tuple[npt.NDArray[np.bool_], bool]:
        """Which entries [M] may answer in the scope that was asked for, and whether it holds any.

        Where it holds none they are those of ``scope``, which the prompt's words do not narrow. With example
        images only models with image specifications answer.
        """
        allow = section.eligible.mask(asked)
        if seen is not None:
            allow = allow & np.isfinite(self._evidence(seen, section))
        is_narrow = bool(allow.any())
        return (allow if is_narrow else section.eligible.mask(scope)), is_narrow

    def _fitting(
        self, allow: npt.NDArray[np.bool_], wished: Wishes, section: Section
    ) -> npt.NDArray[np.bool_]:
        """Of the entries that may answer [M] those whose base model suits size, card and words, if any.

        A size of less than half of what a base model was trained at breaks its pictures.
        """
        if not (wished.size or wished.small_card or wished.avoided):
            return allow
        unfit = []
        facts = section.shelf.facts
        for place, base_model in enumerate(facts.base_models):
            area = side_of(base_model) ** 2
            asked = wished.size[0] * wished.size[1] if wished.size else area
            sized = area / 2 < asked < 3.5 * area or (asked >= area and area >= HIGH)
            suits = sized and not any(is_meant(name, base_model) for name in wished.avoided)
            if not suits or (wished.small_card and area > LOW):
                unfit.append(place)
        fitting = allow & ~np.isin(facts.base_model, unfit)
        return fitting if (fitting & section.shelf.choosable).any() else allow

    def _suited(
        self, read: Reading, matches: Matches, k: int, section: Section, draft: Reading | None = None
    ) -> list[Candidate]:
        """The best k by the allowed models' suitability to a reading, beside that to the rules' draft."""
        readings = [read] if draft is None or draft == read else [read, draft]
        shelf = section.shelf
        named = [shelf.in_question(one, matches.columns[:, 0]) for one in readings]
        off = [shelf.particular.off(one) & ~shelf.marked(one) for one in readings]
        allow = matches.allow & np.where(shelf.facts.is_lora, np.any(named, axis=0), ~np.all(off, axis=0))
        rows = np.flatnonzero(allow if allow.any() else matches.allow)
        tables = [features(shelf.facts, one, matches.columns, matches.ranked, rows) for one in readings]
        logits = np.full(len(allow), -np.inf)
        logits[rows] = self.suitability.among(tables) + MARKED * shelf.marked(read)[rows]
        return best_candidates(section.cards, logits, None, k)

    @property
    def facts(self) -> Facts:
        """What of :attr:`shelf` is the same for every reading."""
        return self.shelf.facts

    @cached_property
    def suitability(self) -> Suitability:
        """The weights that ship."""
        return Suitability.load()

    def _evidence(self, seen: Identification, section: Section | None = None) -> npt.NDArray[np.float64]:
        """Log-probability of each entry by its images; −inf for those without image specifications: [M]."""
        cards = (section or self.section).cards
        found = np.full(len(cards), -np.inf)
        of_air = dict(zip(seen.airs, seen.log_probabilities.tolist(), strict=True))
        for n, card in enumerate(cards):
            found[n] = of_air.get(card.air, -np.inf)
        return found

    def _named(self, request: Request, scope: Scope, notes: list[str]) -> Candidate:
        """The entry of the model that a request names, or with ``nearest`` the one whose name is nearest."""
        model = clean(request.model)
        try:
            card = self.catalog.find(model)
        except UnknownModel:
            near = self.catalog.near(model, 1) if request.nearest else []
            if not near:
                raise
            card = self.catalog.find(near[0])
            notes.append(f"there is no model {model[:60]!r}: the nearest, {card.name}, was taken")
        if not replace(scope, base_model=None, type=None, commercial=False).allows(card):
            raise BadInput(*_why_not(card, scope))
        return Candidate(card, 0.0)

    def _had(
        self, request: Request, base_model: str | None, scope: Scope, read: Reading, notes: list[str]
    ) -> str | None:
        """A base model that is asked for, or what is taken in its place.

        Raises:
            BadInput: the scope has no model of it, and the request does not take the nearest.
        """
        scope = replace(scope, base_model=None, type=None, commercial=False)
        is_plain = not (request.images or request.type or request.wishes.type)
        if not base_model or self._has(replace(scope, base_model=base_model), read if is_plain else None):
            return base_model
        others = self.sections.asked
        had = [
            card.base_model
            for section in (self.section, others)
            if section is not None
            for card, one in zip(section.cards, section.eligible.mask(scope), strict=True)
            if one and (card.type == "Checkpoint" or not is_plain)
        ]
        near = nearest_base_model(base_model, had)
        if near is None or not (request.nearest or is_lenient(request.prompt)):
            raise refusal(base_model, near, scope.target)
        notes.append(f"no model of {title(base_model)} can be had: the nearest, {near}, was taken")
        return near

    def _meant(self, wished: Wishes, scope: Scope) -> str | None:
        """The base model that a request's words name; of a family the usual one where that can be had and has
        what else they ask for."""
        usual = wished.base_model and usual_of(wished.base_model)
        suits = usual and not wished.is_fast and self._has(replace(scope, base_model=usual))
        return usual if suits else wished.base_model

    def _has(self, scope: Scope, read: Reading | None = None) -> bool:
        """Whether an entry of the catalog is in scope; for a reading a LoRA only where it is named."""
        found = (self.section, self.sections.asked)
        return any(section.has(scope, read) for section in found if section is not None)

    def _in_english(self, prompt: str, notes: list[str]) -> str:
        """The prompt as a base model reads it: translated where that is needed and the engine can."""
        spoken = language(prompt)
        if spoken is None:
            return self._tags_in_english(prompt, notes)
        english = translated(prompt, self.engine)
        if english is None:
            notes.append(f"the prompt is in {spoken}, but the base model reads English: write it in English")
            return prompt
        notes.append(f"the prompt was translated from {spoken}: the base model reads English")
        return english

    def _tags_in_english(self, prompt: str, notes: list[str]) -> str:
        """An English prompt with its tags of other languages translated, those alone."""
        for start, end, spoken in reversed(foreign_tags(prompt)):
            tag = prompt[start:end]
            english = translated(tag, self.engine)
            if english is None:
                notes.append(f'"{tag}" is in {spoken}, but the base model reads English: write it in English')
            else:
                notes.append(f'"{tag}" was translated from {spoken}, as "{english}"')
                prompt = prompt[:start] + english + prompt[end:]
        return prompt

    def grammar(
        self,
        label: str,
        card: Card,
        wished: Wishes,
        scope: Scope = ANY,
        carrier: Card | None = None,
        section: Section | None = None,
    ) -> Grammar:
        """What may be answered for one candidate (a LoRA with its ``carrier``), with the prior of each
        setting."""
        usual = (section or self.section).shelf.usual.get(family_of(card.base_model), Usage())
        legal = scope.fitted(settings(card, usual, wished, carrier), wished, (carrier or card).base_model)
        return answer.grammar(label, card, legal, self.fusion.write)

    @property
    def targets(self) -> dict[str, Callable[..., Emitted]]:
        """Each target's emitter over this catalog: ``agent.targets["a1111"](call, nearest=True).request``."""
        return {name: partial(emit, target=name, catalog=self.catalog) for name in TARGETS}

    def generate(
        self, call: T2ICall, folder: str | Path, target: str = "diffusers", **options: Any
    ) -> list[Path]:
        """Makes a call's images; the options are those of
        :func:`diffagent.agent.targets.generation.generate`."""
        from diffagent.agent.targets.generation import generate

        return generate(call, folder, target, self.catalog, **options)

    @property
    def usual(self) -> dict[str, Usage]:
        """What people use each family's models with."""
        return self.shelf.usual


def _fast(allow: npt.NDArray[np.bool_], section: Section, notes: list[str]) -> npt.NDArray[np.bool_]:
    """Of a section's entries that may answer [M] those made for few steps, if any; else a note says so."""
    facts = section.shelf.facts
    made = [
        place
        for place, name in enumerate(facts.base_models)
        if (row := find(name)) and (row.steps_range or (1, 150))[1] <= FEW
    ]
    fast = allow & np.isin(facts.base_model, made)
    if (fast & section.shelf.choosable).any():
        return fast
    notes.append("no model made for few steps can be had: others were considered")
    return allow


def _form(base_model: str | None) -> str | None:
    """The form of prompts that a base model reads, or all of a family do; None where that is not known."""
    forms = {row.dialect.form for name in meant_by(base_model or "") if (row := find(name))}
    return forms.pop() if len(forms) == 1 else None


def _with_board_tags(wished: Wishes, request: Request, notes: list[str]) -> Wishes:
    """The wishes with a tag of image boards in the prompt that reads like an exclusion."""
    prompt, negative = board_tags(wished.prompt, wished.negative_prompt, request.prompt)
    if (moved := MOVED.format(name="humans")) in notes and prompt != wished.prompt:
        notes.remove(moved)
    return replace(wished, prompt=prompt, negative_prompt=negative)


def _spoken_in_english(wished: Wishes, english: str) -> Wishes:
    """The wishes with what a translation says of the picture, and of what it must not have."""
    said = phrasing(english)
    read = wishes(english)
    negative = joined_negative(wished.negative_prompt, said.avoid)
    shape = (
        wished if wished.size or wished.aspect else replace(wished, aspect=read.aspect, leaning=read.leaning)
    )
    return replace(shape, prompt=said.prompt, negative_prompt=negative)


def _known_elsewhere(read: Reading, usual: Section, others: Section, asked: Scope) -> Card | None:
    """The other section's character whose whole name a request has, where the usual ones know no such
    name."""
    if read.marked or usual.shelf.grounded(read).is_grounded:
        return None
    return others.shelf.whole_name(read, others.eligible.mask(asked))


def _left_out(prompt: str) -> Iterator[str]:
    """A note for each LoRA tag of a prompt, which no call's prompt keeps."""
    for tag in dict.fromkeys(tag[0] for tag in NETWORK_TAG.finditer(prompt)):
        yield f"the tag {tag[:80]} was left out of the prompt: name a LoRA with the option model"


def _resized(asked: tuple[int, int], call: T2ICall) -> str:
    """Why a size is not made, and what is in its place."""
    side = side_of(call.base_model)
    return (
        f"{asked[0]}x{asked[1]} was asked for, but {call.base_model} draws about {side}x{side} pixels at "
        f"once, and "
        f"no side of a call is longer than {SIDE_MAX}: {call.width}x{call.height}, its shape nearest to that "
        "ratio, is made instead; an upscaler enlarges it"
    )


def _not_narrowed(wished: Wishes, scope: Scope) -> str:
    words = " ".join(filter(None, [wished.base_model, wished.type])) or "models with image specifications"
    return f"no model of the catalog is {words} and may be chosen for {scope.target}: others were considered"


def _why_not(card: Card, scope: Scope) -> tuple[str, str]:
    if scope.installed is not None:
        return f"{card.name} is not installed there", "leave --model out to choose among what is"
    if card.is_pickle:
        return f"{card.name} is a .ckpt file, which only AI Horde's workers run: choose another model", ""
    return f"{card.name} ({card.air}) is no model that {scope.target} can run: choose another one", ""
