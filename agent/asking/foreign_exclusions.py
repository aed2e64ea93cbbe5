"""Exclusions in languages other than English, of what people leave out most.

    foreign_exclusions("ein Dorf ohne Menschen und ohne Schrift")  -> [(8, 21, "people"), (22, 38, "text")]
    foreign_exclusions("deniz feneri, renk yok")                   -> [(14, 22, "color")]
    foreign_exclusions("ein Mann ohne Hut")                        -> []

A noun outside the table counts behind one in it: "sin gente, sin globos".
"""

from __future__ import annotations

import re

_NOUNS = {
    "text": "texte?o?s?|testo|tekst\\w{0,3}|schrift|beschriftung|letras|scritte|escritas?|lettres|текста|"
    "надписей|maandishi|metin|yazı|teks|tulisan|chữ|napis(?:ów|u)|bokstäver|litery",
    "people": "gente|personas|persone|pessoas|personnes|gens|menschen|leute|personen|людей|ludzi|watu|"
    "insan(?:lar)?|mensen|människor|folk|mennesker|orang|oameni|người|lidí",
    "cars": "coches|carros|autos?|auto['’]s|voitures|macchine|машин|автомобилей|samochodów|magari|"
    "araba(?:lar)?|bilar|biler|mobil|mașini|xe",
    "watermark": "marcas?\\s+d(?:e\\s+|['’ ])[aá]gua|filigranae?|filigrane?|wasserzeichen|watermerk|"
    "водяных\\s+знаков|znaku\\s+wodnego|watermark",
    "logo": "logos?|логотип(?:а|ов)|nembo",
    "animals": "animales|animali|animais|animaux|tiere|животных|zwierząt|wanyama|dieren|hayvan(?:lar)?|djur",
    "color": "color(?:es)?|colori|cor|cores|couleurs?|farben?|цвета|koloru|kleur(?:en)?|renk|rangi|warna",
    "background": "fondo|sfondo|fundo|arrière-plan|hintergrund|фона|tła|achtergrond|arka ?plan",
    "blood": "sangre|sangue|sang|blut|крови|krwi|bloed|damu",
    "weapons": "armas|armi|armes|waffen|оружия|broni|wapens|silah(?:lar)?",
    "frame": "marco|cornice|moldura|cadre|rahmen|рамки|ramki|çerçeve",
}
_WITHOUT = r"(?:sin|senza|sem|sans|ohne|zonder|без|bez|utan|uden|uten|fără|bila|tanpa|không có|không)"
_ANY = r"(?:nenhuma?|ning[uú]na?|alcuna?|aucune?|jegliche[rsn]?|irgendwelche|enige)"
_AND = r"(?:(?:,\s*)?\b(?:y|e|et|und|en|и|i|oraz|och|og|și|na|dan|ve)\s+)?"
_NO = r"\b(?:keine?n?|pas d(?:e\s|['’])|aucune?|nessuna?|geen|nada de)\s*"
_KNOWN = "|".join(f"(?P<{name}>{words})" for name, words in _NOUNS.items())
_BEFORE = re.compile(rf"{_AND}\b(?:{_WITHOUT}\s+(?:{_ANY}\s+)?|{_NO})(?:{_KNOWN})\b", re.I)
_BEHIND = re.compile(rf"{_AND}\b(?:{_KNOWN})\s+(?:yok|olmasın|olmadan)\b", re.I)
_ALSO = re.compile(
    rf"\s*+(?:,\s*+)?{_AND}\b(?:{_WITHOUT}|ni|n[eé]m|né|noch|nor|nem|ani)\s++(?P<noun>[^\W\d_]++)(?=\s*+(?:[,;.!?\n]|$))",
    re.I,
)
_SIGNS = (
    (
        re.compile(
            r"(?:不要|没有|無|无)(?:任何)?文字|文字(?:なし|無し)で?|글자 ?없이|"
            r"글자(?:는|를)? ?넣지 ?(?:마(?:세요)?|말아\s?줘)"
        ),
        "text",
    ),
    (
        re.compile(
            r"(?:不要|没有|无)(?:任何)?人物?(?=$|[\s,\uff0c。、;\uff1b])|人物?(?:なし|無し)で?|사람 ?없이"
        ),
        "people",
    ),
    (re.compile(r"(?:不要|没有|无)水印|透かし(?:なし|無し)|워터마크 ?없이"), "watermark"),
    (re.compile(r"(?:不要|没有|无)(?:汽车|车辆|车)|車(?:なし|無し)|(?:자동차|차) ?없이"), "cars"),
    (re.compile(r"(?:और )?बिना (?:किसी )?(?:लोगों|इंसानों) के"), "people"),
    (re.compile(r"(?:और )?बिना (?:किसी )?(?:टेक्स्ट|अक्षरों|लिखावट) के"), "text"),
    (re.compile(r"و?(?:بدون|بلا) (?:أي )?(?:أشخاص|ناس|بشر)"), "people"),
    (re.compile(r"و?(?:بدون|بلا) (?:أي )?(?:نص|نصوص|كتابة)"), "text"),
)


_CHINESE = re.compile(
    r"(?:不要|不带|不帶|没有任何|別畫|别画)(?P<noun>[\u4e00-\u9fff]{1,4})(?=$|[\s,，。、;；！!])"
)
"""An exclusion in a Chinese clause."""


def foreign_exclusions(text: str) -> list[tuple[int, int, str]]:
    """Returns start, end and English name of each exclusion, in order; an unknown noun keeps its own name."""
    spans = [
        (hit.start(), hit.end(), str(hit.lastgroup))
        for pattern in (_BEFORE, _BEHIND)
        for hit in pattern.finditer(text)
    ]
    spans += [(*hit.span(), name) for pattern, name in _SIGNS for hit in pattern.finditer(text)]
    spans += [
        (*hit.span(), hit["noun"])
        for hit in _CHINESE.finditer(text)
        if not any(start <= hit.start() < end for start, end, _ in spans)
    ]
    for _, end, _ in list(spans):
        while addition := _ALSO.match(text, end):
            if any(start <= addition.start("noun") < stop for start, stop, _ in spans):
                break
            spans.append((*addition.span(), addition["noun"].lower()))
            end = addition.end()
    return sorted(spans)
