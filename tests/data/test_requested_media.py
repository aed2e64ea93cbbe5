"""Media that a request asks for, told from things in the picture."""

from __future__ import annotations

import pytest

from diffagent.data.requested_media import requested_media, split_media


@pytest.mark.parametrize(
    "text",
    [
        "a grandmother reading a comic book",
        "a hot air balloon with chameleon logo",
        "a sailor with an anchor tattoo",
        "two boys looking at a treasure map",
        "a teenager reading manga on a tram",
        "a nurse holding an old photo album",
        "a toddler watching a cartoon on the sofa",
        "a framed watercolor above the fireplace, dust on the floor",  # hangs there
        "an oil painting on the wall of a barber's shop",
        "a corridor with posters of bands",
        "a sailor with a tattoo on his arm",
        "pigeons beside a statue",
        "old houses and statues in a square",
        "a boy drawing a comic at his desk",
        "a man painting a fence",
        "an old woman knitting by the stove",
        "a cat in a knitted sweater",
        "a horse-drawn carriage in the rain",
        "frost patterns on a window",
        "a walk through a botanical garden",
    ],
)
def test_what_is_in_the_picture_is_not_what_it_is_made_of(text: str) -> None:
    assert requested_media(text) == ()


@pytest.mark.parametrize(
    ("text", "medium"),
    [
        ("a painting of a lake at noon", "digital painting"),
        ("a lake at noon, painting", "digital painting"),
        ("a heron among reeds, painted", "digital painting"),
        ("make it look like an old painting", "digital painting"),
        ("ein Gemälde von einem Hafen", "digital painting"),
        ("acrylic painting of poppies", "oil painting"),
        ("flemish still life with oysters", "oil painting"),
        ("still life with pears and a jug", "oil painting"),
        ("an old sailor, baroque, chiaroscuro", "oil painting"),
        ("a lithograph of a steam tram", "woodcut"),
        ("relief print of an owl", "woodcut"),
        ("ink brush painting of a heron", "ink"),
        ("a drawing of a bicycle", "illustration"),
        ("sketch of a chapel", "pencil sketch"),
        ("blueprint of a submarine", "line art"),
        ("a map of an island", "map"),
        ("a comic about two badgers", "comic"),
        ("a statue of a lion", "sculpture"),
        ("a knitted fox", "textile"),
        ("a girl reading under a tree, anime style", "anime"),
        ("a clerk holding an umbrella, watercolor", "watercolor"),
        ("photo of a vase with a painting of pandas", "photo"),
        ("photo of a statue in a park", "photo"),
        ("RAW photo, a fisherman, natural skin texture", "photo"),
        ("still life photo of lemons", "photo"),
        ("film grain, a singing toaster, rubberhose", "cartoon"),
        ("a tram, film grain", "analog photo"),
    ],
)
def test_bare_words_name_a_medium(text: str, medium: str) -> None:
    assert [mention.medium for mention in requested_media(text)] == [medium]


def test_words_that_a_photo_is_described_with_name_a_painting_together_alone() -> None:
    assert requested_media("a baroque palace, wide angle") == ()
    assert requested_media("a face in chiaroscuro, photo")[0].medium == "photo"


def test_both_kinds_are_told_with_their_places() -> None:
    requests, depictions = split_media("watercolour of a boy holding a map")
    assert [(mention.medium, mention.words, mention.start) for mention in requests] == [
        ("watercolor", "watercolour", 0)
    ]
    assert [(mention.medium, mention.words, mention.start) for mention in depictions] == [("map", "map", 31)]
