"""The dataset card of a DABench folder: YAML for ``datasets.load_dataset``, then a datasheet for people.

In: the statistics that ``data build`` writes. Out: the text of README.md. The questions are those of
*Datasheets for Datasets* (Gebru et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

_CONTENT = {
    "train": "for fine-tuning; clusters of near-duplicate prompts that draw 2 to 9 of ten",
    "align": "for alignment with human preference; clusters that draw 1",
    "test": "for evaluation; clusters that draw 0",
    "test_novel": "the rows of test with no train prompt within MiniLM cosine {novel_below_cosine}",
    "test_new_model": "all pairs of {new_models_percent} % of the models, in no train, align or test row",
    "listed": "prompts that other lists show newer models with, and those models; `split` says on which side",
    "overall": "images that draw 0 by themselves, of every callable model: near-duplicates of train prompts "
    "and models that the quality filter drops included; it measures a catalog, not what is trained on train",
}

_FEATURES = """\
dataset_info:
  features:
  - name: instruction
    struct:
    - name: prompt
      dtype: string
    - name: negative_prompt
      dtype: string
  - name: api
    struct:
    - name: model
      dtype: string
    - name: type
      dtype: string
    - name: base_model
      dtype: string
    - name: width
      dtype: int64
    - name: height
      dtype: int64
    - name: sampling_method
      dtype: string
    - name: sampling_steps
      dtype: int64
    - name: cfg_scale
      dtype: float64
    - name: model_description
      dtype: string
  - name: air
    dtype: string
  - name: source
    struct:
    - name: image
      dtype: int64
    - name: version
      dtype: int64
"""

_DATASHEET = """\
## Datasheet

**Why it was made.** To fine-tune and measure agents that turn a prompt into one callable text-to-image API
call, after DABench of *DiffAgent: Fast and Accurate Text-to-Image API Selection with Large Language Model*
(section 3.1), whose data and collection code were not published.

**What a row is.** One sample image as its uploader shared it: `instruction` is the prompt without LoRA tags
and without the model's own trigger words, which would tell the answer; `api` holds the paper's nine fields,
with the sampler's name normalised and the size as generated, before any hires fix; `air` names the exact
model and version; `source` the image and version on Civitai. There are no images in it.

**How it was collected.** From Civitai's public REST API, by `diffagent data crawl`. The newest version in
it is of {newest}; SHA-256 of the crawl is `{crawl}`.

**What was left out, and why.**

- Models that cannot be called: other types and base models, inpainting models, no safetensors file, files
  whose scans did not pass.
- Models that nobody can download: archived, taken down, early or paid access, generation only.
- Models and images flagged NSFW or rated above PG-13, models of minors and of real persons, and prompts,
  names and tags with explicit words or suggestive words about minors.
- Entries that few people use or like: of each type and base model, the {downloads:.0%} least downloaded and
  the {rating:.0%} lowest by Bayesian rating. The paper names the criteria but not the thresholds.
- Images that are not text-to-image (inpainting, img2img), and images without sampler, steps, CFG scale or
  size.
- Images of a checkpoint that do not name it by hash or version, and images of a LoRA that do not invoke it,
  or whose base checkpoint is not named so or not available. Many images were made on checkpoints that the
  crawl lacks.

**How it is split.** Uploaders reuse prompts. Prompts whose word sets have Jaccard similarity of
{near_duplicate_jaccard} or more are connected into clusters; SHA-256 of a cluster's smallest image id,
modulo 10, is 0 for test, 1 for align, else train. A model is new where SHA-256 of its id, modulo 100, is
below {new_models_percent}.

**Content.** The filters for explicit content are flags and word lists. They miss things and drop harmless
ones: look before showing rows to anyone. Prompts are mostly English tags; anime characters and portraits of
women are far more common than in other text, and popularity reflects the taste of one community at one
time.

**Rights.** Prompts and model names are the work of Civitai's users and came without a licence of their own;
this folder is for research, and is not to be passed on without a look at Civitai's terms and your law. The
weights of the models have licences that their pages state. Whoever finds their work here and objects can
have it removed from a copy by its image id.

**To rebuild.** `diffagent data build RAW -o DABENCH`: the same crawl and options give the same bytes.
"""


def dataset_card(stats: Json, has_plot: bool) -> str:
    """Returns the text of README.md; empty splits are not declared, because loaders refuse empty files."""
    files, rules = stats["files"], stats["rules"]
    filled = {name: facts for name, facts in files.items() if facts["rows"] and name != "listed"}
    rows = sum(files[name]["rows"] for name in ("train", "align", "test", "test_new_model"))
    head = ["---", "pretty_name: DABench, rebuilt", "language:", "- en", "license: other", "task_categories:"]
    head += [
        "- text-generation",
        "tags:",
        "- text-to-image",
        "- stable-diffusion",
        "- tool-use",
        "size_categories:",
    ]
    head += [f"- {_size(rows)}", "configs:", "- config_name: default", "  data_files:"]
    head += [f"  - split: {name}\n    path: {name}.jsonl" for name in filled]
    if files.get("listed", {}).get("rows"):
        head += ["- config_name: listed", "  data_files: listed.jsonl"]
    lines = [f"{rows:,} pairs of a prompt and the text-to-image API call behind it, built by diffagent."]
    lines += [
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'load_dataset("DABENCH")["train"][0]',
        "```",
    ]
    lines += ["", "## Files", "", "| file | rows | models | content |", "|---|---|---|---|"]
    for name, facts in files.items():
        about = _CONTENT[name].format(**rules)
        lines.append(f"| {name}.jsonl | {facts['rows']:,} | {facts['models']:,} | {about} |")
    lines += ["", "## Funnel", "", *_funnel(stats["funnel"])]
    if has_plot:
        lines += ["", "![What the crawl holds, and what each filter drops](funnel.png)"]
    sheet = _DATASHEET.format(
        newest=str(stats["source"]["newest"] or "an unknown day")[:10],
        crawl=stats["source"]["digest"],
        downloads=rules["dropped_by_downloads"],
        rating=rules["dropped_by_rating"],
        **rules,
    )
    return "\n".join(head) + f"\n{_FEATURES}---\n\n# DABench, rebuilt\n\n" + "\n".join(lines) + f"\n\n{sheet}"


def _funnel(funnel: Json) -> list[str]:
    lines = ["| stage | left | dropped after it |", "|---|---|---|"]
    for stage in (stage for stages in funnel.values() for stage in stages):
        drops = ", ".join(f"{reason} {count:,}" for reason, count in stage["dropped"].items())
        lines.append(f"| {stage['stage']} | {stage['count']:,} | {drops} |")
    return lines


def _size(rows: int) -> str:
    """The hub's size category."""
    for below, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if rows < below:
            return name
    return "100K<n<1M" if rows < 1_000_000 else "n>1M"
