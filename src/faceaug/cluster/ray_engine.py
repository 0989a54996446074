"""Ray as the engine of ``ClusterExecutor``: only its core, tasks and objects."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from faceaug.cluster.executor import ClusterExecutor, NodeLost, WorkerDied
from faceaug.cluster.worker import Answer, run_chunk
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.executor import processors
from faceaug.storage.temporary import make_temporary

_INSTALL = "python -m pip install 'faceaug[ray]'"
_STORE = 256 * 2**20  # bytes of a local Ray's object store; results are small
_KEPT = 3  # functions that a process keeps
_LONGEST_PLACE = 40  # bytes: the paths of sockets have 107, and Ray's part takes up to 65
_KNOCK = 10.0  # seconds for the head to accept a connection
_PATIENCE = 120.0  # seconds for a node to answer at all
_ADDRESS = re.compile(r"ray(?::(auto|(?:[^\s:/]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}))?", re.ASCII)
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the cluster
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the default of coming versions; the present one warns
}


class RayEngine:
    """Chunks as tasks of Ray, each on one processor, spread over the nodes.

    Ray's own retries are off: it would repeat a whole chunk and never say which task is to blame.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray
        self._run = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(_run)
        self.slots = max(1, sum(int(node["Resources"].get("CPU", 0)) for node in self.nodes()))

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that work, as Ray describes them."""
        return [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]

    def name(self, node: str) -> str:
        """See ``Engine``."""
        for found in self._ray.nodes():
            if found["NodeID"] == node:
                return f"{found['NodeManagerHostname']} ({found['NodeManagerAddress']}, {node[:8]})"
        return node[:8]

    def share(self, function: Callable[[Any], Any]) -> Any:
        """See ``Engine``. In a list, since Ray would replace a bare reference by its value for every chunk."""
        return [self._ray.put(function), os.getcwd()]

    def send(self, shared: Any, tasks: Sequence[Any]) -> Any:
        """See ``Engine``."""
        return self._run.remote(shared, tasks)

    def wait(self, sent: Any) -> Answer[Any]:
        """See ``Engine``."""
        errors = self._ray.exceptions
        try:
            answer: Answer[Any] = self._ray.get(sent)
        except errors.OutOfMemoryError as error:
            raise WorkerDied("its machine ran out of memory") from error
        except errors.WorkerCrashedError as error:
            raise WorkerDied from error
        except (errors.NodeDiedError, errors.ObjectLostError, errors.LocalRayletDiedError) as error:
            raise NodeLost(type(error).__name__) from error
        except errors.RaySystemError as error:
            raise FaceAugError(f"Ray failed: {error}; see its logs, then run again, which continues") from error
        return answer

    def drop(self, sent: Any) -> None:
        """See ``Engine``."""
        with suppress(self._ray.exceptions.RayError):  # the cluster may be gone, which another error says
            self._ray.cancel(sent, force=False)

    def everywhere(self, function: Callable[[Any], Any], task: Any) -> Iterator[tuple[str, Any]]:
        """Apply a function once on every node: (id, result), or (id, FaceAugError) where that failed."""
        at = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        run = self._ray.remote(num_cpus=0, max_retries=1)(function)
        ids = [node["NodeID"] for node in self.nodes()]
        sent = [run.options(scheduling_strategy=at(node, soft=False)).remote(task) for node in ids]
        for node, handle in zip(ids, sent, strict=True):
            try:
                yield node, self._ray.get(handle, timeout=_PATIENCE)
            except self._ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[-1]
                yield node, FaceAugError(f"node {self.name(node)} does not answer: {reason}; is faceaug[ray] there?")


@contextmanager
def open_ray(
    address: str | None = None, *, workers: int | None = None, torch: bool = False
) -> Iterator[ClusterExecutor]:
    """Open an executor on Ray for ``executor=`` of the functions that take one.

    A program that is connected to Ray already keeps its connection, and ``address`` is then not used.

    Args:
        address: "HOST:PORT" or "auto" of a running cluster; None starts Ray on this machine, for the block.
        workers: processes of a Ray that is started here; by default one per available processor.
        torch: whether torch is used on the cluster (to generate faces), so that its versions are compared, too.

    Raises:
        ArgumentError: Ray is not installed.
        FaceAugError: there is no such cluster, or a node does not answer.
        RefusedError: a node has other versions of faceaug, Python, OpenCV, Pillow or numpy.

    Example::

        from faceaug import clean_folder
        from faceaug.cluster import open_ray

        with open_ray("auto") as executor:
            report = clean_folder("/shared/celeba", executor=executor)
    """
    with open_engine(address, workers=workers) as engine:
        executor = ClusterExecutor(engine, torch=torch)
        for node, answer in engine.everywhere(_introduce, None):
            if isinstance(answer, FaceAugError):
                raise answer
            executor.check(node, answer)
        yield executor


@contextmanager
def open_engine(address: str | None = None, *, workers: int | None = None) -> Iterator[RayEngine]:
    """Connect to Ray, whatever its nodes are; see ``open_ray`` for arguments and errors."""
    if find_spec("ray") is None:
        raise ArgumentError(f"a cluster needs Ray, which is not installed: {_INSTALL}")
    os.environ |= _SETTINGS
    import ray

    if ray.is_initialized():
        yield RayEngine(ray)
        return
    with ExitStack() as stack:
        if address is None:
            own = _own_settings(workers, stack.enter_context(_place_of_its_own()))
            _connect(ray, "local", "on this machine", own)
        else:
            check_reachable(address)
            _connect(ray, address, f"at {address}", {})
        stack.callback(ray.shutdown)
        with _no_printing(ray):
            yield RayEngine(ray)


@contextmanager
def _place_of_its_own() -> Iterator[Path]:
    """A folder for the logs and sockets of a Ray; in its usual one, they stay, and another user's is in the way."""
    made = make_temporary()
    try:
        yield made.path
    finally:
        with suppress(OSError):  # a process that is ending still writes there: the next run removes it
            made.remove()


def _own_settings(workers: int | None, place: Path) -> dict[str, Any]:
    """Settings of a Ray that is started here and that no other machine can reach."""
    short = len(os.fsencode(place)) <= _LONGEST_PLACE
    return {
        "num_cpus": workers or processors(),
        "object_store_memory": _STORE,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    } | ({"_temp_dir": str(place)} if short else {})


def read_address(text: str) -> str | None:
    """Parse ``ray``, ``ray:auto`` or ``ray:HOST:PORT``: the address for ``open_ray``.

    Raises:
        ArgumentError: it is none of them.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ArgumentError(
            f"{text!r}: expected ray (started on this machine), ray:auto (the cluster of this machine) or ray:HOST:PORT"
        )
    return found[1]


def check_reachable(address: str) -> None:
    """Raise FaceAugError unless something listens at an address: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host:  # "auto"
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()
    except (OSError, OverflowError) as error:
        raise FaceAugError(
            f"Ray at {address}: nothing answers there ({error}); `ray status` on its head tells whether it runs"
        ) from error


def _connect(ray: ModuleType, address: str, place: str, settings: Mapping[str, Any]) -> None:
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FaceAugError(f"Ray {place}: {reason}; `ray status` tells whether the cluster runs") from error
    finally:
        if main and handler is not None:  # Ray puts its own in place, which would end the program in the middle
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _no_printing(ray: ModuleType) -> Iterator[None]:
    """Keep Ray from printing to stdout that a process died: a command prints its JSON there, and we say it better."""
    worker = ray._private.worker
    before = getattr(worker, "print_to_stdstream", None)
    if before is not None:
        worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        if before is not None:
            worker.print_to_stdstream = before


def _run(shared: list[Any], tasks: Sequence[Any]) -> Answer[Any]:
    """``run_chunk`` in a process of Ray."""
    import ray

    reference, folder = shared
    return run_chunk(_node(), folder, _function(reference.hex(), lambda: ray.get(reference)), tasks)


_functions: dict[str, Any] = {}  # one for each ``map`` that is open, and a few that were


def _function(key: str, load: Callable[[], Any]) -> Any:
    """A shared function, loaded once: it may hold a model."""
    if key not in _functions:
        while len(_functions) >= _KEPT:
            del _functions[next(iter(_functions))]
        _functions[key] = load()
    return _functions[key]


@lru_cache(maxsize=1)
def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _introduce(_: None) -> Any:
    from faceaug.cluster.nodes import versions_here

    return versions_here()
