"""An engine in this process, in which workers and nodes are lost on request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from faceaug.cluster.executor import NodeLost, WorkerDied
from faceaug.cluster.worker import Answer, run_chunk

Loss = Callable[[Any], bool]


def nothing(_: Any) -> bool:
    return False


class LocalEngine:
    """Runs a chunk when somebody waits for it, on one node after the other."""

    def __init__(self, *, kills: Loss = nothing, loses: Loss = nothing, nodes: Sequence[str] = ("one", "two")) -> None:
        self.slots = len(nodes)
        self.nodes = nodes
        self.kills = kills
        self.loses = loses
        self.versions: dict[str, Any] = {}
        self.blind: dict[str, Any] = {}
        self.sent: list[tuple[str, Any, Sequence[Any]]] = []
        self.open = self.most_open = 0

    def share(self, function: Callable[[Any], Any]) -> Any:
        return function

    def send(self, shared: Any, tasks: Sequence[Any]) -> Any:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.sent.append((self.nodes[len(self.sent) % self.slots], shared, tasks))
        return self.sent[-1]

    def wait(self, sent: Any) -> Answer[Any]:
        self.open -= 1
        node, function, tasks = sent
        if any(map(self.loses, tasks)):
            raise NodeLost("NodeDiedError")
        if any(map(self.kills, tasks)):
            raise WorkerDied
        answer = run_chunk(node, os.getcwd(), self.blind.get(node, function), tasks)
        return replace(answer, versions=self.versions.get(node, answer.versions))

    def drop(self, sent: Any) -> None:
        self.open -= 1

    def name(self, node: str) -> str:
        return f"{node}.example (10.0.0.{1 + list(self.nodes).index(node)})"

    def everywhere(self, function: Callable[[Any], Any], task: Any) -> Iterator[tuple[str, Any]]:
        return ((node, self.blind.get(node, function)(task)) for node in self.nodes)
