"""Shapes: the words by which people ask for a picture's shape.

aspect_of("a heron, A4 upright")   -> (210, 297), False
aspect_of("portrait of a heron")   -> (2, 3), True: the word may as well mean the subject
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_RATIO = re.compile(
    r"(?:(?:--|[—–])ar\s++|\b(?:aspect(?: ratio)?(?: of| is)?|"
    r"ratio(?: of| is)?)\s*+(?::\s*+)?)(\d{1,2})\s?(?:[:x/]|by|to)\s?(\d{1,2})\b",
    re.I,
)
_BARE_RATIO = re.compile(
    r"(?<![\w:.])(?:(1:1|2:3|3:2|3:4|4:3|4:5|5:4|5:7|7:5|9:16|16:9|9:21|21:9|32:9)"
    r"|(16|9|21)\s?(?:x|×|by)\s?(9|16|21))(?!\s?(?:m|cm|mm|ft|feet|inch(?:es)?)\b)(?![\w:])",
    re.I,
)
_LONE_RATIO = re.compile(
    r"(?:(?<=[,;(\n])|^)[ \t]*+(?:in )?(16:10|10:16|8:10|10:8|3:5|5:3|2:5|5:2|3:1|1:3|4:1|"
    r"1:4)(?=[ \t]*+(?:[,;.)\n]|$))",
    re.I,
)
"""A clause of its own: the time of day, or a score, may read so."""
_PROPORTION = (
    r"(?:aspect(?: ratio)?|ratio|proportions?|format|shape|size|formato|formatie|formacie|formaat|proporcje|"
    r"proporci[oó]n(?:es)?|propor[cç](?:ão|ões)|proporzion[ei]|seitenverhältnis|verhältnis|verhouding|"
    r"beeldverhouding|bildförhållande|poměr(?: stran)?|соотношение(?: сторон)?|пропорци[ия]|"
    r"співвідношення(?: сторін)?|формат|en boy oranı|oran|rasio|képarány|tỷ lệ|tỉ lệ|raport|"
    r"(?:tall|wide|long|narrow|upright|vertical|horizontal|portrait|landscape|panoramic|square)(?:ish)?"
    r"(?:(?: and|,) (?:tall|wide|long|narrow|thin))?"
    r"(?: (?:picture|image|pic|photo|format|one|shape|canvas|crop|print|version|banner|strip))?)"
)
_WORDED_RATIO = re.compile(
    r"(?:(?:(?<=[,;.!?(\n])|^)[ \t]*+(?:(?:and|in|as|an?|the|with|make it|super|very|really|extra|quite|"
    r"pretty|rather|so|nice|please|pls|im|en|w|em|no|na|au|à|nel) ){0,4}"
    rf"{_PROPORTION}[,:=]?(?: (?:like|about|around|roughly|approx\.?|approximately|of|is|maybe|say|de|di|"
    r"von|ca\.?|etwa|environ|circa))*[ \t~]?(?P<wide>\d{1,2})[ ]?[:/][ ]?(?P<tall>\d{1,2})"
    r"|(?:(?<=[,;.!?(\n])|^)[ \t]*+(?:(?:about|around|roughly) )?(?P<bare_wide>\d{1,2}):"
    r"(?P<bare_tall>\d{1,2})"
    r"(?=[ -]?ish\b| or so\b| ratio\b))"
    r"(?:[ -]?ish|,? or so| ratio| format| please| pls| if possible)*+(?=[ \t]*+(?:[,;.!?)\n]|$))",
    re.I,
)
"""A clause of a ratio with the word for it: "super tall picture like 1:2", "Proporcje 2:3", "2:1 ish"."""
_SIGNED_RATIO = re.compile(
    r"(?:比例|比率|アスペクト比|縦横比|宽高比|长宽比|비율)(?:[:：は은]|为)?[ ]?(\d{1,2})[:：](\d{1,2})"
)
_FILM = re.compile(r"(?<![\w:.])([12]\.\d{1,2})\s?:\s?1(?![\w:])", re.I)
"""A film's ratio: "2.39:1"."""

LONGEST = 4000
"""Characters at either end of a text in which shapes are looked for."""
_TALL, _WIDE, _SQUARE = (2, 3), (3, 2), (1, 1)
_CARD = (5, 7)
_PHONE = r"(?:(?:cell|mobile|smart) ?phone|phone|mobile|iphone|android|smartphone|lock ?screen|home ?screen)"
_COMPUTER = r"(?:desktop|laptop|pc|computer|monitor|tv)"
_FOR = r"(?:wallpaper|background)s? for (?:(?:my|an?|the) )?(?:\w+ )?"


def _phrases(*alternatives: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(alternatives) + r")\b", re.I)


_LEADING = (
    r"(?:(?:(?<=[,;:.!?\n(])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}|\b(?:make|design|draw|create|generate|"
    r"paint|need|want|like|"
    r"love|do|me|us|for|"
    r"as|be|another|new|is|called) )(?:an? |the |my |our |his |her |their |one |some |this )?"
    r"(?:(?!(?:an?|the|his|her|its|their|my|your|our|with|of|and|or|in|on|at|by|to|from|for|as|is|"
    r"are|has|holds?|near|over|under|behind|[a-z]{1,20}ing|"
    r"that|who|showing|next|into|off|up|down)\b)[\w'’&-]{1,30}+ ){0,3}"
)
_FOLLOWING = (
    r"(?=(?:['’]s)? (?:of|for|with|about|featuring|depicting|design|art|artwork|image|picture|"
    r"illustration|template|"
    r"please|pls|size|sized|format|that|where|style|graphic|to|but|please|i|we)\b|\s*+(?:[,;:.!?\n)–—-]|$))"
)


_HEADED: dict[re.Pattern[str], re.Pattern[str]] = {}
"""Patterns → their head words alone, which are searched first: that is much faster."""


def _things(*nouns: str) -> re.Pattern[str]:
    """A pattern of nouns for the picture itself: at the head of a clause or behind "make me a"."""
    pattern = re.compile(_LEADING + r"(?:" + "|".join(nouns) + r")\b" + _FOLLOWING, re.I)
    _HEADED[pattern] = re.compile(r"\b(?:" + "|".join(nouns) + r")\b", re.I)
    return pattern


_Shapes = tuple[tuple[tuple[int, int], re.Pattern[str]], ...]
_FORMAT = "[ -](?:format|orientation|orientated|oriented|mode|aspect|shaped?|layout|crop)"

_UPRIGHT = r"(?:upright|portrait|vertical|tall)"
_LYING = r"(?:landscape|horizontal|wide)"
_SHEET = r"(?<!audi )(?:din )?a[2-6](?: size| format| paper)?"
_SLIDE = re.compile(
    r"(?:(?<=[,;.:\n])|(?<=[-–—])|^)[ \t]*+(?:as an? |for an? )?(?:slides?|presentation)(?: format| size)?"
    r"(?=[ \t]*+(?:[,;.:\n]|$|please|pls))",
    re.I,
)
"""A clause of its own."""
_IMAGE = (
    r"(?:pictures?|images?|photos?|photographs?|pics?|paintings?|drawings?|illustrations?|prints?|"
    r"artworks?|crops?|"
    r"compositions?|canvas|piece|version|one|rectangle|artwork|graphic|visual|render|rendering|sketch)"
)
_END = (
    r"(?=\s*+(?:$|[,;:.!?\n)–—-])|\s(?:and|so|because|cause|since|but|as well|too|please|pls|"
    r"thanks|thx|haha|lol|for (?:it|me|my|the)|if|this time|with|instead|not|then|it['’]?s|in)\b)"
)
_SHAPE_WORD = {
    (1, 1): r"(?:perfectly )?(?:square|quadratic)(?:ish|d)?",
    (
        2,
        3,
    ): r"(?:portrait|vertical|upright|tall(?:er)?(?: and (?:narrow|thin|slim))?|standing)",
    (
        3,
        2,
    ): r"(?:landscape|horizontal|wide(?:r)?(?: and (?:short|low))?|lengthways|sideways)",
}
_MADE = (
    r"(?:\b(?:make|keep|have|want|need|like|prefer|do|get|render|crop|format|go|must be|should be|"
    r"has to be|needs to be|"
    r"can be|could be|works? (?:best )?(?:as|in))(?: it| this| them| that| the (?:picture|image|photo|pic|"
    r"whole thing|format|shape|crop|result)| for)?(?: should| to)?(?: be)?(?: all)?(?: in)?(?: "
    r"as)?(?: an?(?! (?:portrait|landscape)\b(?! (?:format|orientation|mode|version|image|"
    r"picture))))?(?: nice| more| bit| fully)? )"
)
_ALONE = (
    r"(?:(?:(?<=[,;:.!?\n(])|^)(?=[ \t]{0,3}\w)[ \t]*+(?:(?:and|but|so|in|as|a bit|nice and|quite|also|oh|"
    r"something|please|pls|kinda|ideally|preferably)[ ,]{1,2}){0,3})"
)


def _request_pattern(shape: tuple[int, int]) -> re.Pattern[str]:
    """A pattern of requests for a shape by verb or plea: "make it square and …", "wide please"."""
    word = _SHAPE_WORD[shape]
    pattern = re.compile(
        rf"(?:{_MADE}|\bin )(?:{word})(?:{_FORMAT}|[ -]{_IMAGE})?(?:,? (?:as well|too|please|pls|"
        rf"instead))*{_END}"
        rf"|{_ALONE}(?:{word})(?:{_FORMAT}| one| {_IMAGE})?,? (?:please|pls|plz|pretty please)\b"
        rf"|\b(?:please|pls),? (?:in )?(?:{word}){_END}",
        re.I,
    )
    _HEADED[pattern] = re.compile(word, re.I)
    return pattern


_REQUESTS = tuple((shape, _request_pattern(shape)) for shape in _SHAPE_WORD)
_ON_PHONE = re.compile(
    rf"\b(?:(?:that |which )?fits? (?:on )?|sized? (?:to|for) |for |as (?:the )?)(?:my|his|her|our|"
    rf"your|their|a|the|mum['’]s|mom['’]s|dad['’]s)"
    rf" (?:new |old |work |little )?(?:{_PHONE})(?:['’]s)?(?: screen| wallpaper| background| "
    rf"display| lock ?screen)?"
    r"(?=\s*+(?:[,;:.!?\n)–—-]|$)|\s(?:and|please|pls|so|showing|thanks|thx|because)\b)"
    r"|\bfor (?:phone|mobile|iphone)s?(?= ?(?:[,;:.!?\n)]|$))|\b(?:phone|mobile|"
    r"iphone)[ -](?:size[d]?|shaped|format|screen size)\b",
    re.I,
)
_POSTED = re.compile(
    r"\bfor (?:(?:my|our|the|an?|your|her|his) )?(?:\w{1,20} )?(?:insta(?:gram)?|ig)(?: (?:post|"
    r"feed|grid|page|account|profile))?\b"
    r"(?! (?:story|stories|reels?|ads?))|\b(?:insta(?:gram)?|ig|facebook|fb) (?:square|posts?|tile|grid)\b",
    re.I,
)
_SCREENED = re.compile(
    r"\b(?:for|as) (?:(?:my|our|the|an?|your|her|his) )?(?:\w{1,20} )?(?:(?:zoom|teams|webex|skype|"
    r"google meet|meet|slack|discord|"
    r"twitch|obs|stream(?:ing)?|video[- ]call|meeting|virtual|conference|work call)(?: (?:call|"
    r"meeting|stream))?s? "
    r"(?:background|backdrop|overlay|screen|wallpaper)|(?:desktop|laptop|pc|computer|monitor|tv|"
    r"television|second screen)"
    r"(?: (?:screen|wallpaper|background|monitor))?(?=\s*+(?:[,;:.!?\n)]|$|please\b|pls\b))|"
    r"youtube(?: (?:video|channel|intro|thumbnail|banner))?(?=\s*+(?:[,;:.!?\n)]|$|please\b))|"
    r"screen ?saver)\b",
    re.I,
)
_STORIED = re.compile(
    r"\bfor (?:(?:my|our|the|an?|your) )?(?:(?:insta(?:gram)?|ig|facebook|fb|snapchat|whatsapp) "
    r"(?:story|stories|reels?|status)|"
    r"stories|reels?|tik ?tok(?: (?:video|post|cover))?|snap(?:chat)?|(?:youtube "
    r")?shorts)(?=\s*+(?:[,;:.!?\n)]|$|please\b|pls\b|and\b))",
    re.I,
)
_BOOK = (
    r"(?:book|novel|e-?book|paperback|hardback|magazine|comic|comic book|manga|graphic novel|zine|"
    r"story|storybook|"
    r"memoir|thriller|cookbook|textbook|journal|notebook|diary|report|programme|dvd|game|video game|"
    r"catalogue|catalog|"
    r"newsletter|mystery|romance|biography|anthology|fanzine|kindle|picture book|children['’]s book|"
    r"kids['’]? book|issue|brochure)"
)
_RECORD = r"(?:album|single|ep|lp|record|mixtape|playlist|podcast|song|track|cd|vinyl|soundtrack|disc)"
_OWNED = r"(?:an? |the |my |our |his |her |their |this |some )?(?:(?!(?:of|for|and)\b)[\w'’&-]{1,30}+ ){0,4}"
_OCCASION = (
    r"(?:birthday|b-?day|christmas|xmas|valentine(?:['’]?s)?(?: day)?|easter|thank[- ]you|"
    r"anniversary|wedding|holiday|"
    r"get[- ]well(?:[- ]soon)?|sympathy|condolence|halloween|mother['’]?s day|father['’]?s day|baby "
    r"shower|new year['’]?s?|"
    r"congratulations?|graduation|retirement|farewell|leaving|save[- ]the[- ]date|greetings?|eid|"
    r"diwali|hanukkah|party|"
    r"engagement|baptism|christening|birth|housewarming|note|new home|moving)"
)
_LIMB = (
    r"(?:(?:inner |outer )?(?:forearm|spine|shin|calf|thigh|leg|finger|upper arm|arm|rib(?:s|cage)?)|"
    r"wrist to elbow)"
)
_THE = r"(?:the |my |his |her |their |our |an? )?"
_TATTOO = re.compile(
    r"\A\W{0,4}(?:(?:hi|hey|hello)[,.!]+ )?(?:(?!(?:with|has|having|of|in|on|who|his|her|and|man|woman|girl|"
    r"boy|guy|person|people|tattoos?)\b)"
    rf"[\w'’-]{{1,20}}+ ){{0,8}}?(?:{_LIMB} tattoo\b(?! (?:artist|parlou?r|studio|shop|on|gun|machine)\b)|"
    r"tattoo(?: designs?| flash| ideas?| sketch)?(?: of [^,;:.!?\n]{1,60}?)? (?:for|on|along|down|up) "
    rf"{_THE}(?:(?:inside|outside|side|back|front) of |inner |outer )?{_THE}{_LIMB}\b)",
    re.I,
)
"""A request for a long and narrow tattoo."""
_PRINT = re.compile(
    r"(?<![\w.:])(?:(?:print(?:ed|s)?|printing|frames?|framed|canvas|poster|card|sized?|format|"
    r"photo)(?: (?:out|it|in|at|as|on|of|for|to|"
    r"is|will|be|an?|the|about|around|approx))*:? )?(?P<first>\d{1,2}(?:\.5)?)\s?(?:x|×|"
    r"by)\s?(?P<second>\d{1,2}(?:\.5)?)"
    r"(?:\s?(?:in(?:ch(?:es)?)?\b|cm\b|\"|”|″))?(?:[ -](?P<turn>upright|portrait|vertical|tall|"
    r"landscape|horizontal|wide))?"
    r"(?:[ -](?:prints?|cards?|frame|canvas|poster|photo(?:graph)?|photo paper|format|size|sheet|"
    r"orientation|invite|invitation))?(?![\w:.])",
    re.I,
)
"""A size of prints: "printed 5x7 upright", "a 24x36 inch poster"; taken where its words say so."""
_PRINTED = re.compile(
    r"print|frame|canvas|poster|card|photo|in(?:ch(?:es)?)?\b|cm\b|\"|”|″|upright|"
    r"portrait|vertical|landscape|horizontal|invit|sheet",
    re.I,
)
_METRIC = re.compile(
    r"\b(?:grid|panels?|carpet|rug|room|lumber|truck|jeep|pickup|board|matrix|tiles?|drive|acres?)\b", re.I
)
_AROUND = (
    r"(?:(?:in|im|en|em|au|på|w|v|в|als|con|formato|format|formatie|formacie|make it|please|"
    r"bitte|por favor|s['’]il (?:te|vous) pla[iî]t|per favore|proszę|пожалуйста|lütfen|y|et|und|e|i|и|o|"
    r"a)\s){0,3}"
)
_BEHIND = (
    r"(?:\s(?:format|formato|formatı?|formaat|bild|image|imagen|imagem|immagine|please|bitte|"
    r"por favor|s['’]il (?:te|vous) pla[iî]t|per favore|proszę|пожалуйста|lütfen|y|olsun|alsjeblieft)){0,3}"
)


def _foreign_pattern(*words: str) -> re.Pattern[str]:
    """A pattern of a shape in another language, as a clause of its own."""
    pattern = re.compile(
        rf"(?:(?<=[,;:.!?،\n(])|^)(?=[ \t]{{0,3}}\w)[ \t]{{0,3}}{_AROUND}(?:"
        + "|".join(words)
        + rf"){_BEHIND}(?=\s*(?:[,;:.!?،\n)]|$|y\b|e\b|und\b|et\b))",
        re.I,
    )
    _HEADED[pattern] = re.compile("|".join(words), re.I)
    return pattern


_SIGN_ENDS = (
    r"(?:の(?:画像|絵|写真|イラスト)|[でに]|构图|構圖|画面|格式|图片|照片)?"
    r"(?:お願い(?:します)?|ください|して(?:ください)?|로|으로)?"
)
_ABROAD: _Shapes = (
    (
        _SQUARE,
        _foreign_pattern(
            "cuadrad[oa]",
            "quadrad[oa]",
            "quadrat[oa]",
            "quadratisch(?:es)?",
            "carr[ée]e?",
            "vierkant",
            "kwadrat(?:owy|owe|owa)?",
            "квадрат(?:ный|ная|ное|ном формате)?",
            "kare",
            "fyrkantig",
            "kvadratisk",
            "čtvercov[ýé]",
            "persegi",
            "hình vuông",
            "مربع(?:ة)?",
            "ריבועי",
            "מרובע(?:ת)?",
            "वर्गाकार",
            "จัตุรัส",
        ),
    ),
    (
        _TALL,
        _foreign_pattern(
            "vertical(?:e|es|mente)?",
            "hochformat",
            "hochkant",
            "verticaal",
            "staand",
            "pion(?:owo|owy|owe)",
            "вертикальн\\w{1,4}(?: формате?)?",
            "dikey",
            "stående",
            "høyformat",
            "højformat",
            "na výšku",
            "potret",
            "khổ dọc",
            "dọc",
            "ritratto",
            "retrato",
            "عمودي(?:ة)?",
            "طولي(?:ة)?",
            "לאורך",
            "अनुलंब",
            "แนวตั้ง",
        ),
    ),
    (
        _WIDE,
        _foreign_pattern(
            "horizontal(?:e|es|mente)?",
            "apaisad[oa]",
            "querformat",
            "paysage",
            "orizzontale",
            "liggend",
            "horizontaal",
            "poziom(?:o|y|e)",
            "горизонтальн\\w{1,4}(?: формате?)?",
            "yatay",
            "liggande",
            "liggende",
            "tverrformat",
            "tværformat",
            "na šířku",
            "lanskap",
            "khổ ngang",
            "ngang",
            "panor[aá]mic[ao]",
            "paisagem",
            "أفقي(?:ة)?",
            "לרוחב",
            "क्षैतिज",
            "แนวนอน",
        ),
    ),
    (
        _SQUARE,
        re.compile(
            r"(?:正方形|スクエア|정사각형|方形构图|方图)" + _SIGN_ENDS + r"(?=\s*(?:[,;.!?，。、；！？\n]|$))"
        ),
    ),
    (
        _TALL,
        re.compile(
            r"(?:縦長|縦向き|縦構図|竖版|竖屏|竖构图|竖图|豎版|直式|직사각형 세로|세로(?:로| 방향| 구도|형)?)"
            + _SIGN_ENDS
            + r"(?=\s*(?:[,;.!?，。、；！？\n]|$))"
        ),
    ),
    (
        _WIDE,
        re.compile(
            r"(?:横長|横向き|横構図|横版|横屏|横构图|横图|橫版|橫式|가로(?:로| 방향| 구도|형)?)"
            + _SIGN_ENDS
            + r"(?=\s*(?:[,;.!?，。、；！？\n]|$))"
        ),
    ),
    (_TALL, re.compile(r"(?:ภาพ|ภาพถ่าย)?แนวตั้ง(?:สำหรับ(?:วอลเปเปอร์)?(?:มือถือ)?)?")),
    (_WIDE, re.compile(r"(?:ภาพ|ภาพถ่าย)?แนวนอน")),
    (
        _SQUARE,
        _phrases(
            "(?:portada|capa|pochette|copertina)(?: (?:de|do|del|d['’]|pro|para|para el|di|"
            "per))+(?: (?:un|mi|meu|mon|il|mio))* ?(?:disco|álbum|album)",
            "plattencover",
            "albumcover",
            "albumhoes",
            "okładka płyty",
            "обложка альбома",
            "albüm kapağı",
        ),
    ),
    (
        _TALL,
        _phrases(
            "(?:portada|capa|couverture|copertina)(?: (?:de|do|del|d['’]|pro|para|para el|di|per|"
            "pour))+(?: (?:un|mi|meu|mon|il|mio))* ?(?:libro|livro|livre|novela|romance|roman|romanzo)",
            "buchcover",
            "bucheinband",
            "boekomslag",
            "okładka książki",
            "обложка книги",
            "kitap kapağı",
        ),
    ),
)

FORMATS: _Shapes = (
    ((2, 1), _phrases("twice as wide as (?:it is |it's )?(?:tall|high)", "2 ?: ?1")),
    ((1, 2), _phrases("twice as (?:tall|high) as (?:it is |it's )?wide", "1 ?: ?2")),
    (_TALL, _phrases("(?:taller|higher|longer) than (?:it is |it's )?wide")),
    (_WIDE, _phrases("wider than (?:it is |it's )?(?:tall|high)")),
    ((297, 210), _phrases(_LYING + " " + _SHEET, _SHEET + "(?: in)? " + _LYING)),
    (
        (210, 297),
        _phrases(
            _UPRIGHT + " " + _SHEET,
            _SHEET
            + "(?: (?:in )?"
            + _UPRIGHT
            + r"| page| sheet| poster| print|(?= for print)|(?=\s*+[,;:.]|$))",
        ),
    ),
    ((17, 22), _phrases("(?:us )?letter[- ](?:size|format|paper)", "us letter")),
    (
        (9, 16),
        _phrases(
            _PHONE + " (?:wallpaper|background|screen)",
            _FOR + _PHONE,
            "lock ?screen",
            "(?:instagram|tiktok|snapchat|whatsapp|facebook|insta|ig) (?:story|stories|reels?|status)",
            "(?:youtube )?shorts? (?:cover|format)",
            "story format",
            "telefon duvar kağıdı",
            "fondo de pantalla (?:para|de|del) (?:(?:el|mi|un) )?(?:móvil|celular|teléfono)",
            "fond d['’]écran (?:(?:pour|de) )?(?:(?:mon|le|un) )?(?:téléphone|mobile|portable)",
            "handy[- ]?hintergrund(?:bild)?",
            "sfondo (?:per|del) (?:(?:il|mio) )*(?:telefono|cellulare)",
            "papel de parede (?:para|de|do) (?:(?:o|meu) )?(?:celular|telemóvel)",
            "tapet[aę] na telefon",
            "обои (?:для|на) телефона?",
            "шпалери (?:для|на) телефон[ау]?",
        ),
    ),
    (
        (9, 16),
        re.compile(
            r"(?:スマホ|携帯|手机|手機)の?(?:壁紙|待ち受け|壁纸)|휴대폰 ?(?:배경|바탕)|(?:วอลเปเปอร์|"
            r"ภาพพื้นหลัง|พื้นหลัง)มือถือ"
        ),
    ),
    (
        (9, 21),
        _phrases(
            "(?:tall|upright|vertical|roll-?up|hanging|roller|pull-?up|pop-?up|skyscraper) banner",
            "bookmarks?(?! app)",
        ),
    ),
    (
        (9, 21),
        _things(
            "door ?-?hangers?",
            "hanging scroll",
            "wall scroll",
            "(?:skate|snow|long)board (?:deck )?(?:design|graphic|art)",
            "deck graphic",
            "feather flag",
        ),
    ),
    (
        (21, 9),
        _phrases(
            "(?:wide|long|horizontal) banner",
            "(?:twitter|linkedin|x|twitch|etsy|facebook|fb|tumblr|bluesky) (?:banner|header|"
            "cover)(?: (?:photo|image|picture))?",
            "bumper stickers?",
            "mug wrap",
            "desk ?mat",
            "letterbox(?:ed)?",
            "cinema ?scope",
            "super ?wide",
        ),
    ),
    (
        (7, 4),
        _things(
            "(?:business|visiting|calling|loyalty|membership|gift|name) cards?",
            "(?:raffle |concert |theatre |festival |event )?tickets?(?= (?:for|design|template)\\b)",
            "vouchers?",
            "gift certificates?",
            "coupons?",
            "name ?tags?",
            "name badges?",
        ),
    ),
    (
        (2, 1),
        _phrases(
            "billboard (?:ads?|advert|design|art|image|picture|poster|mock-?up)",
            "(?:image|picture|design|visual|ad) for (?:a|the|our) billboard",
        ),
    ),
    (
        _WIDE,
        _things(
            "post ?cards?",
            "place ?mats?",
            "(?:double[- ]page|two[- ]page|storybook) spreads?",
            "flag designs?",
            "recipe cards?",
            "(?:mug|coffee mug|tea mug|cup) (?:design|print|art|artwork|image|picture|graphic)s?",
            "lunch ?box (?:design|art)",
        ),
    ),
    (_WIDE, _phrases("(?:print(?:ed)? on|for|onto) (?:a|my|our|her|his) (?:coffee |tea |travel )?mug")),
    ((297, 210), _things("certificates?", "diplomas?")),
    ((5, 4), _things("mouse ?-?(?:pads?|mats?)")),
    (
        (16, 9),
        _phrases(
            _COMPUTER + " (?:wallpaper|background)",
            _FOR + _COMPUTER,
            "wide ?screen",
            "(?:web|header|website|youtube|blog|site|page|shop|store|email|e-mail|newsletter|"
            "channel|discord|server|profile|forum|event|eventbrite|meetup|hero) banner",
            "(?:blog|web ?site|web ?page|site|page|home ?page|landing page|e-?mail|newsletter|shop|"
            "store|profile|wordpress|substack|"
            "medium|patreon|ko-?fi|gumroad|notion|forum|channel|article|post|github|readme|"
            "portfolio|event|steam)(?: page)? headers?",
            "(?:film|movie|cinema) stills?",
            "headers? (?:image|picture|pic|graphic|photo|art|illustration|banner|for|design|visual)",
            "(?:cover|banner|featured?|lead|key|og|open graph|preview|hero) (?:image|photo|picture|"
            "visual|graphic|shot)(?= (?:for|of|on|about)\\b|\\s*+(?:[,;:.!?\\n)]|$))",
            "(?:title|splash|loading|start|menu|end) (?:screens?|cards?)(?= (?:for|of|with|about|"
            "design|art)\\b|\\s*+(?:[,;:.!?\\n)]|$))",
            "(?:zoom|teams|webex|skype|google meet|virtual|video[- ]call|twitch|stream|streaming|"
            "obs|meeting|conference call) (?:backgrounds?|backdrops?|overlays?)",
            "stream (?:screen|starting screen)",
            "screen ?savers?",
            "16[- ]by[- ]9",
            "(?:storyboard|widescreen) (?:frames?|panels?|shots?)",
            "(?:link|social) (?:preview|card)s?(?= (?:for|of)\\b)",
            "(?:youtube |video )?thumbnail",
            "hero image",
            "(?:powerpoint|ppt|keynote|pitch ?deck|title|google|presentation) slides?",
            "slide ?(?:show|deck)",
            "power ?point|pitch ?deck",
            "(?:for|in|behind) (?:my|an?|the|our|your) (?:[\\w'’-]+ ){0,3}(?:presentation|slides)",
            "presentation (?:cover|background|image|picture|visual)",
            "(?:channel|cover) art for (?:my |a |our )?(?:youtube|channel)",
        ),
    ),
    (
        _SQUARE,
        _phrases(
            r"square(?= (?:images?|pictures?|photos?|format|crop|canvas|aspect|ratio|shape|painting|"
            r"poster|print|"
            r"icon|logo|tile|avatar|album|sticker|composition|artwork)\b)",
            "avatar",
            "profile (?:picture|photo|pic)",
            "icon",
            "pfp|gravatar|favicon|profile image|display pic(?:ture)?",
            "(?:album|single|ep|lp|cd|vinyl|record|mixtape|playlist|podcast|spotify|soundcloud|"
            "bandcamp|song) (?:cover|art|artwork|sleeve|jacket)s?",
            "(?:front )?cover(?: art| image| picture| artwork| design)? (?:of|for) " + _OWNED + _RECORD,
            "for (?:the|my|our|an?) album",
            "for (?:my|our|a) (?:podcast|playlist|spotify)",
            "sticker",
            "emotes?",
            "seamless(?: \\w+)? (?:pattern|texture|tile)",
            "(?:tileable|repeating|fabric) pattern",
            "pattern for (?:a|an|my|our|the) (?:\\w+ )?(?:fabric|textile|dress|shirt|wrapping)\\b(?: \\w+)?",
        ),
    ),
    (
        _SQUARE,
        _things(
            "coasters?",
            "(?:beer|drinks?) (?:mats?|coasters?)",
            "(?:pin|button|enamel) (?:badges?|pins?)",
            "badges?",
            "patch(?:es)?",
            "(?:cushion|pillow|throw pillow)(?: covers?| designs?| cases?)",
            "tile designs?",
            "stickers?",
            "square (?:" + _IMAGE + ")",
        ),
    ),
    (
        (3, 4),
        _things(
            "t-?shirts? (?:design|print|graphic|art|artwork|motif)s?",
            "(?:tee|hoodie|sweatshirt|shirt|tote|tote bag|jersey) (?:design|print|graphic|motif)s?",
        ),
    ),
    (
        (3, 4),
        _phrases(
            "(?:print(?:ed)? on|for|onto) (?:a|my|our|her|his|the)(?: \\w{1,12})? (?:t-?shirts?|"
            "tees?|hoodie|sweatshirt|tote(?: bag)?)(?=\\s*+(?:[,;:.!?\\n)]|$|please\\b))",
            "for my (?:ipad|tablet|kindle)",
            "(?:ipad|tablet|kindle) (?:wallpaper|background|screen)",
        ),
    ),
    (
        _CARD,
        _things(
            _OCCASION + " cards?",
            "(?:playing|flash|trading|oracle|collectible|collector['’]?s?|baseball|pok[eé]mon|magic|"
            "mtg|yu-?gi-?oh|hearthstone|tcg|ccg) cards?",
            "(?:(?:" + _OCCASION + ") )?(?:invites?|invitations?)(?: cards?)?",
            "place cards?",
            "menu cards?",
        ),
    ),
    (
        _CARD,
        _phrases(
            "(?:front|cover) of (?:the|a|my|our) (?:" + _OCCASION + " )?(?:card|invite|invitation)",
            "(?:picture|image|illustration|drawing|something) for (?:the|a|my|our|her|his) (?:"
            + _OCCASION
            + " )?(?:card|invite|invitation)s?",
        ),
    ),
    ((9, 16), _TATTOO),
    (
        _TALL,
        _things(
            "(?:tall|vertical|upright|portrait[- ](?:format|style|oriented)|long vertical|narrow) (?:"
            + _IMAGE
            + "|shot|frame)",
            "flyers?",
            "fliers?",
            "leaflets?",
            "pamphlets?",
            "handbills?",
            "playbills?",
            "(?:club|party|event|gig) flyers?",
            "(?:comic|manga|storybook) pages?",
            "(?:beach )?towel designs?",
            "yoga mat designs?",
            "one[- ]sheet",
            "dust ?jackets?",
            "book ?jackets?",
            "pin(?:terest)? (?:pins?|graphics?|images?|posts?)",
            "phone ?cases?(?: designs?| art)?",
            "(?:menu|menus)(?= (?:for|of|design|template)\\b)",
            "front page of (?:a|the) newspapers?",
        ),
    ),
    (
        _TALL,
        _phrases(
            "portrait" + _FORMAT,
            "vertical",
            "upright" + _FORMAT,
            "tall" + _FORMAT,
            "poster",
            _BOOK + " (?:front )?(?:cover|jacket|wrap)s?(?: art| design| illustration)?",
            "(?:front )?cover(?: page| illustration| art| image| design| picture)? (?:of|for) "
            + _OWNED
            + _BOOK
            + "s?",
            "(?:game |video game |dvd |vhs |cereal )?box art",
            "vhs cover",
            "tarot(?: cards?| deck)?",
            "loter[ií]a cards?",
            "cards? (?:in|of) (?:the )?(?:style of )?(?:an? |the )?(?:mexican )?(?:loter[ií]a|playing card)",
            "(?:cartas?|naipes?) (?:al estilo )?de (?:la )?loter[ií]a",
            "(?:ace|king|queen|jack|knave|\\w+) of (?:spades|hearts|clubs|diamonds) (?:playing )?cards?",
            "spielkarten?|tarotkarten?|carta da gioco|carte à jouer|naipe|carta de jogar|speelkaart",
            "karta do gry|игральная карта|карта таро",
            "for pinterest|for (?:a|my) (?:phone case|pinterest(?: pin| board)?)",
            "(?:for|as) (?:a|the|our|my) (?:flyer|flier|leaflet|pamphlet|poster|playbill)",
            "affiche|cartel (?:de|del|para)|póster|cartaz|locandina|plakate?|plakat[uy]?|afiş|плакат",
        ),
    ),
    (_TALL, re.compile(r"ポスター|海报|海報|포스터")),
    (
        _SQUARE,
        re.compile(
            r"(?:(?<=[,;.:\n])|^)[ \t]*+(?:just |only |simply )?(?:in |make it )?(?:a )?"
            r"square(?=[ \t]*+(?:[,;.:\n]|$|please|pls))",
            re.I,
        ),
    ),
    (_TALL, re.compile(r"(?:(?<=[,;.:\n])|^)[ \t]*+(?:in )?upright(?=[ \t]*+(?:[,;.:\n]|$))", re.I)),
    ((16, 9), _SLIDE),
    (_WIDE, _phrases("landscape" + _FORMAT, "horizontal", "wide" + _FORMAT)),
    (
        _WIDE,
        _things(
            "(?:wide|horizontal|landscape[- ](?:format|style|oriented)|long horizontal|panoramic) (?:"
            + _IMAGE
            + "|frame)"
        ),
    ),
    *_REQUESTS,
    *_ABROAD,
    ((9, 16), _STORIED),
    ((9, 16), _ON_PHONE),
    ((16, 9), _SCREENED),
    (_SQUARE, _POSTED),
)
"""Words that ask for a shape, the most particular first; width and height as parts."""
SUBJECTS: _Shapes = (
    ((21, 9), _phrases("panorama", "panoramic", "ultra ?wide")),
    ((16, 9), _phrases("wallpaper", "banner")),
    (_TALL, _phrases("portrait", "full[- ]body", "colou?ring (?:book )?pages?")),
    (
        _WIDE,
        _phrases(
            "landscape",
            "wide shot",
            "(?:establishing|extreme wide) shot",
            "cityscape",
            "seascape",
            "comic strip",
        ),
    ),
)
"""Words that may as well name the subject or praise the picture: of the images whose prompt says
"wallpaper", 13 % are wide, where 11 % of the others are."""

_SHAPE = _phrases(
    "(?:"
    + _UPRIGHT
    + "|"
    + _LYING
    + "|square|widescreen|ultra-?wide|story|letter)(?:[- ]size)?"
    + _FORMAT
    + "(?: ratio)?",
    "(?:" + _UPRIGHT + "|" + _LYING + ") " + _SHEET,
    _SHEET + "(?: in)? (?:" + _UPRIGHT + "|" + _LYING + ")",
    _SHEET + r"(?=\s*+[,;:.]|$| for print)",
    "twice as (?:wide|tall|high) as (?:it is |it's )?(?:tall|high|wide)",
    "us letter|letter[- ]size",
)
"""Words of shapes alone."""

_NOT_SHAPED = re.compile(
    r"\b(?:not|no|never|isn['’]?t|don['’]?t (?:make|want|do)(?: it)?|without|nothing)(?: too| so| a|"
    r" an| in| be| that| as| very| really)*"
    r" (?:wide|tall|square|landscape|portrait|horizontal|vertical|upright|panoramic|narrow|"
    r"long)(?:[ -](?:format|orientation|crop|image|picture))?\b",
    re.I,
)
_RUN = re.compile(r"[,;:!?\n(]{3,}|\.{4,}")
"""Marks in a row, which mean the same as one."""
_NOT_TOO = re.compile(
    r"(?:(?<=[,;:.!?\n(])|^)[ \t]*+(?:but |and |please )?not (?:too|so|very) (?:wide|panoramic|"
    r"square)(?: please)?(?=[ \t]*+(?:[,;:.!?\n)]|$))",
    re.I,
)
"""A clause that excludes a shape."""

EXACT = (
    _RATIO,
    _BARE_RATIO,
    _LONE_RATIO,
    _WORDED_RATIO,
    _SIGNED_RATIO,
    _FILM,
    _SHAPE,
    _SLIDE,
    _NOT_TOO,
    _STORIED,
    _ON_PHONE,
    _SCREENED,
    _POSTED,
)
"""Patterns that name a shape and nothing in the picture."""


def exact_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yields the spans that name a shape and nothing in the picture, in no order; they may overlap."""
    for pattern in (*EXACT, *(pattern for _, pattern in (*_REQUESTS, *_ABROAD[:8]))):
        head = _HEADED.get(pattern)
        if head is None or head.search(text):
            yield from (hit.span() for hit in pattern.finditer(text))
    for hit in _PRINT.finditer(text):
        if _print_ratio(text, hit):
            yield hit.span()


def orientation(shape: tuple[int, int]) -> int:
    """Returns 1 for wide, 0 for square, −1 for tall."""
    return (shape[0] > shape[1]) - (shape[0] < shape[1])


def aspect_of(text: str) -> tuple[tuple[int, int] | None, bool]:
    """Returns width and height as parts, or None, and whether they are only likely."""
    if len(text) > 2 * LONGEST:
        text = f"{text[:LONGEST]}\n{text[-LONGEST:]}"
    text = _RUN.sub(", ", text)
    text = _NOT_SHAPED.sub(lambda hit: " " * len(hit[0]), text.replace("_", " "))
    hit = _RATIO.search(text)
    if hit is None and (ratio := _worded_ratio(text) or _bare_ratio(text)):
        return ratio, False
    if hit and int(hit[1]) and int(hit[2]) and 1 / 4 <= int(hit[1]) / int(hit[2]) <= 4:
        return (int(hit[1]), int(hit[2])), False
    for hit in _PRINT.finditer(text):
        if (print_ratio := _print_ratio(text, hit)) is not None:
            return print_ratio, False
    for shapes, leaning in ((FORMATS, False), (SUBJECTS, True)):
        shape = next((shape for shape, pattern in shapes if _holds(text, pattern)), None)
        if shape:
            return shape, leaning
    return None, False


def _holds(text: str, pattern: re.Pattern[str]) -> bool:
    head = _HEADED.get(pattern)
    return (head is None or bool(head.search(text))) and bool(pattern.search(text))


def _worded_ratio(text: str) -> tuple[int, int] | None:
    """The parts of a ratio with a word for it, in any of the languages."""
    for hit in (*_WORDED_RATIO.finditer(text), *_SIGNED_RATIO.finditer(text)):
        wide, tall = (int(side) for side in hit.groups() if side)
        if wide and tall and 1 / 4 <= wide / tall <= 4:
            return wide, tall
    return None


def _bare_ratio(text: str) -> tuple[int, int] | None:
    """The parts of a ratio without a word for it."""
    if bare := _BARE_RATIO.search(text):
        wide, tall = map(int, bare[1].split(":") if bare[1] else (bare[2], bare[3]))
        return (wide, tall) if wide != tall or bare[1] else None
    if lone := _LONE_RATIO.search(text):
        wide, tall = map(int, lone[1].split(":"))
        return wide, tall
    film = _FILM.search(text)
    return (round(100 * float(film[1])), 100) if film else None


def _print_ratio(text: str, hit: re.Match[str]) -> tuple[int, int] | None:
    """The parts of a print's size; None where the numbers mean something else."""
    wide, tall = float(hit["first"]), float(hit["second"])
    if min(wide, tall) < 2 or not 1 / 3 <= wide / tall <= 3 or not _PRINTED.search(hit[0]):
        return None
    if _METRIC.match(text, hit.end() + 1) or wide == tall == 3:
        return None
    turn = (hit["turn"] or "").casefold()
    if turn and (turn in ("landscape", "horizontal", "wide")) != (wide > tall):
        wide, tall = tall, wide
    return round(2 * wide), round(2 * tall)
