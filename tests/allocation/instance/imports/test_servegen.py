"""ServeGen folders: both layouts, what is drawn from them, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data
from support.traces import write, write_servegen_chunks, write_servegen_tables

from torta_opt.allocation.instance.imports.horizon import Part
from torta_opt.allocation.instance.imports.rows import Batch, Tally
from torta_opt.allocation.instance.imports.servegen import Workload, read_servegen
from torta_opt.allocation.instance.imports.servegen_requests import choose_part, draw_requests
from torta_opt.io import InvalidInput


def read(path: Path, share: float = 0.1) -> tuple[Workload, Tally]:
    tally = Tally()
    return read_servegen(path, tally, share), tally


def draw(workload: Workload, part: Part, seed: int = 0) -> tuple[list[Batch], Tally]:
    tally = Tally()
    return list(draw_requests(workload, part, seed, tally)), tally


class TestTables:
    def test_rates_and_token_laws_by_client(self, tmp_path: Path) -> None:
        workload, tally = read(write_servegen_tables(tmp_path))
        assert workload.model == "m-test"
        assert workload.window_s == 600
        assert sorted(workload.rates) == ["0", "1", "2"]
        assert workload.rates["2"].rate_per_s == pytest.approx([0.6] * 4)
        assert sorted(workload.tokens) == ["1", "2"]
        assert (tally.rows, tally.bad) == (12 + 2, 0)

    def test_a_file_in_the_folder_stands_for_its_model(self, tmp_path: Path) -> None:
        write_servegen_tables(tmp_path)
        for file in list(tmp_path.iterdir()):
            (tmp_path / file.name.replace("m-test", "other")).write_bytes(file.read_bytes())
        with pytest.raises(InvalidInput, match="several models, m-test, other: name one of its"):
            read(tmp_path)
        assert read(tmp_path / "other_total_rate_600s.csv")[0].model == "other"

    def test_without_rates_by_client_the_total_is_one_stream(self, tmp_path: Path) -> None:
        write_servegen_tables(tmp_path)
        (tmp_path / "m-test_client_windows_nonzero.csv.gz").unlink()
        workload, tally = read(tmp_path)
        assert workload.rates["all clients"].rate_per_s == pytest.approx([1.2] * 4)
        assert "one Poisson stream" in tally.notes[0]
        batches, _ = draw(workload, Part(0, 160, 15_000))
        assert batches[0].arrival_ms.size == pytest.approx(1.2 * 2400, rel=0.1)

    @pytest.mark.parametrize(
        ("file", "row", "reason"),
        [
            ("client_windows_nonzero.csv.gz", "0,2400,1,none,Gamma,1,1", "cv 'none' is not a num"),
            ("client_windows_nonzero.csv.gz", "0,2400,1,0,Gamma,1,1", "cv '0' is not a number"),
            ("client_windows_nonzero.csv.gz", "0,0,1,1,Gamma,1,1", "repeats client '0' at 0 s"),
            ("client_windows_nonzero.csv.gz", "0,9,-1,1,Gamma,1,1", "rate_req_per_s '-1.0' is neg"),
            ("token_stats_6h.csv", "0,0,2,9,8,7,6,1,1,1,1", "percentiles are not in increasing"),
        ],
    )
    def test_bad_rows_name_their_file(
        self, tmp_path: Path, file: str, row: str, reason: str
    ) -> None:
        write_servegen_tables(tmp_path)
        target = tmp_path / f"m-test_{file}"
        content = target.read_bytes()
        if target.suffix == ".gz":
            import gzip

            content = gzip.decompress(content)
        write(target, content + row.encode() + b"\n")
        _, tally = read(tmp_path, share=0.5)
        assert tally.bad == 1
        assert tally.bad_rows[0].reason.startswith(reason)
        assert tally.bad_rows[0].reason.endswith(f"(m-test_{file})")
        with pytest.raises(InvalidInput, match=f"m-test_{file}: 1 of "):
            read(tmp_path, share=0.01)

    def test_folders_that_are_none(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="holds no ServeGen workload"):
            read(tmp_path)
        with pytest.raises(InvalidInput, match="none: does not exist"):
            read(tmp_path / "none")
        write_servegen_tables(tmp_path)
        (tmp_path / "m-test_token_stats_6h.csv").unlink()
        with pytest.raises(InvalidInput, match="holds no token statistics of model m-test"):
            read(tmp_path)


class TestChunks:
    def test_published_layout(self, tmp_path: Path) -> None:
        workload, tally = read(write_servegen_chunks(tmp_path / "m-small"))
        assert workload.model == "m-small"
        assert workload.rates["1"].rate_per_s.tolist() == [1.5, 1.5]
        assert (tally.rows, tally.bad) == (6, 0)
        batches, notes = draw(workload, Part(0, 80, 15_000))
        tokens = np.concatenate([batch.input_tokens for batch in batches])
        assert set(tokens.tolist()) == {200, 400}
        assert (tokens == 400).mean() == pytest.approx(0.75, abs=0.03)
        assert {int(n) for batch in batches for n in batch.output_tokens} == {80}
        assert notes.notes == []

    @pytest.mark.parametrize(
        "dataset",
        ["", "[]", "{", '{"0": 1}', '{"x": {}}', '{"0": {"input_tokens": "{a: 1}"}}', "{}"],
    )
    def test_a_dataset_that_is_none(self, tmp_path: Path, dataset: str) -> None:
        write_servegen_chunks(tmp_path)
        write(tmp_path / "chunk-1-dataset.json", dataset)
        with pytest.raises(InvalidInput, match=r"chunk-1-dataset\.json: (is not|holds no window)"):
            read(tmp_path)

    def test_without_any_dataset(self, tmp_path: Path) -> None:
        write_servegen_chunks(tmp_path, clients=1)
        (tmp_path / "chunk-0-dataset.json").unlink()
        with pytest.raises(InvalidInput, match=r"holds no chunk-\*-dataset\.json"):
            read(tmp_path)


class TestDrawing:
    def test_requests_follow_the_rates(self, tmp_path: Path) -> None:
        workload, _ = read(write_servegen_tables(tmp_path, windows=20))
        part = Part(600_000, 400, 15_000)
        batches, tally = draw(workload, part)
        assert len(batches) == 3
        for n, batch in enumerate(batches):
            expected = 0.2 * (n + 1) * 6000
            assert batch.arrival_ms.size == pytest.approx(expected, abs=6 * 1.5 * expected**0.5)
            assert batch.arrival_ms.min() >= part.start_ms
            assert batch.arrival_ms.max() < part.end_ms
            assert batch.client is not None
            assert len(set(batch.client.tolist())) == 1
        assert len({int(b.client[0]) for b in batches if b.client is not None}) == 3
        assert list(tally.models) == ["m-test"]

    def test_clients_without_statistics_take_those_of_others(self, tmp_path: Path) -> None:
        workload, _ = read(write_servegen_tables(tmp_path, windows=20))
        batches, tally = draw(workload, Part(0, 800, 15_000))
        assert batches[0].input_tokens.mean() == pytest.approx(500, rel=0.15)
        share = batches[0].arrival_ms.size / sum(b.arrival_ms.size for b in batches)
        assert tally.notes[0].startswith(f"{share:.0%} of the requests come from clients without")

    def test_a_seed_draws_the_same(self, tmp_path: Path) -> None:
        workload, _ = read(write_servegen_tables(tmp_path))
        first, again, other = (draw(workload, Part(0, 60, 15_000), s)[0] for s in (1, 1, 2))
        assert np.array_equal(first[1].arrival_ms, again[1].arrival_ms)
        assert np.array_equal(first[1].output_tokens, again[1].output_tokens)
        assert not np.array_equal(first[1].arrival_ms, other[1].arrival_ms)

    def test_too_many_requests_are_refused(self, tmp_path: Path) -> None:
        workload, _ = read(write_servegen_tables(tmp_path))
        workload.rates["0"].rate_per_s[:] = 1e8
        with pytest.raises(InvalidInput, match=r"slots: asks for .* requests, more than"):
            draw(workload, Part(0, 60, 15_000))


class TestPart:
    def test_short_workloads_are_taken_whole(self, tmp_path: Path) -> None:
        workload, _ = read(write_servegen_tables(tmp_path))
        part = choose_part(workload, 15_000, None, None)
        assert (part.start_ms, part.slots) == (0, 160)

    def test_of_long_ones_the_busiest_part(self, tmp_path: Path) -> None:
        workload, _ = read(write_servegen_tables(tmp_path, windows=60))
        workload.rates["1"].rate_per_s[30:34] = 50
        part = choose_part(workload, 15_000, None, 200)
        assert part.slots == 200
        assert 27 * 600_000 < part.start_ms <= 30 * 600_000
        assert part.end_ms >= 34 * 600_000

    def test_the_part_asked_for(self, tmp_path: Path) -> None:
        workload, _ = read(write_servegen_tables(tmp_path))
        part = choose_part(workload, 15_000, 700, 10)
        assert (part.start_ms, part.slots) == (700_000, 10)
        with pytest.raises(InvalidInput, match="start_s: must lie within the trace"):
            choose_part(workload, 15_000, 2400, None)


def test_the_published_workload() -> None:
    workload, tally = read(real_data("servegen"))
    assert (workload.model, len(workload.rates), len(workload.tokens)) == ("m-large", 162, 147)
    assert (tally.rows, tally.bad) == (99_839 + 3948, 0)
    part = Part(0, 40, 15_000)
    batches, drawn = draw(workload, part)
    total = sum(batch.arrival_ms.size for batch in batches)
    assert total == pytest.approx(212.78 * 600, rel=0.2)
    assert "come from clients without token statistics" in drawn.notes[0]


def test_multimodal_input_is_the_sum_of_its_kinds(tmp_path: Path) -> None:
    folder = write_servegen_chunks(tmp_path / "mm")
    sides = {
        "text_tokens": "{10: 0.25, 20: 0.75}",
        "image_tokens": "{0: 0.5, 10: 0.5}",
        "audio_tokens": "{0: 1.0}",
        "output_tokens": "{7: 1.0}",
    }
    (folder / "chunk-0-dataset.json").write_text(json.dumps({"0": sides}))
    tally = Tally()
    workload = read_servegen(folder, tally, 0.1)
    ((_, law, _),) = workload.tokens["0"]
    assert law.values.tolist() == [10, 20, 30]
    assert law.levels.tolist() == [0.125, 0.625, 1.0]
    assert any("text, image, audio and video" in note for note in tally.notes)


def test_the_published_images() -> None:
    """Client 0 in its first window: 136 or 372 tokens of text and one image of 525 to 1230."""
    workload = read_servegen(real_data("servegen_mm_image"), Tally(), 0.1)
    first = workload.tokens["0"][0][1]
    assert first.values.min() == 136 + 525
    assert first.values.max() == 372 + 1230
    weights = np.diff(first.levels, prepend=0)
    text = 136 * 0.2557027673108869 + 372 * 0.7442972326891131
    image = 525 * 0.00125602690 + 714 * 0.0000810339938 + 1196 * 0.5144037923909
    image += 1222 * 0.4666747700660 + 1230 * 0.017584376646
    assert (weights * first.values).sum() == pytest.approx(text + image, rel=1e-6)
