"""Memory as a person meets it: what is asked for is read before anything is trained, and what was taken is kept."""

import sys

import pytest

import pacesetter as ps
from pacesetter.api.provenance import with_peaks
from pacesetter.errors import InputError
from pacesetter.store import Store


@pytest.mark.parametrize("text", ["much", "-4GB", ""])
def test_memory_that_is_no_size_is_refused_before_anything_is_made(small, store, tmp_path, text: str) -> None:
    """A size that cannot be read leaves no study behind."""
    with pytest.raises(InputError, match="`memory` must be a size in bytes above 0"):
        ps.compare("quadratic", **small, store=store, memory=text)
    assert not any(tmp_path.iterdir())


def test_less_memory_than_one_lane_needs_is_refused(small, store) -> None:
    """The error says how much one lane needs, and no study is left behind."""
    with pytest.raises(InputError, match=r"`memory` must be at least what one lane of this task takes, .*bytes, got"):
        ps.compare("quadratic", **small, store=store, memory="10")
    assert list(ps.Study.summaries(store)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells")
@pytest.mark.parametrize("workers", [1, 2])
def test_the_peak_is_kept_with_the_study(small, store, workers: int) -> None:
    """A study that has ended says how much memory it took at most, workers included, in the store too."""
    study = ps.compare("quadratic", **small, store=store, memory="8GB", workers=workers)
    peak = study.record.provenance["peak_memory_bytes"]
    assert 50e6 < peak < 64e9
    with Store.open(store) as opened:
        assert opened.load(study.name).provenance["peak_memory_bytes"] == peak


def test_the_largest_peak_of_all_sittings_stays() -> None:
    """A study that goes on keeps the largest peak it has had, and what else is known of it."""
    before = {"seeds": [0], "peak_memory_bytes": 5}
    assert with_peaks(before, {"peak_memory_bytes": 7}) == {"seeds": [0], "peak_memory_bytes": 7}
    assert with_peaks(before, {"peak_memory_bytes": 3}) == before
    assert with_peaks(before, {}) == before
