"""Negative prompts: what a call keeps out of the picture.

The user's own words come first, then the prompt's exclusions, then, where the user gave no negative prompt,
the base model's usual one without anything that the prompt asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from diffagent.agent.asking.exclusions import ARTEFACT
from diffagent.agent.asking.technical import sets_later
from diffagent.agent.asking.words import words
from diffagent.data.base_models import find
from diffagent.data.prompts import bare_words

_LETTERS = re.compile(
    r"\b(?:texts?|words?|letters?|lettering|lettered|typograph\w*|captions?|titles?|titled|logos?|"
    r"logotype|slogans?|quotes?|"
    r"says|saying|reads|written|writing|calligraph\w*|signs?|signposts?|signboards?|signage|font|"
    r"alphabets?|monogram|initials|infographic|numerals?|digits|numbers(?! of)|the numbers?|number \d+|"
    r"equations?|formula[es]?|calculus|algebra|arithmetic|hieroglyph\w*|runes?|runic|kanji|hanzi|hiragana|"
    r"katakana|cuneiform|glyphs?|ideograms?|(?:math\w*|alchem\w*|chemical|musical|currency|magic\w*|occult|"
    r"astrolog\w*|zodiac|runic) symbols|punctuation|ampersands?|question marks?|sheet music|"
    r"calendars?|periodic table|eye chart|sudoku|bingo|scrabble|ouija|typewritten|source code|receipts?|"
    r"multiplication table|number line|"
    r"menu|newspaper|magazine|speech bubbles?|annotat\w*|labels?|labell?ed|diagrams?|handwrit\w*|"
    r"headlines?|inscri\w+|engraved|spell(?:s|ed|ing)|billboards?|placards?|graffiti|nameplates?|wordmarks?|"
    r"name ?tags?|number ?plates?|licen[cs]e plates?|score ?boards?|crosswords?|certificates?|"
    r"diplomas?|ransom note|love note|"
    r"chalkboards?|whiteboards?|subtitles?|poems?|wishes (?:him|"
    r"her|them|us|me|you|everyone|a)|"
    r"wish(?:es|ing)? (?:\w+ ){1,3}(?:a )?(?:happy|merry|good luck|well)|happy (?:\w+ )?(?:birthday|"
    r"anniversary|new year|easter|holidays|"
    r"halloween|retirement|mother['’]s|father['’]s|valentine['’]?s)|merry christmas|congrat\w*|"
    r"welcome home|get well soon|"
    r"season['’]s greetings|good luck (?:sign|card|banner)|"
    r"with (?:the|his|her|my|our|their|a) (?:\w{1,20} )?(?:names?|initials|number|date|motto)|"
    r"named? on (?:it|the|his|her|its)|"
    r"(?:sign|label|banner|sticker|badge|card|shirt|plaque|tattoo|note|mug|button) reading)\b|"
    r"[\"“«]|(?<=\s)['‘]\w",
    re.I,
)
"""Words for things with letters on them."""
_COVERS = re.compile(
    r"\b(?:(?:book|novel|magazine|comic(?: book)?|manga|paperback|record|album|dvd|game|zine|"
    r"cookbook|textbook) cover|"
    r"(?:the |a )?cover (?:of|for) (?:an? |the |my |our |his |her )?(?:[\w'’&-]{1,30} ){0,4}(?:book|"
    r"novel|magazine|comic|album|"
    r"record|zine|cookbook|textbook|guide|memoir|thriller|story|anthology)|book spines?|business "
    r"cards?|letterheads?|"
    r"invitations?|certificates?|diplomas?|thank[- ]you (?:card|note))\b",
    re.I,
)
"""Things with letters on them unless room is left for letters."""
_CRUDE = (
    r"(?:like|as if|by|of|from|style of) (?:an? |my )?(?:\w{1,12} )?(?:\d{1,2}|two|three|four|five|six|"
    r"seven|eight|"
    r"nine|ten)[- ]year[- ]olds?(?: (?:made|drew|did|painted|child|kid|boy|girl))?|"
    r"(?:drawn|made|painted|done|scribbled|sketched) by (?:an? |my |the |his |her )?(?:\w{1,12} )?(?:child|"
    r"kid|"
    r"toddler|son|daughter|preschooler|kindergart\w+)|"
    r"(?:child|kid|toddler)(?:['’]?s|ren['’]?s)? (?:crayon |pencil |felt[- ]tip |marker )?(?:drawing|"
    r"scribble|doodle|"
    r"painting)s?|children['’]?s (?:crayon )?drawings?|childlike|crayon (?:drawing|scribble)s?|"
    r"stick (?:figures?|"
    r"m[ae]n|people)|na[iï]ve art|outsider art|art brut|(?:badly|poorly|crudely) (?:drawn|painted)|crude|"
    r"ms paint|caricatures?|scribbl\w+|"
    r"(?:two|three|four|five|many|several|multiple|extra|[2-9]|1\d) (?:heads|tails|mouths|faces on)|"
    r"(?:three|four|five|six|seven|eight|nine|ten|many|several|multiple|extra|too many|[3-9]|1\d) (?:arms|"
    r"eyes)|"
    r"(?:three|five|six|seven|nine|ten|extra|too many|[35-9]|1\d) (?:legs|hands|limbs)|"
    r"(?:three|six|seven|eight|extra|too many|[36-9]) fingers|(?:two|three|four|six|many)[- ](?:headed|"
    r"armed|eyed)"
)
"""Words of drawings and creatures whose bodies are wrong on purpose."""
_WISHED: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(
        ("text", "letters", "words", "lettering", "writing", "typography", "caption", "captions", "title"),
        _LETTERS,
    ),
    "logo": re.compile(r"\b(?:logos?|logotypes?|wordmarks?|emblems?|brand(?:ing|ed)?|monograms?)\b", re.I),
    "signature": re.compile(r"\b(?:signatures?|signed|autograph\w*)\b", re.I),
    "watermark": re.compile(r"\bwatermark\w*", re.I),
    "username": re.compile(r"\b(?:user ?names?|screenshot|social media)\b", re.I),
    "blurry": re.compile(
        r"\b(?:blur\w*|bokeh|out of focus|unfocused|soft focus|hazy|shallow depth|depth of field|"
        r"long exposure|tilt[- ]shift|dreamy|polaroid|lomo\w*)\b",
        re.I,
    ),
    "lowres": re.compile(r"\b(?:low[- ]?res\w*|pixel\w*|\d+[- ]bit|ps1|vhs|glitch\w*|retro game)\b", re.I),
    "jpeg artifacts": re.compile(r"\b(?:jpe?g|artifacts?|glitch\w*|vhs|compress\w*|deep fried)\b", re.I),
    "low quality": re.compile(
        r"\b(?:low quality|bad quality|crappy|amateur\w*|disposable camera|cctv|(?:badly|poorly|crudely) "
        r"(?:drawn|painted)|crude|ms paint)\b",
        re.I,
    ),
    "worst quality": re.compile(
        r"\b(?:worst quality|bad quality|crappy|deep fried|(?:badly|poorly|crudely) (?:drawn|painted)|"
        r"ms paint)\b",
        re.I,
    ),
    "bad anatomy": re.compile(
        r"\b(?:anatom\w*|cubis\w*|picasso|surreal\w*|distort\w*|mutant\w*|deformed|" + _CRUDE + r")\b", re.I
    ),
    "bad hands": re.compile(r"\b(?:bad hands|claws?|mutant\w*|deformed|hooks?|" + _CRUDE + r")\b", re.I),
}
"""Phrases of default negative prompts, and words of prompts that ask for such a thing."""

_NO_HUMANS = re.compile(r"\bno[ _]humans\s{0,3}(?:[,\n]|$)", re.I)
_ROOM = re.compile(
    r"\b(?:room|space|place|area|spot|gap|margin|blank|empty|free|clear|sky)\b[^.,;!?\n]{0,24}?\b(?:for|"
    r"to (?:add|put|"
    r"write))\s+(?:an?\s|the\s|my\s|our\s|some\s|later\s){0,2}(?:texts?|titles?|words?|lettering|"
    r"letters|captions?|"
    r"headlines?|logos?|names?|quotes?|writing|greetings?|messages?)\b",
    re.I,
)
"""Room that is left for letters, which others put there."""


def default_negative(base_model: str, prompt: str, cfg_scale: float, *, request: str = "") -> tuple[str, ...]:
    """Returns the default exclusions; none where the base model or its guidance reads no negative prompt.

    ``request``: the words that the prompt was made of, which may leave room for letters.
    """
    row = find(base_model)
    if row is None or not row.dialect.negative or cfg_scale <= 1:
        return ()
    prompt_words = set(words(prompt))
    has_room = bool(_ROOM.search(request or prompt)) or sets_later(request)
    return tuple(
        phrase for phrase in row.negative if not _is_asked(phrase, prompt, prompt_words, has_room=has_room)
    )


def fit_negative(
    prompt: str, negative: str, avoided: Sequence[str], base_model: str
) -> tuple[str, str, list[str]]:
    """Returns prompt, negative prompt and notes for a base model: one that reads no negative prompt gets
    none, and its prompt says what the request keeps out of the scene."""
    row = find(base_model)
    if row is None or row.dialect.negative is not False or not negative:
        return prompt, negative, []
    prompt_words = f" {bare_words(prompt)} "
    names = [name for name in avoided if not ARTEFACT.search(name)]
    phrases = [f"no {name}" for name in names]
    new_phrases = [
        phrase
        for phrase in phrases
        if all(f" {word} {bare_words(phrase[3:])} " not in prompt_words for word in ("no", "without"))
    ]
    other_names = [name for name in split_names(negative) if name not in names]
    notes = []
    if phrases:
        quotes = ", ".join(f'"{phrase}"' for phrase in phrases)
        verb = "stand" if len(phrases) > 1 else "stands"
        notes.append(f"{quotes} {verb} in the prompt: {base_model} reads no negative prompt")
    if other_names:
        quotes = ", ".join(other_names)
        notes.append(f'"{quotes[:60]}" was left out: {base_model} reads no negative prompt')
    return ", ".join([prompt.rstrip(" ,"), *new_phrases]) if new_phrases else prompt, "", notes


def split_names(negative: str) -> list[str]:
    """Returns the names in a negative prompt, in order."""
    return [name for piece in negative.split(",") if (name := piece.strip())]


def board_tags(prompt: str, negative: str, typed: str) -> tuple[str, str]:
    """Returns prompt and negative prompt for a base model that reads image boards' tags, such as "no
    humans"."""
    names = split_names(negative)
    if "humans" not in names or not _NO_HUMANS.search(typed):
        return prompt, negative
    return f"{prompt.rstrip(' ,')}, no humans", ", ".join(name for name in names if name != "humans")


def join_negative(negative: str, avoided: tuple[str, ...]) -> str:
    """Returns a negative prompt with the phrases that it lacks behind it."""
    negative_words = f" {bare_words(negative)} "
    new_phrases = [
        phrase for phrase in dict.fromkeys(avoided) if f" {bare_words(phrase)} " not in negative_words
    ]
    return ", ".join([*filter(None, [negative.strip(" ,")]), *new_phrases]) if new_phrases else negative


def _is_asked(phrase: str, prompt: str, prompt_words: set[str], *, has_room: bool) -> bool:
    pattern = _WISHED.get(phrase)
    if pattern is _LETTERS:
        prompt = _ROOM.sub(" ", prompt) if has_room else prompt
        prompt_words = set(words(prompt)) if has_room else prompt_words
        if _COVERS.search(prompt) and not has_room:
            return True
    return set(words(phrase)) <= prompt_words or (pattern is not None and bool(pattern.search(prompt)))
