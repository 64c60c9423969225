"""The lettering of storyboards: accents, odd texts, long texts."""

from collections.abc import Iterator

import pytest
from PIL import Image, ImageChops
from storyboard_kit import frames_of, render

from batchkit.clients._animatic import Pen, Ruler, legible
from batchkit.clients.storyboard import StoryboardClient


@pytest.fixture
def client() -> Iterator[StoryboardClient]:
    client = StoryboardClient(height=90, default_duration=1.0)
    yield client
    client.close()


def written(line: str, size: int = 40) -> Image.Image:
    mask = Image.new("L", (len(line) * size * 3, size * 6))
    Pen(mask, size).write(10, size * 1.4, line)
    return mask


# -- the lettering ---------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", "áàâãéêíóôõúüçÁÀÂÃÉÊÍÓÔÕÚÜÇñ")
def test_accents_are_drawn_over_their_letter(letter: str) -> None:
    accented = written(legible(letter))
    base = written(legible(letter)[0])
    assert accented.histogram() != base.histogram()
    # Apart from the dot of an i, the letter itself is whole.
    left = ImageChops.subtract(base, accented).getbbox()
    assert left is None or letter == "í"
    marked = ImageChops.subtract(accented, base).getbbox()
    body = base.getbbox()
    assert marked is not None
    assert body is not None
    assert marked[3] > body[3] if letter in "çÇ" else marked[1] < body[1]


def test_no_accented_letter_falls_back_to_the_box_of_a_missing_one() -> None:
    box = written("\uffff").getbbox()
    for letter in legible("áàâãéêíóôõúüçÁÀÂÃÉÊÍÓÔÕÚÜÇñ°ªº—“”…"):
        if not "\u0300" <= letter <= "\u036f" and letter != "\u00a0":
            assert written(letter).getbbox() != box, letter


def test_an_accent_changes_the_video(client: StoryboardClient) -> None:
    assert frames_of(render(client, "avó", seed=1)) != frames_of(render(client, "avo", seed=1))


def test_composed_and_decomposed_prompts_look_alike() -> None:
    assert legible("São João") == legible("Sa\u0303o Joa\u0303o")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\n b\tc", "a b c"),
        ("1º — 2ª", "1o - 2a"),
        ("fim\u200d\ufe0f\x00", "fim"),
        ("Straße, œuvre", "Strasse, oeuvre"),
        ("30°", "30\u00a0\u030a"),
        ("", ""),
    ],
)
def test_what_the_font_lacks_is_spelled_with_what_it_has(text: str, shown: str) -> None:
    assert legible(text) == shown


@pytest.mark.parametrize("prompt", ["", "\u0301", "\u0301abc \u0327", "日本 🎬", "\u202e\x07", "°"])
def test_odd_prompts_render(client: StoryboardClient, prompt: str) -> None:
    assert len(frames_of(render(client, prompt))) == 12


def test_a_long_prompt_ends_in_an_ellipsis_and_stays_inside() -> None:
    ruler = Ruler()
    setting = ruler.fit("Um plano muito longo de câmera " * 500, 128, 60, range(7, 15))
    assert setting.size == 7
    assert setting.lines[-1].endswith("…")
    assert setting.height <= 60
    assert all(ruler.width(line) * 7 <= 128 for line in setting.lines)


def test_a_word_wider_than_the_frame_is_broken_not_cut() -> None:
    word = "extraordinariamente"
    setting = Ruler().fit(word, 40, 60, range(7, 15))
    assert len(setting.lines) > 1
    assert "".join(setting.lines) == word


def test_a_short_prompt_gets_the_largest_letters() -> None:
    setting = Ruler().fit("Sol", 128, 60, range(7, 15))
    assert (setting.size, setting.lines) == (14, ("Sol",))


def test_a_prompt_of_a_megabyte_renders(client: StoryboardClient) -> None:
    assert len(frames_of(render(client, "coração " * 125_000, aspect_ratio="9:16"))) == 12
