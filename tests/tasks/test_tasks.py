"""Splits, voices, episodes: what reaches training and what does not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from metavox.corpora.utterance import Utterance
from metavox.errors import ConfigError, MetavoxError
from metavox.features import melcepstrum
from metavox.features.frames import Frames
from metavox.features.store import FeatureStore
from metavox.pairing.base import Alignment, SpeakerPair
from metavox.pairing.parallel import Parallel
from metavox.tasks.alignments import Alignments, align_spectra, speech_frames
from metavox.tasks.augment import VoiceAugment
from metavox.tasks.episodes import EpisodeInfo, EpisodeSampler, PairedFrames, TaskTable, pad
from metavox.tasks.fixed import batches, draw_episode
from metavox.tasks.normaliser import Normaliser
from metavox.tasks.settings import EpisodeShape
from metavox.tasks.split import SpeakerSplit
from metavox.tasks.voices import enough_speech


def people(names: str, count: int = 1, subset: str | None = None) -> list[Utterance]:
    return [
        Utterance(f"{s}{i}", s, Path(f"{s}{i}.wav"), f"text {i}", subset=subset) for s in names for i in range(count)
    ]


class TestSplit:
    def test_counts_and_shares_are_disjoint_and_cover_all(self) -> None:
        split = SpeakerSplit(validation=2, test=0.3)(people("abcdefghij"))
        assert [len(split[k]) for k in ("train", "validation", "test")] == [5, 2, 3]
        assert sorted(s for chosen in split.values() for s in chosen) == list("abcdefghij")

    def test_named_subsets_and_speakers(self) -> None:
        utterances = people("abcd", subset="train-clean") + people("xyz", subset="test-other")
        split = SpeakerSplit(train=["train-clean"], validation=1, test=["test-other"])(utterances)
        assert split["test"] == ["x", "y", "z"]
        assert len(split["validation"]) == 1 and set(split["train"]) | set(split["validation"]) == set("abcd")
        assert SpeakerSplit(validation=["a"], test=["x"])(utterances)["train"] == ["b", "c", "d", "y", "z"]

    def test_a_speaker_named_for_test_never_trains(self) -> None:
        utterances = people("abcd", subset="one")
        split = SpeakerSplit(train=["one"], validation=1, test=["c"])(utterances)
        assert "c" not in split["train"] + split["validation"]

    def test_speakers_that_yaml_reads_as_numbers(self) -> None:
        assert SpeakerSplit(validation=1, test=[84])([*people("abc"), Utterance("84", "84", Path("84"))])["test"] == [
            "84"
        ]  # type: ignore[list-item]

    def test_same_seed_same_split_and_another_seed_another(self) -> None:
        draw = lambda seed: SpeakerSplit(validation=3, test=3, seed=seed)(people("abcdefghijklmnop"))["test"]  # noqa: E731
        assert draw(0) == draw(0)
        assert len({tuple(draw(seed)) for seed in range(8)}) > 1

    def test_bad_shares(self) -> None:
        with pytest.raises(ConfigError, match="no speaker is left for train"):
            SpeakerSplit(validation=1, test=1)(people("ab"))
        with pytest.raises(ConfigError, match="'zoe', which is no subset and no speaker"):
            SpeakerSplit(test=["zoe"])(people("abc"))
        with pytest.raises(ConfigError, match="sources"):
            SpeakerSplit(sources="any")

    def test_a_share_of_speakers_to_train_on_is_kept(self) -> None:
        assert len(SpeakerSplit(train=0.3, validation=1, test=1)(people("abcdefghij"))["train"]) == 3

    def test_no_speaker_validates_and_tests(self) -> None:
        with pytest.raises(ConfigError, match="names b for validation and for test"):
            SpeakerSplit(validation=["a", "b"], test=["b"])(people("abcd"))

    @pytest.mark.parametrize("share", [-1, 0, 1.5, -0.2, True, "84", float("nan")])
    def test_a_share_that_means_nothing_is_refused(self, share: object) -> None:
        with pytest.raises(ConfigError, match=r"split\.test is"):
            SpeakerSplit(test=share)  # type: ignore[arg-type]


def test_speakers_with_too_little_are_named_and_all_of_them_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    utterances = people("ab", 6) + people("c", 2)
    assert {u.speaker for u in enough_speech(utterances, list("abc"), "train", 6, "5 shots and a query")} == {"a", "b"}
    assert "skipped 1 of 3 train speakers" in caplog.text and "c has 2" in caplog.text
    with pytest.raises(MetavoxError, match=r"none of the 3 .* has the 9 utterances .*most: 6.*dataset\.shots"):
        enough_speech(utterances, list("abc"), "test", 9, "8 shots and a query")


class TestSampler:
    @staticmethod
    def sampler(fold: int | None = None, **changes: int) -> EpisodeSampler:
        """3 tasks of 10, 12 and 14 pairs; the spectrum of a row is its own number, target rows are shifted by 0.5."""
        lengths = np.random.default_rng(0).integers(5, 60, 36)
        stops = np.cumsum(lengths)
        spans = list(zip(stops - lengths, stops, strict=True))
        tasks = [spans[:10], spans[10:22], spans[22:]]
        folds = [[-1 if fold is None else i % 2 for i in range(len(t))] for t in tasks]
        rows = np.stack([np.arange(stops[-1]), np.arange(stops[-1]) + stops[-1]], axis=1)
        spectrum = np.concatenate([np.arange(stops[-1]), np.arange(stops[-1]) + 0.5])[:, None].repeat(3, 1)
        shape = EpisodeShape.of({"meta_batch": 8, "shots": 4, "queries": 3, "frames": 16} | changes)
        frames = PairedFrames(spectrum.astype("f4"), rows, slice(1, 3), Normaliser([0, 0], [1, 1]))
        return EpisodeSampler(TaskTable.of(tasks, folds), frames, shape, changes.get("seed", 0))

    def test_source_and_target_rows_belong_together_in_order(self) -> None:
        batch = self.sampler().batch(0)
        assert batch.support.x.shape == (8, 4, 16, 2) and batch.query.y.shape == (8, 3, 16, 2)
        assert torch.equal(batch.support.y, batch.support.x + 0.5)
        steps = batch.support.x[:, :, 1:] - batch.support.x[:, :, :-1]
        assert torch.equal(steps[..., 0] == 1, batch.support.mask[:, :, 1:])

    def test_support_and_query_share_no_pair(self) -> None:
        sampler = self.sampler(frames=200)  # whole pairs: the first row tells the pair
        for index in range(50):
            batch = sampler.batch(index)
            first = torch.cat([batch.support.x, batch.query.x], 1)[:, :, 0, 0]
            assert all(len(set(row.tolist())) == 7 for row in first)

    def test_folds_keep_pools_apart(self) -> None:
        sampler = self.sampler(fold=1, frames=200)
        starts = {int(o): int(f) for o, f in zip(sampler.table.offset, sampler.table.fold, strict=True)}
        for index in range(50):
            batch = sampler.batch(index)
            for task in range(8):
                support = {starts[int(v)] for v in batch.support.x[task, :, 0, 0]}
                query = {starts[int(v)] for v in batch.query.x[task, :, 0, 0]}
                assert len(support) == 1 and len(query) == 1 and support != query

    def test_a_batch_depends_on_seed_and_number_alone(self) -> None:
        one, other = self.sampler(), self.sampler()
        one.batch(0)
        assert torch.equal(one.batch(5).query.x, other.batch(5).query.x)
        assert not torch.equal(one.batch(5).query.x, one.batch(6).query.x)
        assert not torch.equal(one.batch(5).query.x, self.sampler(seed=1).batch(5).query.x)

    def test_augmentation_changes_values_alone(self) -> None:
        plain, other = self.sampler(), self.sampler()
        other.augment = VoiceAugment(warp=0, colour=1)
        one, two = plain.batch(3), other.batch(3)
        shift = two.support.x - one.support.x  # one for a task, the same in its query; the target has its own
        assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-4)
        assert torch.allclose(two.query.x - one.query.x, shift[:, :1, :1].expand_as(one.query.x), atol=1e-4)
        assert not torch.allclose(two.support.y - one.support.y, shift) and torch.equal(two.query.mask, one.query.mask)


def test_padding_repeats_the_last_frame_and_masks_it() -> None:
    values, mask = pad([np.ones((2, 1)), np.arange(3.0)[:, None]], 3, 4)
    assert values[1, :, 0].tolist() == [0, 1, 2, 2]
    assert mask.sum(1).tolist() == [2, 3, 0]


def test_normaliser_fits_in_chunks_and_goes_back() -> None:
    x = np.random.default_rng(0).normal(3, 2, (1000, 4))
    normaliser = Normaliser.fit(np.split(x, 10))
    np.testing.assert_allclose(normaliser.normalise(x).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normaliser.normalise(x).std(0), 1, atol=1e-5)
    tensor = torch.from_numpy(x).float()
    torch.testing.assert_close(normaliser.denormalise(normaliser.normalise(tensor)), tensor)
    assert Normaliser(**normaliser.state()).state() == normaliser.state()


class ToyFeatures:
    """Spectra of 3 columns; the first is the power in dB."""

    rate, hop, dim, bands, mapped = 16000, 0.005, 3, 1, slice(1, 3)
    distance, f0_apart = melcepstrum.distance(2), True

    def settings(self) -> dict[str, object]:
        return {"kind": "toy"}

    def analyse(self, wave: np.ndarray, rate: int) -> Frames:
        raise AssertionError("nothing to analyse here")

    def power(self, spectrum: np.ndarray) -> np.ndarray:
        return spectrum[:, 0]


def test_silence_is_not_paired_and_paths_speak_of_whole_utterances() -> None:
    speech = np.array([[0, 1, 0], [-60, 9, 9], [0, 2, 0], [0, 3, 0]], dtype="f4")
    assert speech_frames(speech[:, 0]).tolist() == [0, 2, 3]
    found = align_spectra(Parallel(), ToyFeatures(), [speech, speech], [speech, speech[[0, 2, 3]]])  # type: ignore[arg-type]
    assert found[0].path.tolist() == [[0, 0], [2, 2], [3, 3]]
    assert found[1].path.tolist() == [[0, 4], [2, 5], [3, 6]]  # numbered in the concatenated targets


class CountingPairing(Parallel):
    calls = 0

    def align(self, sources: object, targets: object) -> list[Alignment]:
        CountingPairing.calls += 1
        return super().align(sources, targets)  # type: ignore[arg-type]


def test_alignments_are_made_once_and_name_rows_of_the_store(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, ToyFeatures())  # type: ignore[arg-type]
    utterances = people("ab", 2)
    for number, utterance in enumerate(utterances):
        spectrum = np.array([[0, number, 1], [0, number, 2], [0, number, 3]], dtype="f4")
        arrays = {"spectrum": spectrum, "f0": np.ones(3), "aperiodicity": np.zeros((3, 1))}
        store.log.append(str(utterance.path.parent.resolve() / utterance.path.name), arrays, {"file": None})
    groups = [((utterances[i], utterances[i + 2]),) for i in range(2)]
    CountingPairing.calls = 0
    alignments = Alignments(store, CountingPairing())
    alignments.ensure(groups, workers=1)
    again = Alignments(store, CountingPairing())
    again.ensure(groups, workers=1)
    assert CountingPairing.calls == 2
    ((start, stop),) = again.spans(groups[1])
    assert again.rows[start:stop].tolist() == [[3, 9], [4, 10], [5, 11]]
    assert again.cost(groups[1]) == pytest.approx(2.0)  # utterances 1 and 3 differ by 2 in one column


def test_alignments_of_rows_that_belong_to_others_now_are_not_used(tmp_path: Path) -> None:
    """As after a power failure that cost the store its end: the same row numbers, other recordings."""
    utterances = people("ab", 2)

    def store(first: Utterance, second: Utterance) -> FeatureStore:
        made = FeatureStore(tmp_path, ToyFeatures())  # type: ignore[arg-type]
        for utterance in (first, second):
            arrays = {"spectrum": np.zeros((3, 3)), "f0": np.ones(3), "aperiodicity": np.zeros((3, 1))}
            made.log.append(str(utterance.path.parent.resolve() / utterance.path.name), arrays, {"file": None})
        return made

    before = store(utterances[0], utterances[2])
    Alignments(before, Parallel()).ensure([((utterances[0], utterances[2]),)], workers=1)
    for name in ("journal.jsonl", "spectrum.bin", "f0.bin", "aperiodicity.bin"):
        (before.folder / name).unlink()
    CountingPairing.calls = 0
    Alignments(store(utterances[1], utterances[3]), CountingPairing()).ensure(
        [((utterances[1], utterances[3]),)], workers=1
    )
    assert CountingPairing.calls == 1


class TestEpisode:
    @staticmethod
    def draw(pairs: list[tuple[Utterance, Utterance]], shots: int = 2) -> EpisodeInfo:
        return draw_episode(SpeakerPair("s", "t", tuple(pairs)), shots, 3, np.random.default_rng(0))

    @staticmethod
    def pair(number: int, source: str, target: str) -> tuple[Utterance, Utterance]:
        return Utterance(f"s{number}", "s", Path(source)), Utterance(f"t{number}", "t", Path(target))

    def test_the_query_comes_from_chapters_the_support_has_not_seen(self) -> None:
        """Also where all sources lie in one folder, as synthesised ones do."""
        info = self.draw([self.pair(i, f"voice/{i}.wav", f"t/chapter{i % 2}/{i}.flac") for i in range(8)])
        chapters = [{target.path.parent for _, target in part} for part in (info.support, info.query)]
        assert len(info.query) == 3 and not chapters[0] & chapters[1]

    def test_pieces_of_one_recording_are_never_on_both_sides(self) -> None:
        pairs = [self.pair(i, f"s/{i // 3}.flac", f"t/{i // 4}.flac") for i in range(12)]
        info = self.draw(pairs)
        for side in (0, 1):
            assert not {p[side].path for p in info.support} & {p[side].path for p in info.query}
        assert info.query

    def test_with_one_chapter_and_one_recording_there_is_still_a_query(self) -> None:
        info = self.draw([self.pair(i, "s/0.flac", "t/0.flac") for i in range(5)])
        assert len(info.query) == 3 and not set(info.support) & set(info.query)

    def test_larger_supports_hold_the_smaller_ones_and_the_query_stays_out_of_all(self) -> None:
        pairs = [self.pair(i, f"s/{i}.wav", f"t/{i}.wav") for i in range(9)]
        task = self.draw(pairs, shots=5)
        assert self.draw(pairs, shots=2).support == task.at(2).support == task.support[:2]
        assert task.at(2).query == task.query and not set(task.support) & set(task.query)

    def test_a_batch_of_fixed_tasks_has_one_size_and_a_limit(self) -> None:
        pairs = [self.pair(i, f"s/{i}.wav", f"t/{i}.wav") for i in range(60)]
        found = batches([self.draw(pairs, shots=40)] * 7, [1, 5, 40])
        assert [(len(b), len(b[0].support)) for b in found] == [(6, 1), (1, 1), (6, 5), (1, 5), *[(1, 40)] * 7]
