"""A whole analysis: every file once, whatever came before, and then the outputs."""

from __future__ import annotations

import glob
import json
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from birdwatchd.analysis.jobs import Jobs
from birdwatchd.analysis.journal import Journal
from birdwatchd.analysis.worker import Task
from birdwatchd.model.classifier import cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from birdwatchd.analysis.cluster import Cluster
    from birdwatchd.analysis.files import File
    from birdwatchd.analysis.findings import Findings
    from birdwatchd.analysis.outputs import Outputs
    from birdwatchd.analysis.sites import Sites
    from birdwatchd.analysis.worker import Settings
    from birdwatchd.model.bundle import Card


class Watcher(Protocol):
    """Whoever shows how far it is."""

    def resumed(self, files: Sequence[File]) -> None:
        """These were done before."""

    def done(self, file: File, findings: Findings) -> None:
        """One more is done, well or not."""

    def read(self, seconds: float) -> None:
        """So much sound was read so far, all files together. Called a few times a second."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, with what was found before an interruption."""

    analysed: int
    """Files."""
    seconds: float
    """Of sound."""
    detections: int
    species: int
    failed: Sequence[Findings]
    """The files that could not be analysed."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several runs, on whatever machines, that do an analysis together: each takes every `count`-th file."""

    number: int
    """From 1."""
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    files: Sequence[File]
    sites: Sites
    settings: Settings
    card: Card
    jobs: int | None
    """Processes; one a core, none idle, when None."""
    resume: bool
    cluster: str | None = None
    """Address of a Dask scheduler whose workers do it instead."""
    shard: Shard | None = None
    """The part that is done here; all of it when None."""

    @property
    def share(self) -> Sequence[File]:
        """The files that are analysed here."""
        return self.files if self.shard is None else self.files[self.shard.number - 1 :: self.shard.count]

    def key(self, file: File) -> str:
        """What makes a file what it is: if any of it is another, it is analysed anew."""
        site = asdict(self.sites.of(file.path))
        return json.dumps([file.name, file.size, file.modified_ns, site])


def study(
    plan: Plan, outputs: Outputs, watcher: Watcher, show: Callable[[Iterable[Findings]], None]
) -> Outcome:
    """Analyse the files and write the outputs.

    Args:
        plan: what is to be done.
        outputs: what is to be written.
        watcher: told of progress.
        show: given all findings when `outputs` has no place for them.

    Raises:
        UserError: it cannot go on; what was found so far is in the resume file.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="birdwatchd-")))
        path = folder / "journal" if outputs.output is None else resume_file(outputs.output, plan.shard)
        settings = _fingerprint(plan)
        journal = stack.enter_context(Journal(path, settings, resume=plan.resume))
        shards = [] if plan.shard or outputs.output is None else _shards(outputs.output)
        for shard in shards:
            with Journal(shard, settings, resume=plan.resume) as part:
                journal.take_in(part)
        failed = _analyse(plan, journal, watcher)
        keys = [plan.key(file) for file in plan.share]
        if plan.shard is None:
            if len(failed) < len(keys):
                outputs.write(lambda: journal.findings(keys))
                if outputs.output is None:
                    show(journal.findings(keys))
            outcome = _outcome(journal.findings(keys), failed)
            journal.remove()
            for shard in shards:
                shard.unlink(missing_ok=True)
        else:
            outcome = _outcome(journal.findings(keys), failed)
    return outcome


def resume_file(output: Path, shard: Shard | None = None) -> Path:
    """Where the findings are kept until the output is written."""
    part = f".{shard.number}-of-{shard.count}" if shard else ""
    return output.with_name(f"{output.name}{part}.resume")


def _shards(output: Path) -> list[Path]:
    """What shards have left for this output."""
    return sorted(output.parent.glob(f"{glob.escape(output.name)}.*-of-*.resume"))


def _analyse(plan: Plan, journal: Journal, watcher: Watcher) -> list[Findings]:
    waiting = {file.name: file for file in plan.share if plan.key(file) not in journal}
    watcher.resumed([file for file in plan.share if file.name not in waiting])
    failed: dict[str, Findings] = {}
    with _workers(plan) as workers:
        tasks = [Task(file.path, plan.sites.of(file.path)) for file in waiting.values()]
        for findings in workers.results(tasks, lambda: watcher.read(workers.seconds_read)):
            file = waiting[findings.file]
            if findings.failure:
                failed[file.name] = findings
            else:
                journal.add(plan.key(file), findings)
            watcher.done(file, findings)
    return [failed[name] for name in waiting if name in failed]


def _workers(plan: Plan) -> Jobs | Cluster:
    if plan.cluster is not None:
        from birdwatchd.analysis.cluster import Cluster

        return Cluster(plan.settings, plan.cluster)
    count = min(plan.jobs or cores(), len(plan.files))
    # By all files, not by those that wait: scores depend on it in their last bits, and must not after a resumption.
    return Jobs(plan.settings, count, threads=1 if plan.jobs else max(1, cores() // count))


def _outcome(findings: Iterable[Findings], failed: Sequence[Findings]) -> Outcome:
    files = detections = 0
    seconds = 0.0
    species: set[str] = set()
    for found in findings:
        files += 1
        seconds += found.seconds
        detections += len(found.rows)
        species.update(row.scientific_name for row in found.rows)
    return Outcome(files, seconds, detections, len(species), failed)


def _fingerprint(plan: Plan) -> dict[str, Any]:
    """The settings that the findings depend on, as JSON has them."""
    settings, card = plan.settings, plan.card
    config = settings.config.model_dump(
        mode="json", include={"deciding", "language", "window_seconds", "hop_seconds"}
    )
    return config | {
        "model": {"name": card.name, "version": card.version, "created": card.created},
        "start": settings.start.isoformat() if settings.start else None,
        "channel": settings.channel,
        "windows_minimum": settings.windows_minimum,
    }
