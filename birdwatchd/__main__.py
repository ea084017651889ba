"""The command `birdwatchd`: before anything that takes time is imported, it sees to it that Ctrl-C is quiet."""

from birdwatchd import interrupts


def main() -> None:
    """Run the command line; `birdwatchd.cli.commands` is it."""
    interrupts.end_at_once()
    from birdwatchd.cli.commands import birdwatchd, run

    try:
        run(birdwatchd)
    except SystemExit as ended:
        if ended.code == interrupts.STATUS:
            interrupts.die()
        raise


if __name__ == "__main__":
    main()
