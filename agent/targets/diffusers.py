"""diffusers: a call's pipeline, scheduler and keyword arguments, a script that runs them, and a local
executor.

    checkpoint by AIR → from_single_file → [LoRAs with their weights] → scheduler → clip skip, seed → image

Clip skip: A1111 counts layers from the end; 1 is the last. ``encode_prompt`` of diffusers'
StableDiffusionPipeline takes ``hidden_states[-(clip_skip + 1)]``, with None for the last layer; that of
StableDiffusionXLPipeline takes ``hidden_states[-(clip_skip + 2)]``, with None for the last but one.

A file of a newer base model holds the transformer only; text encoders and VAE come from the base model's
repository, in the precision of its row. A repository on the Hugging Face hub is opened whole by
``from_pretrained``, and a LoRA's there by ``load_lora_weights`` with the name of its file. Repositories come
from the hub's cache, the hub, or ``config``, a folder in diffusers' layout.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from diffagent.agent.executors import Price, Report, TargetImage, downloads
from diffagent.agent.executors.chunks import CHUNK, PIPELINES, is_surely_longer, left_out, with_long_prompts
from diffagent.agent.executors.pipelines import (
    add_lora,
    device_and_dtype,
    file_of_repository,
    from_folder,
    from_repository,
    from_single_file,
    from_transformer,
    set_scheduler,
    set_tiling,
    text_model,
)
from diffagent.agent.executors.wire import to_the_end
from diffagent.agent.targets.fitting import Fit, Resources, file_of
from diffagent.agent.targets.target import RequestReader, Target
from diffagent.data.air import AIR, CIVITAI, HUGGINGFACE, LOCAL, source_of
from diffagent.data.base_model_facts import BaseModelFacts, Pipeline
from diffagent.data.base_models import backend, find
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, JobFailed, MissingExtra
from diffagent.data.library.state import library_file
from diffagent.data.metadata.generation import Generation, ModelUse
from diffagent.data.records import Card, T2ICall
from diffagent.data.samplers import Sampler

if TYPE_CHECKING:
    import torch

_FIXED_SIGMAS = (
    "EulerAncestralDiscreteScheduler", "DDIMScheduler", "PNDMScheduler", "LCMScheduler", "DDPMScheduler",
    "TCDScheduler", "IPNDMScheduler", "EDMEulerScheduler", "EDMDPMSolverMultistepScheduler",
)  # fmt: skip
"""Classes without ``use_…_sigmas``."""
_UNSPACED = (
    "DPMSolverSinglestepScheduler", "IPNDMScheduler", "EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"
)  # fmt: skip
"""Classes without ``timestep_spacing``."""
_LU = "DPMSolverMultistepScheduler"
"""The class with ``use_lu_lambdas``."""
DOWNLOAD = "https://civitai.com/api/download/models/{version}"
REPOSITORY = "https://huggingface.co/{repository}"


def spelling(sampler: Sampler) -> tuple[str, dict[str, Any]] | None:
    """Returns a scheduler's class name and the changes of its configuration."""
    if sampler.row.diffusers is None:
        return None
    name, kwargs = sampler.row.diffusers
    if sampler.plan is None:
        return name, dict(kwargs)
    changes = sampler.plan.diffusers
    if changes is None:
        return None
    if "timestep_spacing" in changes:
        is_taken = name not in _UNSPACED
    else:
        is_taken = name not in _FIXED_SIGMAS and ("use_lu_lambdas" not in changes or name == _LU)
    return (name, {**kwargs, **changes}) if is_taken else None


FLOW = "FlowMatchEulerDiscreteScheduler"
"""The default scheduler of flow models' pipelines."""
_FLOW = {
    "Euler": (FLOW, {}),
    "Heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "LCM": ("FlowMatchLCMScheduler", {}),
    "DPM++ 2M": (
        "DPMSolverMultistepScheduler",
        {"prediction_type": "flow_prediction", "use_flow_sigmas": True},
    ),
    "UniPC": ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True}),
}
"""Samplers of flow models (``schedulers/overview.md``); their schedule is the pipeline's own shift."""


def spelling_of(base_model: str) -> Callable[[Sampler], tuple[str, dict[str, Any]] | None] | None:
    """Returns the spelling for flow models, whose samplers run on their pipeline's own schedule."""
    row = find(base_model)
    if row is None or row.prediction != "flow":
        return None
    schedules = (None, *(row.schedules or ()))
    return lambda sampler: _FLOW.get(sampler.method) if sampler.scheduler in schedules else None


def emit(call: T2ICall, resources: Resources, fit: Fit, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns ``pipeline``, ``checkpoint``, ``loras``, ``scheduler``, ``kwargs`` and ``snippet``."""
    base = resources.checkpoint.base_model
    spelled = (spelling_of(base) or spelling)(fit.sampler(call.sampler))
    pipeline = backend(base, "diffusers")
    assert spelled is not None
    assert pipeline is not None  # emit refuses others
    row = find(base)
    facts = row.pipeline if row is not None else None
    if row is not None and facts is not None:
        return _of_parts(call, resources, fit, names, row, facts, pipeline, spelled)
    if call.guidance is not None:
        fit.drop("guidance", "the pipeline has one guidance scale, which is cfg_scale")
    kwargs: dict[str, Any] = {
        "prompt": call.prompt,
        "negative_prompt": call.negative_prompt,
        "width": call.width,
        "height": call.height,
        "num_inference_steps": call.sampling_steps,
        "guidance_scale": call.cfg_scale,
        "num_images_per_prompt": 1,
    }
    skip = _clip_skip(call.clip_skip, base, fit)
    if skip is not None:
        kwargs["clip_skip"] = skip
    opening = {"pipeline": pipeline}
    repository = repository_of(resources.checkpoint)
    if repository is not None:
        opening["repository"] = repository
    return _request(call, resources, names, spelled, kwargs, opening)


def _of_parts(
    call: T2ICall,
    resources: Resources,
    fit: Fit,
    names: Mapping[str, str],
    row: BaseModelFacts,
    facts: Pipeline,
    pipeline: str,
    spelled: tuple[str, dict[str, Any]],
) -> dict[str, Any]:
    """Returns the request for a model whose file is a transformer; the rest comes from its base's
    repository."""
    negative, _ = fit.read(call, row)
    kwargs: dict[str, Any] = {
        "prompt": call.prompt,
        "width": call.width,
        "height": call.height,
        "num_inference_steps": call.sampling_steps,
        "num_images_per_prompt": 1,
    }
    if facts.negative and call.cfg_scale != 1 and row.dialect.negative is not False:
        kwargs["negative_prompt"] = negative
    elif negative:
        fit.drop("negative_prompt", "the pipeline takes none, or none without guidance")
    if facts.cfg is not None:
        kwargs[facts.cfg] = round(call.cfg_scale - 1 + facts.off, 4)
    elif call.cfg_scale != 1:
        fit.drop("cfg_scale", "the pipeline has one guidance scale, which is the distilled one")
    if facts.guidance is not None and call.guidance is not None:
        kwargs[facts.guidance] = call.guidance
    elif call.guidance is not None:
        fit.drop("guidance", "the pipeline has one guidance scale, which is cfg_scale")
    opening = {
        "pipeline": pipeline,
        "repository": repository_of(resources.checkpoint) or row.repository,
        "transformer": facts.transformer,
        "dtype": facts.dtype,
    }
    return _request(call, resources, names, spelled, kwargs, opening)


def _request(
    call: T2ICall,
    resources: Resources,
    names: Mapping[str, str],
    spelled: tuple[str, dict[str, Any]],
    kwargs: dict[str, Any],
    opening: dict[str, Any],
) -> dict[str, Any]:
    """Returns a request: ``opening`` names what is opened, the rest is the same for every pipeline."""
    request: dict[str, Any] = {
        **opening,
        "checkpoint": _source(resources.checkpoint, names),
        "loras": [
            {**_source(card, names), "weight": lora.weight}
            for lora, card in zip(call.loras, resources.loras, strict=True)
        ],
        "scheduler": {"class": spelled[0], "kwargs": spelled[1]},
        "kwargs": kwargs,
        "seed": call.seed,
    }
    request["snippet"] = snippet(request)
    return request


def _opening_lines(request: Mapping[str, Any]) -> list[str]:
    """Returns the lines of a script that open a model's file."""
    pipeline, file = request["pipeline"], request["checkpoint"]["file"]
    half = 'dtype = torch.float16 if device == "cuda" else torch.float32'
    if file is None:
        return [
            f"dtype = torch.{request['dtype']}" if "dtype" in request else half,
            f"# {request['checkpoint']['url']}",
            f"pipe = {pipeline}.from_pretrained({request['repository']!r}, torch_dtype=dtype)",
        ]
    if "transformer" not in request:
        return [
            half,
            *([f"# {url}"] if (url := request["checkpoint"]["url"]) else []),
            f"pipe = {pipeline}.from_single_file({file!r}, torch_dtype=dtype)",
        ]
    transformer, repository = request["transformer"], request["repository"]
    return [
        f"dtype = torch.{request['dtype']}",
        *([f"# {url}"] if (url := request["checkpoint"]["url"]) else []),
        f"transformer = {transformer}.from_single_file(",
        f'    {file!r}, config={repository!r}, subfolder="transformer", torch_dtype=dtype',
        ")",
        f"pipe = {pipeline}.from_pretrained({repository!r}, transformer=transformer, torch_dtype=dtype)",
    ]


def snippet(request: Mapping[str, Any]) -> str:
    """Returns a script that makes the image, from files beside it or a repository."""
    scheduler, loras = request["scheduler"], request["loras"]
    transformer = request.get("transformer") if request["checkpoint"]["file"] is not None else None
    classes = (request["pipeline"], scheduler["class"], *filter(None, [transformer]))
    options = "".join(f", {name}={value!r}" for name, value in scheduler["kwargs"].items())
    lines = [
        "import torch",
        f"from diffusers import {', '.join(classes)}",
        "",
        'device = "cuda" if torch.cuda.is_available() else "cpu"',
        *_opening_lines(request),
        f"pipe.scheduler = {scheduler['class']}.from_config(pipe.scheduler.config{options})",
    ]
    for name, lora in zip(adapter_names(loras), loras, strict=True):
        where = f"{lora['file']!r}"
        if "repository" in lora:
            where = f"{lora['repository']!r}, weight_name={lora['file']!r}"
        lines += [
            *([f"# {lora['url']}"] if lora["url"] else []),
            f"pipe.load_lora_weights({where}, adapter_name={name!r})",
        ]
    if loras:
        lines.append(f"pipe.set_adapters({adapter_names(loras)!r}, {[lora['weight'] for lora in loras]!r})")
    if "clip_skip" in request["kwargs"]:
        lines += [
            'if not hasattr(pipe.text_encoder, "text_model"):  # transformers 5.6 and later',
            '    object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)',
        ]
    seed = "" if request["seed"] is None else f".manual_seed({request['seed']})"
    arguments = "".join(f"\n    {name}={value!r}," for name, value in request["kwargs"].items())
    lines += [
        "pipe.to(device)",
        f'generator = torch.Generator("cpu"){seed}',
        *_long(request),
        f"image = pipe(generator=generator,{arguments}\n).images[0]",
        'image.save("image.png")',
    ]
    return "\n".join(lines) + "\n"


def _long(request: Mapping[str, Any]) -> list[str]:
    """Returns a comment on prompts that the script truncates and the executor does not."""
    texts = (request["kwargs"]["prompt"], request["kwargs"].get("negative_prompt") or "")
    is_long = any(is_surely_longer(text, CHUNK) for text in texts)
    if request["pipeline"] not in PIPELINES or not is_long:
        return []
    return [f"# of each prompt {CHUNK} tokens are read here; diffagent generate reads all, in chunks"]


def adapter_names(loras: Sequence[object]) -> list[str]:
    """Returns a name for each LoRA: lora1, lora2 and so on."""
    return [f"lora{number}" for number in range(1, len(loras) + 1)]


def is_runnable(card: Card) -> bool:
    """Whether a model is a safetensors file on Civitai, a file of the user's library or a repository.

    A LoRA's repository counts where the catalog knows its file: diffusers guesses among several.
    """
    if _is_on_civitai(card) or source_of(card.air) == LOCAL:
        return True
    return repository_of(card) is not None or _lora_repository_of(card) is not None


def repository_of(card: Card) -> str | None:
    """Returns a checkpoint's repository, in diffusers' layout; None where it is a file.

    An AIR of the Hugging Face hub that names neither file nor revision is a whole repository.
    """
    return _whole_repository(card) if card.type == "Checkpoint" else None


def _lora_repository_of(card: Card) -> str | None:
    """Returns a LoRA's repository on the Hugging Face hub; None where its safetensors file is unknown."""
    is_known = card.type == "LoRA" and (card.file_name or "").endswith(".safetensors")
    return _whole_repository(card) if is_known else None


def _whole_repository(card: Card) -> str | None:
    air = AIR.parse(card.air)
    is_whole = air.source == HUGGINGFACE and air.file is None and air.version is None
    return air.id if is_whole else None


def _is_on_civitai(card: Card) -> bool:
    return card.version_id is not None and source_of(card.air) == CIVITAI


def _source(card: Card, names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the source of a model: ``file`` is None where it is a repository, and a LoRA's file may lie in
    a ``repository``."""
    repository, lora_repository = repository_of(card), _lora_repository_of(card)
    if repository is not None and card.air not in names:
        url = REPOSITORY.format(repository=repository)
        return {"air": card.air, "file": None, "sha256": None, "url": url}
    if lora_repository is not None and card.air not in names:
        url = REPOSITORY.format(repository=lora_repository)
        file = {"repository": lora_repository, "file": card.file_name}
        return {"air": card.air, **file, "sha256": None, "url": url}
    on_civitai = _is_on_civitai(card)
    return {
        "air": card.air,
        "file": file_of(card, names),
        "sha256": card.sha256,
        "url": DOWNLOAD.format(version=card.version_id) if on_civitai else None,
    }


def _clip_skip(skip: int | None, base: str, fit: Fit) -> int | None:
    if skip is None:
        return None
    row = find(base)
    usual = row.clip_skip if row is not None else None
    if usual is None:
        fit.drop("clip_skip", f"{base} has no clip skip")
        return None
    if skip < usual:
        fit.drop("clip_skip", f"{base}'s pipeline stops at layer {usual} from the end or earlier")
    return max(0, skip - usual) or None


class _Cancellation(Exception):
    """The image is no longer awaited."""


class LocalDiffusers:
    """Executor on this machine. Keeps the last checkpoint loaded; ``files`` maps AIRs to local files.

    A folder among them holds a whole pipeline, as ``save_pretrained`` writes it; ``reader`` opens it
    (default: diffusers' DiffusionPipeline, which takes no code from the folder).
    """

    def __init__(
        self,
        *,
        files: Mapping[str, Path] | None = None,
        config: str | None = None,
        download_url: str | None = None,
        folder: Path | None = None,
        reader: Callable[[Path, torch.dtype], Any] | None = None,
    ) -> None:
        try:
            import diffusers  # noqa: F401
            import peft  # noqa: F401
        except ImportError as error:
            raise MissingExtra(
                f"making images here needs {error.name}: pip install 'diffagent[images]', or "
                "use another target"
            ) from None
        self.files, self.config = dict(files or {}), config
        self.download_url, self.folder, self.reader = download_url, folder, reader
        self._loaded: tuple[str, Any] | None = None
        self._config: dict[str, Any] = {}
        """The checkpoint's own scheduler configuration."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        return None

    async def image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        """Makes one image; cancelled, it ends after the current step, and the pipeline is free again."""
        stopped = threading.Event()

        def stoppable(what: str, done: float | None = None) -> None:
            if stopped.is_set():
                raise _Cancellation
            report(what, done)

        work = asyncio.ensure_future(asyncio.to_thread(self._image, request, stoppable))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            await to_the_end(_of(work), limit=None)
            raise

    def _image(self, request: Mapping[str, Any], report: Report) -> TargetImage:
        import torch

        pipe = self._pipeline(request, report)
        set_scheduler(pipe, request["scheduler"], self._config)
        self._adapt(pipe, request["loras"], report)
        kwargs = request["kwargs"]
        set_tiling(pipe, kwargs["width"] * kwargs["height"])
        steps = kwargs["num_inference_steps"]

        def stepped(_pipe: Any, step: int, _timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            report(f"step {step + 1}", min(1.0, (step + 1) / steps))
            return values

        generator = torch.Generator("cpu").manual_seed(request["seed"] or 0)
        try:
            with text_model(pipe):
                lost = left_out(pipe, kwargs)
                arguments = with_long_prompts(pipe, kwargs)
                image = pipe(generator=generator, callback_on_step_end=stepped, **arguments).images[0]
        except torch.OutOfMemoryError:
            raise JobFailed("the GPU's memory is too small for this image: ask for a smaller one") from None
        except (ValueError, IndexError, NotImplementedError) as error:  # a scheduler's or a pipeline's limits
            message = " ".join(str(error).split())[:200]
            raise JobFailed(
                f"{type(pipe).__name__} with {type(pipe.scheduler).__name__} refuses the call: {message}: "
                "ask for other steps, another size or another sampler"
            ) from None
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return TargetImage(buffer.getvalue(), request["seed"], {"prompt": lost} if lost else {})

    def _pipeline(self, request: Mapping[str, Any], report: Report) -> Any:
        air = request["checkpoint"]["air"]
        if self._loaded is not None and self._loaded[0] == air:
            return self._loaded[1]
        self._loaded = None
        is_whole = request["checkpoint"]["file"] is None and air not in self.files
        path = Path(request["repository"]) if is_whole else self._file(request["checkpoint"], report)
        device, dtype = device_and_dtype(request.get("dtype"))
        report(f"loading {path.name} ({device}, {str(dtype).removeprefix('torch.')})", None)
        if is_whole:
            pipe = from_repository(request, dtype, self.config)
        elif path.is_dir():
            pipe = (self.reader or from_folder)(path, dtype)
        elif "transformer" in request:
            pipe = from_transformer(path, request, dtype, self.config)
        else:
            pipe = from_single_file(path, request["pipeline"], dtype, self.config)
        pipe.set_progress_bar_config(disable=True)
        self._loaded, self._config = (air, pipe.to(device)), dict(pipe.scheduler.config)
        return self._loaded[1]

    def _adapt(self, pipe: Any, loras: Sequence[Mapping[str, Any]], report: Report) -> None:
        if not loras and not hasattr(pipe, "unload_lora_weights"):
            return
        pipe.unload_lora_weights()
        if not loras:
            return
        for name, lora in zip(adapter_names(loras), loras, strict=True):
            add_lora(pipe, name, self._file(lora, report))
        pipe.set_adapters(adapter_names(loras), [lora["weight"] for lora in loras])

    def _file(self, source: Mapping[str, Any], report: Report) -> Path:
        here = self.files.get(source["air"]) or library_file(source["air"], source["sha256"])
        if here is None and "repository" in source:
            report(f"fetching {source['file']} of {source['repository']}", None)
            return file_of_repository(source["repository"], source["file"])
        if here is None:
            return downloads.fetch(_card(source), report, url=self.download_url, folder=self.folder)
        if here.is_dir():
            return here
        if here.suffix != ".safetensors":
            raise BadInput(f"{here} is not a safetensors file, and other formats are not opened: convert it")
        if not here.is_file():
            raise BadInput(f"{here} does not exist")
        return here


async def _of(work: asyncio.Future[TargetImage]) -> TargetImage:
    return await work


def _card(source: Mapping[str, Any]) -> Card:
    """Returns a card with the fields that a download reads."""
    air = source["air"]
    parsed = AIR.parse(air)
    model, version = parsed.civitai_ids or (None, None)
    return Card(
        name=source["file"],
        type=parsed.model_type or "Checkpoint",
        base_model="",
        air=air,
        model_id=model,
        version_id=version,
        sha256=source["sha256"],
        file_name=source["file"],
    )


def is_request(body: Mapping[str, Any]) -> bool:
    """Whether an object has the fields of a request."""
    return {"pipeline", "checkpoint", "kwargs"} <= body.keys()


def read(body: Mapping[str, Any], catalog: Catalog) -> Generation:
    """Reads a request."""
    scheduler, kwargs = body["scheduler"], body["kwargs"]
    sampler = TARGET.sampler_of((scheduler["class"], scheduler["kwargs"]))
    if sampler is None:
        raise BadInput(f"no call can name the scheduler {scheduler['class']} {scheduler['kwargs']}")
    checkpoint = catalog.by_air(body["checkpoint"]["air"])
    usual = find(checkpoint.base_model) if checkpoint else None
    skip = None if usual is None or usual.clip_skip is None else usual.clip_skip + kwargs.get("clip_skip", 0)
    return Generation(
        prompt=kwargs["prompt"],
        negative_prompt=kwargs.get("negative_prompt") or "",
        sampler=sampler.method,
        schedule=sampler.scheduler,
        steps=kwargs["num_inference_steps"],
        cfg_scale=kwargs["guidance_scale"],
        seed=body.get("seed"),
        width=kwargs["width"],
        height=kwargs["height"],
        clip_skip=skip,
        checkpoint=ModelUse.of(body["checkpoint"]["air"], catalog),
        loras=tuple(ModelUse.of(lora["air"], catalog, lora["weight"]) for lora in body["loras"]),
    )


TARGET = Target(
    name="diffusers",
    title="diffusers",
    emit=emit,
    executor=lambda url: LocalDiffusers(download_url=url),
    spelling=spelling,
    spelling_of=spelling_of,
    offers=is_runnable,
    local=True,
    reading=RequestReader(is_request, read),
)
