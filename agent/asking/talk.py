"""Talk: words of a request to whoever makes the picture, not about the picture.

In: a request as people type it. Out: :class:`Talk`: the description alone, and what an earlier picture had
and this one shall not have.

    talk("I teach year 5. Could I have a picture of a longhouse? They'll love it.")   -> "a longhouse."
    talk("My dad turns 60, i want to print it for his card. maybe a small train?")    -> "a small train."
    talk("a man tells his son about the sea")                                         -> unchanged

Rules, not a model. A request is talk only where it asks: without an asking clause, a plea or a sentence that
can only be talk, it is a caption and stays to the byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from diffagent.agent.asking.cutting import has_words, masked

_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+(?=\s|$)|\n|$)|[^.!?\n]*[.!?]+", re.S)
_I = r"(?:i|we)"
_AM = r"(?:['’]?m| am|['’]?re| are|['’]ve been| have been)"
_SOMEBODY = (
    r"(?:my|our|his|her|their) (?:\w+[- ]){0,2}?(?:dad|father|mum|mom|mother|parents?|wife|husband|partner|"
    r"girlfriend|boyfriend|fianc[eé]e?|kids?|child|children|daughter|son|boy|girl|sister|brother|grand\w+|"
    r"nan|"
    r"gran|granny|grandma|grandpa|uncle|aunt|niece|nephew|cousin|friends?|mate|boss|colleagues?|team|band|"
    r"club|"
    r"school|class|students?|pupils|teacher|church|company|group|players?|dog|cat|son['’]s|neighbou?r)"
)
_AGED = r"(?:\s*\(\d{1,2}\)|,? (?:who(?:['’]s| is) |aged? )?\d{1,2}(?: years old)?,?)?"
_VERBS = (
    r"(?:make|create|generate|draw|produce|render|do|design|give|show|send|provide|get|craft|imagine|"
    r"visuali[sz]e|"
    r"illustrate|paint|sketch|cook up|come up with|whip up|help(?: me| us)?(?: with| make| get| create)?)"
)
_EASY = (
    r"(?:uhh?|umm?|like|please|pls|plz|kindly|maybe|perhaps|possibly|just|quickly|also|really|only|kind of|"
    r"kinda|still) "
)
_THING = (
    r"(?=(?:an?|the|one|some|something|smth|two|three|four|five|six|several|my|our|\d+|pictures?|pics?|"
    r"images?|"
    r"photos?|like)\b)"
)
_PICTURE_OF = (
    r"(?:(?:an?|one|some|the) )?(?:(?:nice|good|cool|quick|single|new|simple) )?"
    r"(?:pictures?|pics?|images?)(?: (?:of|showing|with|where|that shows?)|:) "
)
ASK = re.compile(
    rf"(?:(?:can|could|would|will|may|might) (?:you|u|ya|i|we|someone) (?:{_EASY}){{0,2}}(?:(?:{_VERBS}|have)"
    rf"(?: (?:me|us|for me|for us))?(?:,? (?:uhh?|umm?),?)? {_THING}|(?:paint|draw|show|make) (?:him|her|it|"
    rf"them|that|this)\b,? ?)"
    rf"|(?:{_I}(?:['’]d| would)? )(?:{_EASY}){{0,2}}(?:like|love|want|need)(?: (?:you )?to (?:see|have|get|"
    rf"look at|"
    rf"{_VERBS})(?: (?:me|us))?)? {_THING}"
    rf"|(?:please|pls|plz|kindly) {_VERBS}(?: (?:me|us))? {_THING}"
    rf"|{_I}{_AM} (?:looking for|after|in need of|hoping (?:for|to get)) {_THING}"
    rf"|(?:would (?:like|love)|need|want) {_THING}"
    r"|(?:and|so) (?:i |we )?need (?!to\b|it\b|this\b|them\b|help\b|you\b)(?=\w)"
    rf"|{_I}(?:['’]d| would) (?:be (?:\w+ )?(?:grateful|happy|glad|thankful|delighted)|appreciate it|"
    rf"love it) if (?:you|"
    rf"someone) (?:could|would|can) {_VERBS} {_THING}"
    rf"|would (?:you|u) mind (?:making|drawing|creating|painting|generating|designing)(?: me| us)? {_THING}"
    rf"|do (?:me|us) a favou?r(?: and|,|:) {_VERBS}(?: me| us)? {_THING}"
    rf"|(?:any chance (?:of|you could {_VERBS})|(?:is it|would it be) possible to (?:get|have|see|make|"
    rf"draw)) {_THING})"
    rf"(?:{_PICTURE_OF})?",
    re.I,
)
"""A clause that asks, up to what it asks for."""
_REASON = re.compile(
    rf"\A(?:(?:so|ok(?:ay)?|well|(?:hey|hi|hello)(?: there| all| everyone)?|"
    rf"the thing is)[ ,!]{{1,3}}){{0,3}}(?:{_I}(?:{_AM}|['’]ve| have|['’]d)?\b|"
    rf"{_SOMEBODY}\b|it(?:['’]s| is)|this is|there(?:['’]s| is)|next (?:week|month)|for (?:my|our|a|the)\b|"
    r"as (?:a|my|part)\b)",
    re.I,
)
"""The reason before an asking clause in one sentence."""
_FILLER = re.compile(
    r"(?:(?:ok(?:ay)?|so|well|hey|hi|hello|hiya|um+|right|anyway|also|and|but|honestly|basically|actually|"
    r"alright|"
    r"the thing is|please|yes|btw)\b[\s,]+)+",
    re.I,
)
PLEA = re.compile(
    r"\A(?:"
    + "|".join(
        (
            # until when
            rf"{_I} (?:need|want|must have|would need)(?: it| this| them| that)? (?:by|before|until|asap|"
            rf"today|tonight|"
            r"tomorrow|right (?:now|away)|soon|urgently|in (?:an hour|\d+)|for)\b.*",
            r"(?:there(?:['’]s| is) )?(?:no rush|no hurry|take your time|asap|(?:it(?:['’]s|"
            r" is) )?(?:quite )?urgent|"
            r"whenever you (?:can|have time))\b.*",
            # pleas and leave
            r"(?:can|could|would) (?:you|u) (?:please )?(?:do|manage|make|help|handle|draw|paint)(?: with)?"
            r"(?: (?:that|this|it))?(?: for me)?(?: please)?",
            r"(?:paint|draw|show|make)(?: me)? (?:that|this|it)(?: please)?",
            r"is (?:that|this|it) (?:possible|ok|okay|doable|something you)\b.*",
            r"(?:does|do|did) (?:that|this|it) make sense\b.*",
            r"(?:i )?(?:hope|hoping) (?:that|this|it|you)\b.*",
            r"let me know\b.*",
            r"(?:you|u|ya) (?:get|know)(?: (?:the idea|what i mean|the (?:kind|sort|type|one)s?))?",
            r"(?:they|she|he|we|i)(?:['’]ll| will|['’]d| would) (?:never forget|love (?:it|this|that|you)|"
            r"be (?:so|very|"
            r"really|over the moon|thrilled|delighted|happy|grateful)|really appreciate|appreciate|owe|"
            r"thank)\b.*",
            r"(?:she|he|they) (?:was|were|is|are) very (?:clear|specific|insistent|particular)\b.*",
            r"(?:you|u) (?:decide|choose|pick)\b.*|(?:it(?:['’]s| is) )?up to you\b.*|dealer['’]s choice",
            r"i(?:['’]ll| will)? (?:leave|trust)\b.*\byou\b.*|i (?:really )?don['’]?t (?:really )?mind\b.*",
            r"(?:many |so |a lot of )?(?:thanks|thank you|thank u|thx|cheers|ta|tysm|ty)\b.*",
            r"much appreciated|(?:i(?:['’]d| would)? )?(?:really |much )?appreciate (?:it|this|your|any)\b.*",
            r"(?:i(?:['’]m| am) )?sorry (?:for|if|about|to)\b.*|sorry|i hate to (?:ask|bother)\b.*",
            r"(?:i (?:really )?(?:have )?)?(?:no idea|not sure|dunno|idk|don['’]?t (?:really )?(?:know|"
            r"care))\b.*\b(?:style|"
            r"how|what|which|whether|describe|say|call|should)\b.*",
            r"i(?:['’]m| am) not sure\b.*\b(?:style|how|what|which|whether|describe|say|call|should)\b.*",
            r"how are you\b.*|(?:i )?(?:love|loving) (?:this|your) (?:tool|app|site|work|bot)\b.*",
            r"(?:it(?:['’]s| is) )?(?:my )?first time (?:using|trying|here)\b.*|long time (?:user|"
            r"lurker)\b.*",
            r"what(?:['’]?s| is) the best (?:one|model|style|checkpoint)\b.*",
            r"which (?:one|model) (?:is|would be) (?:the )?best\b.*",
            r"(?:kind|best|warm) (?:regards|wishes)\b.*|yours (?:sincerely|faithfully|truly)\b.*|"
            r"sincerely\b.*|regards\b.*",
            # what came out before
            r"(?:last time|every time|the last one|other (?:tools|sites|generators|ais?))\b.*",
            r"it (?:keeps|kept|always) (?:giving|making|drawing|turning|adding|gives|gave|makes|adds)\b.*",
            rf"{_I}(?:['’]ve| have)? (?:already )?tried\b.*",
            rf"{_I}(?: want|['’]?d like| would like| need| plan|{_AM} going| intend| hope|"
            rf" wanna)(?: to)? (?:print|use|"
            r"hang|frame|gift|post|share|put (?:it|this|them)|send|surprise|project|upload|give (?:it|this|"
            r"them))\b.*",
            # courtesy
            r"(?:hi|hello|hey|hiya|yo|greetings|good (?:morning|afternoon|evening|day)|"
            r"dear [\w ]{1,20})(?: (?:there|all|"
            r"everyone|everybody|team|folks|guys|again|ai|bot|friend))?",
            r"what do (?:you|u) think\b.*|(?:that |it |this )?would be (?:so |really )?(?:awesome|great|"
            r"amazing|lovely|perfect|"
            r"nice|cool|fantastic|wonderful)\b.*",
            r"(?:i(?:['’]m| am) )?(?:quite |very )?new (?:here|to this)\b.*",
        )
    )
    + ")",
    re.I | re.S,
)
"""Words to somebody, whatever stands beside them."""
STORY = re.compile(
    r"\A(?:"
    + "|".join(
        (
            # who asks, and what for
            rf"{_I}(?: also| just| currently)? (?:teach|run|own|work|study|volunteer|manage|organi[sz]e|"
            rf"host)\b.*",
            rf"{_I}{_AM} (?:an? |the )?(?:[\w'’-]+ ){{0,3}}(?:teacher|student|author|writer|designer|"
            rf"developer|artist|"
            r"owner|manager|mum|mom|dad|parent|nurse|hobbyist|beginner|photographer|streamer|musician|"
            r"librarian|"
            r"dm|gm|blogger|baker|band|club|school|startup|charity|shop|bakery|team|cafe|restaurant|studio|"
            r"couple|family)\b.*",
            rf"{_I}{_AM} (?:currently |just |also |so |really |now )?(?:writing|making|working on|planning|"
            rf"preparing|"
            r"putting together|decorating|designing|building|organi[sz]ing|hosting|doing|running|throwing|"
            r"launching|"
            r"opening|starting|redoing|trying|struggling|new (?:to|here)|not (?:good|great|sure|an artist)|"
            r"terrible|"
            r"bad at|desperate|in a (?:hurry|rush)|stuck|out of ideas|excited)\b.*",
            rf"{_SOMEBODY}(?:['’]s \w+)?{_AGED}(?: (?!and\b|with\b)\w+)? (?:is|are|was|were|turns?|has|have|"
            rf"had|loves?|likes?|adores?|died|passed|plays?|"
            r"retires?|got|gets|keeps?|just|said|says|asked me|and i)\b.*",
            r"(?:it(?:['’]s| is| will be|['’]ll be)|this is|that['’]s|its) (?:going to be |meant |intended |"
            r"all )?"
            r"(?:for|due|needed|used (?:for|as|on))\b.*",
            rf"{_I}(?:['’]ve got| have(?: got)?|['’]ve) (?:an? |the |my |"
            rf"our )?(?:\w+ ){{0,2}}(?:presentation|meeting|exam|"
            r"deadline|project|party|class|lesson|talk|assignment|event|contest|stall|shop|channel|blog|"
            r"stream|campaign)\b.*",
            r"(?:the |my |our )?(?:deadline|due date|party|meeting|presentation|launch|event|wedding|exam|"
            r"class|"
            r"lesson|talk)(?: is| starts| is due|['’]s)? (?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|by|on|"
            r"at|tomorrow|today|tonight|next|this|in) ?.*",
            r"for (?:my|our) (?:[\w'’-]+ ){0,3}(?:newsletter|project|presentation|website|blog|class|lesson|"
            r"school|homework|"
            r"channel|shop|menu|birthday|wedding|party|mum|mom|dad|nan|gran|wife|husband|son|daughter|kids?|"
            r"friend|boss)",
        )
    )
    + ")",
    re.I | re.S,
)
"""Words that may describe a picture too: talk only beside a plea or an asking clause."""
DESCRIBES = re.compile(
    r"\A\W*(?:(?:and|but|so|please|pls|also|maybe|just|oh|then)\s){0,3}(?:(?:make|let|have)\s(?:him|"
    r"her|it|them|everything|"
    r"(?:the|his|her|their) [\w'’-]+(?: [\w'’-]+)?)\s(?:look|feel|seem|appear|be|wear|hold|smile|"
    r"stand|sit|glow|shine)|"
    r"(?:he|she|it|they|everything|(?:the|his|her|their) [\w'’-]+(?: [\w'’-]+)?)\s(?:should|must|"
    r"has to|have to|needs? to|could|ought to)\s"
    r"(?:look|feel|seem|appear|wear|hold|smile|stand|sit|glow|be \w+ing))\b"
    r"(?!(?: (?:really|very|so))? (?:good|nice|great|right|ok|okay|professional|fine|like (?:that|"
    r"this)|for|at me|when|on)\b)",
    re.I,
)
"""An instruction that describes the subject: "make him look tired", "she should look proud"."""
_SIGNED = re.compile(
    r"(?:^|(?<=[.!?\n]))\s{0,4}(?:kind regards|best regards|regards|best wishes|all the best|yours sincerely|"
    r"yours faithfully|"
    r"yours truly|sincerely|many thanks|thanks|thank you|cheers|best|love|warmly),?\s{1,4}(?-i:(?:(?:Mr|"
    r"Mrs|Ms|"
    r"Dr)\.? )?"
    r"[A-Z][\w.'’-]*(?: [A-Z][\w.'’-]*){0,2})[\s.!]{0,8}$",
    re.I,
)
_BEFORE = re.compile(
    r"\b(?:keeps?|kept|always|gave|gives|giving|made|makes|making|drew|drawing|turns? it into|adding|adds)"
    r"(?: (?:giving|making|drawing|adding))?(?: (?:me|us|him|her|it))? (?:an? |the |these |"
    r"some )?(?P<thing>[a-z-]+)"
    r"(?=\s*(?:$|[.,;!?]|and\b|every\b|instead\b|again\b|look\b|style\b|when\b))",
    re.I,
)
"""Things that an earlier picture had."""
_LOOK = re.compile(
    r"(?:\A|(?<=and )|(?<=but )|(?<=so )|(?<=, ))(?:i|we)(?:['’]d| would)? (?:just |really |"
    r"only )?(?:want|need|"
    r"like) (?:it|this|that|them)"
    r"(?: to (?:be|look|feel|have))? (?=(?P<look>\S))(?!(?:by|before|until|asap|for|today|tonight|tomorrow|"
    r"soon|now|done|ready)\b)",
    re.I,
)
_WANTED = re.compile(
    rf"\A{_SOMEBODY}{_AGED}(?:,? (?:is|turns?|turned) (?:turning )?\d{{1,2}})?(?:,? and)?(?: really| just)?"
    r" (?:wants?|would (?:like|love)|needs?|asked(?: me)? for|is asking for) (?:it (?:to be )?|to (?:see|"
    r"have) )?(?=\S)",
    re.I,
)
_LEADS = re.compile(
    r"\A(?:(?:ok(?:ay)?,? )?(?:so )?(?:quick (?:one|request|question)|here(?:['’]?s| is) (?:the|my) (?:idea|"
    r"prompt|request)|"
    r"here goes|(?:the|my) idea(?: is)?)[:,] |(?:and |but |so )?(?:maybe|perhaps|ideally|preferably|"
    r"possibly)(?: with)?,? (?=(?:an?|the|some|one|two|three)\b)|"
    r"i had (?:a|this) (?:\w+ )?dream (?:where|that|about|in which) |"
    r"i(?:['’]m| am|['’]ve been| was| have been|m) (?:thinking(?: of| about| maybe)?|imagining|picturing|"
    r"envisioning) "
    r"(?:maybe )?(?=(?:an?|the|some|of)\b)|picture this[:,]? |do (?:you|u) know (?=that\b)|"
    r"(?:and |but )?(?:it|he|she|they) (?:has to be|have to be|should be|must be|needs? to be|"
    r"['’]s going to be) |"
    r"(?:and |but )?there (?:should|must|could) be |(?:honestly |really )?(?:whatever|"
    r"anything) (?:that )?looks |"
    r"(?:i|we)(?:['’]d| would)? (?:just |really |only )?(?:want|like|need) (?:it|this) to (?:be|look|feel) )",
    re.I,
)
_TRAILS = re.compile(
    r"(?<=\S),?[ ]{1,3}(?:i guess|i suppose|lol|haha+|hehe|or something(?: like that)?|if that makes sense|"
    r"if you know what i mean|"
    r"(?:that |which )?i can (?:look at|stare at|use|print|hang|frame|put|show)\b[^.!?,;]*)(?=[\s.!?]{0,6}$)",
    re.I,
)
_ABOUT = re.compile(
    rf"\A{_I}{_AM} (?:writing|making|working on|illustrating|drawing|planning) (?:an? |my |our |"
    rf"the )?(?:\w+ ){{0,2}}(?:story|"
    r"book|novel|comic|poem|game|song|script|campaign|tale) (?:about|on|with) (?=(?:an?|the|two|three|some|"
    r"my)\b)",
    re.I,
)
_HIM = re.compile(
    r"(?:can|could|would|will) (?:you|u) (?:please )?(?:(?:show|draw|paint|sketch|imagine) (?:me )?(?:him|"
    r"her|it|"
    r"them|that|this)|(?:make|do) (?:him|her|them))\b,?\s*",
    re.I,
)
"""A plea whose object stands in a sentence before it."""
_COPULA = re.compile(r"\A(?:he|she|it|they)(?:['’]?s| is| was| are| were|['’]re) (?=an?\b)", re.I)
_CLAUSE = re.compile(r"[^,;]+")
_GENERIC = re.compile(
    r"(?:something|smth)(?: (?:for|to) [^.!?]{1,40})?[.!?\s]*|(?:an?|the) (?:picture|image|pic)[.!?\s]*", re.I
)


@dataclass(frozen=True)
class Talk:
    """A request without talk: ``prompt`` is the description; ``avoid`` what an earlier picture had and this
    one shall not have; ``words`` the cuts, for a note."""

    prompt: str
    avoid: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


def talk(text: str) -> Talk:
    """Returns the description in a request; the request itself where it has no talk, or nothing else."""
    signature = _SIGNED.search(masked(text))
    body = text[: signature.start()] if signature else text
    sentences = [part for part in (hit[0] for hit in _SENTENCE.finditer(body)) if part.strip()]
    flat = [masked(sentence) for sentence in sentences]
    if not (signature or any(_is_addressed(sentence) for sentence in flat)):
        return Talk(text)
    refers = [bool(_HIM.search(sentence)) or _refers(sentence) for sentence in flat]
    avoid: list[str] = []
    cuts: list[str] = [text[signature.start() :].strip()] if signature else []
    descriptions: list[str] = []
    was_asked = False
    for number, sentence in enumerate(sentences):
        if refers[number] and number:
            sentence = resolve(sentence, "".join(sentences[:number]))
        is_meant = any(refers[number + 1 :]) or (refers[number] and not number)
        description = _description(sentence, avoid, cuts, is_meant=is_meant)
        if has_words(description):
            descriptions.append(description)
            was_asked = bool(re.search(r"[!?]\s*$", sentence)) and description.strip() != sentence.strip()
    if len(descriptions) == 1 and was_asked:
        descriptions = [descriptions[0].rstrip(" .!?")]
    specific = [words for words in descriptions if not _GENERIC.fullmatch(words)]
    if specific and len(specific) < len(descriptions):
        cuts += [words for words in descriptions if words not in specific]
        descriptions = specific
    prompt = " ".join(descriptions)
    if not cuts or not has_words(prompt) or (not specific and not signature):
        return Talk(text)
    return Talk(prompt, tuple(dict.fromkeys(avoid)), tuple(cuts))


def _is_addressed(sentence: str) -> bool:
    """Whether a sentence speaks to somebody."""
    if ASK.search(sentence) and (len(ASK.split(sentence, 1)[0].strip()) < 2 or _asks(sentence)):
        return True
    clauses = [sentence, *sentence.split(",")]
    phrases = [_FILLER.sub("", clause.strip(" .!?"), count=1) for clause in clauses]
    is_plea = any(PLEA.fullmatch(phrase) for phrase in phrases if phrase)
    return is_plea or bool(
        _HIM.search(sentence)
        or _WANTED.match(phrases[0])
        or _OWN.match(phrases[0])
        or _TRAILS.search(sentence)
    )


def _asks(sentence: str) -> re.Match[str] | None:
    """The asking clause of a sentence, at its start or behind a reason."""
    ask = ASK.search(sentence)
    if ask is None:
        return None
    before = sentence[: ask.start()]
    return ask if not before.strip() or _REASON.match(before.lstrip()) or _FILLER.fullmatch(before) else None


def _refers(sentence: str) -> bool:
    """Whether an asking clause points back: "a painting of that van"."""
    ask = ASK.search(sentence)
    return bool(ask and _BACK.search(sentence[ask.start() :]))


def _description(sentence: str, avoid: list[str], cuts: list[str], *, is_meant: bool) -> str:
    """A sentence's words about the picture; "" for none. What is cut is added to ``cuts``."""
    body = sentence.strip()
    end = body[len(body.rstrip(".!?")) :]
    body = body[: len(body) - len(end)]
    whole, flat = body, masked(body)
    filler = _FILLER.match(flat)
    skipped = filler.end() if filler else 0
    behind = flat[skipped:]
    is_talk = bool(PLEA.fullmatch(behind) or STORY.fullmatch(behind)) and not _LEADS.match(behind)
    if is_meant and (about := _ABOUT.match(behind)):
        body = body[skipped + about.end() :]
    elif ask := _asks(flat):
        body, end = body[ask.end() :], _end_mark(end)
    elif wish := _WANTED.match(behind):
        body = body[skipped + wish.end() :]
    elif is_talk and (not is_meant or _SOMEBODY_DIED.search(behind)) and _is_whole(behind):
        avoid += [hit["thing"] for hit in _BEFORE.finditer(behind)]
        look = _LOOK.search(flat)
        cuts.append(whole if look is None else whole[: look.start("look")])
        return body[look.end() :] + end if look else ""
    elif look := _LOOK.search(flat):
        avoid += [hit["thing"] for hit in _BEFORE.finditer(flat[: look.start("look")])]
        body = body[look.start("look") :]
    body = _clauses(body, cuts)
    if him := _HIM.match(body):
        body, end = body[him.end() :], _end_mark(end)
    if copula := _COPULA.match(body):
        body = body[copula.end() :]
    while lead := _LEADS.match(body):
        body, end = body[lead.end() :], _end_mark(end)
    for _ in range(3):
        body = body[: trail.start()] if (trail := _TRAILS.search(body)) else body
    if body != whole:
        cut = whole.replace(body, "", 1).strip(" ,;:") if body in whole else ""
        cuts.append(cut or whole)
    return body.strip(" ,;") + end if body.strip(" ,;") else ""


def _is_whole(sentence: str) -> bool:
    """Whether all clauses of a sentence of talk are talk, or continue the first."""
    clauses = [clause.strip() for clause in sentence.split(",")[1:]]
    return all(
        PLEA.fullmatch(clause) or STORY.fullmatch(clause) or _GOES_ON.match(clause) for clause in clauses
    )


_GOES_ON = re.compile(
    r"(?:and|but|so|because|which|who|i|we|he|she|they|it|my|our|you|the last|then|as)\b", re.I
)
_BACK = re.compile(r"\bof (?:that|this|those|these|him|her|it|them)\b", re.I)
_OWN = re.compile(r"something (?:for|to (?:put|hang|go)) (?:my|her|his|our|their)\b", re.I)
_SOMEBODY_DIED = re.compile(
    r"\b(?:died|passed away|last (?:week|month|year)|birthday|turn(?:s|ing) \d+)\b", re.I
)


def _end_mark(end: str) -> str:
    """The end mark of what a question asks for."""
    return "." if "?" in end else end


def resolve(sentence: str, before: str) -> str:
    """Returns a sentence with "that van" replaced by its name in the text before, "a red bread van"."""
    for hit in re.finditer(r"\b(?:that|this|the same) (?P<noun>[a-z-]{3,})\b", sentence, re.I):
        antecedent = re.search(
            rf"\b(?:an?|the|his|her|my|our) (?P<name>(?:[\w-]+ ){{0,3}}{hit['noun']})\b"
            r"(?: (?P<at>all over|in|from|at) (?P<place>(?:the )?[\w-]+(?: [A-Z][\w-]+)?))?",
            before,
        )
        if antecedent:
            article = "an" if antecedent["name"][0] in "aeiou" else "a"
            place = (
                antecedent["place"]
                and f" {'in' if antecedent['at'] == 'all over' else antecedent['at']} {antecedent['place']}"
            )
            name = f"{article} {antecedent['name']}{place or ''}"
            return sentence[: hit.start()] + name + sentence[hit.end() :]
    return sentence


def _clauses(body: str, cuts: list[str]) -> str:
    """The sentence without its clauses of talk."""
    flat = masked(body)
    spans = [(hit.start(), hit.end()) for hit in _CLAUSE.finditer(flat)]
    picture_clauses: list[str] = []
    for start, end in spans:
        clause = flat[start:end].strip()
        bare = _FILLER.sub("", clause, count=1) if _FILLER.match(clause) else clause
        wish = _WANTED.match(bare)
        if len(spans) > 1 and wish:
            picture_clauses.append(body[start:end].strip()[len(clause) - len(bare) + wish.end() :])
        elif len(spans) > 1 and (PLEA.fullmatch(bare) or STORY.fullmatch(bare) or _HIM.fullmatch(bare)):
            cuts.append(clause)
        else:
            lead = _LEADS.match(clause) if picture_clauses else None
            picture_clauses.append(body[start:end].strip()[lead.end() if lead else 0 :])
    return (
        ", ".join(picture_clauses)
        if picture_clauses != [body[start:end].strip() for start, end in spans]
        else body
    )
