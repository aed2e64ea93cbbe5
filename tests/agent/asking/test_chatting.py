# ruff: noqa: E501
"""Chatting: long-winded messages are taken apart; captions and plain requests are left to the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from diffagent.agent.asking.chatting import chat_parts, is_message
from diffagent.agent.asking.pieces import JOINTS, KINDS, Tagger, best_path, tagger, tokens, word_states
from diffagent.agent.asking.request import Request
from diffagent.data.encoders.text_encoder import WINDOW, TextEncoder
from diffagent.data.errors import BadInput

MESSAGE = (
    "Good morning, I am a teacher in Delft and my class has a party on Friday. Could you draw me a blue "
    "heron holding a teapot, ink and watercolour? No text please. Thank you so much, Anneke"
)


def test_a_message_is_sent_without_greeting_reason_and_exclusion() -> None:
    found = Request.from_prompt(MESSAGE)
    assert found.wishes.prompt == "a blue heron holding a teapot, ink and watercolour"
    assert found.wishes.negative_prompt == "text"
    assert any("teacher in Delft" in note for note in found.phrasing.notes)


def test_a_description_that_stands_behind_a_story_is_kept_whole() -> None:
    text = (
        "I'm writing a romance novel and my editor wants to see a sketch of the love interest: silver bob, round "
        "glasses, a green raincoat. Could you draw her in front of a bookshop at night? Thanks!"
    )
    sent = Request.from_prompt(text).wishes.prompt
    assert "silver bob, round glasses, a green raincoat" in sent
    assert "bookshop at night" in sent
    assert "Thanks" not in sent


@pytest.mark.parametrize(
    "text",
    [
        "a fox in the snow",
        "A tall man in a grey coat tells a boy about the sea. The boy holds a red kite. Gulls circle over them, dusk.",
        "Guten Morgen, ich brauche bitte ein Bild von einem Fuchs im Schnee, der eine rote Mütze trägt und lacht, danke",
    ],
)  # fmt: skip
def test_captions_and_other_languages_are_not_messages(text: str) -> None:
    assert not is_message(text, text)
    assert chat_parts(text, text) is None


def test_a_message_without_a_picture_has_a_prompt() -> None:
    text = (
        "Hello, I hope you are well. I wanted to say thank you for your help last week. Kind regards, Tom Lee"
    )
    assert Request.from_prompt(text).wishes.prompt


def test_tokens_know_what_stands_before_them() -> None:
    found = tokens("Hi, a fox: red. And you")
    assert [JOINTS[one.joint] for one in found] == ["ended", "comma", "inside", "dash", "ended", "inside"]


def test_the_best_path_weighs_words_and_changes() -> None:
    words = tokens("hi a fox")
    talk, picture = KINDS.index("talk"), KINDS.index("picture")
    scores = np.zeros((3, len(KINDS)), np.float32)
    scores[0, talk], scores[2, picture] = 2, 3
    stay = np.stack([np.eye(len(KINDS), dtype=np.float32)] * len(JOINTS))
    assert best_path(scores, words, stay)[::2] == [talk, picture]
    assert (
        best_path(scores, words, 9 * stay) == [picture] * 3
    )  # one change costs more than the word "hi" says


def test_a_words_state_is_the_mean_of_its_tokens_at_any_length() -> None:
    encoder = TextEncoder.load()
    text = "an unbelievably red fox. " * 120  # more tokens than one window holds
    words = tokens(text)
    [(states, spans)] = encoder.token_states([text])
    assert len(spans) > WINDOW
    inside = [at for at, (start, _) in enumerate(spans) if words[1].start <= start < words[1].end]
    assert len(inside) > 1
    [means] = word_states(encoder, [(text, words)], {})
    assert means.shape == (480, 384)
    assert np.allclose(means[1].numpy(), states[inside].mean(0).numpy(), atol=1e-5)


def test_an_adapter_changes_the_states_and_zeros_do_not() -> None:
    encoder = TextEncoder.load()
    plain = encoder.token_states(["a red fox"])[0][0]
    name, (inputs, outputs) = next(iter(encoder.linear_maps().items()))
    down = torch.eye(2, inputs)
    nothing = {name: (down, torch.zeros(outputs, 2))}
    assert torch.equal(encoder.token_states(["a red fox"], nothing)[0][0], plain)
    changed = encoder.token_states(["a red fox"], {name: (down, 9 * torch.eye(outputs, 2))})[0][0]
    assert not torch.allclose(changed, plain, atol=1e-3)


def test_a_texts_states_do_not_depend_on_its_batch() -> None:
    encoder = TextEncoder.load()
    texts = ["a red fox", "", "a very unbelievably long tale of a fox. " * 90]
    batch = encoder.token_states(texts)
    for text, (states, spans) in zip(texts, batch, strict=True):
        [(alone, same)] = encoder.token_states([text])
        assert spans == same
        assert states.shape == (len(spans), 384)
        assert torch.allclose(states, alone, atol=1e-4)


def test_the_tagger_shares_the_encoder() -> None:
    assert tagger().encoder is TextEncoder.load()


def test_a_message_without_words_has_no_pieces() -> None:
    assert tagger()("  ") == []


def test_a_tagger_is_read_as_it_was_written(tmp_path: Path) -> None:
    tagger().save(tmp_path / "pieces.npz")
    assert (tmp_path / "pieces.npz").stat().st_size < 2_000_000
    assert Tagger.load(tmp_path / "pieces.npz")(MESSAGE) == tagger()(MESSAGE)


def test_another_file_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "pieces.npz").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="is not a tagger of pieces") as error:
        Tagger.load(tmp_path / "pieces.npz")
    assert error.value.hint == "make one with diffagent train talk"


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (
            "Hola, sorry for my english. I have a small bar in Cadiz and we need a poster. I want un pulpo gigante con "
            "una guitarra, encima de una barra muy vieja. Colours warm like an old postcard. Thank you so much friends",
            "un pulpo gigante con una guitarra, encima de una barra muy vieja",
        ),
        (
            "Hallo zusammen, I run a little pottery in Bern and need something for our window. Please draw eine alte "
            "Frau mit einer Katze auf dem Schoß, neben einem Ofen. Soft pencil style would be nice. Danke to you all",
            "eine alte Frau mit einer Katze auf dem Schoß, neben einem Ofen",
        ),
    ],
)
def test_a_clause_of_another_language_stays_whole(text: str, prompt: str) -> None:
    found = chat_parts(text, text)
    assert found is not None
    assert prompt in found.prompt
    assert "I want" not in found.prompt


def test_a_medium_and_a_ground_in_the_talk_belong_to_the_picture() -> None:
    miners = Request.from_prompt(
        "Morning. My daughter put this on my phone so forgive me. What I want is three of us sat on a plank, lamps on, "
        "eating bread out of a tin, and one of us laughing. I thought oil painting but then the wife said charcoal "
        "would be right for it, and she's usually right. So charcoal then. Ta very much."
    ).phrasing
    assert miners.prompt.endswith("charcoal")
    assert "oil" not in miners.prompt
    shirt = Request.from_prompt(
        "t shirt print for our choir trip, a walrus conducting, 2 colour screenprint, white background so i can cut it out"
    ).phrasing
    assert "white background" in shirt.prompt
    assert "cut it out" not in shirt.prompt


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hi, you know the ferry at night when everybody sleeps? I want that. One old sailor with a thermos, seen from "
         "behind, green light. It could be a photo, or... no, I think watercolor would be nicest. Sorry for the essay.",
         "watercolor"),
        ("Good day, my wife asks for the market street of Hue with snow on everything. I think painting is better than "
         "photo. Oil, maybe? Yes oil. Thanks so much my friend, you are very kind", "oil painting"),
        ("Give me the same thing with seed 1337 and a batch of 6: a gardener watering beans in a greenhouse on mars, "
         "portrait 2:3, cfg around 5, cinematic. dont want any blur", "cinematic"),
        ("im making a game with my brother (he codes i do the rest). need the beekeeper girl: short silver hair, round "
         "glasses, a huge mustard scarf, anime style, plain background", "the beekeeper girl"),
        ("Draw Merlin (old, the blue robe) cooking something awful in a pot, purple smoke, an owl next to him. No wand.",
         "Merlin (old, the blue robe)"),
        ("a cake with a slice cut out of it so u can see the layers", "so u can see the layers"),
        ("phone wallpaper 9:16, dark, mostly black with one glowing moth near the bottom so my icons stay readable",
         "one glowing moth near the bottom"),
        ("so me and my sister argue what a moth person looks like. fluffy white collar, big antennae, sitting in a laundry, "
         "staring at the sign. anime-ish is ok i guess but soft colours. thanks!!", "anime"),
        ("yo need art for my tape. a hotel elevator open and inside is a beach at dusk. grainy. at first i wanted a guy with "
         "headphones standing there but thats been done to death so nobody in it", "a beach at dusk. grainy"),
        ("Anansi the spider weaving a net of stories between two baobabs at night, in the style of kente patterns. Half man "
         "half spider pls, nothing to do with Spiderman", "Anansi the spider weaving"),
    ],
)  # fmt: skip
def test_what_a_message_decides_on_is_sent(text: str, words: str) -> None:
    prompt = Request.from_prompt(text).phrasing.prompt
    assert words in prompt
    assert "photo" not in prompt
    assert "headphones" not in prompt


@pytest.mark.parametrize(
    ("text", "avoid"),
    [
        ("can you please make my dog as a medieval duke. he is a grey terrier. my brother says he should be king but he "
         "is shy so no crown and no beard or whatever", ("crown", "beard")),
        ("So I run a tattoo shop in Lima. A client wants a heron standing in reeds, black linework, moon behind. Then no "
         "moon. Then he called, yes moon. No colour.", ("colour",)),
        ("Hello, my room is boring. So: shelves with bottles glowing, candles, books, a telescope. Detailed fantasy "
         "painting. Also no clocks, players stare at clocks thinking they are a puzzle. Thanks", ("clocks",)),
    ],
)  # fmt: skip
def test_a_messages_exclusions_are_named_once_and_their_reasons_left_out(
    text: str, avoid: tuple[str, ...]
) -> None:
    found = Request.from_prompt(text).phrasing
    assert found.avoid == avoid
    assert not any(name in found.prompt for name in (*avoid, "players"))


def test_the_thing_that_a_picture_is_asked_of_is_sent() -> None:
    found = Request.from_prompt(
        "Question: can you do isometric? Our IT people (three of us and a plant) want a funny picture of our cellar for "
        "the intranet. Isometric, low poly, tiny racks with cables everywhere, a fern on a desk. So no people."
    ).phrasing
    assert "our cellar" in found.prompt
    other = Request.from_prompt(
        "hey its me again. thanks for the picture of a croissant, it was great!! now i need a loaf cut open, steam, dark "
        "rustic wood, light from the left. do i have to pay extra for this?"
    ).phrasing
    assert "croissant" not in other.prompt


def test_a_labelled_list_in_a_long_message_is_excluded() -> None:
    phrasing = Request.from_prompt(
        "two pics, tall ones, of a lighthouse made out of stacked books. one steps 20 is enough. dont want: sea gulls, "
        "blurry, frame around it"
    ).phrasing
    assert phrasing.avoid == ("sea gulls", "blurry", "frame around it")
    assert phrasing.prompt == "a lighthouse made out of stacked books."


def test_what_may_be_and_then_must_not_be_is_left_out() -> None:
    found = Request.from_prompt(
        "Hi, I have a small cheese shop and for winter I make a card. Please draw a cow with a red scarf in front of "
        "a hut at night. On the roof maybe a cat. My wife says no cat, she is right, no cat. Style is an old enamel "
        "sign. Thanks a lot and good day"
    ).phrasing
    assert "cat" in found.avoid
    assert "cat" not in found.prompt
    assert "a cow with a red scarf in front of a hut at night" in found.prompt


@pytest.mark.parametrize(
    ("text", "prompt", "avoid"),
    [
        ("want same size as a postcard landscape, old tractor, three different ones random seed", "old tractor", ()),
        ("an elf drawing her bow, NOT anime, I want it to look like 80s rulebook art",
         "an elf drawing her bow, 80s rulebook art", ("anime",)),
        ("Obelix carrying a fridge instead of a menhir", "Obelix carrying a fridge", ("menhir",)),
        ("can u draw a heron? dont write the club name tho we change it", "a heron", ("club name",)),
        ("desktop wallpaper calm dunes, space on the left side for my icons",
         "desktop wallpaper calm dunes, copy space on the left", ()),
        ("Need a phone wallpaper, tall, dark at the top so I can read the clock. Jellyfish.",
         "a phone wallpaper, Jellyfish, copy space at the top", ()),
    ],
)  # fmt: skip
def test_a_short_request_is_taken_apart_too(text: str, prompt: str, avoid: tuple[str, ...]) -> None:
    found = Request.from_prompt(text).phrasing
    assert (found.prompt, found.avoid) == (prompt, avoid)


def test_what_setting_pieces_say_is_wished_for() -> None:
    found = Request.from_prompt(
        "super wide banner 3:1 of mountains at dawn for my site. quick draft is ok, low steps. same seed as always (424242)"
    )
    wished = found.wishes
    assert (wished.aspect, wished.steps, wished.seed) == ((3, 1), 12, 424242)
    assert "mountains" in wished.prompt
    assert "424242" not in wished.prompt
