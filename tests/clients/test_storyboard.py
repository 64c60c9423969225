"""The file of a storyboard: its format, its seed, its progress, what is left behind."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from storyboard_kit import ask, frames_of, job_for, opened, path_of, render, size_of

from batchkit._context import WorkCanceledError, progress_sink
from batchkit.clients.storyboard import StoryboardClient


@pytest.fixture
def client() -> Iterator[StoryboardClient]:
    client = StoryboardClient(height=90, default_duration=1.0)
    yield client
    client.close()


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """The files in any temporary folder that clients make during the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: list(tmp_path.rglob("*.mp4"))


# -- the file --------------------------------------------------------------------------------------


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


# -- the seed --------------------------------------------------------------------------------------


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


# -- progress and failure --------------------------------------------------------------------------


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
