"""Two processes must learn what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from birdwatchd.errors import UserError
from tests.ports import free_port
from tests.train.sounds import tone, write
from train.checkpoint import load
from train.commands.fit import fit as command
from train.manifest import Row, write_manifest
from train.processes import Process, has_bfloat16, joined
from train.rank import Told, told_once

SCRIPT = """
import sys
import torch
from torch.nn.parallel import DistributedDataParallel
from train.fit import Learner, freeze, loss_of
from train.networks import build
from train.processes import joined
from train.settings import Settings

settings = Settings.model_validate({
    "network": sys.argv[2], "sample_rate": 8000, "seconds": 1.0, "hop_seconds": 0.5, "device": "cpu", "dropout": 0.0,
    "augment": {"waveform": False}, "training": {"freeze_batch_norm": True}, "front_end": {"bands": 32},
})
torch.set_num_threads(1)
with joined("cpu") as process:
    torch.manual_seed(0)
    learner = Learner(build(settings, 3), "waveform", settings).train()
    freeze(learner, settings)
    trainable = DistributedDataParallel(learner) if process.count > 1 else learner
    waveforms, targets = 0.1 * torch.randn(8, 8000), (torch.rand(8, 3) > 0.5).float()
    share = 8 // process.count
    mine = slice(process.rank * share, (process.rank + 1) * share)
    loss_of(trainable(waveforms[mine]), targets[mine], settings).backward()
    if process.leads:
        named = learner.network.named_parameters()
        torch.save({name: weight.grad for name, weight in named}, sys.argv[1])
"""


WHOLE = """
import sys
from pathlib import Path
import torch
from train.fit import fit
from train.manifest import read_manifest
from train.progress import Display
from train.settings import Settings

torch.set_num_threads(1)
settings = Settings.model_validate({
    "network": "cnn", "sample_rate": 8000, "seconds": 1.0, "hop_seconds": 0.5, "device": "cpu", "dropout": 0.0,
    "augment": {"waveform": False}, "front_end": {"bands": 32},
    "training": {"freeze_batch_norm": True, "epochs": 3, "batch_size": 4, "mixed_precision": False},
})
rows = read_manifest(Path("list.csv"))
fit(
    settings,
    [row for row in rows if row.split == "train"],
    [row for row in rows if row.split == "validation"],
    Path(sys.argv[1]),
    cache=Path("cache"),
)
"""

COMMAND = """
import os
import sys
import torch
from train.__main__ import main

torch.set_num_threads(1)
# Each with a folder of its own, as on another machine.
sys.argv = ["birdwatchd-train", "fit", "list.csv", "-o", "out" + os.environ["RANK"], "--cache", "cache", *sys.argv[1:]]
main()
"""
SMALL = (
    "network=cnn", "sample_rate=8000", "seconds=1.0", "hop_seconds=0.5", "device=cpu", "front_end.bands=32",
    "training.batch_size=4", "training.epochs=3",
)  # fmt: skip


MISTAKES = """
import json
import os
import sys
import torch
from train.__main__ import main
from train.inputs import Waveforms

torch.set_num_threads(1)
rank = os.environ["RANK"]
read = Waveforms._batch


def short_of_memory(source, numbers, seed):
    if len(numbers) > 1:
        raise MemoryError
    return read(source, numbers, seed)


for port, words, short in json.loads(sys.argv[1]):
    os.environ["MASTER_PORT"] = str(port)
    Waveforms._batch = short_of_memory if rank in short else read
    sys.argv = ["birdwatchd-train", *(word.format(rank=rank) for word in words)]
    try:
        main()
    except SystemExit as end:
        print("status", end.code, flush=True)
"""


@pytest.mark.parametrize(
    ("flags", "quick"),
    [
        ("fpu avx512_bf16 amx_tile", True),
        ("fpu amx_bf16", True),
        ("fpu avx512f not_avx512_bf16", False),
        ("fp asimd svebf16 i8mm bf16", False),  # ARM, where only the way forwards is quicker
    ],
)
def test_a_processor_that_is_quicker_with_half_the_bits_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, *, quick: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr("train.processes.CPUINFO", tmp_path / "cpuinfo")
    assert has_bfloat16(torch.device("cpu")) is quick


def test_where_the_processor_says_nothing_only_a_gpu_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.processes.CPUINFO", tmp_path / "none")
    assert not has_bfloat16(torch.device("cpu"))
    assert has_bfloat16(torch.device("cuda", 0))


def gradients(folder: Path, network: str, processes: int) -> dict[str, torch.Tensor]:
    """Of the same eight clips, in so many processes."""
    output = folder / f"{processes}.pt"
    together(SCRIPT, str(output), network, processes=processes, cwd=folder)
    kept: dict[str, torch.Tensor] = torch.load(output, weights_only=True)
    return kept


def together(script: str, *arguments: str, processes: int, cwd: Path) -> list[str]:
    """Run the script in so many processes, as torchrun starts them; returns what each wrote to the terminal."""
    environment = os.environ | {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # the leader keeps the store here, and torch says so when it goes
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]
    said = [child.communicate(timeout=300)[0] for child in children]
    assert [child.returncode for child in children] == [0] * processes, said
    return said


@pytest.mark.parametrize("network", ["cnn", pytest.param("resnet34", marks=pytest.mark.long)])
def test_two_processes_give_the_gradients_of_one(tmp_path: Path, network: str) -> None:
    alone, shared = (gradients(tmp_path, network, processes) for processes in (1, 2))
    assert alone.keys() == shared.keys()
    assert max(float(gradient.abs().max()) for gradient in alone.values()) > 1e-3
    for name, gradient in alone.items():
        assert float((gradient - shared[name]).abs().max()) < 1e-5, name


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_processes_train_together_from_beginning_to_end(tmp_path: Path) -> None:
    rows = []
    for label, hertz in (("low", 400.0), ("high", 2500.0)):
        for number in range(6):
            path = write(tmp_path / label / f"{number}.wav", tone(1.0, hertz=hertz * (1 + 0.02 * number)))
            rows.append(Row(path, (label,), split="validation" if number >= 4 else "train"))
    write_manifest(tmp_path / "list.csv", rows)
    # Nothing is drawn: two take the same steps as one.
    for processes in (1, 2):
        said = together(WHOLE, f"plain{processes}", processes=processes, cwd=tmp_path)
        assert "epoch 3/3" in said[0]
        assert not any("epoch" in other for other in said[1:])  # only the leader speaks
    alone, shared = (load(tmp_path / f"plain{processes}" / "last.pt") for processes in (1, 2))
    assert [one["loss"] for one in shared.history] != []
    for (name, one), other in zip(
        alone.network.state_dict().items(), shared.network.state_dict().values(), strict=True
    ):
        assert float((one - other).abs().max()) < 1e-3, name
    # Augmented, each draws for itself, and they still agree on the weights and on when to stop; the leader alone has the file
    # of what was best, and tells of it.
    words = [word for setting in SMALL for word in ("--set", setting)]
    said = together(COMMAND, *words, processes=2, cwd=tmp_path)
    assert len(load(tmp_path / "out0" / "last.pt").history) == 3
    assert "out0/best.pt: epoch" in said[0]
    assert "best.pt" not in said[1]
    assert not (tmp_path / "out1" / "best.pt").exists()


def test_only_the_leader_tells_what_came_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        Row(write(tmp_path / f"{label}.wav", tone(1.0, hertz=hertz)), (label,), split="train")
        for label, hertz in (("low", 400.0), ("high", 2500.0))
    ]
    write_manifest(tmp_path / "list.csv", rows)
    words = [word for setting in (*SMALL, "training.max_steps=1") for word in ("--set", setting)]
    said = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        output = str(tmp_path / f"out{rank}")
        done = CliRunner().invoke(
            command, [str(tmp_path / "list.csv"), "-o", output, "--cache", str(tmp_path / "cache"), *words]
        )
        assert done.exit_code == 0, done.output
        said.append(done.stdout)
    assert said == [f"{tmp_path / 'out0' / 'best.pt'}: epoch 1\n", ""]


def test_a_mistake_is_told_once_and_with_its_process_where_it_is_not_the_leaders(tmp_path: Path) -> None:
    rows = [
        Row(
            write(tmp_path / label / f"{number}.wav", tone(1.0, hertz=hertz + number)),
            (label,),
            # With none to validate by the leader says so, whoever meets the mistake.
            split="train" if number else "validation",
        )
        for label, hertz in (("low", 400.0), ("high", 2500.0))
        for number in range(4)
    ]
    for name in ("list.csv", "only0.csv"):
        write_manifest(tmp_path / name, rows)
    (tmp_path / "full1").write_text("no folder")
    small = ["--cache", "cache", *(word for setting in SMALL for word in ("--set", setting))]
    told = [
        (["fit", "list.csv", "--set", "training.batch_size=3"], "", "training.batch_size is 3"),
        (["fit", "gone.csv"], "", "the manifest gone.csv cannot be read"),
        (["fit", "only{rank}.csv"], "", "process 1: the manifest only1.csv cannot be read"),
        (["fit", "list.csv", "--no-such-option"], "", "No such option"),
        (["fit", "list.csv", "-o", "full{rank}/out"], "", "process 1: full1/out cannot be written to"),
        (["fit", "list.csv", "-o", "c{rank}", "--set", "augment.waveform=false"], "01", "there is not enough memory here"),
        (["evaluate", "list.csv", "--folds"], "", "--folds trains in one process"),
        (["fit", "list.csv", "-o", "b{rank}"], "01", "this machine has not enough memory for training.batch_size 4; 2 fit"),
    ]  # fmt: skip
    asked = [(free_port(), [*words[:2], *small, *words[2:]], short) for words, short, _ in told]
    said = together(MISTAKES, json.dumps(asked), processes=2, cwd=tmp_path)
    for number, (_, _, sentence) in enumerate(told):
        # What each said until it ended with this one.
        parts = [its.split("status 2\n")[number] for its in said]
        assert sum(part.count("birdwatchd-train: ") for part in parts) == 1, said
        assert any(sentence in part for part in parts), said
        assert sum(bool(part.strip()) for part in parts) == 1, said  # no warnings, no tracebacks


@pytest.mark.parametrize(
    "said",
    [
        "[gloo/transport/tcp/pair.cc:544] Connection closed by peer [127.0.0.1]:4711",
        "[gloo/transport/tcp/pair.cc:446] writev [127.0.0.1]:4711: Broken pipe",
        "NCCL error: remote process exited or there was a network error",
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.",
        "shapes that do not fit",
    ],
)
def test_that_another_process_has_ended_is_one_sentence_however_it_shows(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    # As the leader of two, of which the other cannot be asked any more.
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(
        "train.processes.rendezvous", lambda _: iter([(SimpleNamespace(add=lambda *_: 1), 0, 2)])
    )
    monkeypatch.setattr(Process, "agree", lambda *_: None)
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(f"torch.distributed.{name}", lambda *_, **__: None)
    ours = "fit" in said
    with (
        pytest.raises(
            RuntimeError if ours else UserError, match=said if ours else "another process has ended"
        ),
        joined("cpu"),
    ):
        raise RuntimeError(said)


def test_what_a_process_meets_amid_a_step_it_tells_itself_with_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(UserError, match=r"^process 2: too little memory$"), told_once():
        raise UserError("too little memory")
    with pytest.raises(SystemExit) as ended, told_once():
        raise Told("what another tells")
    assert ended.value.code == 2
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UserError, match=r"^too little memory$"), told_once():
        raise UserError("too little memory")
