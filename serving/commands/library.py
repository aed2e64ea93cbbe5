"""``diffagent library``: the model files of some folders become your catalog.

    diffagent library ~/webui/models          # what each file is; from then on the catalog of other commands

stdout carries the table (or JSON with ``--json``); everything else goes to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diffagent.data.errors import BadInput, DiffAgentError
from diffagent.serving.commands.shared_options import FOLDER, JSON, PATH

if TYPE_CHECKING:
    from diffagent.data.library.entries import Line, Shelf
    from diffagent.data.library.state import File, State
    from diffagent.data.records import Card

_FOLDERS = click.argument("folders", nargs=-1, metavar="[DIR]...", type=PATH)
_FILE = click.argument("file")


class FoldersFirst(click.Group):
    """A group whose first word is a folder if it is not one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h"):
            args = ["scan", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["scan", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=FoldersFirst, no_args_is_help=True)
def library() -> None:
    """Make the model files of folders (DIR...) your catalog, list them, correct them, fetch more.

    \b
    diffagent library ~/stable-diffusion-webui/models
    diffagent library ~/ComfyUI/models /mnt/loras
    diffagent library set inks.safetensors --base-model sdxl --trigger "inkfox"
    diffagent library forget
    """


@library.command()
@_FOLDERS
@click.option("--offline", is_flag=True, help="Ask no hub.")
@click.option("--url", metavar="BASE", help="The hub's base URL (default: Civitai's).")
@click.option(
    "--hash/--no-hash", "hashed", default=True, help="Hash whole files, for the hub and for servers."
)
@click.option("--llm", metavar="URL", help="An OpenAI-compatible server that describes the models.")
@click.option("--llm-model", metavar="NAME", help="The server's model.")
@JSON
def scan(
    folders: tuple[Path, ...],
    offline: bool,
    url: str | None,
    hashed: bool,
    llm: str | None,
    llm_model: str | None,
    as_json: bool,
) -> None:
    """Read the folders' model files, and again only those that changed; without DIR, the library's folders.

    A models folder of A1111, Forge, ComfyUI, Stability Matrix or SwarmUI, or any other. The table says what
    each file is and why it cannot be used. Hashing whole files goes on behind; stop it at any time.
    """
    from diffagent.data.library.catalog import build
    from diffagent.data.library.hashing import Hashing, hash_jobs
    from diffagent.data.library.scan import Problems
    from diffagent.data.library.state import library_home

    job = None
    if llm is not None or llm_model is not None:
        from diffagent.serving.commands.describe import job_of

        job = job_of(llm, llm_model, "none", 8)
    with _open_library() as state:
        problems = Problems()
        roots = _roots(state, folders)
        changed = _scan(state, roots, problems)
        for line in problems.lines:
            click.echo(f"diffagent: {line}", err=True)
        jobs = hash_jobs(state) if hashed else []
        with Hashing(library_home(), jobs) as hashing:
            shelf = build(state, _encoder, job, progress=_bar)
            _print_lines(shelf, as_json)
            click.echo(
                f"diffagent: {changed:,} files read, {len(shelf.lines) - changed:,} as before", err=True
            )
            if not shelf.usable:
                folder = ", ".join(map(str, roots))
                raise BadInput(f"no file of {folder} can be used: the table says why of each")
            _tell_use(shelf)
            if jobs:
                _wait(hashing)
        if not offline:
            _ask_hub(state, url)
        build(state, _encoder, job, progress=_bar)


@library.command("list")
@JSON
def list_(as_json: bool) -> None:
    """List the files of the library."""
    from diffagent.data.library.entries import shelve

    with _open_library() as state:
        _need_folders(state)
        _print_lines(shelve(state.files), as_json)


@library.command()
@_FILE
@JSON
def show(file: str, as_json: bool) -> None:
    """Show the facts of one FILE: a path, or a file's name."""
    from diffagent.data.library.entries import shelve
    from diffagent.serving.commands.tables import facts

    with _open_library() as state:
        entry = _find_file(state, file)
        line = next(line for line in shelve(state.files).lines if line.path == str(entry.path))
    file_facts = _file_facts(entry, line)
    click.echo(json.dumps(file_facts, ensure_ascii=False) if as_json else facts(_fact_texts(file_facts)))


@library.command("set")
@_FILE
@click.option("--base-model", metavar="NAME", help="Its base model, whatever file, sidecar and hub say.")
@click.option(
    "--trigger", "triggers", multiple=True, metavar="WORDS", help="Words that it needs; repeatable."
)
@click.option("--name", metavar="NAME", help="Its name.")
@click.option("--no-trigger", is_flag=True, help="It needs no words.")
@click.option("--reset", is_flag=True, help="Forget earlier settings.")
def set_(
    file: str,
    base_model: str | None,
    triggers: tuple[str, ...],
    name: str | None,
    no_trigger: bool,
    reset: bool,
) -> None:
    """Set the facts of a FILE yourself; they override all others, also after the next scan."""
    from dataclasses import replace

    from diffagent.data.base_models import LISTED, examples
    from diffagent.data.library.bases import row_name
    from diffagent.data.library.catalog import build
    from diffagent.data.library.state import Override

    if not (base_model or triggers or name or no_trigger or reset):
        raise click.UsageError(
            "nothing to set: give --base-model, --trigger, --name, --no-trigger or --reset"
        )
    if triggers and no_trigger:
        raise click.UsageError("--trigger and --no-trigger exclude each other")
    if base_model is not None and row_name(base_model) not in LISTED:
        raise BadInput(f"no base model {base_model!r} is supported: give a {examples()}")
    words = tuple(" ".join(word.split()) for word in triggers if word.strip())
    with _open_library() as state:
        entry = _find_file(state, file)
        override = Override() if reset else entry.override
        if base_model is not None:
            override = replace(override, base_model=row_name(base_model))
        if words or no_trigger:
            override = replace(override, trigger_words=words)
        if name is not None:
            override = replace(override, name=name)
        state.set_override(entry.key, override)
        shelf = build(state, _encoder, progress=_bar)
        line = next(line for line in shelf.lines if line.path == str(entry.path))
    click.echo(f"{line.shown}: {_row(line)[1]}, {line.base.name or 'unknown'}; {_row(line)[4]}", err=True)


@library.command()
@click.argument("folder", required=False, type=PATH)
def forget(folder: Path | None) -> None:
    """Forget the library, or one FOLDER of it; no model is touched.

    The catalog that ships is the default again.
    """
    from diffagent.data.library import state as memory
    from diffagent.data.library.catalog import build

    if folder is None:
        was_there = memory.forget()
        click.echo("forgotten" if was_there else "there was no library", err=True)
        return
    with _open_library() as state:
        if not state.drop_root(folder.absolute()):
            folders = ", ".join(map(str, state.roots())) or "none"
            raise BadInput(f"{folder} is not a folder of the library: its folders are {folders}")
        build(state, _encoder, progress=_bar)


@library.command()
@click.argument("model")
@click.option("--into", "folder", metavar="DIR", type=FOLDER,
              help="A folder of models; default: the library's.")  # fmt: skip
@click.option("--catalog", metavar="PATH", help="The catalog that MODEL is in; default: the one that ships.")
@click.option("--url", metavar="BASE", help="The hub's base URL (default: Civitai's).")
@click.option("--yes", is_flag=True, help="Fetch without asking.")
def get(model: str, folder: Path | None, catalog: str | None, url: str | None, yes: bool) -> None:
    """Fetch MODEL (a name, AIR, id or hash) into the right folder: size, licence and hash are shown first.

    What broke off is resumed; the file is checked by its hash, and is safetensors. A key is read from
    CIVITAI_API_KEY.
    """
    import shutil
    from contextlib import closing

    from diffagent.agent.executors.downloads import check_fetchable, fetch, size_of
    from diffagent.data.catalog.catalog import Catalog
    from diffagent.data.library.fetching import destination
    from diffagent.serving.commands.generate import Progress
    from diffagent.serving.commands.tables import facts

    with closing(Catalog.open(catalog)) as opened:
        card = opened.find(model)
    check_fetchable(card)
    with _open_library() as state:
        root = _target(state, folder)
        present = next((file for file in state.files() if file.sha256 == card.sha256), None)
        if present is not None:
            click.echo(f"diffagent: the file is there already: {present.shown}", err=True)
            click.echo(present.path)
            return
        path = destination(root, card)
        size = size_of(card, url)
        click.echo(facts(_offer(card, size, path)), err=True)
        if size is not None and size > shutil.disk_usage(root).free:
            raise BadInput(
                f"{path.parent} has no room for {size / 1e9:.1f} GB: free some, or give another --into"
            )
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("stdin is not a terminal to confirm on: --yes fetches without asking")
            click.confirm("fetch it?", abort=True, err=True)
        with Progress() as report:
            fetch(card, report, url=url, path=path)
        click.echo(path)
        if root in state.roots():
            from diffagent.data.library.catalog import build
            from diffagent.data.library.scan import Problems

            _scan(state, [root], Problems())
            build(state, _encoder, progress=_bar)


def _target(state: State, folder: Path | None) -> Path:
    """The folder of models to fetch into."""
    if folder is not None:
        root = folder.expanduser().absolute()
        if not root.is_dir():
            raise BadInput(f"{folder} is not a folder: give the models folder of a webui or of ComfyUI")
        return root
    roots = state.roots()
    if not roots:
        raise BadInput("there is no library yet: make one with diffagent library DIR, or give --into DIR")
    return roots[0]


def _offer(card: Card, size: int | None, path: Path) -> list[tuple[str, str]]:
    """The facts of a model that are shown before it is fetched."""
    from diffagent.data.air import AIR
    from diffagent.data.base_models import find

    row = find(card.base_model)
    licence = card.licence
    terms = [
        f"images may {'' if licence.images_may_be_sold else 'not '}be sold",
        f"credit is {'not needed' if licence.no_credit else 'needed'}",
        f"derivatives are {'' if licence.derivatives else 'not '}allowed",
    ]
    return [
        ("model", f"{card.name} {card.version_name}".strip()),
        ("type", f"{card.type}, {card.base_model}"),
        ("page", AIR.parse(card.air).url or ""),
        ("size", f"{size / 1e6:,.0f} MB" if size is not None else "unknown"),
        ("licence", "; ".join(terms)),
        ("of the base model", str(row.licence) if row is not None and row.licence else ""),
        ("sha256", card.sha256 or ""),
        ("to", str(path)),
    ]


@contextmanager
def _open_library() -> Iterator[State]:
    """The library's state, locked for one command at a time."""
    from filelock import FileLock, Timeout

    from diffagent.data.library.state import LOCK, State, library_home

    try:
        library_home().mkdir(parents=True, exist_ok=True)
        with FileLock(library_home() / LOCK, timeout=1), State.open() as state:
            yield state
    except Timeout:
        raise BadInput("another diffagent library is at work: wait for it, or end it") from None
    except OSError as error:
        raise BadInput(f"the library's folder {library_home()} cannot be written ({error})") from None


def _roots(state: State, folders: Sequence[Path]) -> list[Path]:
    """The folders to scan: the given ones, or the library's folders that contain them, or all of the
    library's."""
    roots = state.roots()
    if not folders:
        _need_folders(state)
        return roots
    absolute = [Path(folder).expanduser().absolute() for folder in folders]
    chosen = (
        next((root for root in roots if path.is_dir() and path.is_relative_to(root)), path)
        for path in absolute
    )
    return list(dict.fromkeys(chosen))


def _need_folders(state: State) -> None:
    if not state.roots():
        raise BadInput("there is no library yet: make one with diffagent library DIR")


def _scan(state: State, roots: Sequence[Path], problems: Any) -> int:
    from tqdm import tqdm

    from diffagent.data.library.scan import scan as run

    changed = 0
    for _, was_read in tqdm(run(state, roots, problems), desc="headers", unit=" files", disable=None):
        changed += was_read
    return changed


def _encoder() -> Any:
    from diffagent.data.encoders.text_encoder import TextEncoder

    return TextEncoder.load()


def _bar(items: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm import tqdm

    bar: Iterable[Any] = tqdm(items, desc="catalog", total=total, unit=" models", disable=None)
    return bar


def _wait(hashing: Any) -> None:
    """Show a bar until all files are hashed; an interrupt leaves the rest for the next run."""
    from tqdm import tqdm

    click.echo("diffagent: hashing whole files; Ctrl-C leaves the rest for the next run", err=True)
    with tqdm(desc="hashes", total=hashing.total, unit="B", unit_scale=True, disable=None) as bar:

        def advance(done: int, _total: int, name: str) -> None:
            bar.set_postfix_str(name[:30], refresh=False)
            bar.update(done - bar.n)

        hashing.wait(advance)


def _ask_hub(state: State, url: str | None) -> None:
    """Ask the hub for the hashes that have no recent answer, and keep its answers."""
    import asyncio
    import os
    import time

    from diffagent.data.hubs.civitai import DEFAULT_URL, CivitaiClient
    from diffagent.data.library.hub import AGAIN_S, look_up

    answered_at = state.answered()
    oldest = time.time() - AGAIN_S
    digests = sorted(
        {f.sha256 for f in state.files() if f.sha256 and answered_at.get(f.sha256, 0.0) < oldest}
    )
    if not digests:
        return
    key = os.environ.get("CIVITAI_API_KEY", "").strip() or None

    async def ask() -> Any:
        async with CivitaiClient(url or DEFAULT_URL, key=key, backoff=0.2) as client:
            return await look_up(client, digests)

    try:
        answers = asyncio.run(ask())
    except DiffAgentError as error:
        click.echo(f"diffagent: the hub was not asked ({error.line()}); what the files say stands", err=True)
        return
    state.put_answers(answers)
    matched = sum(answer is not None for answer in answers.values())
    click.echo(f"diffagent: the hub knows {matched:,} of {len(digests):,} files", err=True)


def _tell_use(shelf: Shelf) -> None:
    checkpoints = any(line.usable and line.kind in ("checkpoint", "transformer") for line in shelf.lines)
    assert checkpoints
    click.echo(
        f"diffagent: {shelf.usable:,} models are your catalog from now on; --catalog chooses another, "
        "diffagent library forget ends it",
        err=True,
    )


def _print_lines(shelf: Shelf, as_json: bool) -> None:
    from diffagent.serving.commands.tables import table

    if as_json:
        for line in shelf.lines:
            click.echo(json.dumps(_json(line), ensure_ascii=False))
    elif shelf.lines:
        head = ("FILE", "WHAT", "BASE MODEL", "USABLE", "WHY")
        click.echo(table(head, map(_row, shelf.lines), widest=90))
    click.echo(shelf.summary, err=as_json)


def _row(line: Line) -> tuple[str, str, str, str, str]:
    by = f"by {line.base.by}" if line.base.name and line.base.by not in ("", "tensors") else ""
    why = "; ".join(filter(None, (line.why, by if line.usable else "")))
    return line.shown, line.kind, line.base.name or "", "yes" if line.usable else "no", why


def _json(line: Line) -> dict[str, Any]:
    return {
        "file": line.shown, "path": _printable(line.path), "kind": line.kind, "base_model": line.base.name,
        "by": line.base.by, "usable": line.usable, "why": line.why, "air": line.air,
    }  # fmt: skip


def _printable(path: str) -> str:
    from diffagent.data.library.state import printable

    return printable(path)


def _find_file(state: State, name: str) -> File:
    """The file of a path or name.

    Raises:
        BadInput: there is no such file, or several have the name.
    """
    import difflib

    _need_folders(state)
    path = str(Path(name).expanduser().absolute())
    by_name: list[File] = []
    names: list[str] = []
    for file in state.files():
        if str(file.path) == path or file.shown == name:
            return file
        names.append(file.shown)
        if name.casefold() in (file.path.name.casefold(), file.path.stem.casefold()):
            by_name.append(file)
    if len(by_name) == 1:
        return by_name[0]
    if by_name:
        shown = ", ".join(file.shown for file in by_name[:5])
        raise BadInput(f"{len(by_name)} files are named {name!r}: give one of {shown}")
    near = difflib.get_close_matches(name, [*names, *(Path(n).name for n in names)], 1)
    hint = f": did you mean {near[0]!r}?" if near else ": diffagent library list shows all"
    raise BadInput(f"no file {name!r} in the library{hint}")


def _file_facts(file: File, line: Line) -> dict[str, Any]:
    facts, notes = file.facts, file.notes
    words = notes.trigger_words or facts.spec.trigger_words or facts.training.trigger_words
    return {
        **_json(line),
        "size": file.size,
        "sha256": file.sha256,
        "local": facts.digest,
        "format": facts.format,
        "name": file.override.name or notes.name or facts.spec.name or facts.training.title,
        "trigger_words": list(words if file.override.trigger_words is None else file.override.trigger_words),
        "tags": [*notes.tags, *facts.spec.tags, *facts.training.subjects][:24],
        "trained_on": facts.training.trained_on,
        "notes_of": list(notes.sources),
        "preview": bool(file.text),
        "hub": ((file.hub or {}).get("version") or {}).get("id"),
        "set_by_you": [k for k, v in vars(file.override).items() if v is not None],
    }


def _fact_texts(file_facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in file_facts.items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, int):
            value = f"{value:,}"
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        yield name.replace("_", " "), str(value or "")
