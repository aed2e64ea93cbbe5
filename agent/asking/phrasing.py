"""Phrasing: which words of a request are to be drawn, and which are talk about the picture.

In: a prompt as people type it. Out: :class:`Phrasing`: the prompt that is sent, what is kept out of the
picture, the number of pictures, and a note on each cut.

    phrasing("hi! can you make me 4 pictures of a fox, no people, 30 steps? thanks")
      -> prompt "a fox", avoid ("people",), n 4

Rules, not a model: instructions are cut from the ends, settings from anywhere, and a prompt without either
stays as it is, to the byte. A cut that would leave nothing is not made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from diffagent.agent.asking.chat_looks import joined, with_ground, with_medium
from diffagent.agent.asking.chatting import LONG, chat_parts
from diffagent.agent.asking.corrections import corrections
from diffagent.agent.asking.counts import PICTURE, UNLIKE, number, split_count
from diffagent.agent.asking.cutting import has_words, masked, without
from diffagent.agent.asking.exclusions import LONGEST, exclusions, labelled_exclusions
from diffagent.agent.asking.flags import flags
from diffagent.agent.asking.refusals import forbidden_looks, spread, unwanted
from diffagent.agent.asking.setting_words import NO_SETTINGS, SettingWords, setting_words
from diffagent.agent.asking.talk import ASK, DESCRIBES, talk
from diffagent.agent.asking.technical import split_lead, split_model_talk, split_settings
from diffagent.data.media import named_media
from diffagent.data.prompts import bare_words

MOVED = '"{name}" went to the negative prompt'
"""The note on an exclusion."""
MOST_PICTURES = 64
"""The most pictures that words ask for."""
_COUNT = (
    r"(?P<count>\d{1,4}|a couple(?: of)?|a pair of|a few|a dozen|several|some|multiple|an?|one|two|"
    r"three|four|five|six|"
    r"seven|eight|nine|ten|twelve)(?:\s*x)?"
)
_DEPICTED = (
    r"(?P<depicted>photos?|photographs?|paintings?|drawings?|illustrations?|watercolou?rs?|sketches|renders?)"
)
_OF = r"\s+(?:of|showing|depicting|with|that shows?|for)\s+"
_PICTURES_OF = re.compile(
    rf"(?:(?:like|about|maybe) (?=\d|two|three|four|five|six))?(?:{_COUNT}\s+)?{UNLIKE}"
    rf"(?:(?P<kind>(?!different)\w+)\s+)??{PICTURE}{_OF}",
    re.I,
)
_DEPICTED_OF = re.compile(rf"{_COUNT}\s+{UNLIKE}{_DEPICTED}(?=\s+of\s)", re.I)
_VERB = (
    r"(?:make|creat|generat|draw|produc|render|do|design|giv|show|send|provid|get|craft|imagin|visuali[sz]|"
    r"illustrat|cook up|come up with|whip up)(?:e)?"
)
_TO_ME = r"(?:\s+(?:me|us|for me|for us|up))?"
_POLITE = r"(?:please|pls|plz|kindly|maybe|perhaps|possibly|just|quickly|also|help me(?: to)?|try to|try and)"
_DETERMINED = (
    r"(?=\s+(?:an?|the|my|our|some|one|two|three|four|five|six|seven|eight|nine|ten|\d|this|that|"
    r"something|smth|"
    r"several|another|images?|pictures?|pics?|photos?|logos?)\b)"
)
_OPENINGS = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        # courtesy: "hi!", "hello there,", "ok so", "please"
        r"(?:hi|hello|hey|hiya|yo|greetings|good (?:morning|afternoon|evening)|"
        r"dear \w+(?: or \w+)?|ok(?:ay)?)"
        r"(?:\s+(?:there|all|everyone|everybody|team|folks|again|ai|bot|friend|guys))?\s*[,.!:;]+\s*(?=\S)",
        r"(?:hi|hello|hey|yo|ok(?:ay)?(?: so)?|so|um+|well)(?:\s+(?:there|ai|bot))?\s+"
        r"(?=(?:can|could|would|will) (?:you|u|ya)\b|(?:i|we)\s*(?:'d|’d|need|want|would)\b|please\b|"
        r"pls\b|imagine an?\b|"
        r"(?:make|draw|create|generate|give|show|gimme)\b)",
        rf"{_POLITE}\b(?:\s*+,)?\s*+(?={_VERB}\b|gimme\b|(?:can|could) (?:you|u)\b)",
        r"(?:please|pls|plz)\s*[,:]\s*(?=\S)",
        # "I would be most grateful for a picture of"
        r"(?:i|we)(?:['’]d| would) be (?:\w+ )?(?:grateful|thankful|happy|glad|delighted) "
        r"(?:for|with|to (?:get|have|see))\s+"
        rf"(?:{_PICTURES_OF.pattern})?(?=\S)",
        # "can you make me"
        rf"(?:can|could|would|will)\s+(?:you|u|ya)\s+(?:{_POLITE}\s+){{0,2}}{_VERB}{_TO_ME}\s+(?!it\b|"
        rf"that\b|this\b)",
        # "I need", "we'd like to see", "I want you to draw"
        r"(?:i|we)(?:\s+(?:would|['’]d)|['’]d)?\s+(?:(?:just|really|also|only|kind of|would)\s+)?"
        r"(?:like|love|need|want|wanna|wish for|require)"
        rf"\s+(?:(?:you\s+)?to\s+(?:see|have|get|{_VERB}){_TO_ME}\s+|(?:see|have)\s+)?"
        r"(?=(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|\d+|some|several|smth|something|"
        r"this|my|our)\b"
        r"|(?:images?|pictures?|pics?|photos?|food|logos?)\b)",
        r"(?:i am|i['’]?m|im|we are|we['’]re)\s+(?:looking for|after|in need of)\s+(?=\S)",
        r"(?:(?:please|pls)\s+)?(?:write|create|make|generate)(?:\s+(?:me|us))?\s+an?\s+(?:\w+\s+)?prompt\s+"
        r"(?:for|of)\s+(?=\S)",
        # "need picture of"
        r"(?:(?:hi|hello|hey)[ ,!]+)?(?:need|want|looking for)\s+(?:an?\s+|some\s+)?(?:nice\s+|good\s+)?"
        r"(?:pictures?|images?|pics?|imgs?)\s+of\s+(?=\S)",
        # "gimme", "make me", "draw a"
        r"gimme\s+(?=\S)",
        rf"(?:{_VERB}|paint|sketch)\s+(?:me|us)(?:\s+{_POLITE})?\s+"
        r"(?!to\b|smile|happy|feel|look|like|your\b|the way\b)(?=\S)",
        rf"(?:{_POLITE}\s+)?(?:make|create|generate|draw|produce|render|design|imagine|visuali[sz]e|"
        rf"illustrate)"
        rf"(?:\s+(?:for (?:me|us)))?{_DETERMINED}\s+",
        r"(?:please|pls|plz)\s+(?:make|create|generate|draw|produce|render|design|show|"
        r"give)(?:\s+(?:me|us))?\s+"
        r"(?!it\b|that\b|this\b)(?=\S)",
        r"(?:draw|paint|sketch)\s+(?=(?-i:[A-Z])[\w'’-]+\s)",
        rf"{_VERB}\s+(?:(?:for )?(?:me|us)\s*:|:)\s*(?=\S)",
    )
)
"""Openings of requests, before what to draw; they are cut as long as one matches."""
_STORY = re.compile(
    r"[^.!?:\n\"]{0,90}?\b(?:and|so|because|,)\s+(?:i|we)(?:['’]d| would)?\s+(?:need|want|like|love)\s+"
    r"(?:an?|some|the)\s+(?:\w+\s+)?(?:picture|image|pic)\s+of\s+",
    re.I,
)
"""The reason of a request: "I teach year 4 and I need a picture of"."""
_CLOSING = re.compile(
    r"(?:(?:^|[\s,.;!?(])(?:many thanks|thanks(?: so much| a lot| in advance| a bunch| again|"
    r" for your help)?|"
    r"thank (?:you|u)(?: so much| very much| in advance)?|thx|thanx|tnx|tysm|ty|tia|lol|lmao|haha|"
    r"cheers|please|pls|plz|svp|stp|s['’]il (?:te|vous) pla[iî]t|bitte|por favor|per favore|proszę|"
    r"пожалуйста|lütfen|alsjeblieft|"
    r"if (?:you can|possible|that['’]?s (?:ok|okay|possible)|you (?:don['’]?t )?mind)|for me(?: please)?)"
    r"(?=[\s,.;!?)]|$))[\s.!?,:;)☺-⛿✀-➿\U0001F300-\U0001FAFF]*$",
    re.I,
)
_NOTHING = re.compile(
    r"(?:(?:an?|one|some|the|\d{1,4}) )?(?:[a-z]{1,20} )?(?:pictures?|images?|pics?|photos?)[\s.?!]*", re.I
)
"""A rest that does not say what to draw."""
_SHAPED = (
    r"(?:portrait|landscape|square|vertical|horizontal|upright|tall|wide)(?: (?:format|version|one|shape))?"
)
_ONE_EACH = re.compile(
    rf"(?:^|(?<=[\s,;:(-]))one (?:in )?{_SHAPED}(?:\s*(?:,|and|&|/)\s*(?:and )?|\s+)(?:one|the other)"
    rf" (?:in )?{_SHAPED}\b",
    re.I,
)
"""Two pictures of two shapes."""
_WITH_IT = re.compile(r"\s(?:with|using|in) (?:it|that|this one)(?=[\s.?!]{0,4}$)", re.I)
"""A model that another sentence names."""
_DANGLING = re.compile(
    r"(?:[\s,]{1,3}(?:at|on|in|with|of|for|to|by|from|the|an?|and|or|but|no|without|not)\b){1,4}"
    r"(?=[\s.?!]{0,4}$)"
)
"""Words that tied a piece to a cut."""
_REASON = re.compile(r"\b(?:because|cause|cuz|bc|since)\b", re.I)
"""Words of a reason, which cannot stand alone."""


_HEAD = re.compile(
    r"\b(?:need|want|draw|make|paint|sketch|render|create|imagine|get|show)\s(?:me\s|us\s)?"
    r"(?P<thing>(?:an?|the|my|our|one)\s[^.,;:!?\n()]{3,40}):\s(?P<next>[^\s,.;:!?]+)",
    re.I,
)
"""The subject in front of a colon that its description follows: "need the librarian girl: short hair, …"."""
_OPEN_END = re.compile(r"\b(?:near|at|on|in|to|towards|from|behind)$", re.I)
_PLACE_BEHIND = (
    r"\s(the (?:very )?(?:bottom|top|left|right|middle|cent(?:er|re)|corner|edge)"
    r"(?: (?:left|right|corner|side|edge))?)"
)
_PICTURE_OF = re.compile(
    r"\b(?:pictures?|pics?|photos?|images?|drawings?|paintings?|illustrations?|renders?|portraits?)\s"
    r"(?:of|showing)\s(?P<thing>(?!(?:it|him|her|them|that|this|me|us|you|mine)\b)[^.,;:!?\n()]{3,60}?)"
    r"(?=\s(?:for|because|cos|so that|on my|as a|to)\b|[.,;:!?\n(]|$)",
    re.I,
)
"""What a picture is asked of, which the tagger may take for a part of the story."""
_NOT_NOW = re.compile(
    r"\b(?:no|not|thanks?|thx|loved?|liked|had|have|has|last|was|were|first|thought|already|bots?|yesterday|every|sent|than|made|saw|hate|"
    r"other|old|her|his|their)\b[^.!?\n]{0,40}$",
    re.I,
)
"""Words in front of a picture that is not the one asked for."""
_NO_SUBJECT = re.compile(
    r"\b(?:pictures?|images?|pics?|photos?|art|artwork|logos?|banner|background|backdrop|wallpaper|poster|cover|"
    r"following|reference(?: [a-z ]{2,20})?|things?|favou?r|prompt|scene|shot|one|it|card|request)\s*$",
    re.I,
)


@dataclass(frozen=True)
class Phrasing:
    """The parts of a request: ``prompt`` is what to draw, ``avoid`` what not, ``n`` the pictures or None."""

    prompt: str
    avoid: tuple[str, ...] = ()
    n: int | None = None
    notes: tuple[str, ...] = ()
    settings: SettingWords = NO_SETTINGS
    """The settings in a message's pieces."""
    is_story: bool = False
    """Whether the prompt was cut out of a long message."""


def phrasing(text: str) -> Phrasing:
    """Returns the parts of a prompt; more than 4,000 characters are taken as they are."""
    if len(text) > LONGEST:
        return Phrasing(text)
    rest, lead = split_lead(spread(text))
    rest, models = split_model_talk(rest)
    models = [lead, *models] if lead else models
    rest, names = labelled_exclusions(rest)
    rest, unwanted_names = unwanted(rest)
    names += unwanted_names
    rest, second_thoughts = corrections(_WITH_IT.sub("", rest) if models else rest)
    parts = _phrasing(rest)
    cut_notes = [_cut_note(words) for words in (*models, *second_thoughts)]
    moved_notes = [MOVED.format(name=name) for name in names if name not in parts.avoid]
    avoid = tuple(dict.fromkeys((*parts.avoid, *names)))
    return replace(parts, avoid=avoid, notes=(*cut_notes, *parts.notes, *moved_notes))


def _cut_note(words: str) -> str:
    return f'"{_short(words)}" was left out of the prompt'


def _phrasing(text: str) -> Phrasing:
    by_rules = _by_rules(text)
    chat = chat_parts(text, by_rules.prompt)
    if chat is None or _NOTHING.fullmatch(chat.prompt):
        return by_rules
    words = setting_words(chat.settings)
    if chat.is_rest:
        prompt = _with_room(by_rules.prompt, words)
        return replace(by_rules, prompt=prompt, n=by_rules.n or words.n, settings=words)
    description = with_ground(with_medium(_with_subject(chat.prompt, chat.words, text), chat), chat)
    rest, settings = split_settings(flags(description)[0])
    rest, n = split_count(rest)
    rest, avoid = exclusions(rest, is_spoken=True)
    description, opening_n = _without_opening(_rest_or_text(rest, _without_closing(rest)), is_asked=True)
    description = _with_place(description, text)
    rest = _rest_or_text(description, _DANGLING.sub("", _without_closing(description)))
    rule_names = (
        name for name in by_rules.avoid if len(name.split()) < 4 and (not chat.avoid or chat.excludes(name))
    )
    looks = (look for words in chat.words for look in forbidden_looks(words))
    avoid = tuple(dict.fromkeys((*chat.avoid, *avoid, *rule_names, *looks)))
    quotes = [f'"{_short(words)}"' for words in (*chat.words, *settings) if _short(words)]
    notes = (
        [f"{', '.join(quotes)} {'were' if len(quotes) > 1 else 'was'} left out of the prompt"]
        if quotes
        else []
    )
    notes += [note for note in by_rules.notes if "pictures" in note or "as a setting" in note]
    notes += [MOVED.format(name=name) for name in avoid]
    n = 1 if words.n == 1 else by_rules.n or n or opening_n or words.n
    is_story = len(text.split()) >= LONG
    return Phrasing(_with_room(rest, words), avoid, n, tuple(notes), words, is_story)


def _with_room(prompt: str, words: SettingWords) -> str:
    """The prompt with the words for room that is to stay empty."""
    return joined(prompt, words.room) if words.room else prompt


def _with_subject(prompt: str, cuts: Sequence[str], text: str) -> str:
    """A chat's description with two parts of the picture that were cut: how the subject looks, and the thing
    behind the asking clause where it names the medium."""
    folded_prompt = prompt.casefold()
    for words in cuts:
        clause = words.strip(" ,;:.!?")
        if DESCRIBES.match(clause) and clause.casefold() not in folded_prompt:
            prompt = f"{prompt.rstrip(' ,;:.!?')}, {clause}"
    head = _HEAD.search(masked(text))
    if head and head["thing"].casefold() not in folded_prompt and not _NO_SUBJECT.search(head["thing"]):
        position = prompt.find(head["next"])
        if position >= 0:
            prompt = f"{prompt[:position]}{head['thing']}, {prompt[position:]}"
    of = _PICTURE_OF.search(masked(text))
    if of and not _NOT_NOW.search(text[max(0, of.start() - 40) : of.start()]):
        names = re.findall(r"[^\W\d_]{4,}", of["thing"].casefold())
        if names and not any(name[:-1] in prompt.casefold() for name in names):
            prompt = _led(of["thing"], prompt)
    asks = [] if named_media(prompt) else [*ASK.finditer(text)]
    for ask in asks:
        thing = re.split(r"[.,;:!?\n]", text[ask.end() : ask.end() + 120])[0].strip()
        mention = next(iter(named_media(thing)), None)
        if mention is None or len(thing.split()) > 14:
            continue
        subject = re.sub(
            r"^\s*(?:of|showing|with)\s+", "", thing[mention.start + len(mention.words) :]
        ).strip()
        if subject and subject in prompt:
            return prompt.replace(subject, thing, 1)
        return _led(thing, prompt)
    return prompt


def _led(thing: str, prompt: str) -> str:
    """The prompt with a thing in front of it, as a sentence where it begins one."""
    return f"{thing}{'. ' if prompt[:1].isupper() else ', '}{prompt}"


def _by_rules(text: str) -> Phrasing:
    """The parts of a caption or a plain request."""
    notes: list[str] = []
    flagless, flag_settings, flag_names = flags(text)
    rest, settings = split_settings(flagless)
    settings = [*flag_settings, *settings]
    rest, shapes = _one_each(rest)
    if shapes:
        notes.append(f'"{_short(shapes)}" was asked for, but a call makes pictures of one shape')
    notes += [f'"{_short(words)}" was read as a setting and left out of the prompt' for words in settings]
    rest, n = split_count(rest)
    request_talk = talk(rest)
    if request_talk.words:
        quotes = ", ".join(f'"{_short(words)}"' for words in request_talk.words)
        notes.append(f"{quotes} {'were' if len(request_talk.words) > 1 else 'was'} left out of the prompt")
    is_spoken = request_talk.prompt != rest or _without_opening(rest)[0] != rest
    rest, avoid = exclusions(request_talk.prompt, is_spoken=is_spoken)
    if avoid and not is_spoken:
        rest = _without_lack(request_talk.prompt, rest, avoid)
    avoid = tuple(dict.fromkeys((*avoid, *flag_names, *request_talk.avoid)))
    request = _rest_or_text(rest, _without_closing(rest))
    rest, opening_n = _without_opening(request, is_asked=bool(request_talk.words))
    n = n or opening_n or (2 if shapes else None)
    if rest != request:
        position = request.rfind(rest)
        notes.append(
            f'"{_short(request[:position] if position > 0 else request)}" was left out of the prompt'
        )
    rest = _rest_or_text(rest, _without_closing(rest))
    if n is not None and n > MOST_PICTURES:
        notes.append(f"{n} pictures were asked for: {MOST_PICTURES} are the most of one request")
        n = MOST_PICTURES
    notes += [MOVED.format(name=name) for name in avoid]
    return Phrasing(rest, avoid, n, tuple(notes))


def _without_lack(text: str, rest: str, avoid: Sequence[str]) -> str:
    """A description without its exclusions ("a marina without any boats in it"), since image models draw what
    they read; the ``rest`` where more or fewer would be cut."""
    description, names = exclusions(text, is_spoken=True)
    words = bare_words(description)
    is_same = tuple(names) == tuple(avoid) and not _REASON.search(description)
    return description if is_same and not any(bare_words(name) in words for name in names) else rest


def _one_each(text: str) -> tuple[str, str]:
    """The text without a clause that asks for two shapes, and the clause; the text unchanged where nothing
    else is left."""
    hit = _ONE_EACH.search(masked(text))
    rest = without(text, [hit.span()]) if hit else text
    return (rest, hit[0]) if hit and has_words(rest) else (text, "")


def _short(words: str) -> str:
    """Words as a note quotes them."""
    flat = " ".join(words.split()).strip(" ,;:.!?")
    return flat if len(flat) <= 60 else flat[:57] + "…"


def _rest_or_text(text: str, rest: str) -> str:
    """The rest of a text where it has words, else the text."""
    return rest if has_words(rest) else text


def _without_closing(text: str) -> str:
    """The text without thanks and pleas at its end."""
    while (closing := _CLOSING.search(text)) and closing.start() > 0:
        if "(" in text[: closing.start()].rpartition(")")[2] and ")" in closing[0]:
            break  # an aside's own
        rest = text[: closing.start()].rstrip(" ,;:(-–—")
        mark = text[closing.start()]
        text = rest + (mark if mark in ".!?" and rest[-1:] not in (".", "!", "?") else "")
    return text


def _with_place(prompt: str, text: str) -> str:
    """The prompt with the place in the picture that a cut took from its end: "a moth near" (the bottom)."""
    last = prompt.rstrip(" .")
    if not _OPEN_END.search(last):
        return prompt
    hit = re.compile(re.escape(last[-30:]) + _PLACE_BEHIND, re.I).search(text)
    return f"{last} {hit[1]}" if hit else prompt


def _without_opening(text: str, *, is_asked: bool = False) -> tuple[str, int | None]:
    """The text behind its instruction, and the number of pictures in that; ``is_asked``: another instruction
    stood before the text."""
    rest = text
    while opening := next(filter(None, (pattern.match(rest) for pattern in _OPENINGS)), None):
        rest = rest[opening.end() :]
    if story := _STORY.match(rest):
        rest = rest[story.end() :]
    n: int | None = None
    if rest != text or is_asked:
        if (pictures := _PICTURES_OF.match(rest)) and not pictures["kind"]:
            n, rest = number(pictures["count"]), rest[pictures.end() :]
        elif depicted := _DEPICTED_OF.match(rest):
            n = number(depicted["count"])
            if n > 1:
                rest = _singular(depicted["depicted"]) + rest[depicted.end() :]
    if rest == text or not has_words(rest) or _NOTHING.fullmatch(rest):
        return text, None
    question = re.match(r"[^?]*\?[\s!.]*$", rest)  # the question was the instruction's
    rest = rest.rstrip(" ?!") if question and "?" not in text[: len(text) - len(rest)] else rest
    return rest, n if n != 1 else None


def _singular(word: str) -> str:
    """Returns one of several: "paintings" as "a painting"."""
    noun = {"sketches": "sketch"}.get(word.casefold(), word.removesuffix("s"))
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"
