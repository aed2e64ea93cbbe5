"""Local diffusers: a call on this machine, from single files in Civitai's layouts.

    checkpoint by AIR → from_single_file → [LoRAs with their weights] → scheduler → clip skip, seed → image

Only safetensors are opened. Half precision on CUDA and MPS, single on a CPU; the VAE decodes in tiles where
memory is short. The pipeline's configuration comes from the Hugging Face hub's cache, the hub, or
``config``, a folder in diffusers' layout.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from diffagent.agent.executors import Made, Price, Report, downloads
from diffagent.agent.executors.wire import to_the_end
from diffagent.agent.targets.diffusers import adapter_names
from diffagent.data.air import AIR
from diffagent.data.errors import BadInput, JobFailed, MissingExtra, MissingWeights
from diffagent.data.records import Card

if TYPE_CHECKING:
    import torch

TILED_PIXELS = 1024 * 1024
"""Above this the VAE decodes in tiles on any machine; below only where memory is short."""
SHORT_MEMORY = 6 * 2**30
"""Bytes free on a GPU, less than which the VAE decodes in tiles."""


class _Stopped(Exception):
    """Nobody waits for the image any more."""


class LocalDiffusers:
    """Keeps the last checkpoint loaded. ``files`` maps AIRs to files that are already here.

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
                f"making images here needs {error.name}: pip install 'diffagent[images]', "
                "or use a server with --target"
            ) from None
        self.files, self.config = dict(files or {}), config
        self.download_url, self.folder, self.reader = download_url, folder, reader
        self._loaded: tuple[str, Any] | None = None
        self._config: dict[str, Any] = {}
        """The scheduler's configuration that the checkpoint came with."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None

    async def price(self, request: Mapping[str, Any]) -> Price | None:
        return None

    async def image(self, request: Mapping[str, Any], report: Report) -> Made:
        """Cancelled, it ends after the step under way, and the pipeline is free again."""
        stopped = threading.Event()

        def stoppable(what: str, done: float | None = None) -> None:
            if stopped.is_set():
                raise _Stopped
            report(what, done)

        work = asyncio.ensure_future(asyncio.to_thread(self._image, request, stoppable))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            await to_the_end(_of(work), limit=None)
            raise

    def _image(self, request: Mapping[str, Any], report: Report) -> Made:
        import torch

        pipe = self._pipeline(request, report)
        _schedule(pipe, request["scheduler"], self._config)
        self._adapt(pipe, request["loras"], report)
        kwargs = request["kwargs"]
        _tile(pipe, kwargs["width"] * kwargs["height"])
        steps = kwargs["num_inference_steps"]

        def stepped(_pipe: Any, step: int, _timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            report(f"step {step + 1}", min(1.0, (step + 1) / steps))
            return values

        generator = torch.Generator("cpu").manual_seed(request["seed"] or 0)
        try:
            with _text_model(pipe):
                made = pipe(generator=generator, callback_on_step_end=stepped, **kwargs).images[0]
        except torch.OutOfMemoryError:
            raise JobFailed("the GPU's memory is too small for this image: ask for a smaller one") from None
        written = io.BytesIO()
        made.save(written, "PNG")
        return Made(written.getvalue(), request["seed"])

    def _pipeline(self, request: Mapping[str, Any], report: Report) -> Any:
        air = request["checkpoint"]["air"]
        if self._loaded is not None and self._loaded[0] == air:
            return self._loaded[1]
        self._loaded = None
        path = self._file(request["checkpoint"], report)
        device, dtype = device_and_dtype()
        report(f"loading {path.name} ({device}, {str(dtype).removeprefix('torch.')})", None)
        if path.is_dir():
            pipe = (self.reader or _folder)(path, dtype)
        else:
            pipe = _read(path, request["pipeline"], dtype, self.config)
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
            self._add(pipe, name, self._file(lora, report))
        pipe.set_adapters(adapter_names(loras), [lora["weight"] for lora in loras])

    def _add(self, pipe: Any, name: str, path: Path) -> None:
        """Loads a LoRA as an adapter of a name; none is left where it does not fit."""
        keys = _lora_keys(path)
        try:
            pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=name)
        except Exception as error:  # peft's kinds, too
            pipe.unload_lora_weights()
            said = " ".join(str(error).split())[:200]
            raise JobFailed(
                f"diffusers could not put {path.name} on this checkpoint (its keys: {_some(keys)}): {said}"
            ) from None
        layers = sum(key.endswith(_DOWN) for key in keys)
        there = _adapted_layers(pipe, name)
        if there != layers:
            pipe.unload_lora_weights()
            raise JobFailed(
                f"diffusers put {there} of the {layers} layers of {path.name} on this checkpoint (its keys: "
                f"{_some(keys)}): it was made for another base model; choose another LoRA"
            )

    def _file(self, source: Mapping[str, Any], report: Report) -> Path:
        here = self.files.get(source["air"])
        if here is None:
            return downloads.fetch(_card(source), report, url=self.download_url, folder=self.folder)
        if here.is_dir():
            return here
        if here.suffix != ".safetensors":
            raise BadInput(f"{here} is no safetensors file, and no other is opened here: convert it")
        if not here.is_file():
            raise BadInput(f"{here} is not there")
        return here


_UNREAD = {
    r"\.dora_scale$": "a DoRA",
    r"\.hada_": "a LoHa",
    r"\.lokr_": "a LoKr",
    r"\.(oft|boft)_": "an OFT",
    r"\.on_input$": "an IA3",
    r"\.lora_mid\.": "a LoCon with Tucker's decomposition",
    r"\.diff(_b)?$": "a file of weights' differences",
    r"^bundle_emb\.": "a LoRA with embeddings",
}
"""Marks of keys that diffusers' loader for SD and SDXL refuses or leaves out
(``loaders/lora_pipeline.py``, ``lora_conversion_utils.py``)."""
_DOWN = (".lora_down.weight", ".lora_A.weight", "lora.down.weight", "lora_linear_layer.down.weight")
"""How the keys of a LoRA's first matrix end, one a layer."""


def _lora_keys(path: Path) -> list[str]:
    """The names of a LoRA's tensors.

    Raises:
        JobFailed: no safetensors file, no LoRA, or one of a format that diffusers does not read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            keys = sorted(file.keys())
    except SafetensorError as error:
        raise JobFailed(f"{path.name} is no safetensors file ({error}): fetch it again") from None
    for mark, kind in _UNREAD.items():
        if found := [key for key in keys if re.search(mark, key)]:
            raise JobFailed(
                f"{path.name} is {kind} (keys such as {found[0]}), which diffusers does not read: choose "
                "another LoRA, or a server with --target a1111 or --target comfyui"
            )
    if not any(key.endswith(_DOWN) for key in keys):
        raise JobFailed(f"{path.name} is no LoRA: its keys are {_some(keys)}")
    return keys


def _some(keys: list[str]) -> str:
    """A few keys, from the first to the last."""
    shown = keys if len(keys) <= 3 else [keys[0], keys[len(keys) // 2], keys[-1]]
    return ", ".join(shown) or "none"


def _adapted_layers(pipe: Any, name: str) -> int:
    """How many layers of the pipeline a LoRA's adapter has."""
    parts = (getattr(pipe, name, None) for name in ("unet", "text_encoder", "text_encoder_2"))
    return sum(name in getattr(module, "lora_A", ()) for part in parts if part for module in part.modules())


@contextlib.contextmanager
def _text_model(pipe: Any) -> Iterator[None]:
    """Gives the first text encoder the layer ``text_model`` that transformers 5.6 took away.

    StableDiffusionPipeline reads it for clip skip. It may not be there while a LoRA is loaded:
    ``_load_lora_into_text_encoder`` takes it for a sign of the older layout.
    """
    encoder = getattr(pipe, "text_encoder", None)
    if encoder is None or hasattr(encoder, "text_model"):
        yield
        return
    object.__setattr__(encoder, "text_model", encoder)
    try:
        yield
    finally:
        object.__delattr__(encoder, "text_model")


async def _of(work: asyncio.Future[Made]) -> Made:
    return await work


def _folder(path: Path, dtype: torch.dtype) -> Any:
    """A folder in diffusers' layout as a pipeline."""
    from diffusers import DiffusionPipeline

    try:
        return DiffusionPipeline.from_pretrained(str(path), torch_dtype=dtype)
    except Exception as error:  # diffusers, transformers and safetensors each raise kinds of their own
        said = " ".join(str(error).split())[:200]
        raise JobFailed(f"{path} holds no pipeline of diffusers: {said}") from None


def _read(path: Path, pipeline: str, dtype: torch.dtype, config: str | None) -> Any:
    """A single file as a pipeline."""
    import diffusers

    options = {"config": config} if config else {}
    try:
        return getattr(diffusers, pipeline).from_single_file(str(path), torch_dtype=dtype, **options)
    except OSError as error:
        raise MissingWeights(
            f"the configuration of {pipeline} is neither cached nor on a hub that answers "
            f"({type(error).__name__}): connect once, or copy the hub's cache here"
        ) from None
    except Exception as error:  # diffusers, transformers and safetensors each raise kinds of their own
        said = " ".join(str(error).split())[:200]
        raise JobFailed(f"{path.name} is no checkpoint that {pipeline} reads: {said}") from None


def device_and_dtype() -> tuple[str, torch.dtype]:
    """Where to run, and in which precision."""
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.float16
    if torch.backends.mps.is_available():
        return "mps", torch.float16
    return "cpu", torch.float32


def _schedule(pipe: Any, scheduler: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """The scheduler with the checkpoint's own noise levels and prediction type."""
    import diffusers

    kind = getattr(diffusers, scheduler["class"])
    config = {name: value for name, value in own.items() if name not in _OF_A_SAMPLER}
    pipe.scheduler = kind.from_config(config, **scheduler["kwargs"])


_OF_A_SAMPLER = ("algorithm_type", "use_karras_sigmas", "skip_prk_steps", "solver_order", "final_sigmas_type")
"""What a scheduler's configuration says of the checkpoint's own sampler, which is not the call's."""


def _tile(pipe: Any, pixels: int) -> None:
    import torch

    if not hasattr(pipe, "vae"):  # it draws pixels
        return
    short = torch.cuda.is_available() and torch.cuda.mem_get_info()[0] < SHORT_MEMORY
    if short or pixels > TILED_PIXELS:
        pipe.vae.enable_tiling()
    else:
        pipe.vae.disable_tiling()


def _card(source: Mapping[str, Any]) -> Card:
    """As much of a card as a download takes."""
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
