# ruff: noqa: E501
"""Talk: courtesy, reasons and deadlines leave a request; a caption stays to the byte."""

from __future__ import annotations

import pytest

from diffagent.agent.asking.phrasing import phrasing
from diffagent.agent.asking.request import Request
from diffagent.agent.asking.talk import talk


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Good evening. I teach history and would like a mammoth herd at a river, thank you", "a mammoth herd at a river"),
        ("Hi! could you make me a poster of a lighthouse at dusk? thanks a lot", "a poster of a lighthouse at dusk"),
        (
            "Hello, I teach year 5 and we are doing the Romans next week. Could I have a picture of a bath house?",
            "a bath house",
        ),
        ("hey there, I run a bakery in Leeds and need a logo with a crown. Deadline is Friday.", "a logo with a crown."),
        (
            "Hi, I'm a children's author. I'm looking for an illustration of a wet hedgehog. Hope that's ok!",
            "an illustration of a wet hedgehog.",
        ),
        ("So my wife's birthday is next week and she adores otters. Can you draw an otter? It's for a card.", "an otter"),
        ("we need this by tomorrow!! a flyer background with leaves", "a flyer background with leaves"),
        ("I'm not good with words but I want a castle on a turtle. Does that make sense?", "a castle on a turtle."),
        ("Dear AI, please create a portrait of a sailor. Kind regards, Thomas", "a portrait of a sailor."),
        ("hey! quick one: a neon flamingo. cheers", "a neon flamingo."),
        ("For my school project I need a drawing of the water cycle. It's due on Monday.", "a drawing of the water cycle."),
        ("I was thinking of a brass owl. Something for the living room wall. What do you think?", "a brass owl."),
        ("ok so here's the idea: an astronaut in a laundromat. can you do that?", "an astronaut in a laundromat."),
        ("Hi all, new here. Can someone make a picture of a corgi king? Would be awesome!", "a corgi king."),
        ("My students have an exam tomorrow, so I need a cross section of a volcano.", "a cross section of a volcano."),
        ("I'd be so grateful if you could draw a fox in a teacup", "a fox in a teacup"),
        ("can I get uhh a samurai cat, purple light", "a samurai cat, purple light"),
        ("I want to print this on a mug. A sloth drinking coffee.", "A sloth drinking coffee."),
        ("Would you mind making a picture of a dragon reading?", "a dragon reading"),
        ("As a present for my mum I'd like a bunch of peonies", "a bunch of peonies"),
        ("do me a favour and draw a raccoon", "a raccoon"),
        ("My daughter (6) wants a unicorn. She was very clear. Something for her door", "a unicorn."),
        ("a witch with a cat, my son is 5 and wants it green. thanks", "a witch with a cat, green."),
        ("I AM 8 AND I WANT A SHARK WITH BOOTS", "A SHARK WITH BOOTS"),
        ("im writing a story about a woman who talks to moths, can u show her", "a woman who talks to moths"),
        ("My cat Otto died last week. he was a fat tabby. could you draw him asleep?", "a fat tabby. asleep."),
        (
            "my uncle turns 70 and he drove a blue bus all over Goa. could you make a painting of that bus at dusk?",
            "a painting of a blue bus in Goa at dusk",
        ),
        ("I'm writing a podcast, need something creepy. maybe a swing at night? whatever looks cinematic",
         "something creepy. a swing at night. cinematic"),
        ("i had a dream where the sea was milk. No idea what style, you decide, I want it to feel quiet.",
         "the sea was milk. quiet."),
    ],
)  # fmt: skip
def test_only_the_description_is_sent(text: str, sent: str) -> None:
    assert Request.from_prompt(text).wishes.prompt == sent


@pytest.mark.parametrize(
    ("text", "sent", "avoid"),
    [
        ("I tried this elsewhere and it kept adding hats. a bald monk", "a bald monk", ("hats",)),
        ("it keeps giving me a supermodel. I just want a tired woman", "a tired woman", ("supermodel",)),
        ("last time it gave me a cartoon and I want it REAL. a woman", "REAL. a woman", ("cartoon",)),
    ],
)
def test_what_an_earlier_picture_had_is_excluded(text: str, sent: str, avoid: tuple[str, ...]) -> None:
    phrase = phrasing(text)
    assert (phrase.prompt, phrase.avoid) == (sent, avoid)


def test_a_count_behind_talk_is_read() -> None:
    phrase = phrasing("can you generate 3 images of a cat? I need them for a contest")
    assert (phrase.prompt, phrase.n) == ("a cat", 3)


CAPTIONS = """\
A man is telling his son about the sea.
My grandmother is knitting on the porch. The cat sleeps beside her.
A woman and her daughter want an ice cream at the fair.
The dog wants a treat and is looking at the camera.
A teacher is showing a picture of a whale to the class.
Two people who are getting ready for a party on the beach.
A group of friends playing a game. One of them is laughing.
a sign that reads can you help me find a cat
The party is in full swing.
a poster that says "I need a coffee"
a boy asks his mother for a balloon
Maybe the last photo of an old lighthouse
A person trying to fly a kite. It keeps falling.
a child drawing a dinosaur; the teacher is helping
an old man, his dog has a red collar
a girl who would like a pony
He is holding a sign. It is for sale.
This is a picture of a cow.
a family portrait, my mother has a green dress
my grandma is baking bread, warm light
this is for you, handwritten on a gift tag
a cat, sorry look on its face
how about a nice game of chess, retro computer screen
we are the champions, stadium crowd
We can do it! poster, woman flexing her arm
I am a student at a desk, self portrait
surprise me
thank you""".splitlines()


@pytest.mark.parametrize("text", CAPTIONS)
def test_a_caption_is_no_talk(text: str) -> None:
    assert talk(text).prompt == text
    assert talk(text).words == ()
