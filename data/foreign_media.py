"""Words for media in other languages, as requests have them.

    foreign_media("bitte als Aquarell")        -> (Mention("watercolor", "Aquarell", 10),)
    foreign_media("фото кота, акварель")       -> (Mention("watercolor", "акварель", 11),)

Words for a photo mean any picture in many languages, and are the first thing that a message weighs and drops:
they count where the text names no other medium. Words that English shares are in
:mod:`diffagent.data.media`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from diffagent.data.attributes import Medium
from diffagent.data.media import Mention

_WORDS: Mapping[Medium, str] = {
    "watercolor": (
        r"\b(?:aquarel(?:a|le|l)?|akwarel\w*|akvarel\w*|akvarell|suluboya|màu nước|cat air|"
        r"акварел\w*)\b|水彩|수채|مائية"
    ),
    "oil painting": (
        r"\b(?:olej na płótnie|obraz olejny|huile sur toile|peinture à l['’]huile|óleo sobre|pintura a óleo|"
        r"al óleo|olio su tela|yağlı ?boya|sơn dầu|cat minyak|ölmalerei|olieverf|oljemålning|olajfestmény)\b|"
        r"(?:^|(?<=[,.;:]))\s{0,2}масл(?:о|ом)(?=\s{0,2}(?:[,.;]|$))|油絵|油彩|유화|زيتية"
    ),
    "pastel": (
        r"\b(?:buntstift\w*|crayons? de couleur|lápices? de colores|lápis de cor|пастель\w*)\b|パステル画|"
        r"色鉛筆"
    ),
    "anime": r"\bаниме\b|アニメ|애니메이션|动漫|動漫|أنمي",
    "comic": (
        r"\b(?:komiks?\w{0,3}|komik|quadrinhos?|historietas?|çizgi roman|комикс\w*)\b|コミック|만화|"
        r"连环画"
    ),
    "woodcut": (
        r"\b(?:xilogravura|xilografía|xilografia|linogravure|gravure sur bois|grabado en madera|holzschnitt|"
        r"linolschnitt|drzeworyt\w*|гравюр\w*|houtsnede|träsnitt)\b|版画|木刻|목판화"
    ),
    "ink": r"\b(?:encre de chine|tinta china|nanquim|tusz\w*|тушь\w*|tuschezeichnung)\b|墨絵|水墨|수묵",
    "pencil sketch": (
        r"\b(?:kohlezeichnung|fusain|carboncillo|ołów\w*|карандаш\w*|à lápiz|a lápiz|a lápis|a matita|"
        r"karakalem|potlood\w*|blyant\w*|ceruzarajz)\b|鉛筆画|铅笔画|素描|연필"
    ),
    "children's book": (
        r"\b(?:kinderbuch\w*|livre (?:pour|d['’]) ?enfants?|album jeunesse|cuento infantil|libro infantil|"
        r"livro infantil|libro per bambini|çocuk kitab\w*|детск\w{1,4} книг\w*|książ\w+ dla dzieci|"
        r"barnebok\w*|barnbok\w*|prentenboek\w*)\b|絵本|동화책|童书|绘本"
    ),
    "poster": (
        r"\b(?:affiche|cartel|cartaz|plakat\w{0,3}|плакат\w*|afiş|locandina|affisch)\b|ポスター|海报|海報|"
        r"포스터"
    ),
    "pixel art": r"\b(?:пиксел\w*|pixelkunst|piksel)\b|ドット絵|像素|픽셀",
    "folk art": r"\b(?:minhwa|лубок|lubok)\b|민화",
    "fine art": r"\b(?:импрессиониз\w*|сюрреализ\w*|kubizm\w*|empresyonis\w*)\b|印象派|인상파",
    "claymation": r"\bplastilin\w*|\bplastiline?\b|粘土|점토",
}
_PHOTO = re.compile(
    r"\b(?:foto(?:grafía|grafia|grafie|graf|realist\w*|ğraf\w*)?s?|zdjęci[ea]|fotografi\w*|"
    r"фото(?:графи\w+|реализм\w*)?|photographie|ảnh chụp)\b|写真|照片|사진|صورة فوتوغرافية",
    re.I,
)
_PATTERNS = {medium: re.compile(words, re.I) for medium, words in _WORDS.items()}
_NOT = re.compile(
    r"(?:\b(?:not?|kein\w{0,2}|nicht|pas(?: de| d['’])?|sin|sem|senza|geen|bez|nie|не|без|jangan|bukan|ohne|"
    r"inte|ikke|nem)\s{1,2}(?:\w{1,8}\s)?)$",
    re.I,
)
"""Words of exclusion in front of a medium."""


def foreign_media(text: str) -> tuple[Mention, ...]:
    """Returns the media that a text in another language than English names, in order."""
    mentions = [
        Mention(medium, hit[0].strip(), hit.start() + len(hit[0]) - len(hit[0].lstrip()))
        for medium, pattern in _PATTERNS.items()
        for hit in pattern.finditer(text)
        if not _NOT.search(text[max(0, hit.start() - 20) : hit.start()])
    ]
    if not mentions:
        mentions = [
            Mention("photo", hit[0], hit.start())
            for hit in _PHOTO.finditer(text)
            if not _NOT.search(text[max(0, hit.start() - 20) : hit.start()])
        ]
    return tuple(sorted(mentions, key=lambda mention: mention.start))
