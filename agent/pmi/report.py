"""Results of ``diffagent pmi bench`` as Markdown: the analogues of the CGI paper's Tables 1, 2, 3 and 5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NAMES = {"baseline": "Baseline", "rkme": "RKME", "pmi": "Pmi (Eq. 9)", "ours": "Ours"}


def report(results: Mapping[str, Any]) -> str:
    """Returns all tables of a run, one below the other."""
    sizes = sorted(map(int, results["tasks"]))
    parts = [_identification(results, size) for size in sizes[:1]]
    parts += [_numbers(results, sizes)]
    parts += [_ablation(results["ablation"])] if "ablation" in results else []
    parts += [_uncaptioned(results["uncaptioned"])] if "uncaptioned" in results else []
    parts += [_confusions(results["confusions"], size) for size in sizes if size in (1, 4)]
    parts += [_reliability(results, sizes[-1])]
    return "\n".join(parts)


def of_settings(results: Mapping[str, Any]) -> str:
    """Returns the tables of both settings of :mod:`diffagent.agent.pmi.own_prompts`, for one image and
    more."""
    head = ("Method", "Images", "Acc.", "± over seeds", "Top-5", "Avg. rank", "Fréchet")
    names = {**NAMES, "prompted": "Ours, with the prompt"}
    parts = []
    for key, title in (
        ("own", f"Tables 1, 2 and 4: half of the prompts, others for each model; {results['seeds']} seeds"),
        ("common", "Table 5: one prompt set for all models"),
    ):
        rows = [
            (
                name,
                size,
                _share(scores["top1"]),
                _share(scores["top1_sd"]) if "top1_sd" in scores else "–",
                _share(scores["top5"]),
                f"{scores['rank']:.2f}",
                distance(scores["frechet"]),
            )
            for size in results[key]["ours"]
            for method, name in names.items()
            for scores in [results[key][method][size]]
        ]
        parts.append(_table(title, head, rows))
    return "\n".join(parts)


def _identification(results: Mapping[str, Any], size: int) -> str:
    head = ("Method", "Acc.", "Top-2", "Top-3", "Top-4", "Top-5", "Avg. rank", "Fréchet")
    rows = []
    for method, name in NAMES.items():
        scores = results[method][str(size)]
        rows.append(
            (
                name,
                *(_share(scores[f"top{k}"]) for k in range(1, 6)),
                f"{scores['rank']:.2f}",
                distance(scores["frechet"]),
            )
        )
    return _table(
        f"Table 1: {results['models']} models, {results['tasks'][str(size)]} tasks of {size} image",
        head,
        rows,
    )


def _numbers(results: Mapping[str, Any], sizes: Sequence[int]) -> str:
    head = (
        "Images",
        *(f"{name}" for name in NAMES.values()),
        *(f"{name}, Fréchet" for name in NAMES.values()),
    )
    rows = [
        (
            str(size),
            *(_share(results[method][str(size)]["top1"]) for method in NAMES),
            *(distance(results[method][str(size)]["frechet"]) for method in NAMES),
        )
        for size in sizes
    ]
    return _table("Table 2: accuracy and Fréchet distance by number of example images", head, rows)


def _ablation(rows: Mapping[str, Mapping[str, float]]) -> str:
    head = ("Matching", "Acc.", "Top-5", "Avg. rank")
    lines = [
        (name, _share(scores["top1"]), _share(scores["top5"]), f"{scores['rank']:.2f}")
        for name, scores in rows.items()
    ]
    return _table("Table 3: what the space and the prompts bring, one image", head, lines)


def _uncaptioned(rows: Mapping[str, Mapping[str, float]]) -> str:
    head = ("Method", "Acc.", "Top-2", "Top-3", "Top-4")
    lines = [
        (NAMES[name], *(_share(rows[name][f"top{k}"]) for k in range(1, 5))) for name in NAMES if name in rows
    ]
    return _table("Table 5: one shared prompt set, and no captions of the example image", head, lines)


def _confusions(by_size: Mapping[str, Any], size: int) -> str:
    rows = [
        (confusion["true"], confusion["taken_for"], _share(confusion["share"]))
        for confusion in by_size[str(size)]
    ]
    return _table(f"Most frequent confusions, {size} image(s)", ("Model", "Taken for", "Of its tasks"), rows)


def _reliability(results: Mapping[str, Any], size: int) -> str:
    rows = [
        (
            f"{bin_row['from']:.0%} – {bin_row['from'] + 0.1:.0%}",
            _share(bin_row["said"]),
            _share(bin_row["right"]),
            str(bin_row["n"]),
        )
        for bin_row in results["ours"][str(size)]["reliability"]
    ]
    return _table(
        f"Calibration, {size} image(s)", ("Said", "Mean probability", "First model right", "Tasks"), rows
    )


def distance(value: float | None) -> str:
    """Returns a Fréchet distance as text; a dash where there was nothing to compare."""
    return "–" if value is None else f"{value:.4f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"### {title}\n"
        yield f"| {' | '.join(head)} |"
        yield f"|{' --- |' * len(head)}"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines()) + "\n"
