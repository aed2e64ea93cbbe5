"""Exclusions: what a prompt keeps out of the picture.

In: a prompt. Out: the prompt without its exclusions, and their names for a negative prompt.

    exclusions("a beach at dawn, no people, without text")  -> ("a beach at dawn", ("people", "text"))
    exclusions("a man with no shirt on a horse")            -> (unchanged, ("shirt",))
    exclusions("the end of no man's land")                  -> (unchanged, ())

Rules, not a model: a word of exclusion counts at the start of a clause, behind a joining word ("with no
people"), or before what people usually leave out ("poster no text"). A clause of its own, or a name of what
no scene has ("text", "anime"), is an instruction and is cut; inside a description the sentence stays, unless
the request speaks to somebody elsewhere. Quoted text and titles in capitals are names. Text encoders of T2I
models read "no people" as people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from diffagent.agent.asking.cutting import masked, without
from diffagent.agent.asking.foreign_exclusions import foreign_exclusions

_BOUNDARY = re.compile(r"[,;:.!?\n()\[\]{}|<>\"“”«»•–—]+|\s-+\s")
_WORD = re.compile(r"[^\W_]++(?:['’-][^\W_]++)*+")

_LIST_OF_USUAL = """
text texts words letters lettering writing watermark watermarks logo logos signature signatures caption
captions title people person persons human humans man men woman women girl girls boy boys children kids
crowd crowds animals animal cars car vehicles traffic buildings background frame frames border borders blur
noise anime cartoon cartoons nudity nsfw gore blood violence hands hat hats glasses makeup clouds shadows
"""
_USUAL = frozenset(_LIST_OF_USUAL.split())
"""What people leave out of pictures most."""
ARTEFACT = re.compile(
    r"\b(?:texts?|lettering|writing|typography|watermarks?|logos?|signatures?|captions?|subtitles|borders?|"
    r"blur|"
    r"noise|anime|manga|cartoons?|cgi|3d(?: look)?|nsfw|nudity|gore|artifacts?|username)$",
    re.I,
)
"""Features of pictures that no scene has."""
_LETTERED = re.compile(
    r"\b(?:labels?|labell?ing|branding|brand names?|prices?|price tags?|barcodes?|letters|words|titles?|"
    r"numbers|slogans?)$",
    re.I,
)
"""Things with letters on them: their names in a prompt make letters."""
_STYLE = (
    r"(?:anime|manga|cartoons?(?:ish|y)?|photos?(?:graph(?:ic|y)?|realis\w+)?|paintings?|painted|drawings?|"
    r"drawn|3d|2d|cgi|rendere?d?|realis\w+|sketch(?:es|y)?|illustrat\w+|comics?|pixel art|pixelated|vector|"
    r"abstract|stylis?z?ed|chibi|kawaii|pixar|disney|nsfw|nude|naked|sexy|sexual|gory|bloody|blurry|cropped|"
    r"ai[- ]looking|plastic)"
)
"""Words of a look, which "not" excludes wherever it stands."""
_LOOK = re.compile(
    rf"not\s+(?:(?:an?|any|in|like|too|so|looking|be)\s+){{0,2}}(?P<name>{_STYLE}(?:[ -](?:style|look|like|"
    rf"art))?)"
    r"(?:\s+(?:please|pls|at all))*(?=\s*(?:$|[,;:.!?\n()\[\]]|(?:and|but|or)\s))",
    re.I,
)
_PLEA = re.compile(r"\b(?:please|pls|ideally|preferably|absolutely|definitely|should|must)\b", re.I)
"""Words by which an instruction begins."""
_LIST_OF_IDIOMS = """
one body else lot lots expression longer matter doubt doubts less fewer other others way ways idea ideas
problem problems need needs end ends nonsense good such big thanks worries wonder reason chance question
time place smoking parking entry exit trespassing vacancy vacancies signal swimming diving fishing entrance
man's mans more sooner better where one's hope mercy fear escape return limits limit fail warning care sound
equal match exception wait actually sorry hang hold seriously really thank
later than man\u2019s kidding clue choice filter filters brainer pun rush preference
"""
_DENIED = frozenset(_LIST_OF_IDIOMS.split())
"""Words behind "no" and "without" that make an idiom of it."""
_LIST_OF_THINGS = """
lightning clothing painting paintings lettering building buildings ring rings string strings wing wings
ceiling railing writing lighting shading packaging branding piercing piercings earring earrings stuffing
icing frosting topping blessing awning bedding anything everything
bunting scaffolding fencing netting decking flooring paving stocking stockings pudding puddings dumpling
dumplings duckling ducklings seedling seedlings gosling goslings herring herrings darling darlings
"""
_VERBAL = frozenset(_LIST_OF_THINGS.split())
"""Nouns in -ing."""
_LIST_OF_POSTURES = """
flying floating glowing moving running standing sitting smiling burning shining falling living
"""
_DESCRIBING = frozenset(_LIST_OF_POSTURES.split())
"""Words in -ing that describe a noun behind them."""
_LIST_OF_DEGREES = """
too very so only just yet quite far long sure even that really much many all every everyone necessarily at
in on to for from because if unlike without with necessarily bad entirely exactly always often here there
now this what where who how until least again as yours mine his hers theirs ours happy
bigger larger smaller longer shorter higher lower wider more less
"""
_NOT_STYLE = frozenset(_LIST_OF_DEGREES.split())
"""Words behind "not" that exclude nothing."""
_LIST_OF_JOINTS = """
and or nor but in on at for with from by under over behind near next beside besides between among around
into onto through across during while when where which who that is are was were be being been as like to
of so because if then than please pls plz thx thanks just only also instead against above below along
inside outside within upon after before until not no without plus whatsoever anywhere visible allowed
either at all can since cuz cos coz cus cause bc bcos bcause becuz though tho while although anymore
hehe haha hihi lol lmao xd jaja ok okay except
"""
_STOP = frozenset(_LIST_OF_JOINTS.split())
_DETERMINERS = frozenset(
    ("any", "a", "an", "the", "his", "her", "its", "their", "my", "your", "our", "some", "other", "extra")
)
_TAIL = re.compile(
    r"\s*+(?:(?:anywhere|at all|visible|whatsoever|around|in sight|please|pls|allowed|either|of any kind|"
    r"in (?:it|them|there|view|frame|shot|the (?:picture|image|photo|background|foreground|frame|scene|shot|"
    r"sky|distance|room))|on (?:it|them|top))\b\s*+)*+",
    re.I,
)
_JOINING = re.compile(
    r"(?:^|(?<=[\s,;:.!?(\[\n]))(?:(?:with|having|wearing|showing|containing|featuring|but|and|plus|"
    r"also|please|kindly|"
    r"pls|ideally|preferably|absolutely|definitely|but with|and with|"
    r"(?:and |but )?(?:there (?:is|are|should be|must be)|there's)|"
    r"(?:and |but )?(?:that|which|who) (?:has|have|had)|(?:and |but )?(?:it|they) (?:should have|has|have))"
    r"[ \t]{1,4}){1,4}$",
    re.I,
)
_SAYING = re.compile(
    r"\b(?:says|saying|reads|written|titled|called|named|labell?ed|spelling|words?)\s*$", re.I
)
_NO = re.compile(
    r"(?<![\w'’-])(?:"
    r"(?P<unseeing>(?:nobody|no[ -]?one)\s+(?:(?:is|should be|to be)\s+)?(?P<doing>(?:looking|"
    r"facing|staring|smiling|"
    r"posing|gazing)\s+(?:at|in|into|to|towards?|for)?\s*(?:the\s+)?(?:camera|viewer|lens|us)))\b|"
    r"(?P<nobody>(?:nobody|no[ -]?one)(?:\s+else)?(?=\s*+(?:$|[,;.!?\n)]|in\s+(?:sight|it|view|frame|"
    r"the\s+(?:picture|frame|shot|"
    r"scene|photo|image))\b|around\b|there\b|visible\b|on\s+(?:it|them)\b|inside\b)))"
    r"|(?P<lacking>(?:(?:does|do|did) not|(?:does|do|did)n['’]?t) (?:have|wear|contain)|(?:is |"
    r"are )?not wearing)"
    r"(?=\s+\w)"
    r"|(?P<nothing>nothing)(?=\s+(?:too\s+)?(?:nsfw|gory|scary|violent|sexual|sexy|creepy|childish|cheesy|"
    r"cartoony?|cartoonish|bloody|graphic|explicit|political|religious|modern|fancy|cute|kitschy?|spicy|"
    r"shaded|lewd|nude|revealing|suggestive|inappropriate|adult|vulgar|rude|dirty|weird|spooky|frightening|"
    r"gruesome|disturbing|sad|gloomy|dark|coloured|colored|flashy|shiny|glossy|blurry|busy|crowded|"
    r"girly|corny|"
    r"tacky|complicated|offensive|aggressive|\w{3,}ish)\b)"
    r"|(?P<but>anything\s+but(?=\s+(?:an?\s+)?(?:anime|manga|cartoons?|cgi|3d|realis\w+|photoreal\w*)\b))"
    r"|(?P<no>no)(?=\s+\w)(?!\s+\d(?!d\b))"
    r"|(?P<without>without|w/o|minus(?=\s+(?:the|any|all|a|an|his|her|its|their)\b))(?=\s+\w)"
    r"|(?P<avoid>(?:(?:please|pls|kindly)\s+)?(?:avoid|exclude|leave out|omit|skip)(?:\s+(?:any|all))?)"
    r"(?=\s+\w)"
    r"|(?P<dont>(?:(?:but|and|so|please|pls|kindly)\s+)?(?:(?:i|we)\s+(?:really\s+)?(?:do not|don['’]?t|dont|"
    r"didn['’]?t)"
    r"\s+want(?:\s+(?:it\s+to\s+(?:have|be|look(?:\s+like)?)|to\s+see|there\s+to\s+be))?"
    r"|never(?=\s+(?:an?\s+|any\s+)?(?:anime|cartoons?|3d|cgi|text)\b)|stay away from|steer clear of|keep out"
    r"|leave off|(?:do not|don['’]?t|dont)\s+(?:add|include|put(?:\s+in)?|show|draw|use|want|"
    r"give\s+(?:it|me|him|her|them)|"
    r"make\s+(?:it|him|her|them|this)(?:\s+look(?:\s+like)?)?)"
    r"|(?:there|it)\s+(?:should not|shouldn['’]?t|must not|mustn['’]?t)\s+(?:be|have|contain|include|"
    r"look(?:\s+like)?)"
    r"|(?:should not|shouldn['’]?t|must not|mustn['’]?t)\s+(?:have|contain|include|show)"
    r"))(?=\s+\w)"
    r"|(?P<not>not(?:\s+(?:an?|any|in|like))?)(?=\s+\w)"
    r")",
    re.I,
)
_AN = r"(?:(?:the|any|all(?: the)?|an?|his|her|its|their|my|our|that|those|these|some|such|this)\s++)?"
_THING = (
    r"(?:(?!(?:and|or|nor|of|in|on|at|to|but|so|for|with|out|"
    r"because)\b)[^\W\d_]{2,20}+(?:[-'’][^\W\d_]{1,20}+)?+)"
)
_LISTED = rf"{_AN}{_THING}(?: {_THING})?"
_NAMED = (
    rf"(?P<name>{_THING}(?: {_THING}){{0,2}}?"
    rf"(?:(?:(?:,|,?\s(?:and|or|nor))\s{_LISTED}){{0,3}},?\s(?:and|or|nor)\s{_LISTED})?)"
)
_NAMED_ALONE = rf"(?P<name>{_THING}(?: {_THING}){{0,2}}?(?:\s(?:and|or|nor)\s{_LISTED})?)"
_START = (
    r"(?:^|(?<=[,;:.!?(\n])|(?<=[ ])(?=(?:so|but|and|please|pls|just|also)\s))(?=[ \t]{0,3}\w)[ \t]{0,3}"
    r"(?:(?:so|but|and|please|pls|just|also|oh|then|maybe|ideally|(?:can|could|would) you|(?:i['’]d|"
    r"we['’]d) (?:like|want) you to|"
    r"(?:i|we)(?:['’]d)? (?:rather|prefer)|let['’]?s|you can|you could|remember to|make sure (?:to|"
    r"you)),?\s){0,4}"
)
_FINISH = (
    r"(?:\s(?:from|of|in|out of) (?:it|this|that|there|them|the (?:picture|image|photo|scene|shot|"
    r"frame|background)))?"
    r"(?:\s(?:please|pls|though|this time|completely|entirely|altogether|at all|anywhere|ok|okay|"
    r"thanks|thx))*"
    r"(?=[ \t]*+(?:$|[,;:.!?)\n])|\s(?:and|but|because|since|cause|so)\b)"
)
_LEFT_OUT = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        # "so leave the dog out", "keep the cat out of it"
        rf"{_START}(?:leave|keep|take|cut|edit|crop|drop)\s{_AN}{_NAMED}\sout{_FINISH}",
        # "lose the hat", "get rid of the fence"
        rf"{_START}(?:forget(?: about)?|lose|ditch|scrap|nix|hold|spare (?:me|us)|get rid of|do "
        rf"away with|rule out|cut out|"
        rf"take out|banish|ban|hide|no need for|(?:there['’]s |there is )no need for|(?:i|we|you) "
        rf"(?:can |could )?do without|"
        rf"(?:it|he|she|they|i|we|you)? ?(?:do not|don['’]?t|does not|doesn['’]?t) need|(?:i|we) "
        rf"(?:hate|dislike)|stay clear of|"
        rf"refrain from|free of|(?:it|they) (?:is|are) not to have)\s(?:any |the |a |an |those |"
        rf"that )(?:\s?any\s)?{_NAMED}{_FINISH}",
        # "the dog should not be in it", "hats are not welcome"
        rf"{_START}{_AN}{_NAMED_ALONE}\s(?:should(?: not|n['’]?t)|must(?: not|n['’]?t)|may not|can(?:not|"
        rf"['’]?t)|had better not)\s"
        rf"(?:be (?:in it|there|visible|shown|seen|in the (?:picture|image|photo|shot|frame)|"
        rf"included|anywhere|present)|appear|show(?: up)?|"
        rf"feature){_FINISH}",
        rf"{_START}{_AN}{_NAMED_ALONE}\s(?:is|are)(?: not|n['’]?t)\s(?:needed|wanted|welcome|allowed|"
        rf"necessary|invited|required){_FINISH}",
        # "none of the hearts", "nothing with wings or halos"
        rf"{_START}none of (?:the|that|those|your|this)(?: usual| typical)?\s{_NAMED}(?: stuff| "
        rf"thing| nonsense)?{_FINISH}",
        rf"{_START}(?:absolutely |definitely |really )?nothing\s(?:with|that has|that have|having|"
        rf"like|resembling|involving|containing|"
        rf"featuring|showing|to do with|that looks like|that resembles)\s{_AN}{_NAMED}(?: (?:in|on) "
        rf"it)?{_FINISH}",
        rf"{_START}anything with\s{_NAMED}\s(?:is|are) (?:out|a no|not ok|not okay|forbidden){_FINISH}",
    )
)
"""Ways to leave something out that begin a clause, up to its end."""
_INSTEAD = re.compile(
    rf"\b(?:instead of|in place of|in lieu of|in the place of|"
    rf"rather than(?= (?:the|an?|his|her|their|its) )|rather than(?=\s{_STYLE}\b)|replacing|where there "
    rf"would be)\s(?P<the>{_AN}){_NAMED}"
    r"(?=[ \t]*+(?:$|[,;:.!?)\n])|\s(?:and|but|because|in|on|at|with|standing|sitting|under|over|by|near)\b)",
    re.I,
)
"""Things that something else replaces."""
_NO_PLACE = re.compile(
    r"\b(?:usual|later|never|sooner|that|this|it|him|her|them|you|me|us|one|two|"
    r"[a-z]{2,}ing)\b",
    re.I,
)
_AN_FIRST = re.compile(r"^(?:the|any|all|an?|his|her|its|their|my|our|that|those|these|some|such)\s", re.I)
_TIMES = (
    r"(?:night(?: ?time)?|noon|midday|midnight|dusk|dawn|sunset|sunrise|twilight|dark(?:ness)?|"
    r"daylight|day ?time|day|winter|"
    r"summer|autumn|fall|spring|rain|snow|fog|storm|black and white|b&w|gr[ea]yscale|monochrome|"
    r"colou?r|silhouette|"
    r"public|space|water|shadow|bloom|flames?)"
)
_NOT_AT = re.compile(
    rf"(?:^|(?<=[,;:.!?(\n])|(?<=[ ])(?=but\s))(?=[ \t]{{0,3}}\w)[ \t]{{0,3}}"
    rf"(?:(?:and|but|please|pls|just|definitely|"
    rf"ideally|preferably|absolutely|"
    rf"(?:it|this) (?:is|should be|must be)|it|this|it['’]s|should|must|so|also|set|taken|"
    rf"maybe)\s){{0,3}}(?:not|never|anything but|any time but|"
    rf"anytime but|shouldn['’]?t be|should not be|mustn['’]?t be|must not be|isn['’]?t|don['’]?t "
    rf"(?:make|set|do) it(?: be)?|no)"
    rf"(?:\s(?:be|set|taken|happening|shot))?(?:\s(?:at|in|by|during|on|after|under|a|"
    rf"an))?(?:\s(?:the|a|an|full|broad))?\s"
    rf"(?P<name>{_TIMES})(?:\s(?:scene|shot|setting|picture|time))?(?:\s(?:please|pls|though|at all|"
    rf"this time))*"
    r"(?=[ \t]*+(?:$|[,;:.!?)\n])|\s(?:and|but|because)\b)",
    re.I,
)
""" "not at night", which names a time, a season or a weather."""
_COLOR = (
    r"(?:red|green|blue|yellow|orange|purple|violet|pink|brown|gr[ea]y|black|white|gold|silver|beige|teal|"
    r"turquoise|magenta|neon|colou?rs?|filter|look|style|vibe)"
)
_NOT_THAT = re.compile(
    r"(?:,\s|(?<=[ ])(?=(?:and |but |just |please )?not))(?:(?:and|but|just|please)\s)?"
    r"not\s(?:that|those|the (?:usual|typical))\s"
    rf"(?P<name>(?:[a-z-]{{2,16}}+\s){{0,2}}?{_COLOR}(?:\s{_COLOR})?)(?![\w-])[^,;:.!?\n()]{{0,50}}",
    re.I,
)
""" "not that neon green everyone uses": a colour or a look that is excluded, up to the clause's end."""
_WAITED = re.compile(
    r"[ \t,;.!…-]{1,8}(?:(?:oh|no|or|ok|okay|actually|hmm|hm|but|and|ah|um+),?[ \t]){0,3}wait[ \t,.!…]{1,6}"
    rf"(?:(?:actually|please|pls|so|make it|with|i want)[ \t,]{{1,3}}){{0,2}}no[ \t](?:an?[ \t]|the[ \t])?"
    rf"(?P<name>{_THING}(?:[ \t]{_THING})?)(?=[ \t]*+(?:$|[,;:.!?)\n])|[ \t](?:at all|please|pls)\b)",
    re.I,
)
"""A second thought: "a cat on the wall, oh wait no cat"."""
_CLAUSE_BEFORE = re.compile(r"[^,;:.!?\n()]+")
_OUTDOORS = re.compile(
    r"(?:^|(?<=[,;:.!?(\n]))[ \t]{0,3}(?:(?:and|but|please|pls|definitely)\s)?not\s(?P<name>outside|"
    r"outdoors|indoors|inside|underwater|"
    r"foggy|rainy|snowy|nighttime|daytime|cloudy|stormy|overcast)(?:\s(?:please|"
    r"pls))?(?=[ \t]*+(?:$|[,;:.!?)\n]))",
    re.I,
)
_TAGGED = re.compile(r"(?<![\w-])no_(?P<name>[a-z]{3,20})(?![\w-])")
"""A tag of an image board, such as "no_humans": it stays, and what it names is left out."""
_ALONE = re.compile(r"\s[^\W_]{2,20}(?:\s(?:please|pls))?\s*(?:[.!\n]|$)", re.I)
"""One word behind "No" up to the end of a sentence: "No Zelda." is no title."""
SHAPES = frozenset(("wide", "tall", "square", "portrait", "vertical", "horizontal", "upright", "panoramic"))
"""Shapes, which "not" excludes from the call, not from the picture."""
_BOARD = frozenset(
    ("humans", "shoes", "pants", "legwear", "socks", "eyes", "mouth", "nose", "pupils", "headwear")
)
"""The names in such tags."""
_FEWEST_TAGS = 6
_FREE = re.compile(r"(?<![\w-])(text|watermark|people|logo|crowd|car|gore|blood|border)-free\b\s*", re.I)
_VAGUE = frozenset(("visible", "kind", "sort", "kinds", "sorts", "of", "readable", "recognisable"))
_CONTINUING = re.compile(r"\s+(or|nor|and)\s+", re.I)
_SERIES = re.compile(r"(?: ?, ?(?!or\b)\w{1,40}(?: \w{1,40})?){0,8} ?,? ?or \w{1,40}\b", re.I)
_ASIDE = re.compile(r"\s?\([^()\n]{0,60}\)")
_SENTENCE_START = re.compile(r"(?:^|[.!?\n])[ \t]*+[^.!?\n,;:]{1,36}$")
_WHOLE_SERIES = re.compile(
    r"(?P<rest>(?:\s?\([^()\n]{0,60}\))?"
    r"(?:,\s?(?!(?:and|or)\s)[\w'’-]{1,30}(?:\s(?!(?:and|or)\s)[\w'’-]{1,30})?"
    r"(?:\s?\([^()\n]{0,60}\))?){0,8},?\s(?:and|or)\s[\w'’-]{1,30}(?:\s[\w'’-]{1,30})?"
    r"(?:\s?\([^()\n]{0,60}\))?)(?=[ \t]*+(?:[.!?\n]|$))"
)
""" "… (an aside), this and that", up to the end of the sentence."""
_ALWAYS_OUT = re.compile(r"\s*,\s*(text|watermarks?|logos?|signatures?|captions?)(?=\s*(?:[,.;!?]|$))", re.I)
_AND_WITHOUT = re.compile(r"\s*+(?:,\s*+)?(?:and\s++|or\s++)?without\s++\w", re.I)
"""A second exclusion makes a list of both."""
_ANDED = re.compile(
    r"(?:and|but|so) (?:please |pls )?(?:do not|don['’]?t|dont) "
    r"(?:add|include|put(?: in)?|show|draw|use) any\b",
    re.I,
)
"""An exclusion without a comma before it: "a barn and dont put any people"."""
_BREAK = re.compile(r"\s(?=(?:and|but|just|only|no|not|without)\s)", re.I)
_NO_THING = re.compile(
    r"\b(?:steps?|loras?|checkpoints?|models?|anything|everything|thing|upscal\w+|hi-?res fix|refiner|rush|"
    r"hurry|worries)\b",
    re.I,
)
"""Words for what no picture shows."""
_LIST_OF_FILLERS = """
ha haha hahaha lol tho though actually please pls too either u thx thanks then obviously obv ofc plz
whatever of on in at from with
"""
_FILLERS = frozenset(_LIST_OF_FILLERS.split())
"""Words of talk behind the name of something that is not wanted."""
_THANKS = re.compile(r"th(?:n|a)?x+|ty+|pl[sz]{2,}", re.I)
_TALK_AROUND = re.compile(
    r"^(?:the )?(?:usual|typical|stupid|damn|other) (?=\w)|\s(?:this|next) time$|\s(?:or )?whatever$|"
    r"\s(?:herself|himself|itself|themselves)$",
    re.I,
)
_SPEAKERS = frozenset(("us", "me", "myself", "ourselves", "anyone", "anybody"))
"""Words for whoever asks: people, to a model."""
_CHOSEN = re.compile(
    r"\A(?:else|whatever|anything|stuff)\b|\A(?:on|in|at|with|for|by|from) |\A(?:the|xl|write|put|add)\Z|"
    r"\A(?:the )?\S+ ones?\Z",
    re.I,
)
"""What is no thing's name: "else", as in "nothing else added", and a choice: "no, the shoe one"."""
_LABELLED = re.compile(
    r"(?<![\w-])(?:(?:i |we )?(?:do not|don['’]?t|dont) want|avoid|no|not|without|exclude|leave out|skip)"
    r" ?: ?(?P<name>[^\W\d_][^.;:!?\n]{1,200})",
    re.I,
)
"""A list behind a label: "don't want: gulls, frames"."""
MOST = 12
"""The most exclusions that are read."""
LONGEST = 4000
"""Characters of a prompt in which exclusions are looked for."""


@dataclass(frozen=True)
class _Cut:
    """A span to cut out of the text, and the names in it."""

    start: int
    end: int
    names: tuple[str, ...]


def exclusions(text: str, *, is_spoken: bool = False) -> tuple[str, tuple[str, ...]]:
    """Returns the text without its exclusions, and their names, bare nouns in order; the text unchanged where
    it has none.

    In a description exclusions stay, and their names are returned too; ``is_spoken``: the text speaks to
    somebody, so that it is not a description.
    """
    if len(text) > LONGEST:
        return text, ()
    flat = masked(text)
    phrase_cuts = _phrases(flat, is_spoken=is_spoken)
    cuts = [
        cut
        for cut in _cuts(flat, is_spoken=is_spoken)
        if not any(
            phrase_cut.start <= cut.start < phrase_cut.end or cut.start <= phrase_cut.start < cut.end
            for phrase_cut in phrase_cuts
        )
    ]
    cuts += phrase_cuts
    cuts += [_Cut(start, end, (name,)) for start, end, name in foreign_exclusions(text)[:MOST]]
    names = [
        name
        for cut in sorted(cuts, key=lambda cut: cut.start)
        for name in cut.names
        if name.casefold() not in SHAPES and not _NO_THING.search(name)
    ]
    rest = without(text, ((cut.start, cut.end) for cut in cuts if cut.start < cut.end))
    rest = rest if re.search(r"\w", rest) else text
    return rest, things(name.lower() if name.isupper() else name for name in names)


def things(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names of things among excluded names, without words of talk behind them."""
    bare_names = (
        name
        for name in map(_without_fillers, names)
        if name and not _CHOSEN.search(name) and not _NO_THING.fullmatch(name)
    )
    return tuple(dict.fromkeys(name.removesuffix(" one") for name in bare_names))


def labelled_exclusions(text: str) -> tuple[str, tuple[str, ...]]:
    """Returns the text without lists of exclusions behind a label ("don't want: gulls, frames"), and their
    names; the text unchanged where it has none or nothing else."""
    hits = [hit for hit in _LABELLED.finditer(masked(text)) if listed_names(hit["name"])][:MOST]
    rest = without(text, [hit.span() for hit in hits])
    if not hits or not re.search(r"\w", rest):
        return text, ()
    names = (name for hit in hits for name in listed_names(hit["name"]) if not _NO_THING.search(name))
    return rest, tuple(dict.fromkeys(names))


def _without_fillers(name: str) -> str:
    """The name without words of talk around it."""
    name_words = _TALK_AROUND.sub("", name).split(" ")
    while len(name_words) > 1 and (
        name_words[-1].casefold() in _FILLERS or _THANKS.fullmatch(name_words[-1])
    ):
        name_words.pop()
    name = " ".join(name_words)
    return "people" if name.casefold() in _SPEAKERS else name


def _phrases(text: str, *, is_spoken: bool) -> list[_Cut]:
    """The cuts of whole phrases: "leave the dog out", "nothing with wings", "not at night"."""
    cuts = [
        _Cut(*hit.span(), names)
        for pattern in _LEFT_OUT
        for hit in pattern.finditer(text)
        if (hit.start() or is_spoken) and (names := listed_names(hit["name"]))
    ]
    for hit in _INSTEAD.finditer(text):
        names = listed_names(hit["name"])
        if names and not _NO_PLACE.search(hit["name"]):
            is_cut = (
                is_spoken
                or re.fullmatch(_STYLE, names[-1], re.I)
                or hit["the"].strip().casefold() in ("the", "his", "her", "their", "its")
            )
            cuts.append(_Cut(hit.start(), hit.end() if is_cut else hit.start(), names))
    cuts += [
        _Cut(*hit.span(), (hit["name"],)) for hit in (*_NOT_AT.finditer(text), *_OUTDOORS.finditer(text))
    ]
    cuts += [_Cut(hit.start(), hit.start(), (hit["name"],)) for hit in _TAGGED.finditer(text)]
    cuts += [_Cut(*hit.span(), listed_names(hit["name"])) for hit in _NOT_THAT.finditer(text)]
    cuts += _taken_back(text)
    return cuts[:MOST]


def _taken_back(text: str) -> list[_Cut]:
    """The cuts of second thoughts, and of the clauses before them that name the same thing."""
    cuts = []
    for hit in [*_WAITED.finditer(text)][:MOST]:
        name = re.compile(rf"\b{re.escape(hit['name'])}\b", re.I)
        cuts.append(_Cut(*hit.span(), listed_names(hit["name"])))
        spans = [clause.span() for clause in _CLAUSE_BEFORE.finditer(text, 0, hit.start())]
        first_span = next((span for span in spans if re.search(r"\w", text[slice(*span)])), None)
        cuts += [_Cut(*span, ()) for span in spans if span != first_span and name.search(text[slice(*span)])]
    return cuts


def listed_names(words: str) -> tuple[str, ...]:
    """Returns the nouns of a list, without what stands before them."""
    parts = re.split(r"\s(?:and|or|nor)\s|,\s(?:(?:and|or)\s)?", words)
    nouns = [_AN_FIRST.sub("", part.strip()) for part in parts]
    nouns = [name if name.isupper() else name[:1].lower() + name[1:] for name in nouns]
    stop = {*_DENIED, *_STOP, "it", "him", "her", "them", "this", "that", "everything", "something", "rest"}
    return tuple(name for name in nouns if name and name.casefold() not in stop)


def is_tags(text: str) -> bool:
    """Whether a text is a list of tags, as image boards have them."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    short = sum(len(part.split()) < 4 for part in parts)
    return len(parts) >= _FEWEST_TAGS and short >= 0.8 * len(parts) and not re.search(r"[.!?]\s", text)


def _cuts(text: str, *, is_spoken: bool) -> list[_Cut]:
    cuts: list[_Cut] = []
    bounds = _clauses(text)
    last_end = 0
    for hit in _NO.finditer(text):
        if hit.start() < last_end or len(cuts) >= MOST:
            continue
        low, high = bounds(hit.start())
        cut = _cut(text, hit, max(low, last_end), high, is_spoken=is_spoken)
        if cut is not None:
            cuts.append(cut)
            last_end = cut.end
    cuts += [_Cut(hit.start(), hit.end(), (hit[1].lower(),)) for hit in _FREE.finditer(text)][:MOST]
    return cuts


def _clauses(text: str) -> Callable[[int], tuple[int, int]]:
    """A function from a place in the text to its clause, start and end; places have to ascend."""
    edges = [0]
    for edge in _BOUNDARY.finditer(text):
        edges += [edge.start(), edge.end()]
    edges.append(len(text))
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    place = 0

    def clause(at: int) -> tuple[int, int]:
        nonlocal place
        while place < len(pairs) - 1 and pairs[place][1] <= at:
            place += 1
        return pairs[place]

    return clause


def _cut(text: str, hit: re.Match[str], low: int, high: int, *, is_spoken: bool) -> _Cut | None:
    """The cut of one word of exclusion in the clause from ``low`` to ``high``, of no width where the words
    stay; None where it excludes nothing."""
    kind = hit.lastgroup
    before = text[low : hit.start()]
    joining = _JOINING.search(before[-60:])
    start = hit.start() - (len(joining[0]) if joining else 0)
    is_initial = not text[low:start].strip()
    is_joined = is_initial or joining is not None
    is_instruction = is_initial or is_spoken or (joining is not None and bool(_PLEA.search(joining[0])))
    if kind in ("unseeing", "doing"):
        return _Cut(start, _tail(text, hit.end(), high), (hit["doing"],)) if is_joined else None
    if kind == "nobody":
        end = _tail(text, hit.end(), high) if is_instruction else start
        return _Cut(start, end, ("people",)) if is_joined else None
    if _SAYING.search(before[-40:]) or _is_title(text, hit):
        return None
    if kind == "not":
        return _not(text, hit, start, high, is_spoken=is_spoken) if is_joined else _unlike(text, hit, high)
    if kind == "nothing":
        words = _WORD.findall(text[hit.end() : high])
        look = " ".join(word for word in words if word.casefold() not in ("too", "please", "pls"))
        return _Cut(start, high, (look,)) if is_initial and len(words) <= 3 else None
    if kind in ("avoid", "dont") and not is_joined and not _ANDED.match(text, hit.start()):
        return None
    phrase = _phrase(text, hit.end(), high, is_list=kind in ("avoid", "dont"))
    if phrase is None:
        return None
    names, end = phrase
    tail = _tail(text, end, high)
    is_instruction = is_instruction or kind in ("avoid", "dont", "but") or all(map(ARTEFACT.search, names))
    is_instruction = is_instruction or all(map(_LETTERED.search, names))
    is_instruction = (
        is_instruction or hit[0].casefold() in ("minus", "w/o") or bool(_AND_WITHOUT.match(text, tail))
    )
    names = tuple(
        "people" if name.casefold() in ("anyone", "anybody", "anyone else") else name for name in names
    )
    if kind in ("without", "but", "lacking"):
        if not is_instruction or kind == "lacking":
            return _Cut(hit.start(), hit.start(), names)
        is_bare_joint = joining and joining[0].strip().casefold() in ("and", "but")
        return _Cut(start if is_bare_joint else hit.start(), tail, names)
    if is_initial and kind == "no" and text[hit.end() : high].strip().casefold() in _BOARD and is_tags(text):
        return _Cut(hit.start(), hit.start(), names)
    if is_initial and end <= high:
        return _Cut(start, _rest_of_clause(text, tail, high), names)
    if is_joined:
        return _Cut(start, tail if is_instruction else start, names)
    is_last = names[-1].split()[-1].casefold() in _USUAL and not text[tail:high].strip()
    return _Cut(start, tail, names) if is_last else None


def _unlike(text: str, hit: re.Match[str], high: int) -> _Cut | None:
    """Returns a look that is excluded inside a clause, up to its end: "painted not anime"."""
    look = _LOOK.match(text, hit.start(), high)
    return _Cut(hit.start(), look.end(), (look["name"],)) if look else None


def _is_title(text: str, hit: re.Match[str]) -> bool:
    """Whether capitals make a title of the words: "No Country for Old Men", "Rebel Without a Cause"."""
    word = hit[0].split()[0]
    following = _WORD.findall(text[hit.end() : hit.end() + 40])
    if text[: hit.start()].rstrip().endswith((".", "!", "?")) and _ALONE.match(text, hit.end()):
        return False
    name = next((follower for follower in following if follower.casefold() not in _DETERMINERS), "")
    return word[:1].isupper() and not word.isupper() and name[:1].isupper()


def _not(text: str, hit: re.Match[str], start: int, high: int, *, is_spoken: bool) -> _Cut | None:
    """Returns up to five words to the clause's end: "not anime", "not looking at the camera"."""
    stop = re.search(r"\s(?:and|but)\s", text[hit.end() : high])
    end = hit.end() + stop.start() if stop else high
    words = _WORD.findall(text[hit.end() : end])
    while words and words[0].casefold() in _DETERMINERS:
        words = words[1:]
    if len(words) > 1 and words[0].casefold() in ("that", "those"):  # "not that ripe" tells how ripe
        words = words[1:] if len(words) > 2 or words[0].casefold() == "those" else []
    if is_spoken and len(words) == 2 and words[0].casefold() == "too":  # "not too childish"
        return _Cut(start, end, (words[1],))
    if not 1 <= len(words) <= 5 or words[0].casefold() in _NOT_STYLE or words[0].casefold() in _DENIED:
        return None
    if stop and stop[0].strip().casefold() == "but":
        end += stop.end() - stop.start()
    return _Cut(start, end, (" ".join(words),))


def _phrase(text: str, at: int, high: int, *, is_list: bool) -> tuple[tuple[str, ...], int] | None:
    """The excluded nouns, and their end; ``is_list``: "and" continues the list."""
    first_noun = _noun(text, at, high)
    if first_noun is None:
        return None
    names, end = [first_noun[0]], first_noun[1]
    while len(names) < MOST:
        joint = _CONTINUING.match(text, end, high)
        next_noun = _noun(text, joint.end(), high) if joint else None
        if joint is None or next_noun is None:
            break
        if joint[1].casefold() == "and" and not is_list:
            usual = next_noun[0].split()[-1].casefold() in _USUAL
            if not usual or text[_tail(text, next_noun[1], high) : high].strip():
                break
        names.append(next_noun[0])
        end = next_noun[1]
    return _across_commas(
        text, names, end, high, is_list=is_list, is_start=is_list and _is_sentence_start(text, at)
    )


def _is_sentence_start(text: str, at: int) -> bool:
    """Whether an exclusion whose nouns begin at a place starts a sentence."""
    return bool(_SENTENCE_START.search(text[max(0, at - 40) : at]))


def _across_commas(
    text: str, names: list[str], end: int, high: int, *, is_list: bool, is_start: bool
) -> tuple[tuple[str, ...], int]:
    """The names with those behind a comma, and their end: for lists that end in "or", or with what is only
    ever left out; at a sentence's start (``is_start``) also for those that end in "and", across brackets."""
    aside = _ASIDE.match(text, end) if is_list else None
    if (is_start or aside) and not text[end:high].strip() and (series := _WHOLE_SERIES.match(text, end)):
        parts = re.split(r",\s*(?:(?:and|or)\s)?|\s(?:and|or)\s", _ASIDE.sub("", series["rest"]).strip(" ,"))
        names, end = [*names, *filter(None, map(str.strip, parts))], series.end()
    elif aside:
        end = aside.end()
    elif end == high and (series := _SERIES.match(text, end)):
        parts = re.split(r" ?, ?(?:or )?| or ", series[0].strip(" ,"))
        names, end = [*names, *filter(None, parts)], series.end()
    elif end == high:
        while len(names) < MOST and (more := _ALWAYS_OUT.match(text, end)):
            names, end = [*names, more[1].lower()], more.end()
    return tuple(dict.fromkeys(names)), end


def _noun(text: str, at: int, high: int) -> tuple[str, int] | None:
    """A noun with the words before it, up to four words, and its end; None for an idiom."""
    words: list[str] = []
    end, is_single = at, False
    for hit in _WORD.finditer(text, at, high):
        if text[end : hit.start()].strip():
            break
        word = hit[0]
        folded = word.casefold().replace("’", "'")
        if not words and (folded in _DETERMINERS or folded in _VAGUE):
            end, is_single = hit.end(), folded in ("a", "an")
            continue
        if not words and (folded in _DENIED or _is_action(text, hit, high)):
            return None
        if folded in _STOP or len(words) == 4 or (words and _is_verb(folded, is_single)):
            break
        words.append(word)
        end = hit.end()
    return (" ".join(words), end) if words else None


def _is_action(text: str, word: re.Match[str], high: int) -> bool:
    """Whether a word in -ing is an action: "without looking", not "without flying cars"."""
    folded = word[0].casefold()
    if not folded.endswith("ing") or folded in _VERBAL:
        return False
    following = _WORD.match(text, word.end() + 1, high)
    return folded not in _DESCRIBING or following is None or following[0].casefold() in _STOP


def _is_verb(word: str, is_single: bool) -> bool:
    """Whether a word behind a noun is a verb; ``is_single``: the noun is in the singular."""
    if word in _VERBAL:
        return False
    return word.endswith(("ing", "ed")) or (is_single and word.endswith("s") and not word.endswith("ss"))


def _tail(text: str, at: int, high: int) -> int:
    hit = _TAIL.match(text, at, high)
    return hit.end() if hit and hit[0].strip() else at


def _rest_of_clause(text: str, at: int, high: int) -> int:
    """The end of a clause that an exclusion begins, or of its part before "and" or "but"."""
    stop = _BREAK.search(text, at, high)
    return stop.start() if stop else high
