"""Word lists of :mod:`diffagent.data.descriptions.forms`: informative and uninformative tags and phrases."""

from __future__ import annotations

import re


def _set(text: str) -> frozenset[str]:
    return frozenset(" ".join(text.split()).split(", "))


KINDS = {
    "character": _set(
        "character, game character, anime character, video game character, vtuber character, characters, "
        "characterpack, consistent character, multi-character, vtuber"
    ),
    "clothing": _set("clothing, clothes, outfit, costume, fashion, fashion design, dress, uniform"),
    "pose": _set("pose, poses"),
    "scene": _set(
        "background, backgrounds, buildings, building, architecture, architecture design, scenery, "
        "landscape, landscapes"
    ),
    "style": _set("style, styles, art style, artstyle, style lora, style art, artist, artistic"),
}
"""Kind → its tags, the most informative kind first."""

MEDIA = {
    "vtuber": _set("vtuber, vtuber character, virtual youtuber"),
    "game": _set("game, video game, game character, video game character, videogame, games"),
    "anime": _set("anime, anime character, anime girl"),
    "comic": _set("comic, comics, comic book, comic books"),
    "cartoon": _set("cartoon, cartoons"),
    "furry": _set("furry, anthro"),
}
SEXES = {
    "female": _set("female, woman, girl, girls, women, anime girl, 1girl, waifu, furry female"),
    "male": _set("male, man, boy, 1boy, men, guy"),
}

LOOKS = (
    "anime", "manga", "cartoon", "chibi", "photorealistic", "realistic", "semi-realistic", "illustration",
    "painting", "oil painting", "watercolor", "sketch", "ink", "line art", "pixel art", "comic", "cyberpunk",
    "steampunk", "fantasy", "sci-fi", "horror", "gothic", "retro", "vintage", "film", "cinematic",
    "portraits", "landscapes", "architecture", "interior design", "photography", "furry", "mecha", "surreal",
    "abstract", "dark", "colorful", "pastel", "minimalist", "concept art", "digital art",
)  # fmt: skip
"""Looks of images, also read from the uploader's text."""

GENERIC = frozenset().union(*KINDS.values(), *MEDIA.values(), *SEXES.values()) | _set(
    "lora, locon, lycoris, model, models, checkpoint, merge, mix, sd, base model, general purpose, "
    "general use, concept, art, artwork, image, images, ai, midjourney, tool, highly detailed, high quality, "
    "beautiful, sexy, hot, pretty, cute, stable diffusion, people, person, meme, lora style, general, photo, "
    "hd, anime style, hyper, detail, detailed, art style, draw style"
)
"""Tags without information beyond kind, medium and sex."""

ADDED = _set(
    "lora, loras, locon, lycoris, loha, checkpoint, model, models, base, ti, vae, new, style, styles, "
    "character, characters, concept, the, a, an, of, and, outfit, anime, series, ver, version, sd, by, with, "
    "for, my, art, commission, outfits"
) | frozenset([""])
"""Words at either end of a name that are not part of it."""

UNSEEN = re.compile(
    r"master ?pi?ece|qualit|\bhigh|\bultra|absurdres|resolution|detail|intricate|realis|award|best|trending|"
    r"artstation|render|unreal|octane|wallpaper|perfect|camera|lighting|beautiful|sampler|negative|prompt|pixiv|"
    r"ray ?tracing|depth of field|bokeh|simple background|white background|official art|"
    r"\b(?:raw|focus|viewer|body|shot|solo|girls?|boys?|wom[ae]n|m[ae]n|female|male|style|look(?:ing)?|close-?up|"
    r"sexy|by|professional|illustration|photo|photography|anime|standing|sitting|mouth|nose|lips|portrait|"
    r"holding|symmetrical|dynamic|epic|sharp|no humans?|adult|pose|skin|face|chest|thighs?|thighhighs|navel|"
    r"midriff|underwear|swimsuit|bikini|feet|foot|barefoot|arms?|sweat|blush|hips?|butt|belly|stomach|collarbone|"
    r"crotch|armpits?|pee\w*|wet|bdsm|restraints|spread\w*|text|background|angle|see|description)\b"
)
"""Phrases of prompts about quality, technique or camera rather than the image's content."""
