"""The agent: one prompt in, one callable T2I call out.

    prompt → wishes → the language model reads → k candidates → the language model chooses → the call

Rules read the request first; the language model verifies or corrects their reading. Models are scored by how
well their purpose suits the reading. The language model's log-probability of a candidate's letter is added
with a fitted weight; only entries of the catalog are candidates, so a call can be a poor choice but never
invented.
"""

from __future__ import annotations

import re
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
from diffagent.agent.asking import reading as reading_rules
from diffagent.agent.asking.chat_looks import joined
from diffagent.agent.asking.cutting import masked
from diffagent.agent.asking.describing import description
from diffagent.agent.asking.enhance import enhance as enriched
from diffagent.agent.asking.language import foreign_tags, language, translation
from diffagent.agent.asking.negatives import board_tags, default_negative, fit_negative, join_negative
from diffagent.agent.asking.phrasing import MOVED, phrasing
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.request import Request, RequestOptions, clean
from diffagent.agent.asking.wishes import FEW, Wishes, wishes
from diffagent.agent.choosing.choosing import CardShelf, version_of
from diffagent.agent.choosing.eligible import ANY, Eligible
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.nearest import is_lenient, nearest_base_model, refusal, title
from diffagent.agent.choosing.prefilter import Candidate, Prefilter, Ranker, best_candidates, read_matcher
from diffagent.agent.choosing.scope import ChoiceScope
from diffagent.agent.choosing.sections import ANY as EVERY
from diffagent.agent.choosing.sections import Section, Sections
from diffagent.agent.choosing.suitability import ShelfFacts, Suitability, features
from diffagent.agent.decision import Answer, Decision, Matches, Outcome, Pending
from diffagent.agent.engines import Choice, Writing
from diffagent.agent.pmi.requirement import missing
from diffagent.agent.targets import ITSELF, TARGETS
from diffagent.agent.targets.emitting import emit
from diffagent.agent.targets.fitting import Emitted
from diffagent.agent.targets.seeds import seeded
from diffagent.data.base_models import crosses, family_of, find, is_meant, meant_by, side_of, usual_of
from diffagent.data.checkpoint_requests import CheckpointRequest, checkpoint_requests
from diffagent.data.collecting import uncollected
from diffagent.data.cores import one_numpy_thread
from diffagent.data.errors import BadInput, DiffAgentError, UnknownModel
from diffagent.data.media import named_media
from diffagent.data.prompts import NETWORK_TAG
from diffagent.data.records import SIDE_MAX, Card, T2ICall, Usage

if TYPE_CHECKING:
    from diffagent.agent.engines import Engine
    from diffagent.agent.engines.grammar import Grammar
    from diffagent.agent.pmi.identifier import Identification, Identifier
    from diffagent.agent.targets.installed import Installed
    from diffagent.data.catalog.catalog import Catalog


MARKED = 50.0
"""Nats for a model whose name the request marks, more than any other evidence."""
TAGGED = ("tags", "score words")
"""The forms of prompts that consist of image boards' tags."""
LOW, HIGH = 768**2, 1024**2
"""The most pixels on a GPU of 6 GB, and the pixels from which a base model takes any larger size."""


class Agent:
    """Turns prompts into T2I calls; load once, call often. Safe to call from several threads."""

    def __init__(self, catalog: Catalog, prefilter: Prefilter, engine: Engine, fusion: Fusion) -> None:
        self.catalog = catalog
        self.prefilter = prefilter
        """The prefilter of the entries that answer a request without a base model."""
        self.sections = Sections(catalog, prefilter)
        """The sections of the other entries."""
        self.engine = engine
        trust: Mapping[str, Any] = getattr(engine, "trust", {})  # a model without fitted weights
        self.fusion = replace(fusion, **trust)
        self.eligible = Eligible(prefilter)

    @cached_property
    def shelf(self) -> CardShelf:
        """The shelf of the entries that answer a request without a base model."""
        return CardShelf(self.prefilter.cards)

    @property
    def section(self) -> Section:
        """The section of the entries that answer a request without a base model."""
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
        """Loads the embedded default, or your own catalog file, language model and engine.

        ``engine`` is ``transformers``, ``vllm`` or the URL of a ``vllm serve`` or of any server of OpenAI's
        chat completions, with the model ``llm``; ``concurrent``: many threads ask at once.

        The first use downloads the default weights (about 190 MB) into the cache, with a progress bar.

        Raises:
            BadCatalog: the catalog cannot be read. MissingWeights: the weights are missing.
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
        """Builds from a catalog file (default: the packaged one) and a loaded engine."""
        from diffagent.data.catalog.catalog import Catalog, default_catalog
        from diffagent.data.encoders.text_encoder import TextEncoder

        opened = Catalog.open(Path(catalog) if catalog else default_catalog())
        prefilter = Prefilter.of(opened, TextEncoder.load())
        return cls(opened, prefilter, engine, fusion or Fusion.load())

    def call(self, prompt: str, **options: Unpack[RequestOptions]) -> T2ICall:
        """Returns one T2I call for a prompt; the options are the fields of :class:`Request`.

        Raises:
            BadPrompt, BadInput, BadImage, UnknownModel: see :meth:`decide`.
        """
        return self.decide(Request.from_prompt(prompt, **options)).call

    def route(self, prompts: Iterable[str], **options: Unpack[RequestOptions]) -> list[T2ICall]:
        """Returns a call for each prompt, in order.

        Raises:
            BadInput: ``prompts`` is one string. Others: the first error of a prompt, see :meth:`decide`.
        """
        if isinstance(prompts, str):
            raise BadInput("route takes a list of prompts, and this is one string", "use call for one prompt")
        calls = []
        requests = [Request.from_prompt(prompt, **options) for prompt in prompts]
        for decision in self.decide_many(requests):
            if isinstance(decision, DiffAgentError):
                raise decision
            calls.append(decision.call)
        return calls

    def decide(self, request: Request) -> Decision:
        """Returns a call with its candidates, notes and timings.

        Raises:
            BadInput: no model is eligible, or the catalog has no image specifications.
            BadImage: an image cannot be decoded. UnknownModel: ``model`` is not in the catalog.
            TargetError: the server whose models are requested does not answer.
        """
        if isinstance(request, str):
            raise BadInput("decide takes a Request, and this is a string", "use Request.from_prompt, or call")
        outcome = self.outcome(*self.choose(self.prepare(request)))
        turn = self.parameters_turn(outcome)
        text = self.engine.write(turn.prompt, turn.grammar, turn.draft) if turn else outcome.grammar.draft()
        return self.finish(outcome, text)

    def answer(self, request: Request) -> Answer:
        """Returns a decision with its target's request; among a server's models, where requested; with a
        seed, drawn where none is given.

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
        """Calls :meth:`decide` for each request (or its options by name), in order; in batches if the engine
        can.

        A failed request gets its error in place of a decision; a failed engine raises
        :class:`~diffagent.data.errors.EngineGone`.
        """
        from diffagent.agent.batch import decide_many

        return decide_many(self, requests)

    def prepare(self, request: Request) -> Pending:
        """Processes a request up to the language model's first turn; errors of :meth:`decide`."""
        started = time.perf_counter()
        wishes = request.wishes
        notes = [*_tag_notes(request.prompt), *request.phrasing.notes]
        english = self._in_english(wishes.prompt, notes)
        if english != wishes.prompt:
            wishes = _translated_wishes(wishes, english)
        elif request.phrasing.is_story and (prompt := description(request.prompt, self.engine)):
            wishes = replace(wishes, prompt=prompt)
            notes.append("the language model wrote the prompt from the message")
        if request.enhance:
            wishes = replace(wishes, prompt=enriched(wishes.prompt, self.engine))
        is_any = (request.base_model or "").casefold() == EVERY
        option = None if is_any else request.base_model
        scope = ChoiceScope(option, request.type, request.commercial or wishes.commercial, request.target)
        installed = self.installed(request)
        if installed is not None:
            scope = replace(scope, installed=frozenset(installed.names), samplers=installed.samplers)
        identification = self.identify(request.images) if request.images else None
        marked = reading_rules.marked_names(request.prompt)  # not words to draw
        wishes = self._with_missing_models(request, wishes, notes)
        reading = replace(Reading.of(wishes.prompt, request.prompt), marked_names=marked)
        excluded = [mention.medium for name in request.phrasing.avoid for mention in named_media(name)]
        reading = reading.without(excluded)
        entry, request_scope = None, scope
        if request.model:
            entry = self._model_entry(request, scope, notes)
        else:
            scope = replace(scope, base_model=self._available_base(request, option, scope, reading, notes))
            base_model = scope.base_model or self._available_base(
                request, self._base_of_words(wishes, scope), scope, reading, notes
            )
            request_scope = replace(scope, base_model=base_model, type=scope.type or wishes.type)
            reading = self._with_checkpoints(reading, request.prompt, request_scope, notes)
        form = _form(entry.card.base_model if entry else request_scope.base_model)
        reading = reading.in_dialect(form, wishes.prompt)
        if form in TAGGED:
            wishes = _with_board_tags(wishes, request, notes)
        section, request_scope = self._section(
            request_scope, reading, entry, is_any or identification is not None, notes
        )
        reading = section.shelf.grounded(reading)
        if section.shelf.marked(reading).any():
            wishes = replace(wishes, prompt=reading_rules.without_marks(wishes.prompt))
        matches = None
        if entry is not None:
            candidates = [entry]
        else:
            prefilter, choosable = section.prefilter, section.shelf.choosable
            allow, is_narrow = self._allowed_mask(request_scope, scope, identification, section)
            if not is_narrow:
                notes.append(_no_match_note(wishes, scope))
            allow = self._narrow_to_fitting(allow, wishes, section)
            if wishes.is_fast:
                allow = _fast(allow, section, notes)
            if section.shelf.is_read and identification is None and (allow & choosable).any():
                text = prefilter.match(wishes.prompt, wishes.negative_prompt)
                matches = Matches(allow & choosable, text)
                candidates = (
                    []
                    if self.fusion.reading_weight
                    else self._rank_suitable(reading, matches, request.k, section)
                )
            else:
                requirement = prefilter.require(wishes.prompt, wishes.negative_prompt)
                evidence = None if identification is None else self._evidence(identification, section)
                candidates = prefilter.rank(requirement, request.k, allow, evidence)
        times = started, time.perf_counter()
        return Pending(
            request,
            wishes,
            scope,
            reading,
            tuple(candidates),
            tuple(notes),
            *times,
            section,
            identification,
            matches,
        )

    def _with_missing_models(self, request: Request, wishes: Wishes, notes: list[str]) -> Wishes:
        """Returns the wishes with the medium in the name of a LoRA, or of a look that any LoRA may bring; a
        LoRA that cannot be had is noted."""
        for look in reading_rules.asked_looks(request.prompt):
            wishes = _with_medium_of(look, wishes)
        for name in reading_rules.requested_models(request.prompt):
            wishes = _with_medium_of(name, wishes)
            reading = replace(Reading.of(name), marked_names=(name,))
            sections = [*filter(None, (self.section, self.sections.asked))]
            if not any(
                (section.shelf.marked(reading) & section.shelf.choosable).any() for section in sections
            ):
                notes.append(f'no model called "{name}" can be had: others were considered')
        return wishes

    def _with_checkpoints(
        self, reading: Reading, prompt: str, request_scope: ChoiceScope, notes: list[str]
    ) -> Reading:
        """Returns the reading with the eligible checkpoints that a prompt names."""
        airs: set[str] = set()
        for name in checkpoint_requests(masked(prompt)):
            cards = self._checkpoints_of(name, request_scope)
            airs |= {card.air for card in cards}
            if cards and name.version is not None and version_of(cards[0]) != name.version:
                notes.append(f'"{name.words}" cannot be had: the nearest, {cards[0].name}, was taken')
            elif not cards and not name.is_base_model:
                of = f" of {title(request_scope.base_model)}" if request_scope.base_model else ""
                notes.append(f'no checkpoint{of} called "{name.words}" can be had: others were considered')
        return replace(reading, checkpoints=frozenset(airs))

    def _checkpoints_of(self, name: CheckpointRequest, request_scope: ChoiceScope) -> list[Card]:
        """Returns the checkpoints of a name in scope, from the usual section, else from the others."""
        for alike in (True, False):
            for section in (self.section, self.sections.asked):
                if section is not None and section.has(request_scope):
                    allow = section.eligible.mask(request_scope)
                    if cards := section.shelf.checkpoints_of(name, allow, alike=alike):
                        return cards
        return []

    def _section(
        self,
        request_scope: ChoiceScope,
        reading: Reading,
        entry: Candidate | None,
        all_alike: bool,
        notes: list[str],
    ) -> tuple[Section, ChoiceScope]:
        """Returns the section and the scope that answer a request: those of the requested base model, else
        the usual ones, unless only other entries know the whole name of a requested character."""
        usual, others = self.section, self.sections.asked
        if others is None:
            return usual, request_scope
        if entry is not None:
            return (
                usual if any(card.air == entry.card.air for card in usual.cards) else others
            ), request_scope
        if all_alike:
            return self.sections.whole or usual, request_scope
        if not usual.has(request_scope):
            return (others if others.has(request_scope) else usual), request_scope
        if request_scope.base_model is not None:
            return usual, request_scope
        marked = others.shelf.marked(reading) & others.eligible.mask(request_scope)
        if marked.any() and not usual.shelf.marked(reading).any():
            return others, request_scope
        if card := _character_elsewhere(reading, usual, others, request_scope):
            notes.append(
                f"{card.name} is for {card.base_model}, and no model of the usual base models draws it: name "
                "a base model to have another"
            )
            return others, replace(request_scope, base_model=card.base_model)
        return usual, request_scope

    def choose(self, pending: Pending) -> tuple[Pending, list[Candidate]]:
        """Returns a prepared request with the language model's reading, and its candidates by fused score."""
        if turn := self.reading_turn(pending):
            pending = self.consider(pending, self.engine.write(turn.prompt, turn.grammar, turn.draft))
        letters: Sequence[float] = ()
        if question_turn := self.choice_turn(pending):
            letters = self.engine.choose(question_turn.prompt, question_turn.options)
        return pending, self.pick(pending, letters)

    def installed(self, request: Request) -> Installed | None:
        """Returns the models of a request's server, where only these may be chosen.

        Raises:
            BadInput: the target has no lists of models, or the catalog has none of its models.
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
        """Returns the language model's question about the request, with the rules' reading as the draft; None
        where the choice does not depend on it."""
        if not pending.is_open or not self.fusion.reading_weight:
            return None
        legal = pending.reading.grammar(self.fusion.reading_weight)
        return Writing(reading_rules.question(pending.wishes.prompt), legal, pending.reading.line)

    def consider(self, pending: Pending, line: str) -> Pending:
        """Returns a request with the language model's reading and the candidates by it."""
        revision = pending.reading.revised(line)
        if pending.matches is None:
            return replace(pending, reading=revision, line=line)
        candidates = self._rank_suitable(
            revision, pending.matches, pending.request.k, pending.section, pending.reading
        )
        return replace(pending, reading=revision, candidates=tuple(candidates), line=line)

    def choice_turn(self, pending: Pending) -> Choice | None:
        """Returns the language model's choice of a candidate; None where nothing is open."""
        scores = [candidate.score for candidate in pending.shown]
        if not pending.is_open or not self.fusion.is_open(scores, self.engine.digest):
            return None
        return self.choice_among(pending)

    def choice_among(self, pending: Pending) -> Choice:
        """Returns the choice among the shown candidates."""
        cards = [candidate.card for candidate in pending.shown]
        prompt = choice.question(cards, pending.wishes.prompt, pending.line or pending.reading.line)
        return Choice(prompt, tuple(pending.labels))

    def pick(self, pending: Pending, letters: Sequence[float]) -> list[Candidate]:
        """Returns the candidates by fused score, best first; ``letters``: log-probabilities of the shown
        ones."""
        if not letters:
            return list(pending.candidates)
        fused = self.fusion.weigh([candidate.score for candidate in pending.shown], letters)
        best = sorted(zip(pending.shown, fused, strict=True), key=lambda pair: -pair[1])
        ranked = [Candidate(candidate.card, score) for candidate, score in best]
        return ranked + list(pending.candidates[len(ranked) :])

    def outcome(self, pending: Pending, ranked: Sequence[Candidate]) -> Outcome:
        """Returns the outcome of choosing the first candidate: its checkpoint and the legal answers."""
        card = ranked[0].card
        carrier = self.carrier(card, pending.wishes, pending.scope, pending.reading, pending.section)
        legal = self.grammar(LABELS[0], card, pending.wishes, pending.scope, carrier, pending.section)
        return Outcome(pending, tuple(ranked), carrier, legal)

    def parameters_turn(self, outcome: Outcome) -> Writing | None:
        """Returns the language model's question for the chosen model's parameters; None where the priors
        alone decide."""
        legal = outcome.grammar
        if not legal.llm_weight:
            return None
        prompt = question(outcome.ranked, outcome.pending.wishes.prompt)
        return Writing(prompt, legal, legal.draft().removesuffix(legal.tail))

    def finish(self, outcome: Outcome, text: str) -> Decision:
        """Returns the decision of a written answer."""
        _, fields = read(text)
        pending, ranked, carrier = outcome.pending, outcome.ranked, outcome.carrier
        card = ranked[0].card
        request, wishes, notes = pending.request, pending.wishes, list(pending.notes)
        runs = (carrier or card).base_model
        prompt, negative, unread_notes = fit_negative(
            wishes.prompt, wishes.negative_prompt, request.phrasing.avoid, runs
        )
        if unread_notes:
            moved = {MOVED.format(name=name) for name in request.phrasing.avoid}
            notes = [*(note for note in notes if note not in moved), *unread_notes]
            wishes = replace(wishes, prompt=prompt, negative_prompt=negative)
        words = () if request.no_trigger else triggers(card, wishes.prompt)
        others: list[tuple[Card, Sequence[str]]] = []
        shelf = pending.section.shelf
        if pending.matches and (more := shelf.companion(card, pending.reading, pending.matches.allow)):
            others.append((more, () if request.no_trigger else triggers(more, wishes.prompt)))
        added: list[str] = []
        quality = () if request.no_trigger else quality_words(runs, wishes.prompt)
        if quality:
            notes.append(f'"{", ".join(quality)}" was added to the prompt: what {runs} reads')
            added += quality
        for lora, needed in [(card, words), *others]:
            if absent := missing_words(wishes.prompt, needed):
                notes.append(f'"{", ".join(absent)}" was added to the prompt: trigger words of {lora.name}')
                added += absent
        if carrier is not None and (note := crosses(card.base_model, carrier.base_model).note):
            notes.append(f"{card.name} runs on {carrier.name}: {note}")
        if request.default_negative and not request.gives_negative:
            usual = default_negative(
                card.base_model, wishes.prompt, fields["cfg_scale"], request=request.prompt
            )
            wishes = replace(wishes, negative_prompt=join_negative(wishes.negative_prompt, usual))
        call = expand(fields, card, wishes, carrier=carrier, words=words, others=others, quality=quality)
        if wishes.oversize:
            notes.append(_size_note(wishes.oversize, call))
        done = time.perf_counter()
        timings = {
            "prefilter": 1e3 * (pending.prefiltered - pending.started),
            "llm": 1e3 * (done - pending.prefiltered),
            "total": 1e3 * (done - pending.started),
        }
        cards = [candidate.card for candidate in ranked]
        why = reasons(pending.reading, cards, carrier, basis=self.basis(pending), added=tuple(added))
        n = request.n or request.phrasing.n or 1
        return Decision(call, ranked, timings, pending.identification, n, tuple(notes), why, tuple(added))

    def basis(self, pending: Pending) -> Basis:
        """Returns the basis of a request's choice."""
        if pending.request.model:
            return "named"
        if pending.identification is not None:
            return "images"
        return "read" if pending.matches is not None else "matched"

    def carrier(
        self,
        card: Card,
        wishes: Wishes,
        scope: ChoiceScope,
        reading: Reading | None = None,
        section: Section | None = None,
    ) -> Card | None:
        """Returns the checkpoint that suits a LoRA and the request; None where a checkpoint answers."""
        if card.type != "LoRA":
            return None
        section = section or self.section
        if section.shelf.is_read:
            allowed = section.eligible.carriers(card, scope)
            carrier = section.shelf.carrier(card, reading or Reading.of(wishes.prompt), allowed)
            if carrier is not None:
                return carrier
        return section.eligible.base_checkpoint(card, scope)

    def identify(self, images: Sequence[Any]) -> Identification:
        """Returns the probabilities of the catalog's models given 1 to 6 example images.

        Raises:
            BadInput: no or too many images, or the catalog has no image specifications. BadImage: one cannot
            be decoded.
        """
        if self.identifier is None:
            raise missing(self.catalog.path)
        return self.identifier.identify(images)

    @cached_property
    def identifier(self) -> Identifier | None:
        """The identifier from the image specifications beside the catalog; None where there are none."""
        from diffagent.agent.pmi.identifier import Identifier

        return Identifier.beside(self.catalog.path)

    def _allowed_mask(
        self,
        request_scope: ChoiceScope,
        scope: ChoiceScope,
        identification: Identification | None,
        section: Section,
    ) -> tuple[npt.NDArray[np.bool_], bool]:
        """Returns the mask [M] of the entries in the request's scope, and whether there are any.

        Without any, the mask is that of ``scope``, which the prompt's words do not narrow. With example
        images only models with image specifications answer.
        """
        allow = section.eligible.mask(request_scope)
        if identification is not None:
            allow = allow & np.isfinite(self._evidence(identification, section))
        is_narrow = bool(allow.any())
        return (allow if is_narrow else section.eligible.mask(scope)), is_narrow

    def _narrow_to_fitting(
        self, allow: npt.NDArray[np.bool_], wishes: Wishes, section: Section
    ) -> npt.NDArray[np.bool_]:
        """Narrows the eligible entries [M] to those whose base model suits size, GPU and words, if any.

        A size of less than half a base model's training size breaks its pictures.
        """
        if not (wishes.size or wishes.small_card or wishes.avoided):
            return allow
        unfit = []
        facts = section.shelf.facts
        for place, base_model in enumerate(facts.base_models):
            area = side_of(base_model) ** 2
            pixels = wishes.size[0] * wishes.size[1] if wishes.size else area
            sized = area / 2 < pixels < 3.5 * area or (pixels >= area and area >= HIGH)
            suits = sized and not any(is_meant(name, base_model) for name in wishes.avoided)
            if not suits or (wishes.small_card and area > LOW):
                unfit.append(place)
        fitting = allow & ~np.isin(facts.base_model, unfit)
        return fitting if (fitting & section.shelf.choosable).any() else allow

    @one_numpy_thread()
    def _rank_suitable(
        self, reading: Reading, matches: Matches, k: int, section: Section, draft: Reading | None = None
    ) -> list[Candidate]:
        """Returns the best k allowed models by suitability to a reading and to the rules' draft."""
        readings = [reading] if draft is None or draft == reading else [reading, draft]
        shelf = section.shelf
        masks = [shelf.in_question(variant, matches.text.columns[:, 0]) for variant in readings]
        off = [shelf.particular.off(variant) & ~shelf.marked(variant) for variant in readings]
        allow = matches.allow & np.where(shelf.facts.is_lora, np.any(masks, axis=0), ~np.all(off, axis=0))
        rows = np.flatnonzero(allow if allow.any() else matches.allow)
        tables = [features(shelf.facts, variant, matches.text, rows) for variant in readings]
        logits = np.full(len(allow), -np.inf)
        marked = shelf.marked(reading)
        logits[rows] = self.suitability.among(tables) + MARKED * marked[rows]
        if (knowing := shelf.knowing(draft or reading)) is not None and (knowing & allow).any():
            logits[~(knowing | marked)] -= MARKED
        return best_candidates(section.cards, logits, None, k)

    @property
    def facts(self) -> ShelfFacts:
        """The facts of :attr:`shelf`, independent of the reading."""
        return self.shelf.facts

    @cached_property
    def suitability(self) -> Suitability:
        """The packaged weights."""
        return Suitability.load()

    def _evidence(
        self, identification: Identification, section: Section | None = None
    ) -> npt.NDArray[np.float64]:
        """Returns log-probabilities of entries by images, −inf without image specifications: [M]."""
        cards = (section or self.section).cards
        evidence = np.full(len(cards), -np.inf)
        of_air = dict(zip(identification.airs, identification.log_probabilities.tolist(), strict=True))
        for n, card in enumerate(cards):
            evidence[n] = of_air.get(card.air, -np.inf)
        return evidence

    def _model_entry(self, request: Request, scope: ChoiceScope, notes: list[str]) -> Candidate:
        """Returns the entry of the model that a request names; with ``nearest`` the one of the nearest
        name."""
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
            raise BadInput(*_refusal_reason(card, scope))
        return Candidate(card, 0.0)

    def _available_base(
        self, request: Request, base_model: str | None, scope: ChoiceScope, reading: Reading, notes: list[str]
    ) -> str | None:
        """Returns a requested base model, or its substitute.

        Raises:
            BadInput: the scope has no model of it, and the request does not allow the nearest.
        """
        scope = replace(scope, base_model=None, type=None, commercial=False)
        is_plain = not (request.images or request.type or request.wishes.type)
        if not base_model or self._has(replace(scope, base_model=base_model), reading if is_plain else None):
            return base_model
        others = self.sections.asked
        had = [
            card.base_model
            for section in (self.section, others)
            if section is not None
            for card, is_eligible in zip(section.cards, section.eligible.mask(scope), strict=True)
            if is_eligible and (card.type == "Checkpoint" or not is_plain)
        ]
        near = nearest_base_model(base_model, had)
        if near is None or not (request.nearest or is_lenient(request.prompt)):
            raise refusal(base_model, near, scope.target)
        notes.append(f"no model of {title(base_model)} can be had: the nearest, {near}, was taken")
        return near

    def _base_of_words(self, wishes: Wishes, scope: ChoiceScope) -> str | None:
        """Returns the base model that a request's words name; for a family the usual one, if it is available
        and suits the other wishes."""
        usual = wishes.base_model and usual_of(wishes.base_model)
        suits = usual and not wishes.is_fast and self._has(replace(scope, base_model=usual))
        return usual if suits else wishes.base_model

    def _has(self, scope: ChoiceScope, reading: Reading | None = None) -> bool:
        """Whether an entry of the catalog is in scope; with a reading a LoRA counts only where it is
        named."""
        sections = (self.section, self.sections.asked)
        return any(section.has(scope, reading) for section in sections if section is not None)

    def _in_english(self, prompt: str, notes: list[str]) -> str:
        """Returns the prompt in English, translated where needed if the engine can."""
        tongue = language(prompt)
        if tongue is None:
            return self._tags_in_english(prompt, notes)
        english = translation(prompt, self.engine)
        if english is None:
            notes.append(f"the prompt is in {tongue}, but the base model reads English: write it in English")
            return prompt
        notes.append(f"the prompt was translated from {tongue}: the base model reads English")
        return english

    def _tags_in_english(self, prompt: str, notes: list[str]) -> str:
        """Returns an English prompt with its tags of other languages translated."""
        for start, end, tongue in reversed(foreign_tags(prompt)):
            tag = prompt[start:end]
            english = translation(tag, self.engine)
            if english is None:
                notes.append(f'"{tag}" is in {tongue}, but the base model reads English: write it in English')
            else:
                notes.append(f'"{tag}" was translated from {tongue}, as "{english}"')
                prompt = prompt[:start] + english + prompt[end:]
        return prompt

    def grammar(
        self,
        label: str,
        card: Card,
        wishes: Wishes,
        scope: ChoiceScope = ANY,
        carrier: Card | None = None,
        section: Section | None = None,
    ) -> Grammar:
        """Returns the grammar of answers for one candidate (a LoRA with its ``carrier``), with the prior of
        each setting."""
        usual = (section or self.section).shelf.usual.get(family_of(card.base_model), Usage())
        legal = scope.fitted(settings(card, usual, wishes, carrier), wishes, (carrier or card).base_model)
        return answer.grammar(label, card, legal, self.fusion.parameter_weight)

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
        """Each family's usage."""
        return self.shelf.usual


def _fast(allow: npt.NDArray[np.bool_], section: Section, notes: list[str]) -> npt.NDArray[np.bool_]:
    """Narrows a section's eligible entries [M] to those made for few steps, if any; else adds a note."""
    facts = section.shelf.facts
    places = [
        place
        for place, name in enumerate(facts.base_models)
        if (row := find(name)) and (row.steps_range or (1, 150))[1] <= FEW
    ]
    fast = allow & np.isin(facts.base_model, places)
    if (fast & section.shelf.choosable).any():
        return fast
    notes.append("no model made for few steps can be had: others were considered")
    return allow


def _form(base_model: str | None) -> str | None:
    """Returns the form of prompts of a base model, or of all of a family; None where it is unknown."""
    forms = {row.dialect.form for name in meant_by(base_model or "") if (row := find(name))}
    return forms.pop() if len(forms) == 1 else None


def _with_board_tags(wishes: Wishes, request: Request, notes: list[str]) -> Wishes:
    """Returns the wishes with image boards' tags, which read like exclusions, back in the prompt."""
    prompt, negative = board_tags(wishes.prompt, wishes.negative_prompt, request.prompt)
    if (moved := MOVED.format(name="humans")) in notes and prompt != wishes.prompt:
        notes.remove(moved)
    return replace(wishes, prompt=prompt, negative_prompt=negative)


def _translated_wishes(original: Wishes, english: str) -> Wishes:
    """Returns the wishes of a translated prompt, with its exclusions as negative prompt."""
    parts = phrasing(english)
    english_wishes = wishes(english)
    negative = join_negative(original.negative_prompt, parts.avoid)
    shape = (
        original
        if original.size or original.aspect
        else replace(original, aspect=english_wishes.aspect, leaning=english_wishes.leaning)
    )
    return replace(shape, prompt=parts.prompt, negative_prompt=negative)


def _character_elsewhere(
    reading: Reading, usual: Section, others: Section, request_scope: ChoiceScope
) -> Card | None:
    """Returns the other section's character whose whole name a request has, where the usual section does not
    know the name."""
    if reading.marked_names or usual.shelf.grounded(reading).is_grounded:
        return None
    return others.shelf.whole_name(reading, others.eligible.mask(request_scope))


def _with_medium_of(name: str, wishes: Wishes) -> Wishes:
    """Returns the wishes with the medium in a model's name, where the prompt names none."""
    mention = next(iter(named_media(re.sub(r"[_\W]+", " ", name))), None)
    if mention is None or named_media(NETWORK_TAG.sub(" ", wishes.prompt)):
        return wishes
    return replace(wishes, prompt=joined(wishes.prompt, mention.words))


def _tag_notes(prompt: str) -> Iterator[str]:
    """Yields a note for each LoRA tag of a prompt, since calls' prompts drop them."""
    for tag in dict.fromkeys(tag[0] for tag in NETWORK_TAG.finditer(prompt)):
        yield f"the tag {tag[:80]} was left out of the prompt: name a LoRA with the option model"


def _size_note(size: tuple[int, int], call: T2ICall) -> str:
    """Returns a note on a size that cannot be made, with its substitute."""
    side = side_of(call.base_model)
    return (
        f"{size[0]}x{size[1]} was asked for, but {call.base_model} draws about {side}x{side} pixels at "
        f"once, and "
        f"no side of a call is longer than {SIDE_MAX}: {call.width}x{call.height}, its shape nearest to that "
        "ratio, is made instead; an upscaler enlarges it"
    )


def _no_match_note(wishes: Wishes, scope: ChoiceScope) -> str:
    words = " ".join(filter(None, [wishes.base_model, wishes.type])) or "models with image specifications"
    return f"no model of the catalog is {words} and may be chosen for {scope.target}: others were considered"


def _refusal_reason(card: Card, scope: ChoiceScope) -> tuple[str, str]:
    if scope.installed is not None:
        return f"{card.name} is not installed there", "leave --model out to choose among what is"
    if card.is_pickle:
        return f"{card.name} is a .ckpt file, which only AI Horde's workers run: choose another model", ""
    return f"{card.name} ({card.air}) is not a model that {scope.target} can run: choose another one", ""
