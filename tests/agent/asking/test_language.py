"""Language: what is not English, and what an engine makes of it."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.language import foreign_tags, language, translation
from diffagent.agent.engines import Prompt
from diffagent.data.errors import EngineError


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("un gato negro sentado en la ventana entre macetas", "Spanish"),
        ("ein alter Mann auf einer Bank", "German"),
        ("une vieille maison dans la forêt", "French"),
        ("una nave pirata nella tempesta", "Italian"),
        ("uma menina na praia ao entardecer", "Portuguese"),
        ("een oude molen aan het water", "Dutch"),
        ("jesienny las o świcie i jeleń na polanie", "Polish"),
        ("kırmızı bir ejderha", "Turkish"),
        ("кот на окне", "Russian"),
        ("птах серед квітів", "Ukrainian"),
        ("赛博朋克风格的重庆夜景", "Chinese"),
        ("雨の中の猫", "Japanese"),
        ("한옥 마당에 눈이 내리는 풍경", "Korean"),
        ("बारिश में चाय की दुकान", "Hindi"),
        ("كلب سعيد", "Arabic"),
    ],
)
def test_another_language_is_named(prompt: str, name: str) -> None:
    assert language(prompt) == name


@pytest.mark.parametrize(
    "prompt",
    [
        "a fox in the snow",
        "two elderly brothers playing chess outside a café",
        "Día de los Muertos altar with candles",
        "la la land poster",
        "jalapeño poppers",
        "Rio de Janeiro at dusk",
        "a portrait of Vincent van Gogh",
        "Das Boot, submarine",
        "im writing a story about an old woman",
        "um, a cat",
        "1girl, umbrella, rain",
        "Krtek, the little mole",
        "a card for 山田太郎",
        "Big Sur coast",
        "🐕🎨✨",
        "",
    ],
)
def test_english_is_no_other_language(prompt: str) -> None:
    assert language(prompt) is None


class Translator:
    """An engine that answers every prompt with one text."""

    translates = True

    def __init__(self, text: str | None) -> None:
        self.text = text

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        if self.text is None:
            raise EngineError("the model is gone")
        return self.text


def test_a_prompt_is_translated_where_the_engine_can() -> None:
    assert translation("un gato", Translator(' "a cat at the window"\n')) == "a cat at the window"  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, "", "un gato en una ventana", "a cat " * 100])
def test_an_answer_that_is_no_translation_is_left(text: str | None) -> None:
    assert translation("un gato", Translator(text)) is None  # type: ignore[arg-type]


def test_an_engine_that_cannot_translate_is_not_asked() -> None:
    engine = Translator("a cat")
    engine.translates = False
    assert translation("un gato", engine) is None  # type: ignore[arg-type]


def test_words_of_no_known_language_are_another_language() -> None:
    assert language("kırmızı çiçekler, küçük köy evi") is not None
    assert language("a café in São Paulo with jalapeño tacos") is None


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Ein Aquarell von einer alten Mühle an der Elbe, bitte ohne Schrift", "German"),
        ("picha ya simba watatu karibu na mto wakati wa asubuhi", "Swahili"),
        ("vanha punainen lato ja poro lumisella pellolla", "Finnish"),
        ("Ha Giang Loop", None),
        ("Rio Grande do Sul at noon", None),
    ],
)
def test_letters_tell_what_function_words_do_not(prompt: str, name: str | None) -> None:
    assert language(prompt) == name


def test_a_tag_of_another_script_is_found_in_an_english_list() -> None:
    assert foreign_tags("1boy, astronaut, planet, 花吹雪, pastel colors") == [(25, 28, "Chinese")]
    assert foreign_tags("a fox, зимний лес, dusk") == [(7, 17, "Russian")]
    assert foreign_tags("a fox in 東京, dusk") == []
    assert foreign_tags('a sign that says "営業中", night') == []
    assert foreign_tags("a café in São Paulo, fox") == []


@pytest.mark.parametrize(
    ("prompt", "clause", "name"),
    [
        (
            "a fox, un zorro rojo con una bufanda en la nieve, ink",
            "un zorro rojo con una bufanda en la nieve",
            "Spanish",
        ),
        (
            "Warm light. Please draw eine alte Mühle mit einem Rad auf dem Dach",
            "eine alte Mühle mit einem Rad auf dem Dach",
            "German",
        ),
        (
            "I want une chèvre avec une cloche, devant un puits, la nuit. Old postcard of the alps",
            "une chèvre avec une cloche, devant un puits, la nuit",
            "French",
        ),
        (
            "Poster: mga bata sa harap ng tindahan, flat and cheap to print",
            "mga bata sa harap ng tindahan",
            "Tagalog",
        ),
    ],
)
def test_a_clause_of_another_language_is_found_in_an_english_message(
    prompt: str, clause: str, name: str
) -> None:
    start = prompt.index(clause)
    assert foreign_tags(prompt) == [(start, start + len(clause), name)]


@pytest.mark.parametrize(
    "prompt",
    [
        "a plate of arroz con pollo, candle light",
        "poster, La Vie en Rose, roses",
        "Rio de Janeiro, Cristo Redentor at dusk, drone photo",
        "two girls in a café, pain au chocolat, rain",
    ],
)
def test_names_and_dishes_are_no_clause_of_another_language(prompt: str) -> None:
    assert foreign_tags(prompt) == []


def test_informal_indonesian_is_told_by_its_kin() -> None:
    prompt = "tolong bikinin gambar abang tukang sate lagi dorong gerobak malam2, lampu merah, gaya 90an ya"
    assert language(prompt) == "Indonesian"
    assert language("a panda eating bamboo") is None
