"""Words of a text: stemmed, and those that say nothing of a subject."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files

WORD = re.compile(r"[^\W_]++(?:['’][^\W_]++)*+")
_TEXT_OF_FUNCTION_WORDS = """
a an the of in on at to for with and or by from as is are be it its this that these those my your our
his her their i you we he she they me us them no not without some any all very into over under up down
out off near next front behind through across around between against while who which what when where has
have had was were will would can could should there here than then so too like such more most just only
also one two three four five six seven eight nine ten please want need make made create draw drawing
picture image pic photo photograph style art painting illustration set use using do does did get give
show shows look looks looking new old big small little large
"""
FUNCTION_WORDS = frozenset(_TEXT_OF_FUNCTION_WORDS.split())


@lru_cache(1 << 16)
def stem(word: str) -> str:
    """Returns a word in lower case without a plural's ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    for ending, singular in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + singular
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def words(text: str) -> list[str]:
    """Returns the words of a text, stemmed, in order."""
    return [stem(word) for word in WORD.findall(text)]


def is_ordinary(word: str) -> bool:
    """Whether a stemmed word is ordinary English rather than a name.

    The list that ships holds words that text about models writes in lower case at least half as often as with
    a capital inside a sentence.
    """
    return word in _listed("ordinary_words.txt")


def is_given_name(word: str) -> bool:
    """Whether a stemmed word is a given name, a place or a thing beside a character's name ("alice",
    "belfast", "robin"), so that alone it does not name the character.

    A large language model marked them among the characters' names of the catalog that ships.
    """
    return word in _listed("given_names.txt")


@cache
def _listed(name: str) -> frozenset[str]:
    """Returns the words of a file that ships."""
    return frozenset((files("diffagent.agent") / "default" / name).read_text("utf-8").split())
