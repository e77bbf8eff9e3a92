"""Scripted editing that a test kills: edits a graph, saves now and then, ticks the journal.

    python -m tests.editing STATE FILE MARKS SEED

After each edit it writes a line into MARKS: a number that the graph has from now on, and the time.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from nodegraph.journal import Journal
from nodegraph.library import standard
from nodegraph.session import Session

standard()  # once, before the test's forks, not in each of them


def edit_for_ever(state: Path, file: Path, marks: Path, seed: int) -> None:
    """Edit until killed."""
    draw = random.Random(seed)
    journal, session = Journal(state), Session.open(file)
    told = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    mark = 0
    while True:
        mark += 1
        names = list(session.graph.nodes)
        match draw.randrange(4):
            case 0:
                session.add("ReLU", at=(mark, mark))
            case 1:
                session.select([draw.choice(names)])
                session.duplicate()
            case 2 if len(names) > 30:
                session.select(names[10:])
                session.delete()
            case 3:
                session.move({draw.choice(names): (mark, 0)})
        if draw.random() < 0.05:
            session.save()
        session.set_meta("slide", str(mark))
        os.write(told, f"{mark} {time.time()}\n".encode())
        for _ in range(draw.randint(1, 4)):
            journal.tick(time.monotonic(), [session])
            time.sleep(0.02 + 0.06 * draw.random())


if __name__ == "__main__":
    edit_for_ever(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
