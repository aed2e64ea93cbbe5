"""Technical words: a prompt without the settings that :mod:`diffagent.agent.asking.wishes` reads out of it.

    split_settings("with SDXL: a glass greenhouse on Mars")  -> "a glass greenhouse on Mars", ["with SDXL"]
    split_settings("a heron, portrait format, seed 7")       -> "a heron", ["portrait format", "seed 7"]
    split_settings("a phone wallpaper of jellyfish")         -> unchanged: it says what the picture is

A clause of nothing but settings goes with its words of talk; a setting inside a clause goes alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from diffagent.agent.asking.cutting import has_words, masked, without
from diffagent.agent.asking.wishes import model_spans, setting_spans
from diffagent.data.base_model_requests import base_model_requests
from diffagent.data.prompts import bare_words

_TALK = re.compile(
    r"\b\d{2,4}\s?dpi\b|\bhi(?:gh)?[- ]?res(?:\.|olution)? ?fix(?:\s?x?\d(?:\.\d)?x?)?|\brandom seed\b|"
    r"\bas (?:fast|quick(?:ly)?) as (?:you can|possible)\b|\bquick (?:rough )?draft(?: first)?\b|"
    r"\b(?:just )?a few steps\b|"
    r"\bin one go\b|\bkeep it small\b|\bif possible\b(?=\s*$)|"
    r"\b(?:with )?(?:the )?(?:same )?seeds? \d{1,10}(?: for the \w+)? and \d{1,10}(?: for the \w+)?|"
    r"\b(?:with )?(?:the )?same seed\b|"
    r"\b(?:and |but |as |because )?my (?:\w+ )?(?:card|gpu|laptop)(?: only)? has (?:only )?\d{1,2}\s?gb\b|"
    r"\bi (?:only )?have (?:only )?an? \d{1,2}\s?gb (?:graphics )?(?:card|gpu)\b|"
    r"\bany model\b|"
    r"(?:\bor )?\bany (?:other )?(?:[\w.-]+ ){0,2}?(?:mix|merge|model|checkpoint|fine-?tune)s?"
    r"(?: (?:is|are|would be|will be|works?|will do|does it)(?: (?:too|also|just))?"
    r"(?: (?:fine|ok(?:ay)?|good|great|alright))?)?(?=\s*(?:[,;.!?\n)]|$))|"
    r"\b\d{1,2}\s?gb (?:graphics )?(?:card|vram|gpu)\b|"
    r"\bupscaled? (?:by )?\d(?:\.\d)?x\b|\bupscale \d(?:\.\d)?x?\b",
    re.I,
)
"""Settings that no field of a call holds."""
_LETTERS = (
    r"(?:texts?|titles?|words?|lettering|letters|captions?|headlines?|logos?|names?|quotes?|writing|"
    r"labels?|dates?|"
    r"prices?|messages?|greetings?|slogans?|address(?:es)?|annotations?|notes?|barcode|copy|"
    r"typography|handwriting|"
    r"details|info(?:rmation)?|lyrics|contact details|signature|band name)"
)
_ROOM = re.compile(
    r"(?:(?<=[,;:.!?(\n])|^|(?<=[ ])(?=with ))(?=[ \t]{0,3}\w)[ \t]{0,3}"
    r"(?:(?:please|pls|and|but|also|just|so|oh|"
    r"maybe)\s){0,3}"
    r"(?:(?:leave|keep|make|have|need|with|want|reserve|save|give|allow|there should be)\s)?(?:me |us )?"
    r"(?:some |enough |a bit of |a little |plenty of |lots of |a lot of |an? |the )?(?:blank |empty "
    r"|free |clear |open |white |negative ){0,2}"
    r"(?:room|space|area|margin|spot|place|gap|copy ?space)(?: (?:below|above|underneath|"
    r"around))?(?: (?:at|on|in|along|above|below|near|"
    r"to)(?: the| one)? (?:very )?"
    r"(?:top|bottom|left|right|side|middle|centre|center|corner|edge|front)(?: side| third| half| "
    r"corner| left| right)?)?"
    rf" (?:for (?:(?:an?|the|my|our|some|later|own|other|his|her|their|your|any) "
    rf"){{0,2}}(?:\w{{1,20}} )?{_LETTERS}|"
    r"(?:where|so) (?:i|we) can|to (?:add|put|write|print|place|fit|paste|type))\b[^,;:.!?\n]{0,60}",
    re.I,
)
"""Room that is left for letters, which others put there."""
_CAN_WRITE = re.compile(
    r"(?:(?<=[,;.!?(\n])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}so (?:that )?(?:i|we|they|you|she|he|the kids|"
    r"(?:my|the|our) "
    r"(?:students|pupils|class|kids)) can "
    r"(?:write|add|put|type|print|place|fill in|label|stick|overlay|drop)\b[^,;:.!?\n]{0,60}",
    re.I,
)
"""What somebody will write on the picture."""
_KEPT_FREE = re.compile(
    r"(?:(?<=[,;:.!?(\n])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}(?P<verb>(?:(?:please|pls|and|but|also|"
    r"just)\s){0,2}(?:keep|"
    r"leave|have|make)\s)"
    r"(?:the |some of the |a |one )?(?:left|right|top|bottom|upper|lower|middle|centre|center|"
    r"background|sky|one side|side|rest|corners?)"
    r"(?: [a-z-]{2,15}){0,3}? (?:free|empty|clear|blank|open|bare|plain|uncluttered)\b"
    r"(?P<why>(?: of (?:detail|stuff|things))? (?:for|so|to|as|because|"
    r"where)\b[^,;:.!?\n]{0,60})?(?=[ \t]*+(?:[,;:.!?)\n]|$))",
    re.I,
)
"""A part of the picture that stays empty: the part is drawn, the instruction and the reason are not."""
_PUT = r"(?:add|put|set|write|place|paste|type|overlay|insert|print|letter|drop|stick|photoshop|edit)"
_SET_LATER = re.compile(
    # "I'll add the title later", "so we paste the logo on it ourselves"
    r"(?:(?<=[,;:.!?(\n])|^)[ \t]*+(?:(?:and|so|because|as|since|but|then|that|where|cause) ){0,2}"
    rf"(?:(?:i|we)(?:['’]?ll| will| can| am going to| are going to| want to| need to)?|"
    rf"im going to) (?:just )?{_PUT}"
    r"\b[^,;:.!?\n]{0,60}"
    # "the designer sets it", "my friend will do the lettering"
    r"|(?:(?:(?<=[,;:.!?(\n])|^)[ \t]*+(?:(?:and|so|because|as|since|but|then|that|where) ){0,2}|\band )"
    r"(?:the|my|our|a|another) (?:\w{1,20} )?"
    r"(?:designer|friend|printers?|editor|publisher|team|boss|colleague|wife|husband|son|daughter|brother|"
    r"sister|"
    r"author|agency|client|typographer|letterer|art director|marketing(?: team)?)(?:['’]ll| will| can|"
    r" is going to)? "
    rf"(?:{_PUT}s?|do(?:es)?|handles?|adds|sets|takes? care of) (?:(?:the|my|our|all|any|some|in|on) ){{0,2}}"
    rf"(?:\w{{1,20}} )?(?:it|that|this|{_LETTERS})\b[^,;:.!?\n]{{0,40}}"
    # "the title goes there", "text will be added later"
    r"|(?:(?<=[,;:.!?(\n])|^)[ \t]*+(?:(?:and|so|because|as|since|but|then|that|where) ){0,2}"
    rf"(?:(?:the|my|our|any|all) )?(?:\w{{1,20}} )?{_LETTERS}(?: and {_LETTERS})? (?:(?:goes|go|comes|come|"
    r"(?:will|can|is going to|are going to) (?:go|come|sit|be))(?: (?:added|set|put|placed|printed|"
    r"written))?|"
    r"(?:is|are|gets?) (?:added|set|put|placed))(?: \w{1,12}){0,2}? (?:there|here|later|afterwards?|on top|"
    r"after|"
    r"separately|by (?:hand|me|us|the \w{1,20})|above|below|underneath|at the (?:top|bottom)|"
    r"(?:in|on|over) (?:it|that|this|the (?:top|bottom|middle|left|right|sky|empty|"
    r"blank)))\b[^,;:.!?\n]{0,60}",
    re.I,
)
"""Letters that somebody will set on the picture later."""
_READABLE = re.compile(
    rf"(?:,? ?\bso (?:that )?|,? ?\bbecause |,? ?\bto make (?:sure )?)(?:(?:the|my|our|"
    rf"any) )?(?:\w{{1,20}} )?"
    rf"{_LETTERS} (?:(?:is|are|stays?|will be|can be|remains?) (?:\w{{1,12}} )?"
    r"(?:readable|legible|visible|seen|read|clear|easy to read)|(?:will |can )?(?:stands? out|fits?|pops?|"
    r"shows? up|has (?:room|space)|have (?:room|space)))\b[^,;:.!?\n]{0,40}",
    re.I,
)
"""Why a part of the picture is dark or calm."""
_FREE_FOR = re.compile(
    r"\b(?:left|right|top|bottom|upper|lower|middle|cent(?:re|er)|sides?|third|half|part|corner|sky|"
    r"background) "
    r"(?:(?:left|kept|is|are|stays?) )?(?:empty|blank|free|clear|calm|plain|open|bare|quiet)"
    rf"(?P<why> for (?:(?:an?|the|my|our|some|later|own|his|her|their|your|"
    rf"any) ){{0,2}}(?:\w{{1,20}} )?{_LETTERS}\b"
    r"[^,;:.!?\n]{0,40})",
    re.I,
)
_BLANK_AT = re.compile(
    r"(?P<room>(?:(?:some|enough|a bit of|a little|plenty of|lots of|a lot of|an?|the) )?"
    r"(?:(?:large|big|wide|generous) )?(?:blank|empty|white|negative|clear|open|plain) (?:room|space|area|"
    r"spot)"
    r" (?:at|on|in|along|above|below|near|to|around|left|right|behind)\b(?: (?:the|one|either))?(?: very)?"
    r"(?: (?:top|bottom|left|right|sides?|middle|centre|center|corner|edges?|front|it|upper|lower))?"
    r"(?: (?:side|third|half|corner|left|right|part))?)(?= (?:for|to|where|so)\b)",
    re.I,
)
"""Blank space at a place, which is drawn whatever it is for."""


def sets_later(text: str) -> bool:
    """Whether somebody says that letters are set on the picture later."""
    return bool(_SET_LATER.search(text) or _READABLE.search(text) or _FREE_FOR.search(text))


_OWNERS_WORDS = re.compile(
    r"\b(?:graphics card|vram|gpu|licen[cs]es?|licen[cs]ed|commercial(?:ly)? us(?:e|able)|loras?|"
    r"checkpoints?)\b",
    re.I,
)
"""Words of talk about the model or the machine, in a clause in front of what is to be drawn."""
_MACHINE = re.compile(
    r"\s*(?:and |but |so )?(?:my|i have|i only have|i['’]ve|on (?:my|an?)|it['’]s for my)\b[^,;:.!?\n]{0,40}"
    r"\b(?:graphics card|vram|gpu|card [^,;:.!?\n]{0,16}\d\s?gb)\b[^,;:.!?\n]{0,30}",
    re.I,
)
"""A clause about the machine, wherever it stands."""
_ASKING = re.compile(
    r"\s*(?:only|just|please|pls|use|using|with|i have|i['’]ve|i only have|must|should|needs?|my|no|"
    r"any|a model|for)\b",
    re.I,
)
_TEXT_OF_FILLER = """
use using used with at in on the a an and or please pls only just for to of my it its make made set want i i'd
like would need needs something trained based model models if there is one you have available possible
printing
print max maximum min minimum least most about around exactly size sized format resolution ratio aspect
orientation image picture pixels px sampler sampling scheduler schedule method low high scale steps
mode shape ideally
preferably must should be fine are ok okay enough value setting settings do render rendered generate generated
version paper page sheet upright widescreen ultrawide ultra wide number as by from run base no more than up
except but anything everything so because have only too not over this that x your me can could portrait
landscape square
vertical horizontal each also again well haha lol hehe lmao though tho maybe perhaps then prefer preferred
works work best better good fine nice great perfect going go keep thanks thank thx you printed ll d s version
versions slides slide presentation screen phone post display deck which will would
"""
_FILLER = frozenset(_TEXT_OF_FILLER.split())
_CLAUSE = re.compile(r"[^,;:.!?\n()\[\]{}|\"–—]+")
_DASH = re.compile(r"\s-+\s")
_ALONE = re.compile(
    r"\s*(?:just |only |simply )?(?:in )?(?:square|upright|vertical|horizontal|widescreen|ultra-?wide)\s*",
    re.I,
)
_BEFORE = re.compile(
    r"(?:(?<=\s)|^)(?:(?:in|at|with|using|use|on|for|via|by|as|please|and|set to|a|an|trained on|"
    r"made with|the)\s+){1,3}$",
    re.I,
)
_ARTICLE = re.compile(r"(?:(?<=\s)|^)(?:an?|the)\s+$", re.I)
_BEHIND = re.compile(
    r"(?:\s+(?:resolution|size|format|px|pixels|aspect ratio|ratio|max|only|sampler|sampling)\b)?"
    r"(?:\s+(?:please|pls)\b)?"
    r"(?:\s+or (?:similar|something (?:similar|like (?:it|that))|whatever (?:you have|is (?:close|similar))|"
    r"the like)\b)?"
    r"(?:\s+if (?:you|u|ya) (?:have|got|can)(?: it)?\b|\s+if (?:possible|available|there is one)\b)?",
    re.I,
)
_MARK = "\0"
_SENTENCE = re.compile(r"(?:[^.!?;,\n]|\.(?=\w)){1,400}")
_OF_ONESELF = re.compile(
    r"\s*(?:(?:and|so|ok(?:ay)?|well|hi|hey|hello|btw|by the way)[\s,]+){0,2}"
    r"(?:(?:i|we)(?:['’](?:ve|m|re|d|ll))?|im|ive|my|our|trying|testing|playing|running)\b",
    re.I,
)
_DRAWING = re.compile(
    r"\b(?:draw|make|create|generate|paint|render|show|give|get|want|need|would like (?:an?|to see)|"
    r"looking for|"
    r"pictures?|images?|pics?|photos?|of|loves?|likes?)\b",
    re.I,
)
"""Words of clauses that ask for a picture, or tell what is in it."""


_QUICK = (
    r"(?:(?:i |we )?(?:just |only )?(?:need|want) (?:it|this|that|one) "
    r"(?:quick(?:ly)?|fast|asap|done|soon|now)|"
    r"(?:just )?(?:a )?(?:quick|little|small|first) (?:test|try|one|draft|check|run|request|job)|"
    r"(?:just )?(?:test(?:ing)?(?: this| it| prompt| run)?|trying (?:this|it)(?: out)?)|"
    r"(?:it['’]?s|its|this is|that['’]s) (?:just )?(?:a )?(?:quick )?(?:test|try|draft)|"
    r"no rush|asap|here goes)"
)
_RUN = (
    r"(?:(?:can|could|would|will|may|might) (?:someone|somebody|anyone|anybody|you|u|ya|we|i)"
    r"(?: please| pls| just)? |(?:please |pls |plz |just ){1,3})"
    r"(?:run|do|try|make|render|generate|test|draw|get|put)(?: me)?"
    r"(?: (?:this|it|that|one|these))?(?: one)?(?: (?:on|with|in|using|via|through))?"
)
_HI = r"(?:(?:hi|hey|hello|yo|ok(?:ay)?|so|btw|please|pls|plz)(?: (?:there|all|everyone|guys|folks))?)"
_LEAD = 160
"""Characters of the longest talk in front of a colon."""
_CHAT = re.compile(
    rf"(?:(?:and|but) )?(?:\0(?: for| and)?)? ?(?:{_HI} )?(?:{_QUICK}|{_RUN}|{_HI})?(?: ?\0)?(?: for me)?"
    r"(?: (?:please|pls|plz))?",
    re.I,
)
"""A clause of talk to whoever runs a model, with a mark for the model's name."""
_BETWEEN = re.compile(r"[,;.!]|\s-\s")


def split_lead(text: str) -> tuple[str, str]:
    """Returns the text without talk in front of a colon, and that talk; a model's name in it is talk too.

    split_lead("could you run this on flux, just a quick test: a mill")  -> "a mill", the rest
    """
    colon = text.find(": ")
    if not 0 < colon < _LEAD or not text[colon + 1 :].strip():
        return text, ""
    flat = masked(text[: colon + 1])[:-1]
    for start, end in model_spans(masked(text)):
        flat = flat[:start] + _MARK * (min(end, colon) - start) + flat[end:] if start < colon else flat
    clauses = [" ".join(re.sub("\0+", _MARK, clause).split()) for clause in _BETWEEN.split(flat)]
    has_words = any(
        re.search(r"\w", re.sub(r"\b(?:please|pls|plz)\b", "", clause, flags=re.I)) for clause in clauses
    )
    if not has_words or not all(map(_CHAT.fullmatch, clauses)):
        return text, ""
    return text[colon + 1 :].lstrip(), text[: colon + 1]


_LORA_TALK = re.compile(
    r"\blora\b[^\n]{0,80}\b(?:hugging ?face|hf|civitai|civit|called|named|strength|weight|by \w)|"
    r"\b(?:there(?:['’]?s| is)|found|saw)\b[^,\n]{0,40}\blora\b",
    re.I,
)
"""A sentence about a LoRA: where it is, who made it, how strong it should be."""
_WANT_THAT = re.compile(r"\A(?:(?:i )?want|use|with) that(?: one)?[,.:]?\s+", re.I)


def split_model_talk(text: str) -> tuple[str, list[str]]:
    """Returns the text without sentences and clauses in which somebody talks of base models, and those; the
    text unchanged where nothing else is left.

        split_model_talk("I have Flux dev. A red fox")  -> "A red fox", ["I have Flux dev"]
    """
    quoted = masked(text)
    spans = [request.span for request in base_model_requests(quoted)]
    about_loras = [clause.span() for clause in _SENTENCE.finditer(quoted) if _LORA_TALK.search(clause[0])]
    rest = without(text, about_loras)
    if about_loras and has_words(rest):
        rest = _WANT_THAT.sub("", rest.lstrip(), count=1)
        return rest, [text[start:end].strip() for start, end in about_loras]
    if not spans:
        return text, []
    cuts = [
        (clause.start(), clause.end())
        for clause in _SENTENCE.finditer(quoted)
        if any(clause.start() <= start < clause.end() for start, _ in spans)
        and _OF_ONESELF.match(clause[0])
        and not _DRAWING.search(_blank(quoted, spans)[clause.start() : clause.end()])
    ]
    rest = without(text, cuts) if cuts else text
    if not cuts or not has_words(rest):
        return text, []
    return rest, [text[start:end].strip() for start, end in cuts]


def _blank(text: str, spans: Iterable[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def split_settings(text: str) -> tuple[str, list[str]]:
    """Returns the text without its settings, and those; the text unchanged where it has none, or nothing
    else."""
    quoted = masked(text)
    settings = _spans(quoted)
    flat = quoted
    for start, end in settings:
        flat = flat[:start] + _MARK * (end - start) + flat[end:]
    flat = _DASH.sub(lambda dash: "," * len(dash[0]), flat)
    cuts = [cut for clause in _CLAUSE.finditer(flat) for cut in _cuts(flat, *clause.span())]
    rest = without(text, cuts) if cuts else text
    if not has_words(rest):
        return text, []
    return rest, [text[start:end].strip() for start, end in cuts]


def _spans(text: str) -> list[tuple[int, int]]:
    """The spans of settings, in order and apart."""
    spans = [*setting_spans(text)]
    talk = (_TALK, _CAN_WRITE, _SET_LATER, _READABLE)
    spans += [hit.span() for pattern in talk for hit in pattern.finditer(text)]
    spans += [hit.span("why") for hit in _FREE_FOR.finditer(text)]
    for hit in _ROOM.finditer(text):
        blank = _BLANK_AT.search(text, *hit.span())
        spans += [(hit.start(), blank.start()), (blank.end(), hit.end())] if blank else [hit.span()]
    for hit in _KEPT_FREE.finditer(text):
        spans += [hit.span(name) for name in ("verb", "why") if hit[name]]
    spans = sorted((start, end) for start, end in spans if re.search(r"\w", text[start:end]))
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _cuts(flat: str, start: int, end: int) -> list[tuple[int, int]]:
    """The spans that leave one clause."""
    clause = flat[start:end]
    has_mark = _MARK in clause
    if _MACHINE.fullmatch(clause.replace(_MARK, "0")):
        return [(start, end)]
    if not has_mark:
        is_first = not flat[:start].strip()
        is_lead = flat[end : end + 1] in (":", ".", "!", ",") and flat[end:].strip(" ,.:!") != ""
        is_owners = is_first and is_lead and _OWNERS_WORDS.search(clause) and _ASKING.match(clause)
        is_shape = _ALONE.fullmatch(clause) and len(flat.split(",")) < 6
        return [(start, end)] if is_owners or is_shape else []
    others = set(bare_words(clause.replace(_MARK, " ")).split())
    if others <= _FILLER:
        return [(start, end)]
    return [
        _inline(flat, hit.start() + start, hit.end() + start, start) for hit in re.finditer("\0+", clause)
    ]


def _inline(flat: str, start: int, end: int, low: int) -> tuple[int, int]:
    """The span of a setting inside a clause, with the words that tie it there."""
    behind = _BEHIND.match(flat, end)
    end = behind.end() if behind else end
    before = _BEFORE.search(flat[max(low, start - 40) : start])
    goes_on = re.match(r"\s\w", flat[end : end + 2])
    if before and not (goes_on and _ARTICLE.search(before[0])):
        start -= len(before[0])
    return start, end
