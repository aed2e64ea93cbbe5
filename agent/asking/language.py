"""Language: whether a prompt is in English, and its translation where the engine can give one.

    language("un gato negro en la ventana")   -> "Spanish"
    language("a black cat at the window")     -> None

By script where it is not Latin, else by a vote of function words that English lacks, else by letters
(py3langid); a name or a dish in a foreign language counts as English.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from diffagent.agent.asking.cutting import masked
from diffagent.agent.engines import Engine, Prompt
from diffagent.data.errors import EngineError

_SCRIPTS = (
    ("Japanese", re.compile(r"[\u3040-\u30ff]")),
    ("Korean", re.compile(r"[\uac00-\ud7a3]")),
    ("Chinese", re.compile(r"[\u4e00-\u9fff]")),
    ("Ukrainian", re.compile(r"[іїєґІЇЄҐ]")),
    ("Russian", re.compile(r"[\u0400-\u04ff]")),
    ("Hindi", re.compile(r"[\u0900-\u097f]")),
    ("Arabic", re.compile(r"[\u0600-\u06ff]")),
    ("Hebrew", re.compile(r"[\u0590-\u05ff]")),
    ("Greek", re.compile(r"[\u0370-\u03ff]")),
    ("Thai", re.compile(r"[\u0e00-\u0e7f]")),
)
"""Languages by a letter of their script, the most particular first."""
_FUNCTION_WORDS: Mapping[str, str] = {
    "German": "ein eine einen einem einer eines und auf über für ohne nicht beim zum zur ihrem seinem",
    "Spanish": "una un unos unas para sobre entre está junto muy hacia desde pero del",
    "French": "une un dans avec aux sous qui devant derrière près chez sont elle très",
    "Portuguese": "uma para sobre entre ao não numa num pela pelo dois muito",
    "Italian": "una un nel nella nello sul sulla della degli delle tra gli dello molto",
    "Dutch": "een het aan bij voor naar niet zijn tussen onder",
    "Polish": "na się jest nad przy oraz dla ze pomiędzy",
    "Czech": "na při nad který která se",
    "Turkish": "bir ve ile için üzerinde altında yanında",
    "Swedish": "och på ett med av",
    "Danish": "og på et med af",
    "Hungarian": "egy és az",
    "Romanian": "în și cu pe un",
    "Indonesian": "yang dengan sebuah dan seorang",
    "Tagalog": "mga ng ang sa nang yung",
    "Vietnamese": "một trên với trong của và",
}
"""Words that mark a language, none of them English."""
_SHARED: Mapping[str, str] = {
    "German": "der das mit im am von",
    "French": "le la les de des du sur et au en",
    "Spanish": "el la los las de en con al y por",
    "Portuguese": "o os as de da do das dos com um em e na",
    "Italian": "il la le lo di da con in che al",
    "Dutch": "de van met op en",
    "Polish": "w z i o pod",
    "Czech": "v s pod",
}
"""Words of names and of English too: they only add to others."""
_TEXT_OF_ENGLISH = """
the of with and an is are at by from this that its his her wearing holding my you what not like or for who
their while near behind against under through into style there it i
"""
_ENGLISH = frozenset(_TEXT_OF_ENGLISH.split()) - {"i"}
_WORD = re.compile(r"[^\W\d_]+")
_TAG = re.compile(r"[^,;.!?:\n()\[\]{}|\"，、。；]+")
_ASKED = re.compile(
    r"\A\s*(?:(?:so|and|but|also|please|pls|now|in (?:the|my|this) (?:picture|image|photo|drawing)|"
    r"there should be)\s)*"
    r"(?:(?:(?:can|could|would) you (?:please )?|(?:i|we)(?:['’]d| would)? (?:really )?|please )?"
    r"(?:want|need|like|love|wish|draw|paint|make|show|create|generate|give)(?: to (?:see|have))?(?: (?:me|"
    r"us|of))?\s)",
    re.I,
)
"""An English instruction in front of words in another language."""
_BY_LETTERS: Mapping[str, str] = {
    "de": "German", "es": "Spanish", "fr": "French", "pt": "Portuguese", "it": "Italian", "nl": "Dutch",
    "pl": "Polish", "cs": "Czech", "tr": "Turkish", "sv": "Swedish", "da": "Danish", "hu": "Hungarian",
    "ro": "Romanian", "id": "Indonesian", "vi": "Vietnamese", "sw": "Swahili", "fi": "Finnish",
    "no": "Norwegian", "ca": "Catalan", "hr": "Croatian", "sk": "Slovak", "tl": "Tagalog", "ms": "Malay",
    "et": "Estonian", "lt": "Lithuanian", "lv": "Latvian", "sl": "Slovenian",
}  # fmt: skip
"""Languages in Latin letters that are told by letters, by code."""
_KIN = (("id", "ms"), ("no", "da"), ("cs", "sk"), ("hr", "sl"))
"""Languages with similar letters, whose probabilities are added."""
_COUSINS = ("id", "ms", "tl")
"""Languages whose probabilities are added in a longer text: "a panda eating bamboo" looks like them."""
SURE = 0.8
"""The least probability of a language by letters: no English prompt of 5,406 reaches it."""
FEWEST = 4
"""The fewest words for a language by letters; fewer are often a name."""
LONGEST = 2000
"""The characters of a prompt that are read."""
SYSTEM = (
    "You translate prompts for an image generator into English. Keep names, commas and word order where you "
    "can, add nothing, and answer with the English prompt alone."
)


def language(prompt: str) -> str | None:
    """Returns the language of a prompt; None for English."""
    text = unicodedata.normalize("NFC", prompt[:LONGEST])
    letters = [letter for letter in text if letter.isalpha()]
    foreign = [letter for letter in letters if ord(letter) > 0x36F and not _is_latin(letter)]
    if letters and 2 * len(foreign) > len(letters):
        foreign_text = "".join(foreign)
        return next((name for name, pattern in _SCRIPTS if pattern.search(foreign_text)), "another language")
    return _by_words([word.casefold() for word in _WORD.findall(text)])


def foreign_tags(prompt: str) -> list[tuple[int, int, str]]:
    """Returns start, end and language of each clause of an English prompt in another script, or in another
    language by several words; quoted words stay as they are."""
    spans: list[tuple[int, int, str]] = []
    flat = masked(prompt[:LONGEST])
    for clause in _TAG.finditer(flat):
        tag = _ASKED.sub("", clause[0]).strip()
        letters = [letter for letter in tag if letter.isalpha()]
        if not letters:
            continue
        start = clause.start() + clause[0].index(tag)
        is_strange = not any(map(_is_latin, letters))
        is_beside = bool(spans) and not is_strange and not flat[spans[-1][1] : start].strip(" ,;")
        language_name = language(tag) if is_strange else _of_clause(tag, spans[-1][2] if is_beside else None)
        if language_name is None:
            continue
        if is_beside and spans[-1][2] == language_name:
            start = spans.pop()[0]
        spans.append((start, clause.start() + clause[0].index(tag) + len(tag), language_name))
    return spans


def _of_clause(tag: str, neighbour: str | None) -> str | None:
    """The language of a clause in Latin letters, None for English and names; ``neighbour`` is the language of
    the clause before it."""
    spellings = _WORD.findall(unicodedata.normalize("NFC", tag))
    words = [word.casefold() for word in spellings]
    present = set(words)
    if neighbour and not present & _ENGLISH:
        marks = {*_FUNCTION_WORDS.get(neighbour, "").split(), *_SHARED.get(neighbour, "").split()}
        if present & marks:
            return neighbour
    if len(words) < FEWEST or 2 * sum(word[0].islower() for word in spellings) < len(spellings):
        return None
    counts = {name: len(present & set(text.split())) for name, text in _FUNCTION_WORDS.items()}
    is_marked = any(count > 1 for count in counts.values()) or not all(word.isascii() for word in words)
    if not is_marked or len(present & _ENGLISH) > (counts.get("Tagalog", 0) > 1):
        return None
    language_name = _by_words(words)
    return language_name if language_name and counts.get(language_name) else None


def _by_words(words: list[str]) -> str | None:
    present = set(words)
    if len(present & _ENGLISH) > 1:
        return None
    is_accented = any(not word.isascii() for word in words)
    votes: Counter[str] = Counter()
    for name, text in _FUNCTION_WORDS.items():
        own_count = len(present & set(text.split()))
        shared_count = len(present & set(_SHARED.get(name, "").split()))
        if (
            own_count > 1
            or (own_count and (shared_count or is_accented))
            or (shared_count > 2 and is_accented)
        ):
            votes[name] = 2 * own_count + shared_count
    if votes:
        return votes.most_common(1)[0][0]
    strange_words = [word for word in words if not word.isascii()]
    if not present & _ENGLISH and len(strange_words) >= 2 and 4 * len(strange_words) >= len(words):
        return "another language"
    if len(words) < FEWEST or (present & _ENGLISH and len(words) < 2 * FEWEST):
        return None  # a name
    ranks = dict(identifier().rank(" ".join(words)))
    code = max(ranks, key=lambda name: ranks[name])
    groups = (_COUSINS, *_KIN) if len(words) >= 2 * FEWEST else _KIN
    kin = next((group for group in groups if code in group), (code,))
    return _BY_LETTERS.get(code) if sum(ranks[name] for name in kin) >= SURE else None


@cache
def identifier() -> Any:
    """Returns the model that tells languages by letters; about half a second at the first use."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    model.set_languages(["en", *_BY_LETTERS])
    return model


def reply(system: str, text: str, engine: Engine) -> str | None:
    """Returns an engine's answer in one line, without quotes; None where it cannot write or has failed."""
    if not getattr(engine, "translates", False):
        return None
    try:
        answer = engine.generate(Prompt(system, text), 256)
    except EngineError:
        return None
    return " ".join(answer.split()).strip(" \"'“”")


def translation(prompt: str, engine: Engine) -> str | None:
    """Returns the prompt in English; None where the engine cannot translate or its answer is not usable."""
    english = reply(SYSTEM, prompt, engine)
    usable = english and len(english) <= 4 * len(prompt) + 80 and language(english) is None
    return english if usable else None


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN")
