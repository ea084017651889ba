"""`birdwatchd analyze` as people run it: a process, files, and an exit status."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from birdwatchd.__main__ import main
from tests.shared import SHARED, needs_shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RATE = 48000
HIGH, LOW = 4000.0, 1000.0
HELD = Path(__file__).with_name("held.py")


def sound(seconds: float, *tones: tuple[float, float, float], rate: int = RATE) -> NDArray[np.float32]:
    """Faint noise with tones in it: (hertz, from, to)."""
    samples = np.random.default_rng(1).normal(0, 0.001, round(seconds * rate))
    at = np.arange(len(samples)) / rate
    for hertz, begin, end in tones:
        samples += np.where((at >= begin) & (at < end), 0.3 * np.sin(2 * np.pi * hertz * at), 0)
    return samples.astype(np.float32)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "birdwatchd", "analyze", *map(str, arguments)]


def analyze(*arguments: object, status: int = 0, **settings: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=240, check=False, **settings
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two recorders, four recordings."""
    folder = tmp_path / "recordings"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    soundfile.write(folder / "a" / "20230401_053000.WAV", sound(20, (HIGH, 5, 11)), RATE)
    soundfile.write(folder / "a" / "20230401_235950.WAV", sound(30, (LOW, 15, 21)), RATE)
    soundfile.write(folder / "b" / "SM4_20230402_060000.flac", sound(20, (HIGH, 3, 9), (LOW, 10, 16)), RATE)
    soundfile.write(folder / "b" / "quiet.ogg", sound(12), RATE)
    return folder


def test_sites_times_summary_and_samples_whatever_the_jobs(
    recordings: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    """The small model's high tone lives in the north, its low tone in the south."""
    sites = tmp_path / "sites.csv"
    sites.write_text(
        "folder,latitude,longitude,timezone,site\n"
        "a,52.5,13.4,Europe/Berlin,Wood\n"
        "b,-33.9,151.2,Australia/Sydney,\n"
    )
    runs = {jobs: tmp_path / str(jobs) for jobs in (1, 3)}
    for jobs, folder in runs.items():
        folder.mkdir()
        wanted = (
            "-o",
            folder / "all.csv",
            "--summary",
            folder / "days.csv",
            "--windows",
            folder / "windows.csv",
        )
        samples = ("--samples", 1, "--samples-folder", folder / "samples")
        done = analyze(
            recordings, "--model", tiny_bundle, "--sites", sites, "--jobs", jobs, *wanted, *samples
        )
        assert "4 files, 1.4 min of sound" in done.stderr
        assert "2 detections of 2 species" in done.stderr
        assert "species range is off" not in done.stderr
    high, low = rows((runs[1] / "all.csv").read_text())
    assert high["file"] == str(recordings / "a" / "20230401_053000.WAV")
    assert (high["site"], high["common_name"], high["start_seconds"], high["time"]) == (
        "Wood", "High Tone", "3.0", "2023-04-01T07:30:03.000+02:00",
    )  # fmt: skip
    assert (low["site"], low["common_name"], low["time"][:16]) == ("b", "Low Tone", "2023-04-02T06:00")
    days = [
        (row["site"], row["day"], row["common_name"], row["detections"])
        for row in rows((runs[1] / "days.csv").read_text())
    ]
    assert days == [("Wood", "2023-04-01", "High Tone", "1"), ("b", "2023-04-02", "Low Tone", "1")]
    for row in rows((runs[1] / "samples" / "samples.csv").read_text()):
        clip, rate = soundfile.read(runs[1] / "samples" / row["clip"])
        hertz = np.argmax(np.abs(np.fft.rfft(clip))) / len(clip) * rate
        assert hertz == pytest.approx(HIGH if row["common_name"] == "High Tone" else LOW, abs=2)
    one, three = (
        {path.relative_to(run): path.read_bytes() for path in run.rglob("*.*")} for run in runs.values()
    )
    assert one == three
    assert len(one) == 6


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings of a minute each."""
    folder = tmp_path_factory.mktemp("hour")
    for number in range(12):
        soundfile.write(folder / f"{number:02}.wav", sound(60, (HIGH, 3 * number, 3 * number + 8)), RATE)
    return folder


@pytest.fixture(scope="module")
def whole(hour: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What an analysis writes that nothing interrupts."""
    output = tmp_path_factory.mktemp("whole") / "all.csv"
    analyze(hour, "--model", tiny_bundle, "--jobs", 2, "-o", output)
    assert len(rows(output.read_text())) == 12
    return output.read_bytes()


def until(claim: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120
    while not claim():
        assert time.monotonic() < limit
        time.sleep(0.01)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def imports_torch(parent: int) -> bool:
    """Whether a child of that process is at it."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if "libtorch" in Path(f"/proc/{child}/maps").read_text():
                return True
    return False


def test_ctrl_c_while_it_starts_ends_it_without_a_word_of_its_processes(
    hour: Path, tiny_bundle: Path
) -> None:
    child = subprocess.Popen(
        command(hour, "--model", tiny_bundle), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until(lambda: imports_torch(child.pid))
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=120)  # until the last of them has let go of it
    assert child.returncode == -signal.SIGINT  # 130 to a shell
    assert "Traceback" not in errors


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_analysis_goes_on_and_ends_the_same(
    hour: Path, whole: bytes, tmp_path: Path, tiny_bundle: Path, blow: signal.Signals
) -> None:
    broken = tmp_path / "broken.csv"
    arguments = ("--model", tiny_bundle, "--jobs", 2)
    journal = tmp_path / "broken.csv.resume"
    held = [sys.executable, str(HELD), "3", *command(hour, *arguments, "-o", broken)[3:]]
    child = subprocess.Popen(held, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: lines(journal) > 3)
    child.send_signal(blow)
    _, errors = child.communicate(timeout=120)
    assert lines(journal) == 4, "it was interrupted after three files"
    assert not broken.exists()
    assert "Traceback" not in errors
    if blow == signal.SIGINT:
        assert child.returncode == -signal.SIGINT  # 130 to a shell
        assert "go on with: birdwatchd" in errors
        assert "--resume" in errors
    # As a crash leaves it: half a line at the end.
    with journal.open("ab") as file:
        file.write(b'{"key": "half')
    refusal = analyze(hour, *arguments, "-o", broken, status=2)
    assert "--resume" in refusal.stderr
    refusal = analyze(hour, *arguments, "-o", broken, "--resume", "--threshold", 0.5, status=2)
    assert "other settings (deciding.threshold)" in refusal.stderr
    done = analyze(hour, *arguments, "-o", broken, "--resume")
    assert "3 of 12 files were analysed before" in done.stderr
    assert "12 files, 12.0 min of sound" in done.stderr
    assert broken.read_bytes() == whole
    assert not journal.exists()


def test_a_damaged_file_is_reported_and_the_rest_go_on(recordings: Path, tiny_bundle: Path) -> None:
    (recordings / "a" / "0.wav").write_text("I am a text\n" * 50)
    (recordings / "a" / "1.wav").touch()
    cut = recordings / "a" / "2.wav"
    soundfile.write(cut, sound(20, (HIGH, 0, 10)), RATE)
    cut.write_bytes(cut.read_bytes()[: 2 * RATE * 10])
    done = analyze(recordings, "--model", tiny_bundle, status=1)
    assert Counter(row["common_name"] for row in rows(done.stdout)) == {"High Tone": 3, "Low Tone": 2}
    assert done.stderr.count("not analysed: ") == 2
    assert "0.wav holds no sound" in done.stderr
    assert "1.wav is empty" in done.stderr
    assert "2.wav: cut off" in done.stderr


def test_when_no_file_can_be_read_that_is_the_users_mistake(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "a.wav").write_text("I am a text\n" * 50)
    output = tmp_path / "out.csv"
    done = analyze(tmp_path / "a.wav", "--model", tiny_bundle, "-o", output, status=2)
    assert "a.wav holds no sound" in done.stderr
    assert not output.exists()


@pytest.fixture
def mistaken(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], tuple[str, str]]:
    """Runs the command in this process, in an empty folder: what it prints before it ends with status 2."""

    def run(arguments: list[str]) -> tuple[str, str]:
        model = () if "--model" in arguments else ("--model", str(tiny_bundle))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["birdwatchd", "analyze", *arguments, *model])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        return capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.wav"], "absent.wav does not exist"),
        (["."], "there are no recordings in"),
        ([".", "--model", "nonesuch"], "no model named 'nonesuch'"),
        ([".", "--hop", "4"], "--hop: 4 is longer than the 3 s"),
        ([".", "--min-hits", "4"], "--min-hits: 4 can never be reached"),
        ([".", "--exclude", "Hihg Tone"], "did you mean High Tone?"),
        ([".", "--language", "xx"], "no common names in 'xx'"),
        ([".", "--latitude", "5"], "--latitude and --longitude go together"),
        ([".", "--timezone", "Europe/Berlim"], "did you mean Europe/Berlin?"),
        ([".", "--sites", "absent.csv"], "absent.csv cannot be read"),
        ([".", "--channel", "0"], "--channel '0' is no channel"),
        ([".", "--resume"], "--resume needs the --output"),
        ([".", "--format", "parquet"], "name a file with --output"),
        ([".", "-o", "no/where.csv"], "there is no folder"),
        ([".", "-c", "absent.yaml"], "absent.yaml"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    mistaken: Callable[[list[str]], tuple[str, str]], arguments: list[str], message: str
) -> None:
    out, errors = mistaken(arguments)
    assert message in errors
    assert errors.strip().count("\n") == 0
    assert out == ""


@needs_shared
def test_the_real_model_finds_the_birds_that_people_heard(birdnet_bundle: Path) -> None:
    done = analyze(SHARED / "soundscapes", "--model", birdnet_bundle)
    found = {(Path(row["file"]).name, row["common_name"]) for row in rows(done.stdout)}
    assert ("monitoR_survey.wav", "Black-throated Green Warbler") in found
    assert ("monitoR_survey.wav", "Ovenbird") in found
    assert ("maad_spinetail.wav", "Red-faced Spinetail") in found
