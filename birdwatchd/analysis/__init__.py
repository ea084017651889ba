"""`birdwatchd analyze`: recordings in, tables out, through the very pipeline that listens to microphones.

    files.py + sites.py ─▶ jobs.py (processes) ─▶ worker.py (one file) ─▶ journal.py ─▶ results.py summary.py samples.py

The unit of work is one file. Whatever a worker finds goes into the journal at once, and every output is written from the
journal in the order of the files, so that it is the same however many jobs there were and however often it was
interrupted. No database, no actions.
"""
