"""Image APIs as small local servers that validate as the real ones do, and can be told to misbehave.

Shapes and checks follow the public definitions: A1111 ``modules/api/api.py`` and ``models.py``; ComfyUI
``server.py``, ``execution.py`` (``validate_inputs``) and ``nodes.py``; AI Horde
``horde/apis/models/stable_v2.py`` and ``v2.py``; Civitai's developer docs; vLLM-Omni
``entrypoints/openai/protocol/images.py``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from PIL import Image

Answer = tuple[int, str, bytes]
HANG, DROP = "hang", "drop"
Fault = Answer | str | None


def as_json(value: object, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(value).encode()


HTML: Answer = (200, "text/html; charset=utf-8", b"<html>Please log in</html>")


def picture(seed: int, width: int = 64, height: int = 64, kind: str = "PNG") -> bytes:
    """A plain picture whose colour tells the seed."""
    buffer = io.BytesIO()
    color = (40 + seed * 37 % 200, 40 + seed * 91 % 200, 40 + seed * 53 % 200)
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


def black() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class ImageServer:
    """``wrong(number, path)`` may replace an answer; ``image`` makes the picture's bytes from a seed."""

    wrong: Callable[[int, str], Fault] = lambda number, path: None
    image: Callable[[int], bytes] = picture
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        raise NotImplementedError

    def frames(self) -> Iterator[dict[str, Any]]:
        """What a websocket client is told."""
        return iter(())

    def count(self, path: str) -> int:
        return sum(line.split()[1].startswith(path) for line in self.seen)


class FakeA1111(ImageServer):
    """Takes an unknown checkpoint or LoRA in silence, as A1111 does, an unknown sampler, as Forge does.

    A checkpoint goes by each of its ids, where the last of several with one id wins (``CheckpointInfo`` in
    ``modules/sd_models.py``); one whose hash is "" was not hashed yet. A LoRA is its file's path, or path and
    alias; of those with one name the last alone is known (``list_available_networks``).
    """

    checkpoints: tuple[tuple[str, str], ...] = (
        ("sd15/aurora_v2.safetensors", "a1" * 32),
        ("basalt.safetensors", "b2" * 32),
    )
    loras: tuple[str | tuple[str, str], ...] = ("ink-fox",)
    samplers: tuple[str, ...] = ("Euler a", "Euler", "DPM++ 2M", "DPM++ SDE", "DDIM")
    used = ""
    """The path of the checkpoint that was used."""
    schedules: tuple[str, ...] | None = ("Automatic", "Uniform", "Karras", "Exponential")
    options: ClassVar[dict[str, Any]] = {"sd_model_checkpoint": "aurora_v2"}
    """Its settings; Forge has some that A1111 lacks."""
    modules: Sequence[str] | None = None
    """Text encoders and VAEs; None: A1111, which has no such list."""
    seconds = 0.0
    """How long an image takes, unless it is interrupted."""
    current: str | None = None
    """The task that runs; one image is made after another, and an interruption ends whichever runs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.interrupted: list[str | None] = []
        self._stop = threading.Event()
        self._tasks: dict[str, bool] = {}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/sdapi/v1/sd-models":
            return as_json([self._model(name, sha) for name, sha in self.checkpoints])
        if path == "/sdapi/v1/loras":
            return as_json(self._loras())
        if path == "/sdapi/v1/options":
            return as_json(self.options)
        if path == "/sdapi/v1/sd-modules" and self.modules is not None:
            return as_json([{"model_name": module, "filename": f"/m/{module}"} for module in self.modules])
        if path == "/sdapi/v1/samplers":
            return as_json([{"name": name, "aliases": [], "options": {}} for name in self.samplers])
        if path == "/sdapi/v1/schedulers" and self.schedules is not None:
            return as_json([{"name": schedule.lower(), "label": schedule} for schedule in self.schedules])
        if path == "/sdapi/v1/progress":
            return as_json({"progress": 0.5, "eta_relative": 1.0, "state": {}, "current_image": None})
        if path == "/sdapi/v1/txt2img" and method == "POST":
            return self._made(body)
        if path == "/internal/progress" and method == "POST":
            return self._state(body["id_task"])
        if path == "/sdapi/v1/interrupt" and method == "POST":
            self.interrupted.append(self.current)
            self._stop.set()
            return as_json({})
        return as_json({"detail": "Not Found"}, 404)

    def _state(self, task: str) -> Answer:
        """``progressapi`` of ``modules/progress.py``."""
        active = task == self.current
        completed = self._tasks.get(task, False)
        queued = task in self._tasks and not active and not completed
        return as_json(
            {
                "active": active,
                "queued": queued,
                "completed": completed,
                "progress": 0.5 if active else None,
                "textinfo": "Waiting...",
            }
        )

    def _wait(self, task: str) -> None:
        self._tasks[task] = False
        end = time.monotonic() + self.seconds
        while self.current is not None and time.monotonic() < end:
            time.sleep(0.01)
        if self.current is None:
            self.current = task
            self._stop.wait(self.seconds)
            self.current = None
        self._tasks[task] = True

    @staticmethod
    def _model(name: str, sha: str) -> dict[str, Any]:
        return {
            "title": f"{name} [{sha[:10]}]" if sha else name,
            "model_name": name.removesuffix(".safetensors").replace("/", "_"),
            "hash": sha[:10] or None,
            "sha256": sha or None,
            "filename": f"/m/Stable-diffusion/{name}",
            "config": None,
        }

    def _loras(self) -> list[dict[str, Any]]:
        rows = {}
        for lora in self.loras:
            path, alias = lora if isinstance(lora, tuple) else (lora, lora)
            name = path.rsplit("/", 1)[-1]
            metadata = {"ss_output_name": alias, "ss_network_dim": "8", "sshs_model_hash": "5e" * 32}
            rows[name] = {"name": name, "alias": alias, "path": f"/m/Lora/{path}.safetensors",
                          "metadata": metadata}  # fmt: skip
        return list(rows.values())

    def _ids(self) -> dict[str, str]:
        ids: dict[str, str] = {}
        for path, sha in self.checkpoints:
            model = self._model(path, sha)
            stem = path.rsplit("/", 1)[-1].removesuffix(".safetensors")
            names = [model["model_name"], model["title"], path, stem, model["hash"], model["sha256"]]
            ids |= {name: path for name in names if name}
        return ids

    def _made(self, body: dict[str, Any]) -> Answer:
        for name, kind in {"prompt": str, "steps": int, "seed": int, "width": int, "height": int}.items():
            if not isinstance(body.get(name), kind):
                detail = [{"loc": ["body", name], "msg": f"value is not a valid {kind.__name__}"}]
                return as_json({"detail": detail}, 422)
        checkpoint = body["override_settings"]["sd_model_checkpoint"]
        self.used = self._ids().get(
            checkpoint, self.checkpoints[0][0]
        )  # an unknown one is dropped in silence
        seed = body["seed"] if body["seed"] >= 0 else 1234
        if self.seconds:
            self._wait(body["force_task_id"])
        info = {"seed": seed, "all_seeds": [seed], "sampler_name": body["sampler_name"]}
        image = base64.b64encode(self.image(seed)).decode()
        return as_json({"images": [image], "parameters": body, "info": json.dumps(info)})


KINDS = ("stable_diffusion", "sd3", "pixart", "lumina2", "hidream", "chroma", "qwen_image", "flux2",
         "krea2")  # fmt: skip
"""What ComfyUI's loader of one text encoder can be told that it is for, in part."""


class FakeComfyUI(ImageServer):
    """Validates graphs against the nodes' inputs, queues, runs, and keeps a history."""

    checkpoints = ["sd15/aurora_v2.safetensors", "basalt.safetensors"]  # noqa: RUF012
    loras = ["styles/ink-fox.safetensors"]  # noqa: RUF012
    transformers: Sequence[str] = ()
    text_encoders: Sequence[str] = ()
    vaes: Sequence[str] = ()
    ggufs: Sequence[str] | None = None
    """Transformers in GGUF; None: a server without ComfyUI-GGUF."""
    samplers = ["euler", "euler_ancestral", "dpmpp_2m", "ddim"]  # noqa: RUF012
    schedules = ["normal", "karras", "ddim_uniform"]  # noqa: RUF012
    fails: dict[str, Any] | None = None
    loses = False
    polls = 2
    endless = False
    """A running job goes on until it is interrupted."""
    places: Mapping[str, Sequence[str]] | None = None
    """Folder → where it lies; None: a server that does not tell."""
    targeted = True
    """``/interrupt`` heeds whose job is meant, as ComfyUI since 0.3.50 does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.interrupted: list[str] = []
        self.deleted: list[str] = []

    @property
    def nodes(self) -> dict[str, tuple[dict[str, Any], list[str]]]:
        """Required inputs (type or options, and limits) and outputs of nodes, as ComfyUI 0.33 has them."""
        size = ("INT", {"min": 16, "max": 16384})
        shift = ("FLOAT", {"min": 0.0, "max": 100.0})
        latent = ({"width": size, "height": size, "batch_size": ("INT", {"min": 1, "max": 4096})}, ["LATENT"])
        encoder, kinds = (list(self.text_encoders),), (list(KINDS),)
        nodes: dict[str, tuple[dict[str, Any], list[str]]] = {
            "UNETLoader": (
                {"unet_name": (list(self.transformers),), "weight_dtype": (["default", "fp8_e4m3fn"],)},
                ["MODEL"],
            ),
            "CLIPLoader": ({"clip_name": encoder, "type": kinds}, ["CLIP"]),
            "DualCLIPLoader": (
                {"clip_name1": encoder, "clip_name2": encoder, "type": (["sdxl", "sd3", "flux", "hidream"],)},
                ["CLIP"],
            ),
            "TripleCLIPLoader": ({f"clip_name{n}": encoder for n in (1, 2, 3)}, ["CLIP"]),
            "QuadrupleCLIPLoader": ({f"clip_name{n}": encoder for n in (1, 2, 3, 4)}, ["CLIP"]),
            "VAELoader": ({"vae_name": (list(self.vaes),)}, ["VAE"]),
            "LoraLoaderModelOnly": (
                {
                    "model": ("MODEL",),
                    "lora_name": (self.loras,),
                    "strength_model": ("FLOAT", {"min": -100.0, "max": 100.0}),
                },
                ["MODEL"],
            ),
            "ConditioningZeroOut": ({"conditioning": ("CONDITIONING",)}, ["CONDITIONING"]),
            "FluxGuidance": ({"conditioning": ("CONDITIONING",), "guidance": shift}, ["CONDITIONING"]),
            "EmptySD3LatentImage": latent,
            "EmptyFlux2LatentImage": latent,
            "ModelSamplingAuraFlow": ({"model": ("MODEL",), "shift": shift}, ["MODEL"]),
            "ModelSamplingSD3": ({"model": ("MODEL",), "shift": shift}, ["MODEL"]),
            "ModelSamplingFlux": (
                {"model": ("MODEL",), "max_shift": shift, "base_shift": shift, "width": size, "height": size},
                ["MODEL"],
            ),
            "ModelSamplingDiscrete": (
                {"model": ("MODEL",), "sampling": (["eps", "v_prediction"],), "zsnr": ("BOOLEAN", {})},
                ["MODEL"],
            ),
            "CLIPTextEncodePixArtAlpha": (
                {"width": size, "height": size, "text": ("STRING", {}), "clip": ("CLIP",)},
                ["CONDITIONING"],
            ),
            "CLIPTextEncodeLumina2": (
                {
                    "system_prompt": ("COMBO", {"options": ["superior", "alignment"]}),
                    "user_prompt": ("STRING", {}),
                    "clip": ("CLIP",),
                },
                ["CONDITIONING"],
            ),
        }
        if self.ggufs is not None:
            nodes["UnetLoaderGGUF"] = ({"unet_name": (list(self.ggufs),)}, ["MODEL"])
            nodes["CLIPLoaderGGUF"] = ({"clip_name": encoder, "type": kinds}, ["CLIP"])
        return nodes | {
            "CheckpointLoaderSimple": ({"ckpt_name": (self.checkpoints,)}, ["MODEL", "CLIP", "VAE"]),
            "LoraLoader": (
                {
                    "model": ("MODEL",),
                    "clip": ("CLIP",),
                    "lora_name": ("COMBO", {"options": self.loras}),
                    "strength_model": ("FLOAT", {"min": -100.0, "max": 100.0}),
                    "strength_clip": ("FLOAT", {"min": -100.0, "max": 100.0}),
                },
                ["MODEL", "CLIP"],
            ),
            "CLIPSetLastLayer": (
                {"clip": ("CLIP",), "stop_at_clip_layer": ("INT", {"min": -24, "max": -1})},
                ["CLIP"],
            ),
            "CLIPTextEncode": ({"text": ("STRING", {}), "clip": ("CLIP",)}, ["CONDITIONING"]),
            "EmptyLatentImage": (
                {"width": size, "height": size, "batch_size": ("INT", {"min": 1, "max": 4096})},
                ["LATENT"],
            ),
            "KSampler": (
                {
                    "model": ("MODEL",),
                    "seed": ("INT", {"min": 0, "max": 2**64 - 1}),
                    "steps": ("INT", {"min": 1, "max": 10000}),
                    "cfg": ("FLOAT", {"min": 0.0, "max": 100.0}),
                    "sampler_name": (self.samplers,),
                    "scheduler": (self.schedules,),
                    "positive": ("CONDITIONING",),
                    "negative": ("CONDITIONING",),
                    "latent_image": ("LATENT",),
                    "denoise": ("FLOAT", {"min": 0.0, "max": 1.0}),
                },
                ["LATENT"],
            ),
            "VAEDecode": ({"samples": ("LATENT",), "vae": ("VAE",)}, ["IMAGE"]),
            "SaveImage": ({"images": ("IMAGE",), "filename_prefix": ("STRING", {})}, []),
        }

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path.startswith("/object_info/"):
            name = path.rsplit("/", 1)[-1]
            if name not in self.nodes:
                return as_json({})
            return as_json(
                {name: {"input": {"required": self.nodes[name][0]}, "output": self.nodes[name][1]}}
            )
        if path == "/internal/folder_paths" and self.places is not None:
            return as_json(self.places)
        if path == "/prompt" and method == "POST":
            return self._queued(body)
        if path == "/queue" and method == "POST":
            deleted = [key for key in body["delete"] if self.jobs.get(key, {"polls": 0})["polls"] > 1]
            self.deleted += [key for key in deleted if self.jobs.pop(key)]
            return 200, "application/octet-stream", b""
        if path == "/interrupt" and method == "POST":
            begun = [key for key, job in self.jobs.items() if job["polls"] == 1]
            ended = [key for key in begun if not self.targeted or body.get("prompt_id") in (None, key)]
            self.interrupted += [key for key in ended if self.jobs.pop(key)]
            return 200, "application/octet-stream", b""
        if path == "/queue":
            waiting = [[0, key, {}, {}, []] for key, job in self.jobs.items() if job["polls"] > 1]
            running = [[0, key, {}, {}, []] for key, job in self.jobs.items() if job["polls"] == 1]
            lost = self.loses
            return as_json(
                {"queue_running": [] if lost else running, "queue_pending": [] if lost else waiting}
            )
        if path.startswith("/history/"):
            return self._history(path.rsplit("/", 1)[-1])
        if path == "/view":
            return 200, "image/png", self.image(int(query["filename"].split("_")[1]))
        return 404, "text/plain; charset=utf-8", b"404: Not Found"

    def frames(self) -> Iterator[dict[str, Any]]:
        yield {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "1"}}
        end = time.monotonic() + 2
        while not self._is_known() and time.monotonic() < end:
            time.sleep(0.005)
        for value in (1, 2):
            yield {"type": "progress", "data": {"value": value, "max": 2, "prompt_id": "job-1", "node": "7"}}

    def _is_known(self) -> bool:
        """Whether the client has asked for its job: before, it cannot tell whose progress it hears."""
        return any(job["polls"] < self.polls for job in list(self.jobs.values()))

    def _queued(self, body: dict[str, Any]) -> Answer:
        graph = body["prompt"]
        errors = {key: faults for key, node in graph.items() if (faults := self.errors(node, graph))}
        if errors:
            node_errors = {
                key: {"errors": faults, "dependent_outputs": ["9"], "class_type": graph[key]["class_type"]}
                for key, faults in errors.items()
            }
            error = {"type": "prompt_outputs_failed_validation",
                     "message": "Prompt outputs failed validation",
                     "details": "", "extra_info": {}}  # fmt: skip
            return as_json({"error": error, "node_errors": node_errors}, 400)
        key = f"job-{len(self.jobs) + 1}"
        seed = next(node["inputs"]["seed"] for node in graph.values() if node["class_type"] == "KSampler")
        self.jobs[key] = {"polls": self.polls, "seed": seed}
        return as_json({"prompt_id": key, "number": len(self.jobs), "node_errors": {}})

    def errors(self, node: dict[str, Any], graph: dict[str, Any]) -> list[dict[str, Any]]:
        faults = []
        for name, (kind, *rest) in self.nodes[node["class_type"]][0].items():
            limits = rest[0] if rest else {}
            if name not in node["inputs"]:
                faults.append(
                    {
                        "type": "required_input_missing",
                        "message": "Required input is missing",
                        "details": name,
                    }
                )
                continue
            value = node["inputs"][name]
            options = kind if isinstance(kind, list) else limits.get("options")
            if isinstance(value, list):
                output = self.nodes[graph[value[0]]["class_type"]][1][value[1]]
                if output != kind:
                    details = f"{name}, received_type({output}) mismatch input_type({kind})"
                    faults.append(
                        {
                            "type": "return_type_mismatch",
                            "message": "Return type mismatch",
                            "details": details,
                        }
                    )
            elif options is not None and value not in options:
                details = f"{name}: '{value}' not in {options}"
                faults.append(
                    {"type": "value_not_in_list", "message": "Value not in list", "details": details}
                )
            elif "max" in limits and not limits["min"] <= value <= limits["max"]:
                message = f"Value {value} bigger than max of {limits['max']}"
                faults.append({"type": "value_bigger_than_max", "message": message, "details": name})
        return faults

    def _history(self, key: str) -> Answer:
        job = self.jobs.get(key)
        if job is None or self.loses:
            return as_json({})
        job["polls"] -= not (self.endless and job["polls"] == 1)
        if job["polls"] > 0:
            return as_json({})
        if self.fails is not None:
            status = {
                "status_str": "error",
                "completed": False,
                "messages": [["execution_error", self.fails]],
            }
            return as_json({key: {"prompt": [], "outputs": {}, "status": status}})
        image = {"filename": f"diffagent_{job['seed']}_.png", "subfolder": "", "type": "output"}
        status = {"status_str": "success", "completed": True, "messages": []}
        return as_json({key: {"prompt": [], "outputs": {"9": {"images": [image]}}, "status": status}})


class FakeHorde(ImageServer):
    """Validates payloads, prices dry runs, queues and hands out a link to WebP; one worker's models."""

    models = ("Aurora Horde", "Pickled One", "Nobody's Model")
    samplers = ("k_lms", "k_heun", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a", "k_dpm_fast",
                "k_dpm_adaptive",
                "k_dpmpp_2s_a", "k_dpmpp_2m", "dpmsolver", "k_dpmpp_sde", "DDIM", "lcm")  # fmt: skip
    ranges: ClassVar = {"cfg_scale": (0, 100), "steps": (1, 500), "width": (64, 3072), "height": (64, 3072),
              "clip_skip": (1, 12), "n": (1, 20)}  # fmt: skip
    check: dict[str, Any] = {}  # noqa: RUF012
    generation: dict[str, Any] = {}  # noqa: RUF012
    generations = 1

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.payload: dict[str, Any] = {}
        self.checks = 0
        self.deleted: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/api/v2/status/models":
            return as_json([{"name": name, "count": 0 if "Nobody" in name else 2} for name in self.models])
        if path == "/api/v2/generate/async":
            return self._accepted(body)
        if method == "DELETE":
            self.deleted.append(path.rsplit("/", 1)[-1])
            return as_json({"done": False, "faulted": False, "generations": []})
        if path.startswith("/api/v2/generate/check/"):
            return self._checked()
        if path == "/image.webp":
            return 200, "image/webp", self.image(int(self.payload["params"].get("seed", 5)))
        if path.startswith("/api/v2/generate/status/"):
            seed = self.payload["params"].get("seed", "5")
            generation = {"img": f"{self.url}/image.webp", "seed": seed, "id": "g", "censored": False,
                          "state": "ok", "worker_name": "w", "model": "Aurora Horde", "gen_metadata": [],
                          **self.generation}  # fmt: skip
            return as_json({"done": True, "faulted": False, "generations": [generation] * self.generations})
        return as_json({"message": "The requested URL was not found on the server.", "rc": "NotFound"}, 404)

    def _accepted(self, body: dict[str, Any]) -> Answer:
        if self.headers[-1].get("apikey") not in ("0000000000", "a-key"):
            return as_json({"message": "No user matching sent API Key.", "rc": "InvalidAPIKey"}, 401)
        params, errors = body["params"], {}
        if params["sampler_name"] not in self.samplers:
            errors["params.sampler_name"] = f"'{params['sampler_name']}' is not one of {list(self.samplers)}"
        for name, (low, high) in self.ranges.items():
            if name in params and not low <= params[name] <= high:
                errors[f"params.{name}"] = f"{params[name]} is outside {low} to {high}"
        for name in ("width", "height"):
            if params[name] % 64:
                errors[f"params.{name}"] = f"{params[name]} is not a multiple of 64"
        if not isinstance(params.get("seed", ""), str):
            errors["params.seed"] = f"{params['seed']} is not of type 'string'"
        if errors:
            return as_json(
                {"message": "Input payload validation failed", "rc": "ValidationError", "errors": errors}, 400
            )
        if body["dry_run"]:
            return as_json({"kudos": 9.5}, 200)
        self.payload = body
        return as_json({"id": "req-1", "kudos": 9.5, "warnings": []}, 202)

    def _checked(self) -> Answer:
        self.checks += 1
        steps: list[dict[str, object]] = [
            {"queue_position": 2, "waiting": 1},
            {"processing": 1, "queue_position": 0},
            {"done": True},
        ]
        state: dict[str, object] = {
            "done": False,
            "faulted": False,
            "is_possible": True,
            "waiting": 0,
            "processing": 0,
            "wait_time": 7,
        }
        return as_json(state | steps[min(self.checks, len(steps)) - 1] | self.check)


class FakeCivitai(ImageServer):
    """Workflows of an imageGen step; refuses unknown fields and sides, prices with ``whatif``.

    The fields of each engine and ecosystem (or model) are those of ``orchestration/recipes/*.md``.
    """

    common: ClassVar = {"engine", "operation", "prompt", "width", "height", "loras", "quantity", "seed"}
    comfy: ClassVar = common | {"ecosystem", "model", "steps", "cfgScale", "sampler", "scheduler"}
    sdcpp: ClassVar = common | {
        "ecosystem", "steps", "cfgScale", "negativePrompt", "sampleMethod", "schedule"
    }  # fmt: skip
    fields: ClassVar = {
        ("comfy", "sd1"): comfy | {"negativePrompt", "clipSkip"},
        ("comfy", "sdxl"): comfy | {"negativePrompt"},
        ("comfy", "flux1"): comfy,
        ("comfy", "ernie"): comfy | {"negativePrompt"},
        ("sdcpp", "zImage"): sdcpp | {"model"},
        ("sdcpp", "qwen"): sdcpp | {"model", "version"},
        ("sdcpp", "anima"): sdcpp | {"diffuserModel"},
        ("flux2", "klein"): (sdcpp - {"ecosystem"}) | {"model", "modelVersion"},
        ("flux2", "dev"): common | {"model", "guidanceScale", "numInferenceSteps"},
    }
    ends: dict[str, Any] = {}  # noqa: RUF012
    output: dict[str, Any] = {}  # noqa: RUF012
    images = 1

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.step: dict[str, Any] = {}
        self.gets = 0
        self.deleted: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/blob.jpeg":
            assert "authorization" not in self.headers[-1], "a key went to a signed link"
            return 200, "image/jpeg", self.image(self.step.get("seed", 5))
        if self.headers[-1].get("authorization") != "Bearer a-key":
            return self._problem(401, "Unauthorized")
        if path == "/v2/consumer/workflows" and method == "POST":
            return self._submitted(body, query)
        if method == "DELETE":
            self.deleted.append(path.rsplit("/", 1)[-1])
            return 204, "text/plain", b""
        if path.startswith("/v2/consumer/workflows/"):
            self.gets += 1
            if self.gets < 2:
                return as_json({"id": "wf-1", "status": "processing", "steps": []})
            image = {"id": "blob", "url": f"{self.url}/blob.jpeg?sig=secret", **self.output}
            step = {"name": "0", "$type": "imageGen", "output": {"images": [image] * self.images}}
            return as_json({"id": "wf-1", "status": "succeeded", "steps": [step]} | self.ends)
        return self._problem(404, "Not Found")

    def _submitted(self, body: dict[str, Any], query: dict[str, str]) -> Answer:
        step = body["steps"][0]["input"]
        errors = {f"steps[0].input.{name}": ["unknown property"] for name in step.keys() - self._fields(step)}
        if step.get("ecosystem") in ("sd1", "sdxl", "flux1") and not step["model"].startswith("urn:air:"):
            errors["steps[0].input.model"] = ["model must match AIR pattern"]
        for name in ("width", "height"):
            if step[name] % 16 or not 64 <= step[name] <= 2048:
                errors[f"steps[0].input.{name}"] = ["must be divisible by 16, between 64 and 2048"]
        if errors:
            return self._problem(400, "One or more validation errors occurred.", errors)
        if query.get("whatif") == "true":
            return as_json({"status": "unassigned", "steps": [], "cost": {"base": 4, "total": 6}})
        self.step = step
        return as_json({"id": "wf-1", "status": "unassigned", "steps": []}, 202)

    def _fields(self, step: dict[str, Any]) -> set[str]:
        return self.fields.get((step["engine"], step.get("ecosystem") or step["model"]), set())

    @staticmethod
    def _problem(status: int, title: str, errors: dict[str, list[str]] | None = None) -> Answer:
        body = {
            "type": "about:blank",
            "title": title,
            "status": status,
            **({"errors": errors} if errors else {}),
        }
        return status, "application/problem+json", json.dumps(body).encode()


class FakeOpenAI(ImageServer):
    """vLLM-Omni's images route: one model, ranges as its pydantic model has them."""

    served = "Aurora"
    owner = "vllm"
    blocks = False
    images = 1

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if path == "/v1/models":
            return as_json({"object": "list", "data": [{"id": self.served, "owned_by": self.owner}]})
        if path != "/v1/images/generations":
            return as_json({"detail": "Not Found"}, 404)
        if body["model"] != self.served:
            error = {
                "message": f"The model `{body['model']}` does not exist.",
                "type": "NotFoundError",
                "code": 404,
            }
            return as_json({"error": error}, 404)
        if self.blocks:
            error = {"message": "Your request was rejected.", "code": "content_policy_violation"}
            return as_json({"error": error}, 400)
        limits = {"n": (1, 10), "num_inference_steps": (1, 200), "guidance_scale": (0.0, 20.0)}
        for name, (low, high) in limits.items():
            if not low <= body.get(name, low) <= high:
                return as_json({"error": {"message": f"{name} should be {low} to {high}", "code": 400}}, 400)
        image = base64.b64encode(self.image(body.get("seed", 5))).decode()
        return as_json({"created": 1, "data": [{"b64_json": image}] * self.images})


@contextmanager
def serving(server: ImageServer) -> Iterator[str]:
    """The server on a loopback port; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            server.seen.append(f"{self.command} {self.path}")
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.bodies.append(body)
            fault = server.wrong(len(server.seen), parts.path)
            if fault == HANG:
                time.sleep(0.6)
            if fault in (HANG, DROP):
                self.close_connection = True
                return
            if "websocket" in self.headers.get("Upgrade", "") and fault is None:
                self._websocket()
                return
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            status, kind, data = (
                fault if isinstance(fault, tuple) else server.answer(self.command, parts.path, query, body)
            )
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(data)

        do_POST = do_DELETE = do_GET

        def _websocket(self) -> None:
            """RFC 6455's handshake, then text frames to the client."""
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header(
                "Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            )
            self.end_headers()
            with suppress(OSError):
                for frame in server.frames():
                    data = json.dumps(frame).encode()
                    length = bytes([len(data)]) if len(data) < 126 else struct.pack(">BH", 126, len(data))
                    self.wfile.write(b"\x81" + length + data)
                self.connection.settimeout(2)
                self.rfile.read(1)  # the client's closing frame
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server.url
    finally:
        http.shutdown()
        http.server_close()


def closed_port() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
