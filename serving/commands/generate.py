"""``diffagent generate``: a prompt, a call or a picture becomes pictures.

The files' paths go to stdout, progress and notes to stderr.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.agent.targets import TABLE
from diffagent.serving.commands.request_options import FLAGS, request_options
from diffagent.serving.commands.shared_options import ENGINE, catalog_option, with_server_models
from diffagent.serving.commands.texts import is_missing_file, read_stdin

if TYPE_CHECKING:
    from types import FrameType

    from diffagent.agent.agent import Agent
    from diffagent.agent.answering.call_forms import CallInput
    from diffagent.data.metadata.generation import Generation
    from diffagent.data.records import T2ICall

DEFAULT_TARGET = "diffusers"
_OWN = ("target", "target_url", "seed", "n", "nearest", "installed")
"""Fields of a request whose options this command declares itself."""


@click.command()
@click.argument("words", metavar="PROMPT|CALL.json|IMAGE", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False),
    help="The folder of the pictures.",
)
@click.option(
    "--target",
    type=click.Choice(list(TABLE)),
    help=f"The API that makes the pictures; default: a request's own, else {DEFAULT_TARGET}.",
)
@click.option("--target-url", metavar="URL", help="The server; default: where the target usually is.")
@click.option("--installed", is_flag=True, help="Choose among the models that the target's server has.")
@click.option(
    "-n", type=int, help="Number of pictures, on successive seeds; default: as many as the prompt asks for."
)
@click.option("--seed", "seeds", type=int, multiple=True, help="This seed; repeat for several pictures.")
@click.option("--nearest", is_flag=True, help="Replace what the target lacks by the nearest that it has.")
@click.option(
    "--max-price", type=float, help="The most one image may cost: Buzz on Civitai, kudos on AI Horde."
)
@click.option(
    "--workflow",
    metavar="FILE.json",
    type=click.Path(dir_okay=False),
    help="A workflow of ComfyUI's (exported for the API), which the call fills.",
)
@click.option(
    "--map",
    "places",
    metavar="NAME=NODE.INPUT",
    multiple=True,
    help="The place of a value in the workflow, such as steps=3.steps; repeatable.",
)
@request_options(*_OWN)
@catalog_option()
@ENGINE
@click.pass_context
def generate(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    output: str,
    target: str | None,
    target_url: str | None,
    installed: bool,
    n: int | None,
    seeds: tuple[int, ...],
    nearest: bool,
    max_price: float | None,
    workflow: str | None,
    places: tuple[str, ...],
    catalog: str | None,
    engine: str,
    llm: str | None,
    **options: Any,
) -> None:
    """Make the pictures of a PROMPT, of a CALL or of another IMAGE; - is stdin.

    \b
    diffagent generate "a fox in the snow, pixel art" --target comfyui --installed -o out
    diffagent call "a fox" | diffagent generate - -o out
    diffagent generate fox.png --target comfyui -o again

    A file that exists is a call (as diffagent call prints it, also with --target or --explain) or a picture
    with metadata; anything else is a prompt.
    """
    from diffagent.agent.executors import images
    from diffagent.agent.targets import generation, of_workflows
    from diffagent.agent.targets.own_graph import Workflow, parse_map

    graph = Workflow.read(workflow, parse_map(places)) if workflow else None
    if places and graph is None:
        raise click.UsageError("--map goes with --workflow: it names places in the workflow")
    source = Input.read(words)
    if source.prompt is None and (flags := _request_flags(ctx, options)):
        raise click.UsageError(f"{', '.join(flags)} goes with a prompt, but {source.name} is not a prompt")
    if len(seeds) > 1 and n not in (None, len(seeds)):
        raise click.UsageError(f"-n {n} contradicts the {len(seeds)} seeds: omit -n")
    images.require()
    images.check_folder(Path(output))
    usual_target = target or (of_workflows() if graph else None)
    setup = Setup(usual_target, target_url, installed, nearest, catalog, engine, llm)
    call, count, target = setup.call(source, seeds, options)
    with interruptible(), Progress() as progress, setup.open_catalog() as catalog_:
        paths = generation.generate(
            call,
            output,
            target,
            catalog_,
            url=target_url,
            n=count if n is None else n,
            seeds=seeds,
            nearest=nearest,
            max_price=max_price,
            workflow=graph,
            report=progress,
        )
    for path in paths:
        click.echo(path)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A context in which SIGTERM and SIGHUP act as Ctrl-C does, so that a server's job is ended first."""
    import signal

    def interrupt(_: int, frame: FrameType | None) -> None:
        """The current handler of SIGINT, which background jobs of a shell ignore."""
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    numbers = [number for number, handler in handlers.items() if handler is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, handlers[number])


@dataclass(frozen=True)
class Input:
    """The input: a prompt, the text of a call, or a picture's file or bytes."""

    name: str
    prompt: str | None = None
    text: str | None = None
    picture: Path | bytes | None = None

    @classmethod
    def read(cls, words: tuple[str, ...]) -> Input:
        """The input of the command line's words.

        Raises:
            BadCall: a file is missing or cannot be read.
        """
        from diffagent.agent.answering.call_forms import is_call, is_picture
        from diffagent.data.errors import BadCall

        joined = " ".join(words)
        if joined == "-":
            data = read_stdin()
            if not isinstance(data, str):
                return cls("stdin", picture=data)
            return cls("stdin", text=data) if is_call(data) else cls("stdin", prompt=data)
        path = Path(joined)
        if is_missing_file(joined):
            raise BadCall(
                f"{joined} cannot be read: there is no such file, and a prompt is more than a file's name"
            )
        try:
            if not path.is_file():
                return cls("the text", text=joined) if is_call(joined) else cls("the prompt", prompt=joined)
            if is_picture(path):
                return cls(str(path), picture=path)
            return cls(str(path), text=path.read_text("utf-8"))
        except UnicodeDecodeError:
            raise BadCall(f"{path} cannot be read: it is neither text nor a picture") from None
        except OSError as error:
            if error.strerror == "File name too long":
                return cls("the prompt", prompt=joined)
            raise BadCall(
                f"{path} cannot be read ({error}): give a call's file, a picture or a prompt"
            ) from None


class Setup:
    """Target, server, catalog and engine of the pictures; each is prepared when it is needed."""

    def __init__(
        self,
        target: str | None,
        url: str | None,
        installed: bool,
        nearest: bool,
        catalog: str | None,
        engine: str,
        llm: str | None,
    ) -> None:
        self.target, self.url, self.installed, self.nearest = target, url, installed, nearest
        self._engine, self._llm, self._catalog = engine, llm, catalog
        self._agent: Agent | None = None
        self._with_server = False
        if installed:
            self.ask_server(target or DEFAULT_TARGET)

    def ask_server(self, target: str) -> None:
        """Add the models of the target's server to the catalog."""
        self._catalog, self._with_server = with_server_models(self._catalog, target, self.url), True

    def open_catalog(self) -> Any:
        """The catalog."""
        from diffagent.data.catalog.catalog import Catalog

        return Catalog.open(self._catalog)

    def call(
        self, source: Input, seeds: tuple[int, ...], options: Mapping[str, Any]
    ) -> tuple[T2ICall, int, str]:
        """The call, the number of pictures, and the target."""
        from diffagent.data.errors import UnknownModel

        if source.prompt is not None:
            call, count = self.decide({"prompt": source.prompt, **options, **_first_seed(seeds)})
            return call, count, self.target or DEFAULT_TARGET
        try:
            recovered = self._source_call(source)
        except UnknownModel:
            if source.picture is None:
                raise
            return self._remake(source.picture), 1, self.target or DEFAULT_TARGET
        for note in recovered.notes:
            click.echo(f"diffagent: note: {note}", err=True)
        target = self.target or recovered.target or DEFAULT_TARGET
        if source.picture is not None and (reason := self._missing(recovered.call, target)):
            click.echo(f"diffagent: note: {reason}", err=True)
            return self._remake(source.picture), 1, target
        return recovered.call, 1, target

    def decide(self, options: Mapping[str, Any]) -> tuple[T2ICall, int]:
        """A routed call, and the number of pictures."""
        from diffagent.agent.asking.request import Request
        from diffagent.serving.commands.call import report_notes

        target = self.target or DEFAULT_TARGET
        request = Request.parse(
            {
                **options,
                "target": target,
                "target_url": self.url,
                "installed": self.installed,
                "nearest": self.nearest,
            }
        )
        agent = self.agent()
        decision = agent.decide(request)
        report_notes(decision, with_count=False)
        return decision.call, decision.n

    def agent(self) -> Agent:
        """The agent on the catalog, loaded once."""
        from diffagent.agent.agent import Agent

        if self._agent is None:
            self._agent = Agent.load(self._catalog, self._llm, self._engine)
        return self._agent

    def _source_call(self, source: Input) -> CallInput:
        """The call of a file. If the catalog lacks its models, those of the server are added first."""
        from diffagent.agent.answering.call_forms import airs
        from diffagent.agent.targets import load
        from diffagent.data.errors import TargetError, UnknownModel

        try:
            recovered = self._read(source)
            with self.open_catalog() as catalog:
                is_known = all(catalog.by_air(air) for air in airs(recovered.call))
            target = self.target or recovered.target or DEFAULT_TARGET
            if is_known or self._with_server or not load(target).self_hosted:
                return recovered
        except UnknownModel:
            target = self.target or _target_of(source) or DEFAULT_TARGET
            if self._with_server or not load(target).self_hosted:
                raise
        with contextlib.suppress(TargetError):  # the error that follows names the unknown model
            self.ask_server(target)
        return self._read(source)

    def _read(self, source: Input) -> CallInput:
        from diffagent.agent.answering import call_forms

        with self.open_catalog() as catalog:
            if source.picture is not None:
                return call_forms.from_picture(source.picture, catalog)
            return call_forms.from_text(source.text or "", catalog, source.name)

    def _missing(self, call: T2ICall, target: str) -> str | None:
        """The reason why the target's server cannot make a picture's call; None if it can or cannot tell."""
        from diffagent.agent.targets import load
        from diffagent.agent.targets.fitting import Resources
        from diffagent.agent.targets.installed_models import read_installed
        from diffagent.data.errors import BadInput

        if not load(target).self_hosted:
            return None
        with self.open_catalog() as catalog:
            installed = read_installed(target, self.url, catalog)
            try:
                installed.check_present(Resources.of(call, catalog))
            except BadInput as error:
                return str(error)
        return None

    def _remake(self, picture: Path | bytes) -> T2ICall:
        """A call for a picture's prompt on the available models; prints the differences."""
        from diffagent.agent.answering.call_forms import differences
        from diffagent.data.metadata.picture import read

        generation = read(picture)
        self.installed = self.installed or self._has_server()
        if self.installed and not self._with_server:
            self.ask_server(self.target or DEFAULT_TARGET)
        self.nearest = True
        call, _ = self.decide(_wishes(generation))
        with self.open_catalog() as catalog:
            for line in differences(generation, call, catalog):
                click.echo(f"diffagent: differs: {line}", err=True)
        return call

    def _has_server(self) -> bool:
        from diffagent.agent.targets import load

        return load(self.target or DEFAULT_TARGET).self_hosted


def _wishes(generation: Generation) -> dict[str, Any]:
    """A picture's metadata as options of a request."""
    from diffagent.data.base_models import find
    from diffagent.data.records import CFG_MAX, SIDE_MAX, SIDE_MIN, STEPS_MAX, legal_side
    from diffagent.data.samplers import read

    sampler = read(generation.sampler or "", generation.schedule)
    sides = {
        name: legal_side(min(SIDE_MAX, max(SIDE_MIN, value)))
        for name, value in (("width", generation.width), ("height", generation.height))
        if value
    }
    row = find(generation.base_model or "")
    options = {
        "prompt": generation.prompt,
        "negative_prompt": generation.negative_prompt,
        "default_negative": False,
        "base_model": row.name if row else None,
        "sampling_method": sampler.method if sampler else None,
        "scheduler": sampler.scheduler if sampler else None,
        "sampling_steps": generation.steps
        if generation.steps and 1 <= generation.steps <= STEPS_MAX
        else None,
        "cfg_scale": generation.cfg_scale
        if generation.cfg_scale and 1 <= generation.cfg_scale <= CFG_MAX
        else None,
        "seed": generation.seed if generation.seed is not None and generation.seed >= 0 else None,
        "n": 1,
        **sides,
    }
    return {name: value for name, value in options.items() if value is not None}


def _first_seed(seeds: tuple[int, ...]) -> dict[str, int]:
    return {"seed": seeds[0]} if seeds else {}


def _target_of(source: Input) -> str | None:
    """The target whose request a text is, by its fields."""
    import json

    from diffagent.agent.answering.call_forms import request_target

    try:
        return request_target(json.loads(source.text or ""))
    except ValueError:
        return None


def _request_flags(ctx: click.Context, options: Mapping[str, Any]) -> list[str]:
    """The flags of a request's options on the command line."""
    source = click.core.ParameterSource.COMMANDLINE
    return [
        FLAGS.get(name, ("--" + name.replace("_", "-"),))[0]
        for name in options
        if ctx.get_parameter_source(name) == source
    ]


class Progress:
    """A progress bar on stderr; lines where stderr is not a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._last = ""

    def __enter__(self) -> Progress:
        from tqdm import tqdm

        if sys.stderr.isatty():
            self._bar = tqdm(total=100, bar_format="{desc} {bar:30} {percentage:3.0f} %", leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, what: str, done: float | None = None) -> None:
        if self._bar is not None:
            self._bar.set_description_str(what, refresh=False)
            self._bar.n = round(100 * (done or 0.0))
            self._bar.refresh()
            return
        kind = what.rstrip("0123456789 ")
        if kind != self._last and (done is None or done in (0.0, 1.0)):
            click.echo(f"diffagent: {what}", err=True)
            self._last = kind
