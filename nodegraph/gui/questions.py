"""What the editor asks its worker: what is wrong with a graph, and whether a gradient is right.

Nobody waits for an answer. It is taken when it has come, if the graph is still the one in question.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..files import dumps
from ..session import Analysis, Session
from ..worker.client import Worker
from .documents import Documents
from .popups import Popups

GRADCHECK = "gradcheck"  # the key of that question to the worker


class Questions:
    """Asks about what has changed, and gives the answers to the sessions that they are about."""

    def __init__(self, popups: Popups, documents: Documents) -> None:
        self.popups, self.documents = popups, documents
        self.worker = Worker()
        self.asked: dict[int, int] = {}  # session: its edition that the worker was asked about
        self.numbers = itertools.count(1)

    @property
    def told(self) -> str:
        """What has become of the worker, in words; "" where all is well."""
        return self.worker.told

    def renew(self) -> None:
        """Ask all anew of another worker, which knows the node types that there are now."""
        self.worker.close()
        self.worker = Worker()
        self.worker.start()
        self.asked.clear()

    def analyse(self, session: Session) -> None:
        """Ask the worker about what has changed."""
        if self.asked.get(session.id) != session.edition:
            self.asked[session.id] = session.edition
            text, key = partial(dumps, session.root), str(session.id)
            self.worker.analyse(session.edition, text, key=key, folder=session.folder)

    def poll(self) -> bool:
        """Take what the worker answers; whether there was something to show."""
        came = False
        for answer in self.worker.poll():
            if answer.get("key") == GRADCHECK:
                came = True
                self.tell_gradient(answer)
            for tab in self.documents.tabs:
                session = tab.session
                if answer.get("key") != str(session.id):
                    continue
                came = True
                if answer["do"] == "failed":  # what was known is of an older graph
                    session.analysis = None
                    session.tell(answer["text"], "error")
                elif answer.get("id") == session.edition:
                    session.analysis = Analysis.from_message(answer)
        return came

    def gradcheck(self) -> None:
        """Have the worker check the gradient of what is selected."""
        tab = self.documents.tab
        session = tab.session if tab else None
        chosen = session.nodes_selected if session else ()
        if session is None or len(chosen) != 1:
            self.documents.tell("select one node whose gradient is to be checked", "refused")
            return
        place, folder = session.place(chosen[0]), session.folder
        graph, number = session.root, next(self.numbers)

        def asked() -> dict[str, Any]:
            known = {"id": number, "key": GRADCHECK, "folder": folder}
            return {"do": "gradcheck", "graph": dumps(graph), "node": place, **known}

        self.worker.send(asked, replaces=GRADCHECK)
        session.tell(f"checking the gradient of {place}…")

    def tell_gradient(self, answer: Mapping[str, Any]) -> None:
        """Show what the check has found."""
        right = answer.get("right", False)
        if (tab := self.documents.tab) is not None:
            told = "the gradient is right" if right else "the gradient is not right"
            tab.session.tell(told if "right" in answer else answer["text"],
                             "info" if right else "error")  # fmt: skip
        if "right" in answer:
            self.popups.question("Gradient", answer["text"], [("Close", lambda: None)])
