"""Video files."""

import imageio.v3 as imageio
import numpy as np
import pytest

from dreamer_tf.runs.errors import VideoFormatError
from dreamer_tf.runs.videos import beside, save_video, showable


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
@pytest.mark.parametrize("shape", [(64, 64, 3), (48, 31, 1), (300, 301, 3)])
def test_a_video_shows_every_frame_enlarged_by_a_whole_factor(tmp_path, suffix, shape):
    levels = [0, 60, 120, 180, 240]
    frames = np.stack([np.full(shape, level, np.uint8) for level in levels])
    path = tmp_path / "new" / f"film{suffix}"
    save_video(path, frames)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    shown = imageio.imread(path, index=None)
    factor = -(-256 // max(shape[:2]))
    sides = [-(-side * factor // 2) * 2 for side in shape[:2]]
    assert shown.shape == (5, *sides, 3)
    np.testing.assert_allclose(shown.mean(axis=(1, 2, 3)), levels, atol=4)


def test_other_formats_and_other_pictures_are_refused(tmp_path):
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(VideoFormatError, match=".mp4 or .gif, got .*film.avi"):
        save_video(tmp_path / "film.avi", frames)
    with pytest.raises(ValueError, match="got float64"):
        save_video(tmp_path / "film.gif", frames / 2)
    with pytest.raises(ValueError, match=r"\(2, 8, 8\)"):
        save_video(tmp_path / "film.gif", np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"one size, got \[\(8, 8, 3\), \(8, 9, 3\)\]"):
        save_video(tmp_path / "film.gif", [np.zeros((8, side, 3), np.uint8) for side in (8, 9)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3), (12, 3)])
def test_pictures_of_any_number_of_channels_can_be_shown(tmp_path, channels, shown):
    frames = np.random.default_rng(0).integers(0, 256, (4, 8, 8, channels), np.uint8)
    np.testing.assert_array_equal(showable(frames), frames[..., :shown])
    save_video(tmp_path / "film.mp4", frames)
    assert imageio.imread(tmp_path / "film.mp4").shape == (4, 256, 256, 3)


def test_videos_of_a_batch_are_laid_side_by_side():
    videos = np.arange(3 * 2 * 4 * 5 * 1).reshape(3, 2, 4, 5, 1)
    both = beside(videos, 2)
    assert both.shape == (2, 4, 10, 1)
    np.testing.assert_array_equal(both[:, :, 5:], videos[1])
