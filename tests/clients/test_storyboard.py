import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
from PIL import Image, ImageChops

from batchkit._context import WorkCanceledError, progress_sink
from batchkit._errors import MissingExtraError, RejectedError, UsageError
from batchkit._jobs import Job
from batchkit._requests import GenerateVideo, Request, TranscribeVideo
from batchkit.clients import storyboard
from batchkit.clients._animatic import Pen, Ruler, legible
from batchkit.clients.base import Finished
from batchkit.clients.storyboard import StoryboardClient


@pytest.fixture
def client() -> Iterator[StoryboardClient]:
    client = StoryboardClient(height=90, default_duration=1.0)
    yield client
    client.close()


def job_for(request: Request) -> Job:
    return Job(id=1, batch_id=1, index=0, identity="x", request=request)


def ask(prompt: str = "Pôr do sol", **fields: Any) -> GenerateVideo:
    return attrs.evolve(GenerateVideo(prompt=prompt), **fields)


def path_of(finished: Finished) -> Path:
    (output,) = finished.outputs
    assert output.path is not None
    return Path(output.path)


def render(client: StoryboardClient, prompt: str = "Pôr do sol", **fields: Any) -> Path:
    return path_of(client.submit(job_for(ask(prompt, **fields))))


def opened(path: Path) -> Any:
    # Any: PyAV's type hints differ from one version to the next.
    return av.open(str(path))


def frames_of(path: Path) -> list[bytes]:
    with opened(path) as container:
        return [b"".join(map(bytes, frame.planes)) for frame in container.decode(video=0)]


def size_of(path: Path) -> tuple[int, int]:
    with opened(path) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def written(line: str, size: int = 40) -> Image.Image:
    mask = Image.new("L", (len(line) * size * 3, size * 6))
    Pen(mask, size).write(10, size * 1.4, line)
    return mask


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """The files in any temporary folder that clients make during the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: list(tmp_path.rglob("*.mp4"))


# --- the file


def test_the_file_is_h264_of_the_size_and_length_asked_for(client: StoryboardClient) -> None:
    path = render(client, duration=1.5)
    with opened(path) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (160, 90)
        assert stream.average_rate == 12
        assert stream.duration * stream.time_base == 1.5
        assert len(list(container.decode(stream))) == 18


def test_the_index_comes_first_so_that_players_start_at_once(client: StoryboardClient) -> None:
    content = render(client).read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")


def test_the_result_tells_what_was_rendered(client: StoryboardClient) -> None:
    finished = client.submit(job_for(ask(seed=5)))
    (output,) = finished.outputs
    assert output.media_type == "video/mp4"
    assert output.size == path_of(finished).stat().st_size
    assert finished.raw == {"seed": 5, "width": 160, "height": 90, "fps": 12, "frames": 12}


def test_params_win_over_the_clients_own_and_foreign_ones_are_ignored(
    client: StoryboardClient,
) -> None:
    path = render(client, params={"fps": 5, "height": 121, "cfg_scale": 7.5})
    assert size_of(path) == (214, 120)
    assert len(frames_of(path)) == 5


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("9:16", (50, 90)), ("1:1", (90, 90)), (" 4 : 3 ", (120, 90)), ("2.39:1", (216, 90))],
)
def test_aspect_ratios_give_even_sides(
    client: StoryboardClient, ratio: str, size: tuple[int, int]
) -> None:
    assert size_of(render(client, aspect_ratio=ratio)) == size


def test_the_shortest_video_has_one_frame(client: StoryboardClient) -> None:
    assert len(frames_of(render(client, duration=0.001))) == 1


def test_a_long_narrow_video_starts_with_an_empty_timeline(client: StoryboardClient) -> None:
    path = render(client, aspect_ratio="1:2", duration=2, params={"fps": 60, "height": 64})
    assert len(frames_of(path)) == 120


# --- the seed


def test_the_same_seed_gives_identical_frames(client: StoryboardClient) -> None:
    assert frames_of(render(client, seed=7)) == frames_of(render(client, seed=7))


def test_another_seed_gives_other_frames(client: StoryboardClient) -> None:
    assert frames_of(render(client, seed=7)) != frames_of(render(client, seed=8))


def test_without_a_seed_the_prompt_decides_and_the_result_tells(client: StoryboardClient) -> None:
    finished = client.submit(job_for(ask("Praia")))
    assert finished.raw["seed"] == 1325005809
    assert frames_of(path_of(finished)) == frames_of(render(client, "Praia", seed=1325005809))


def test_the_picture_moves(client: StoryboardClient) -> None:
    frames = frames_of(render(client))
    assert len(set(frames)) == len(frames)


def test_many_seeds_keep_the_background_dark_enough_for_light_letters(
    client: StoryboardClient,
) -> None:
    for seed in range(12):
        with opened(render(client, "", seed=seed, duration=0.01)) as container:
            (frame,) = container.decode(video=0)
            # Above the footer. A luma of 140 still contrasts 3.5 to 1, without the shadow.
            image = frame.to_image().convert("L").crop((0, 0, 160, 70))
        assert image.getextrema()[1] < 140


def test_threads_render_what_one_thread_renders(client: StoryboardClient) -> None:
    seeds = [1, 2, 3, 4]
    alone = [frames_of(render(client, seed=seed)) for seed in seeds]
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda seed: render(client, seed=seed), seeds))
    assert len(set(paths)) == 4
    assert [frames_of(path) for path in paths] == alone


# --- the lettering


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


# --- progress and failure


def test_progress_rises_from_nothing_to_the_whole(client: StoryboardClient) -> None:
    seen: list[float] = []
    token = progress_sink.set(seen.append)
    try:
        render(client)
    finally:
        progress_sink.reset(token)
    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("error", [WorkCanceledError, RuntimeError])
def test_an_end_asked_for_by_progress_passes_and_leaves_no_file(
    client: StoryboardClient,
    videos: Callable[[], list[Path]],
    at: float,
    error: type[BaseException],
) -> None:
    def sink(fraction: float) -> None:
        if fraction >= at:
            raise error("enough")

    token = progress_sink.set(sink)
    try:
        with pytest.raises(error, match="enough"):
            render(client)
    finally:
        progress_sink.reset(token)
    assert videos() == []
    assert len(frames_of(render(client))) == 12


def test_a_fault_in_drawing_leaves_no_file(
    client: StoryboardClient, videos: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchkit.clients._animatic.Animatic.frame", lambda self, index: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render(client)
    assert videos() == []


def test_close_removes_what_nobody_moved_and_may_be_repeated(client: StoryboardClient) -> None:
    path = render(client)
    client.close()
    client.close()
    assert not path.parent.exists()


def test_a_file_that_was_moved_away_survives_close(
    client: StoryboardClient, tmp_path: Path
) -> None:
    kept = render(client).rename(tmp_path / "kept.mp4")
    client.close()
    assert kept.exists()


def test_close_reports_a_folder_that_it_cannot_remove(
    client: StoryboardClient, caplog: pytest.LogCaptureFixture
) -> None:
    path = render(client)
    path.unlink()
    path.parent.rmdir()
    client.close()
    assert "was not removed" in caplog.text


# --- what it refuses


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TranscribeVideo(source="a.mp4"), "not TranscribeVideo: use another client"),
        (ask(aspect_ratio="16x9"), 'as "16:9"'),
        (ask(aspect_ratio="0:9"), 'as "16:9"'),
        (ask(aspect_ratio="16:0.0"), 'as "16:9"'),
        (ask(aspect_ratio="-16:9"), 'as "16:9"'),
        (ask(aspect_ratio="1:100"), "choose a ratio"),
        (ask(aspect_ratio="9" * 400 + ":1"), "choose a ratio"),
        (ask(aspect_ratio=f"{'9' * 400}:{'9' * 400}"), "choose a ratio"),
        (ask(duration=0), "give seconds above 0 and up to 60"),
        (ask(duration=-1.0), "give seconds above 0"),
        (ask(duration=60.1), "or raise StoryboardClient"),
        (ask(duration=float("nan")), "give seconds above 0"),
        (ask(params={"fps": 0}), "whole number from 1 to 60"),
        (ask(params={"fps": 23.976}), "whole number from 1 to 60"),
        (ask(params={"fps": True}), "whole number from 1 to 60"),
        (ask(params={"height": "720p"}), "whole number from 64 to 2160"),
        (ask(params={"height": 4320}), "whole number from 64 to 2160"),
    ],
)
def test_bad_requests_are_refused_with_a_remedy(
    client: StoryboardClient, videos: Callable[[], list[Path]], request_: Request, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        client.check(request_)
    with pytest.raises(RejectedError, match=message):
        client.submit(job_for(request_))
    assert videos() == []


def test_good_requests_pass(client: StoryboardClient) -> None:
    client.check(ask(duration=60, aspect_ratio="21:9", params={"fps": 60, "height": 720}))


@pytest.mark.parametrize(
    "arguments",
    [
        {"height": 10},
        {"fps": 61},
        {"default_duration": 0},
        {"max_duration": 3.0},
        {"max_duration": float("inf")},
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="give"):
        StoryboardClient(**arguments)


@pytest.mark.parametrize("module", ["av", "PIL.Image"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"batchkit-video\[storyboard\]"):
        StoryboardClient()


def test_a_pyav_without_the_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storyboard, "_CODEC", "libnothing")
    with pytest.raises(UsageError, match="install PyAV's wheel"):
        StoryboardClient()


def test_importing_the_module_imports_neither_library() -> None:
    code = (
        "import sys, batchkit.clients.storyboard as s; "
        "assert not {'av', 'PIL'} & set(sys.modules); assert s.StoryboardClient"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_it_declares() -> None:
    capabilities = StoryboardClient.capabilities
    assert capabilities.repeat == "free"
    assert capabilities.sync_result
    assert capabilities.local
