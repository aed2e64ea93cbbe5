"""Phrases for media in requests and on cards.

    named_media("a fox as a linocut print")   -> (Mention("woodcut", "linocut print", 11),)

The vocabulary is :data:`diffagent.data.attributes.Medium`. ``KIN`` rates how well a model of one medium
serves a request for another. :mod:`diffagent.data.requested_media` reads what a request asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from diffagent.data.attributes import Medium

PHRASES: Mapping[Medium, str] = {
    "analog photo": (
        "analog(?:ue)?(?: film)? photo(?:graph)?|analog style|film photo(?:graph)?|35 ?mm film|polaroid|"
        "kodak \\w+(?: \\d+)?|film grain|daguerreotype|tintype|old photograph|vintage photo(?:graph)?|"
        "disposable camera|super ?8|film still|film noir"
    ),
    "photo": (
        "photo(?:graph|graphy|graphic|realistic|realism)?s?|dslr|raw photo|hyper-?realistic|realistic|"
        "long exposure|macro shot|macro|stock image|snapshot|selfie|headshot|product shot|wildlife|"
        "drone shot|bokeh|cinematic still|tilt[- ]shift"
    ),
    "anime": "anime|animé|ghibli|makoto shinkai|waifu|1girl|1boy|2girls|otome|visual novel",
    "manga": "manga|mangá|shonen|shōnen|shoujo|screentone",
    "chibi": "chibi|nendoroid|super deformed|q ?版",
    "3d cartoon": "pixar|disney(?: style)?|dreamworks|3d cartoon|3d animat(?:ed|ion)(?: movie| film)?",
    "cartoon": (
        "cartoon|rubber ?hose|saturday morning|toon|caricature|nickelodeon|animated series|90s animation"
    ),
    "comic": "comic(?: ?book)?s?|graphic novel|superhero panel|bande dessin[eé]e|ligne claire|fumett[oi]",
    "children's book": (
        "(?:children['’]?s|kids['’]?|picture|story) ?(?:book|tale)(?: illustration)?|storybook|"
        "nursery illustration|bedtime story"
    ),
    "watercolor": (
        "water-?colou?rs?|aquarelle|aquarell|acuarela|acquerello|акварель\\w*|水彩画?|수채화|gouache"
    ),
    "oil painting": (
        "oil[- ]paint(?:ing|ed)?s?|oils? on canvas|in oils|impasto|old master|ölgemälde|óleo|rembrandt|"
        "baroque painting|renaissance painting|alla prima|palette knife|油絵|油画|масл(?:ом|яная)"
    ),
    "pastel": "(?:soft|oil|chalk) pastels?(?: drawing)?|pastel drawing|crayons?|colou?red pencils?",
    "ukiyo-e": "ukiyo-?e|japanese woodblock|hokusai|浮世絵",
    "ink": (
        "ink wash|sumi-?e|ink (?:drawing|painting|sketch|illustration)|pen and ink|in ink|brush pen|"
        "chinese painting|水墨画?|tusche"
    ),
    "pencil sketch": (
        "pencil (?:sketch|drawing)|graphite|charcoal(?: drawing| sketch)?|sketch(?:ed)?|sketchbook|"
        "silverpoint|bleistift\\w*|rough drawing|hand[- ]drawn"
    ),
    "line art": (
        "line ?art|lineart|colou?ring (?:page|book)|outline drawing|one[- ]line drawing|continuous line|"
        "line drawing|technical drawing|patent drawing|blueprint|mandala"
    ),
    "woodcut": (
        "wood ?cuts?|lino ?cuts?|lino ?prints?|etching|engraving|wood ?block print|mezzotint|drypoint|"
        "scratchboard|riso(?:graph)?(?: prints?)?|screen ?print"
    ),
    "vector": (
        "vector(?: art| illustration| graphics?)?|flat (?:design|illustration|colou?rs?|style)|"
        "infographic|corporate illustration|clip ?art|svg|geometric shapes|material design|kurzgesagt"
    ),
    "pixel art": ("pixel[- ]?art|pixelated|(?:8|16|32)[- ]?bit|sprites?|sprite ?sheet|retro game|game ?boy"),
    "low poly": "low[- ]?poly(?:gon)?|ps1 (?:style|graphics)|playstation 1",
    "voxel": "voxels?(?: art)?|minecraft",
    "isometric": "isometric",
    "claymation": (
        "clay ?mation|stop[- ]?motion|plasticine|aardman|made of clay|clay (?:figure|model|style)|"
        "пластилин\\w*"
    ),
    "lego": "lego|brick toy",
    "papercraft": (
        "paper ?craft|paper ?cut(?:-?out)?|cut paper|origami|kirigami|paper quilling|quilling|"
        "layered paper|pop-?up book|papier[- ]m[aâ]ch[eé]|papírkivágás"
    ),
    "textile": (
        "crochet(?:ed)?|knit(?:ted|ting)?|amigurumi|felt(?:ed)?|needle[- ]felt(?:ed)?|embroider(?:y|ed)|"
        "cross[- ]stitch|tapestry|quilt(?:ed)?|plush(?:ie)?|patchwork|вал[яе]н\\w*|batik|woven"
    ),
    "stained glass": "stained[- ]glass|vitrail|vidriera|vitraux?|витраж\\w*",
    "mosaic": "mosaics?|azulejos?|ceramic tiles?|tile painting|delft(?:ware)?|tessera\\w*",
    "sculpture": (
        "sculptures?|sculpted|statues?|bronze|marble bust|bas[- ]relief|carv(?:ed|ing)|ice sculpture|"
        "porcelain|figurines?|terracotta"
    ),
    "sticker": "stickers?|die[- ]cut|decal|emotes?|emoji",
    "icon": "icons?(?: set)?|app icon|favicon|ui icon|game icon|pictograms?",
    "logo": "logos?|logotype|emblem|monogram|wordmark|brand mark",
    "game asset": (
        "game assets?|inventory item|item icon|tileset|tile ?set|texture|top[- ]down game|game sprite|"
        "platformer|side[- ]scroller|trading card art"
    ),
    "tattoo": "tattoos?(?: design| flash)?",
    "poster": "posters?|propaganda|travel poster|movie poster|gig poster|flyer|screen-printed poster",
    "graffiti": "graffiti|street art|mural|stencil art|spray ?paint(?:ed)?|banksy",
    "art nouveau": "art nouveau|jugendstil|mucha",
    "art deco": "art d[eé]co",
    "pop art": "pop[- ]art|warhol|lichtenstein|halftone",
    "fine art": (
        "cubis[mt]\\w*|impressionis[mt]\\w*|expressionis[mt]\\w*|surrealis[mt]\\w*|pointillis[mt]\\w*|"
        "bauhaus|van gogh|monet|picasso|dal[ií]|klimt|fresco|medieval manuscript|illuminated manuscript|"
        "miniature painting|fauvis[mt]\\w*|abstract (?:art|painting|expressionism)|constructivis[mt]\\w*|"
        "suprematis[mt]\\w*"
    ),
    "folk art": (
        "folk art|naïve art|naive art|petrykivka|петриків\\w*|madhubani|warli|rosemaling|pysanka|"
        "aboriginal dot|gond art|icon painting|byzantine icon|mola art"
    ),
    "furry art": "furry|anthro(?:pomorphic)?|fursona",
    "map": "(?:old|fantasy|treasure|parchment|hand-drawn|world|city|antique)? ?maps?|cartograph\\w+",
    "pattern": (
        "seamless(?: repeating)?(?: pattern)?|wallpaper pattern|repeat(?:ing)? pattern|textile pattern|"
        "tileable|patterns?"
    ),
    "collage": "collage|cut-and-paste|photomontage|scrapbook",
    "concept art": (
        "concept art|matte painting|artstation|character sheet|character design|environment art|key art|"
        "splash art"
    ),
    "fantasy art": (
        "fantasy art|d&d|dnd|dungeons and dragons|rpg|trading card|magic: the gathering|mtg|"
        "fantasy illustration|fantasy book cover"
    ),
    "digital painting": "digital (?:painting|art)|painterly|speedpaint|2\\.5d|semi-realistic",
    "illustration": (
        "illustrat(?:ion|ed|ions)|botanical|editorial|book cover|drawn|drawing|zeichnung|dibujo|disegno|"
        "рисунок|malen|イラスト|插画"
    ),
    "3d render": (
        "3d(?: render(?:ed|ing)?)?|octane(?: render)?|blender|cinema ?4d|c4d|unreal engine|cgi|rendered|"
        "render|ray[- ]?trac(?:ed|ing)"
    ),
}
"""Medium → an alternation of phrases for it, the most specific media first."""

KIN: Mapping[Medium, Mapping[Medium, float]] = {
    "photo": {"analog photo": 0.8, "any": 0.6, "3d render": 0.2},
    "analog photo": {"photo": 0.85, "any": 0.55},
    "anime": {"manga": 0.5, "chibi": 0.3, "illustration": 0.3, "any": 0.2},
    "manga": {"anime": 0.6, "comic": 0.6, "ink": 0.5, "line art": 0.5, "any": 0.3},
    "chibi": {"anime": 0.6, "cartoon": 0.4, "any": 0.2},
    "cartoon": {"comic": 0.5, "illustration": 0.5, "3d cartoon": 0.5, "any": 0.55, "vector": 0.3},
    "3d cartoon": {"cartoon": 0.6, "3d render": 0.6, "any": 0.5},
    "comic": {"manga": 0.4, "cartoon": 0.5, "illustration": 0.5, "ink": 0.4, "any": 0.55},
    "illustration": {"digital painting": 0.6, "any": 0.65, "children's book": 0.5, "concept art": 0.4},
    "children's book": {"illustration": 0.75, "watercolor": 0.6, "cartoon": 0.5, "any": 0.55},
    "digital painting": {"illustration": 0.7, "concept art": 0.7, "fantasy art": 0.6, "any": 0.6},
    "oil painting": {"digital painting": 0.5, "fine art": 0.7, "any": 0.65, "illustration": 0.35},
    "watercolor": {"illustration": 0.5, "ink": 0.3, "any": 0.65, "digital painting": 0.4},
    "pastel": {"watercolor": 0.5, "illustration": 0.5, "pencil sketch": 0.4, "any": 0.6},
    "ink": {"line art": 0.5, "ukiyo-e": 0.3, "pencil sketch": 0.4, "any": 0.6, "illustration": 0.35},
    "ukiyo-e": {"ink": 0.5, "woodcut": 0.6, "any": 0.6, "illustration": 0.35},
    "pencil sketch": {"line art": 0.5, "ink": 0.4, "any": 0.65, "illustration": 0.35},
    "line art": {"ink": 0.5, "pencil sketch": 0.4, "vector": 0.4, "any": 0.55},
    "woodcut": {"ink": 0.5, "line art": 0.5, "any": 0.65, "illustration": 0.3},
    "vector": {"logo": 0.5, "icon": 0.5, "illustration": 0.5, "cartoon": 0.4, "any": 0.55},
    "pixel art": {"any": 0.35, "game asset": 0.3},
    "3d render": {"any": 0.55, "isometric": 0.3, "photo": 0.3, "3d cartoon": 0.4},
    "low poly": {"3d render": 0.7, "isometric": 0.4, "any": 0.5},
    "voxel": {"3d render": 0.6, "isometric": 0.5, "lego": 0.3, "any": 0.5},
    "isometric": {"3d render": 0.6, "low poly": 0.4, "any": 0.5},
    "claymation": {"3d cartoon": 0.5, "3d render": 0.6, "any": 0.55},
    "lego": {"3d render": 0.6, "photo": 0.5, "any": 0.6},
    "papercraft": {"illustration": 0.4, "3d render": 0.4, "any": 0.6},
    "textile": {"3d render": 0.4, "photo": 0.5, "any": 0.6},
    "stained glass": {"illustration": 0.4, "fine art": 0.4, "any": 0.65},
    "mosaic": {"fine art": 0.4, "any": 0.65, "photo": 0.4},
    "sculpture": {"3d render": 0.6, "photo": 0.6, "any": 0.65},
    "sticker": {"vector": 0.6, "cartoon": 0.6, "logo": 0.4, "icon": 0.4, "any": 0.5},
    "icon": {"vector": 0.6, "logo": 0.5, "game asset": 0.5, "3d render": 0.4, "any": 0.5},
    "logo": {"vector": 0.8, "icon": 0.5, "any": 0.5},
    "game asset": {"icon": 0.6, "3d render": 0.5, "concept art": 0.5, "any": 0.5},
    "tattoo": {"line art": 0.6, "ink": 0.6, "any": 0.6},
    "poster": {"illustration": 0.6, "vector": 0.6, "any": 0.65},
    "graffiti": {"photo": 0.5, "pop art": 0.4, "illustration": 0.4, "any": 0.6},
    "art nouveau": {"illustration": 0.5, "fine art": 0.5, "any": 0.65, "poster": 0.4},
    "art deco": {"poster": 0.5, "vector": 0.4, "illustration": 0.5, "any": 0.65},
    "pop art": {"comic": 0.5, "poster": 0.4, "vector": 0.4, "any": 0.65},
    "fine art": {"oil painting": 0.6, "illustration": 0.4, "digital painting": 0.4, "any": 0.65},
    "folk art": {"illustration": 0.5, "fine art": 0.4, "any": 0.65},
    "furry art": {"illustration": 0.4, "cartoon": 0.4, "digital painting": 0.4, "any": 0.4},
    "map": {"illustration": 0.5, "ink": 0.4, "any": 0.6},
    "pattern": {"vector": 0.5, "illustration": 0.5, "any": 0.55},
    "collage": {"illustration": 0.4, "fine art": 0.4, "any": 0.6},
    "concept art": {"digital painting": 0.75, "fantasy art": 0.7, "illustration": 0.5, "any": 0.6},
    "fantasy art": {"concept art": 0.75, "digital painting": 0.7, "illustration": 0.6, "any": 0.6},
}
"""Requested medium → medium of a model → how well it serves, 0…1; the same medium is 1, a missing one 0."""


@dataclass(frozen=True)
class Mention:
    """A phrase that names a medium, and its position."""

    medium: Medium
    words: str
    start: int


def named_media(text: str) -> tuple[Mention, ...]:
    """Returns the media that a text names, in order; of overlapping phrases the longest."""
    spans: list[tuple[int, int, Medium]] = []
    for medium, pattern in _patterns().items():
        spans += [(match.start(), match.end(), medium) for match in pattern.finditer(text)]
    spans.sort(key=lambda span: (span[0] - span[1], span[0]))
    mentions: list[tuple[int, int, Medium]] = []
    for start, end, medium in spans:
        if all(end <= low or high <= start for low, high, _ in mentions):
            mentions.append((start, end, medium))
    return tuple(Mention(medium, text[start:end], start) for start, end, medium in sorted(mentions))


def kinship(medium: Medium, offered: Medium) -> float:
    """How well a model of one medium serves a request for another, 0…1."""
    return 1.0 if medium == offered else KIN.get(medium, {}).get(offered, 0.0)


_ABOUT = (
    r"[ -](?:conventions?|con|expos?|fairs?|exhibitions?|shops?|stores?|clubs?|cafés?|cafes?|museums?|"
    r"galler(?:y|ies)|festivals?|fans?|otakus?|collectors?|readers?|merch|merchandise|class(?:es)?|lessons?|"
    r"workshops?|suppl(?:y|ies)|t-?shirts?|shirts?|hoodies?|costumes?|cosplay(?:ers?)?)\b"
)
"""What follows a medium's word that is not the picture's medium: "an anime convention"."""


@cache
def _patterns() -> dict[Medium, re.Pattern[str]]:
    return {
        medium: re.compile(rf"(?<!\w)(?:{words})(?!\w)(?!{_ABOUT})", re.I)
        for medium, words in PHRASES.items()
    }
