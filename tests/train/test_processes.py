from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from faceaug.errors import ArgumentError
from faceaug.train import TrainConfig, train_gan
from faceaug.train.checkpoint import checkpoints, read_checkpoint
from faceaug.train.processes import Processes, join_processes

TINY = {
    "z_size": 8, "g_conv_dim": 8, "d_conv_dim": 8, "batch": 16, "images": 48, "precision": "fp32", "crop": "square",
    "checkpoint_every": 16, "sample_every": 48, "monitor_every": 48, "log_every": 16, "average_half_life": 100,
}  # fmt: skip
WORKER = """
import json, sys, torch
torch.set_num_threads(1)
from faceaug.train import TrainConfig, export, train_gan
export._STATISTICS_BATCHES = 2
faces, run, config = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
report = train_gan(faces, run, TrainConfig(**config), device="cpu")
print(report.images, report.finished)
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(
    rank: int, faces: Path, run: Path, config: dict[str, object], *, address: str, port: int, local_rank: int,
    prefix: tuple[str, ...] = (), interface: str = "lo",
) -> subprocess.Popen[str]:  # fmt: skip
    environment = os.environ | {
        "PYTHONPATH": ":".join(sys.path), "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(local_rank),
        "MASTER_ADDR": address, "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": interface, "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [*prefix, sys.executable, "-c", WORKER, str(faces), str(run), json.dumps(config)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def both(faces: Path, run: Path, config: dict[str, object]) -> None:
    port = free_port()
    finish([start(k, faces, run, config, address="127.0.0.1", port=port, local_rank=k) for k in (0, 1)])


def finish(workers: list[subprocess.Popen[str]]) -> None:
    """Wait for all to end well; when one does not, the others would wait for it."""
    try:
        for worker in workers:
            _, said = worker.communicate(timeout=240)
            assert worker.returncode == 0, said
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def tensors(run: Path, which: int = -1) -> dict[str, torch.Tensor]:
    return read_checkpoint(checkpoints(run)[which]).tensors


def alike(one: Path, two: Path) -> None:
    """The first steps agree: gradients closely, weights but for the few whose gradient is nothing but rounding.

    Adam's first step is the rate times the sign of a gradient. Where that is near nothing rounding decides the sign,
    so a few weights of the discriminator differ by two steps, and the generator's gradients in the third digit.
    """
    a, b = tensors(one), tensors(two)
    assert a.keys() == b.keys()
    for name in a:
        if name.endswith("/exp_avg"):
            share = float((a[name] - b[name]).norm() / a[name].norm().clamp_min(1e-7))
            assert share < (1e-4 if name.startswith("d_optimizer") else 0.02), name
        elif name.endswith(("running_mean", "running_var")):
            torch.testing.assert_close(a[name], b[name], rtol=0.01, atol=1e-3)
    for network in ("discriminator", "generator", "average"):
        names = [n for n in a if n.startswith(f"{network}/") and a[n].is_floating_point() and "running" not in n]
        far = torch.cat([(a[n] - b[n]).abs().flatten() for n in names])
        assert far.max() < 4.1e-4, network
        assert (far > 1e-6).float().mean() < 0.02, network


@pytest.fixture(scope="module")
def alone(celeba_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("alone") / "run"
    train_gan(celeba_folder, run, TrainConfig(**TINY | {"images": 16}), device="cpu")  # type: ignore[arg-type]
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"r1": 0.5, "augment": "color,translation", "augment_p": 0.5},
        {"d_norm": "spectral", "loss": "hinge"},
        {"architecture": "film-subpixel", "toggle": 0.5, "minibatch_stddev": True},
    ],
    ids=["plain", "r1 and augmentation", "spectral", "attributes"],
)
def test_a_step_of_two_processes_is_the_step_of_one(
    celeba_folder: Path, tmp_path: Path, recipe: dict[str, object]
) -> None:
    config = TINY | {"images": 16} | recipe
    train_gan(celeba_folder, tmp_path / "one", TrainConfig(**config), device="cpu")  # type: ignore[arg-type]
    both(celeba_folder, tmp_path / "two", config)
    alike(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_two_processes_resume_to_the_bit_and_write_one_run_folder(celeba_folder: Path, tmp_path: Path) -> None:
    both(celeba_folder, tmp_path / "whole", dict(TINY))
    run = tmp_path / "halves"
    shutil.copytree(tmp_path / "whole", run)
    shutil.rmtree(checkpoints(run)[-1])  # as if killed between its last two checkpoints
    document = json.loads((run / "config.json").read_bytes()) | {"finished": False}
    (run / "config.json").write_text(json.dumps(document))
    both(celeba_folder, run, dict(TINY))
    whole, halves = tensors(tmp_path / "whole"), tensors(run)
    assert all(torch.equal(whole[name], halves[name]) for name in whole)
    assert (run / "log.jsonl").read_text().count("\n") == (tmp_path / "whole" / "log.jsonl").read_text().count("\n")
    assert (run / "model" / "model.safetensors").is_file()
    assert not (run / "faces.npy").exists()


@pytest.fixture
def other_host() -> Iterator[tuple[str, ...]]:
    """Two network namespaces joined by a cable, 10.9.0.1 and 10.9.0.2: what to put before a command to run it there."""
    if shutil.which("ip") is None or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("ip, unshare or nsenter is not installed")
    hosts = [subprocess.Popen(["unshare", "-rn", "sleep", "600"], stderr=subprocess.PIPE)]
    try:
        yield from _joined(hosts)
    finally:
        for host in hosts:
            host.kill()
            host.communicate()


def _joined(hosts: list[subprocess.Popen[bytes]]) -> Iterator[tuple[str, ...]]:
    try:
        hosts[0].wait(0.5)
    except subprocess.TimeoutExpired:
        pass
    else:
        pytest.skip(f"the kernel refuses a network namespace: {(hosts[0].stderr.read() if hosts[0].stderr else b'')!r}")
    inside = ("nsenter", "-t", str(hosts[0].pid), "-U", "-n", "--preserve-credentials")
    hosts.append(subprocess.Popen([*inside, "unshare", "-n", "sleep", "600"], stderr=subprocess.PIPE))
    second = str(hosts[1].pid)
    for _ in range(50):
        if os.readlink(f"/proc/{second}/ns/net") != os.readlink(f"/proc/{hosts[0].pid}/ns/net"):
            break
        time.sleep(0.05)
    there = ("nsenter", "-t", second, "-U", "-n", "--preserve-credentials")
    for command in (
        [*inside, "ip", "link", "set", "lo", "up"],  # a host reaches its own address through it
        [*there, "ip", "link", "set", "lo", "up"],
        [*inside, "ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable1", "netns", second],
        [*inside, "ip", "addr", "add", "10.9.0.1/24", "dev", "cable0"],
        [*inside, "ip", "link", "set", "cable0", "up"],
        [*there, "ip", "addr", "add", "10.9.0.2/24", "dev", "cable1"],
        [*there, "ip", "link", "set", "cable1", "up"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the kernel refuses {' '.join(command[-8:])}: {done.stderr.strip()}")
    yield " ".join(inside), " ".join(there)


@pytest.mark.slow
def test_two_hosts_train_together_each_with_its_own_copy_of_the_faces(
    celeba_folder: Path, tmp_path: Path, alone: Path, other_host: tuple[str, str]
) -> None:
    copied = tmp_path / "faces"
    shutil.copytree(celeba_folder, copied)
    config = TINY | {"images": 16}
    workers = [
        start(
            rank, faces, tmp_path / f"host{rank}", config, address="10.9.0.1", port=29511, local_rank=0,
            prefix=tuple(other_host[rank].split()), interface=f"cable{rank}",
        )
        for rank, faces in enumerate((celeba_folder, copied))
    ]  # fmt: skip
    finish(workers)
    alike(alone, tmp_path / "host0")
    assert not checkpoints(tmp_path / "host1")


def test_alone_everything_is_its_own_mean() -> None:
    with join_processes("cpu") as processes:
        assert (processes.rank, processes.count, processes.device.type) == (0, 1, "cpu")
        assert processes.share(8) == slice(0, 8)
        assert processes.from_first(b"x") == b"x"
        assert processes.any(True)
        assert not processes.any(False)
        layer = nn.Linear(2, 2)
        layer(torch.ones(1, 2)).sum().backward()
        before = layer.weight.grad
        processes.average_gradients(layer)
        assert layer.weight.grad is before


def test_shares_are_equal_and_cover_all() -> None:
    shares = [Processes(k, 4, k, torch.device("cpu")).share(12) for k in range(4)]
    assert [list(range(12))[share] for share in shares] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    from faceaug.train import loop

    with pytest.raises(ArgumentError, match="batch 16: cannot be shared equally among 3 processes"):
        loop._check_shares(TrainConfig(batch=16), Processes(0, 3, 0, torch.device("cpu")))


def test_a_device_that_is_not_there_is_refused(celeba_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="device nowhere: not available"):
        train_gan(celeba_folder, tmp_path / "run", device="nowhere")
    assert not (tmp_path / "run").exists()
