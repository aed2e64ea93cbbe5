"""Pipelines of diffusers: opening a file or folder, setting a sampler and tiles, loading LoRAs that fit.

Only safetensors are opened. Half precision on CUDA and MPS, single on a CPU; the VAE decodes in tiles where
memory is short.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.devices import own_device
from diffagent.data.errors import JobFailed, MissingWeights, Refused

if TYPE_CHECKING:
    import torch

TILED_PIXELS = 1024 * 1024
"""Above this the VAE decodes in tiles on any machine; below only where memory is short."""
SHORT_MEMORY = 6 * 2**30
"""Free bytes on a GPU below which the VAE decodes in tiles."""

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
"""Endings of the keys of a LoRA's first matrix, one per layer."""


def add_lora(pipe: Any, name: str, path: Path) -> None:
    """Loads a LoRA as a named adapter, and unloads all LoRAs where it does not fit.

    Raises:
        JobFailed: the file is not a LoRA, has a format that diffusers does not read, or fits another base
        model.
    """
    keys = _lora_keys(path)
    try:
        pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=name)
    except Exception as error:  # peft's kinds, too
        pipe.unload_lora_weights()
        message = " ".join(str(error).split())[:200]
        raise JobFailed(
            f"diffusers could not put {path.name} on this checkpoint (its keys: {_some(keys)}): {message}"
        ) from None
    layers = sum(key.endswith(_DOWN) for key in keys)
    there = _adapted_layers(pipe, name)
    is_split = hasattr(pipe, "transformer")  # a layer of the file may be several of diffusers'
    if not there or (there != layers and not is_split):
        pipe.unload_lora_weights()
        raise JobFailed(
            f"diffusers put {there} of the {layers} layers of {path.name} on this checkpoint (its keys: "
            f"{_some(keys)}): it was made for another base model; choose another LoRA"
        )


def _lora_keys(path: Path) -> list[str]:
    """The names of a LoRA's tensors.

    Raises:
        JobFailed: the file is not safetensors, not a LoRA, or has a format that diffusers does not read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            keys = sorted(file.keys())
    except SafetensorError as error:
        raise JobFailed(f"{path.name} is not a safetensors file ({error}): fetch it again") from None
    for mark, kind in _UNREAD.items():
        if unread := [key for key in keys if re.search(mark, key)]:
            raise JobFailed(
                f"{path.name} is {kind} (keys such as {unread[0]}), which diffusers does not read",
                "choose another LoRA, or a server with --target a1111 or --target comfyui",
            )
    if not any(key.endswith(_DOWN) for key in keys):
        raise JobFailed(f"{path.name} is not a LoRA: its keys are {_some(keys)}")
    return keys


def _some(keys: list[str]) -> str:
    """A few keys, from the first to the last."""
    shown = keys if len(keys) <= 3 else [keys[0], keys[len(keys) // 2], keys[-1]]
    return ", ".join(shown) or "none"


def _adapted_layers(pipe: Any, name: str) -> int:
    """Returns the number of layers of the pipeline that a LoRA's adapter changes."""
    parts = (getattr(pipe, name, None) for name in ("unet", "transformer", "text_encoder", "text_encoder_2"))
    return sum(name in getattr(module, "lora_A", ()) for part in parts if part for module in part.modules())


@contextlib.contextmanager
def text_model(pipe: Any) -> Iterator[None]:
    """Gives the first text encoder the layer ``text_model`` that transformers 5.6 removed.

    StableDiffusionPipeline reads it for clip skip. It must be absent while a LoRA is loaded:
    ``_load_lora_into_text_encoder`` takes it as a sign of the older layout.
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


def from_folder(path: Path, dtype: torch.dtype) -> Any:
    """Opens a folder in diffusers' layout as a pipeline."""
    from diffusers import DiffusionPipeline

    try:
        return DiffusionPipeline.from_pretrained(str(path), torch_dtype=dtype)
    except Exception as error:  # diffusers, transformers and safetensors each raise kinds of their own
        message = " ".join(str(error).split())[:200]
        raise JobFailed(f"{path} holds no pipeline of diffusers: {message}") from None


@contextlib.contextmanager
def _opening(absent: str, wrong: str) -> Iterator[None]:
    """Turns errors of diffusers into ours: ``absent`` names what a hub lacks, ``wrong`` what the file is not.

    Raises:
        Refused: the hub wants a token. MissingWeights: the hub does not answer. JobFailed: the file cannot be
        read.
    """
    from huggingface_hub.errors import GatedRepoError

    try:
        yield
    except OSError as error:
        if any(isinstance(reason, GatedRepoError) for reason in _chain(error)):
            raise Refused(
                f"{absent} for account holders who accepted the licence: accept it on the repository's page "
                "at https://huggingface.co, and set HF_TOKEN to your token"
            ) from None
        raise MissingWeights(
            f"{absent} neither cached nor on a hub that answers "
            f"({type(error).__name__}): connect once, or copy the hub's cache here"
        ) from None
    except Exception as error:  # diffusers, transformers and safetensors each raise kinds of their own
        message = " ".join(str(error).split())[:200]
        raise JobFailed(f"{wrong}: {message}") from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error, and the errors that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def from_single_file(path: Path, pipeline: str, dtype: torch.dtype, config: str | None) -> Any:
    """Opens a single file as a pipeline."""
    import diffusers

    options = {"config": config} if config else {}
    wrong = f"{path.name} is not a checkpoint that {pipeline} reads"
    with _opening(f"the configuration of {pipeline} is", wrong):
        return getattr(diffusers, pipeline).from_single_file(str(path), torch_dtype=dtype, **options)


def from_transformer(path: Path, request: Mapping[str, Any], dtype: torch.dtype, config: str | None) -> Any:
    """Opens a transformer's file as a pipeline; the other parts come from a repository or the folder
    ``config``."""
    import diffusers

    rest = config or request["repository"]
    pipeline, transformer = (getattr(diffusers, request[name], None) for name in ("pipeline", "transformer"))
    if pipeline is None or transformer is None:
        raise JobFailed(
            f"diffusers {diffusers.__version__} has no {request['pipeline']}: pip install -U diffusers"
        )
    wrong = f"{path.name} is not a transformer that {request['pipeline']} reads"
    with _opening(f"the text encoders and the VAE of {rest} are", wrong):
        part = transformer.from_single_file(
            str(path), config=rest, subfolder="transformer", torch_dtype=dtype
        )
        return pipeline.from_pretrained(rest, transformer=part, torch_dtype=dtype)


def from_repository(request: Mapping[str, Any], dtype: torch.dtype, config: str | None) -> Any:
    """Opens a repository in diffusers' layout as a pipeline; the folder ``config`` may replace it.

    Only its safetensors are opened.
    """
    import diffusers

    pipeline = getattr(diffusers, request["pipeline"], None)
    if pipeline is None:
        raise JobFailed(
            f"diffusers {diffusers.__version__} has no {request['pipeline']}: pip install -U diffusers"
        )
    where = config or request["repository"]
    with _opening(f"{where} is", f"{where} holds no {request['pipeline']} of safetensors"):
        return pipeline.from_pretrained(where, torch_dtype=dtype, use_safetensors=True)


def file_of_repository(repository: str, file: str) -> Path:
    """Returns a file of a repository on the Hugging Face hub, from the hub's cache or fetched into it."""
    from huggingface_hub import hf_hub_download

    with _opening(f"{file} of {repository} is", f"{repository} is not a repository of the hub"):
        return Path(hf_hub_download(repository, file))


def device_and_dtype(precision: str | None = None) -> tuple[str, torch.dtype]:
    """Returns the device and the dtype: ``precision`` if given, else half on a GPU and single on a CPU."""
    import torch

    device = "cpu"
    if torch.cuda.is_available():
        device = own_device()
    elif torch.backends.mps.is_available():
        device = "mps"
    if precision is not None:
        return device, getattr(torch, precision)
    return device, torch.float32 if device == "cpu" else torch.float16


def set_scheduler(pipe: Any, scheduler: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Sets a scheduler that keeps the checkpoint's noise levels and prediction type, from its ``config``."""
    import diffusers

    kind = getattr(diffusers, scheduler["class"])
    settings = {name: value for name, value in config.items() if name not in _OF_A_SAMPLER}
    pipe.scheduler = kind.from_config(settings, **scheduler["kwargs"])


_OF_A_SAMPLER = ("algorithm_type", "use_karras_sigmas", "skip_prk_steps", "solver_order", "final_sigmas_type")
"""Entries of a scheduler's configuration that belong to the checkpoint's own sampler."""


def set_tiling(pipe: Any, pixels: int) -> None:
    """Decodes images of that many pixels in tiles where they would not fit at once."""
    import torch

    if not hasattr(pipe, "vae"):  # a model in pixel space
        return
    if not hasattr(pipe.vae, "enable_tiling"):
        return
    short = torch.cuda.is_available() and torch.cuda.mem_get_info(own_device())[0] < SHORT_MEMORY
    if short or pixels > TILED_PIXELS:
        pipe.vae.enable_tiling()
    else:
        pipe.vae.disable_tiling()
