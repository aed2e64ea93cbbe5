"""Words for media in other languages: which are heard, and which are not."""

from __future__ import annotations

import pytest

from diffagent.data.foreign_media import foreign_media
from diffagent.data.requested_media import requested_media


@pytest.mark.parametrize(
    ("text", "medium"),
    [
        ("eine Mühle am Bach, bitte als Aquarell", "watercolor"),
        ("stary młyn nad rzeką, akwarela", "watercolor"),
        ("мельница у реки, осень, масло", "oil painting"),
        ("水車小屋、アニメ風", "anime"),
        ("물레방아, 만화 스타일", "comic"),
        ("um moinho na beira do rio, xilogravura", "woodcut"),
        ("nehir kenarında bir değirmen, suluboya", "watercolor"),
        ("un moulin au bord de l'eau, affiche des années 30", "poster"),
        ("水边的磨坊，水墨", "ink"),
        ("zdjęcie starego młyna", "photo"),
        ("川辺の水車小屋の写真", "photo"),
    ],
)
def test_a_medium_is_heard(text: str, medium: str) -> None:
    assert [mention.medium for mention in requested_media(text)] == [medium]
    assert all(text[one.start :].startswith(one.words) for one in foreign_media(text))


@pytest.mark.parametrize(
    ("text", "media"),
    [
        ("ein Boot als Aquarell, der Chef wollte erst ein Foto", ["watercolor"]),  # a photo is any picture
        ("kapal di sungai, gaya komik, jangan foto", ["comic"]),
        ("ёжик на веранде, не аниме", []),
        ("kein Plakat, ein Boot", []),
        ("масло и хлеб на столе", []),  # butter
        ("a boat on a river", []),
    ],
)
def test_what_is_excluded_or_means_something_else_is_not(text: str, media: list[str]) -> None:
    assert [mention.medium for mention in foreign_media(text)] == media
