"""The ledger against the truth: whether every second that went by, and none that did not, is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.sound import RATE
from tests.soak.trial import AFTERMATH_SECONDS, STARTING_SECONDS, read_ledger
from tests.soak.world import RECORDING, RECORDING_SECONDS

if TYPE_CHECKING:
    from tests.soak.trial import Ledger, Trial, Verdict
    from tests.soak.world import World

PER_LIFE_SECONDS = 5.0
"""So far may the account of a source be off for each time that the daemon started: what a stream's server sends late."""


def judge_ledger(verdict: Verdict, trial: Trial) -> None:
    """Add it up, source by source."""
    world, keeper, seconds = trial.world, trial.keeper, trial.ended - trial.began
    ledger = read_ledger(world.database)
    tolerance = PER_LIFE_SECONDS * max(1, len(keeper.lives))
    _judge_recording(verdict, trial, _sums(ledger, RECORDING))
    for source in world.sources:
        balance = _sums(ledger, source)
        balance["sent"] = _sent(world, source)
        verdict.balance[source] = balance
        accounted = balance.get("expected", 0.0) + balance.get("off", 0.0)
        verdict.find(
            f"{source}: heard + lost + not running = the time that went by",
            f"{accounted:.1f} s of {seconds:.1f} s accounted for, a difference of {accounted - seconds:+.1f} s in {len(keeper.lives)} runs",
            holds=abs(accounted - seconds) < tolerance,
        )
        apart = balance.get("expected", 0.0) - balance.get("captured", 0.0) - balance.get("lost", 0.0)
        verdict.find(
            f"{source}: expected = captured + lost", f"apart by {apart:+.2f} s", holds=abs(apart) < 1.0
        )
        waiting = balance.get("captured", 0.0) - balance.get("analysed", 0.0) - balance.get("skipped", 0.0)
        verdict.find(
            f"{source}: captured = analysed + skipped",
            f"apart by {waiting:+.1f} s: captured in the last seconds of runs that died",
            holds=abs(waiting) < tolerance + 10.0 * len(keeper.lives),
        )
        if balance["sent"]:
            verdict.find(
                f"{source}: nothing was counted as captured that had not been sent",
                f"{balance['sent']:.1f} s sent, {balance.get('captured', 0.0):.1f} s captured",
                holds=balance.get("captured", 0.0) <= balance["sent"] + 1.0,
            )


def _sums(ledger: Ledger, source: str) -> dict[str, float]:
    """Seconds by kind."""
    sums: dict[str, float] = {}
    for (its_source, kind, _), amount in ledger.items():
        if its_source == source:
            sums[kind] = sums.get(kind, 0.0) + amount
    return sums


def _judge_recording(verdict: Verdict, trial: Trial, sums: dict[str, float]) -> None:
    """It is heard once in each run, by those that lived long enough to its end."""
    enough = RECORDING_SECONDS + STARTING_SECONDS + AFTERMATH_SECONDS  # it is written down a while later
    failures = [one.start for one in trial.disturbances if one.name == "disk read-only"]
    lasting = sum(
        end - born > enough and not any(born < failed < born + enough for failed in failures)
        for born, end, _ in trial.keeper.lives
    )
    least, most = lasting * RECORDING_SECONDS, len(trial.keeper.lives) * RECORDING_SECONDS
    captured = sums.get("captured", 0.0)
    waiting = captured - sums.get("analysed", 0.0) - sums.get("skipped", 0.0)
    verdict.find(
        f"{RECORDING}, a recording of {RECORDING_SECONDS / 60:.0f} minutes, is heard whole in each run that lasts",
        f"{captured:.1f} s captured in {len(trial.keeper.lives)} runs, {lasting} of which lasted; {waiting:.1f} s of that neither "
        f"analysed nor skipped; {sums.get('lost', 0.0):.1f} s lost",
        holds=least - 1.0 <= captured <= most + 1.0
        and abs(waiting) < 10.0 * len(trial.keeper.lives)
        and not round(sums.get("lost", 0.0)),
    )


def _sent(world: World, source: str) -> float:
    path = world.folder / f"{source}.sent"
    if not path.exists():
        return 0.0
    return sum(int(stop) - int(start) for start, stop in map(str.split, path.read_text().splitlines())) / RATE
