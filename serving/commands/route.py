"""``diffagent route``: a file or dataset of prompts, a file of calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from diffagent.serving.batch.rows import KINDS, PROMPT, kind_of, open_source
from diffagent.serving.commands.request_options import request_options
from diffagent.serving.commands.shared_options import ENGINE, catalog_option

if TYPE_CHECKING:
    from diffagent.serving.batch.route import Answer, BatchSummary, Body
    from diffagent.serving.batch.rows import BatchRow, BatchSource

BLOCK, BATCH = 8, 64
"""Rows between two syncs: for an engine that answers one by one, and for one that batches."""


@click.command()
@click.argument("source", metavar="IN")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="A .jsonl or .csv file; - is stdout (JSON lines)."
)
@click.option("--prompt-column", default=PROMPT, show_default=True, metavar="NAME", help="Holds the prompts.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(KINDS),
    help="Format of IN; default: by its extension, else by its content.",
)
@request_options("images")
@click.option(
    "--ray", "address", metavar="ADDRESS", help='A Ray cluster ("auto", "ray://HOST:10001", "local").'
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="Engines on the cluster."
)
@catalog_option()
@ENGINE
def route(
    source: str,
    output: str,
    prompt_column: str,
    kind: str | None,
    address: str | None,
    workers: int,
    catalog: str | None,
    engine: str,
    llm: str | None,
    **options: Any,
) -> None:
    """Route every row of IN (.jsonl, .csv, .tsv, .txt, a Hugging Face dataset, or - for stdin).

    A row is {"id"?, "prompt", …} with any option of a request by its Python name ("negative_prompt",
    "base_model", "seed", "width"), which overrides the command's; a line of a .txt file is a prompt. Its
    output is {"id", "call", "n", "notes", "reasons"} or {"id", "error"}, with the row's other columns. Run
    again to go on. A .csv file has a column for each field of the call; its rows are first written to
    OUT.jsonl.
    """
    from diffagent.agent.asking.request import Request
    from diffagent.serving.commands.texts import STDIN

    Request.parse({"prompt": "any", **options})
    run = BatchRun((catalog, llm, engine), options, address, workers)
    with ExitStack() as stack:
        if STDIN in (source, output):
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="diffagent-")))
        if source == STDIN:
            data = sys.stdin.buffer.read()
            kind = kind or kind_of(data)
            (folder / "stdin").write_bytes(data)
            source = str(folder / "stdin")
        opened = open_source(source, prompt_column, kind)
        if opened.passed:
            click.echo(f"diffagent: columns that are passed through: {', '.join(opened.passed)}", err=True)
        settings = {} if prompt_column == PROMPT else {"prompt_column": prompt_column}
        if output == STDIN:
            summary = run.rows(opened, folder / "rows.jsonl", settings, StdoutCopy(folder / "rows.jsonl"))
        else:
            summary = run.file(opened, Path(output), settings)
    click.echo(json.dumps(summary.to_dict()), err=output == STDIN)


@dataclass(frozen=True)
class BatchRun:
    """A batch run: the arguments of ``Agent.load``, the command's options, the cluster."""

    load: tuple[str | None, str | None, str]
    options: dict[str, Any]
    address: str | None = None
    workers: int = 1

    def file(self, opened: BatchSource, out: Path, settings: dict[str, Any]) -> BatchSummary:
        """Write the rows into a file: JSON lines, or by the extension .csv a table beside them."""
        from diffagent.serving.batch.route import as_csv

        if out.suffix.casefold() != ".csv":
            return self.rows(opened, out, settings)
        lines = out.with_name(out.name + ".jsonl")
        summary = self.rows(opened, lines, settings)
        part = out.with_name(out.name + ".part")
        with part.open("w", encoding="utf-8", newline="") as table:
            as_csv(lines, table)
        part.replace(out)
        return summary

    def rows(
        self,
        opened: BatchSource,
        out: Path,
        settings: dict[str, Any],
        on_rows: Callable[[], None] = lambda: None,
    ) -> BatchSummary:
        """Write the rows as JSON lines; ``on_rows`` is called after each block."""
        from tqdm import tqdm

        from diffagent.serving.batch import route as batch

        catalog, llm, engine = self.load
        if self.address:
            from diffagent.serving.batch.ray_route import ray_answers

            answer = ray_answers(self.address, self.workers, self.load, self.options)
        else:
            answer = local_answers(self.load, self.options)
        run_settings = {"catalog": _digest(catalog), "engine": engine, "llm": llm, **self.options, **settings}
        with ExitStack() as stack:
            stack.enter_context(redirect_stdout(sys.stderr))  # Ray and vLLM print; stdout is for the summary

            def begin(rows_before: int) -> Callable[[int], object]:
                bar = tqdm(total=opened.count, initial=rows_before, unit="row", smoothing=0.1)
                update = stack.enter_context(bar).update

                def advance(count: int) -> None:
                    update(count)
                    on_rows()

                return advance

            return batch.route(
                opened, out, answer, run_settings, BLOCK if engine == "transformers" else BATCH, begin
            )


class StdoutCopy:
    """A callback that copies new bytes of a file to stdout."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._out = path, 0, sys.stdout

    def __call__(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        self._out.write(data.decode("utf-8"))
        self._out.flush()


def local_answers(load: tuple[str | None, str | None, str], options: dict[str, Any]) -> Answer:
    """Answers from an agent in this process, loaded at the first row that needs it."""

    def answer(blocks: Iterable[list[BatchRow]]) -> Iterator[list[Body]]:
        from diffagent.agent.agent import Agent
        from diffagent.serving.batch.route import row_bodies

        agent: Agent | None = None
        for rows in blocks:
            agent = (agent or Agent.load(*load)) if rows else agent
            yield row_bodies(agent, [{**options, **row.options} for row in rows]) if agent else []

    return answer


def _digest(catalog: str | None) -> str | None:
    """The SHA-256 of a catalog file; for the catalog that ships, the package's version."""
    from importlib.metadata import version

    from diffagent.data.weights.wheel import sha256

    path = Path(catalog) if catalog else None
    return sha256(path) if path and path.is_file() else version("diffagent")
