"""birdwatchd: a daemon that listens, recognises birds, and sets things off.

    sound card ─▶ Ring ─▶ Window ─▶ Scores ─▶ gates ─▶ Detection ─▶ Store
      audio/      audio/   audio/    model/   detection/ detection/   store/
                           6 s, every hop

Audio enters at the left and nothing ever flows back.
"""

__version__ = "0.1.0"
