"""A real cluster of three nodes, all on this machine: everything comes out as it does from one process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from faceaug.clean import CleanPolicy, clean_folder
from faceaug.cli import cli
from faceaug.cluster import ClusterExecutor, open_ray, ray_engine
from faceaug.cluster.__main__ import cluster as command
from faceaug.cluster.ray_engine import read_address
from faceaug.errors import ArgumentError, FaceAugError
from faceaug.faces import align_folder
from faceaug.mix import expand_dataset
from faceaug.synthesize import SyntheticFaceSource
from tests.cluster.tasks import die_once, end_at_three, fail, node_of, working_folder
from tests.conftest import write_celeba

NODES = 3
TIMED = {"report.html", "dataset.json", "alignment.json"}  # these say how long it took


@pytest.fixture(scope="module")
def executor() -> Iterator[ClusterExecutor]:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    handler = signal.getsignal(signal.SIGTERM)  # which starting a node replaces
    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}
    nodes = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    try:
        for _ in range(NODES - 1):
            nodes.add_node(wait=False, **node)
        nodes.wait_for_nodes()
        with open_ray(nodes.address, torch=True) as opened:
            yield opened
    finally:
        nodes.shutdown()
        signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """140 generated faces as a CelebA folder, with copies, a bad name and a damaged file."""
    made = SyntheticFaceSource("faces-64", seed=5).generate(140).permute(0, 2, 3, 1).numpy()
    folder = write_celeba(tmp_path_factory.mktemp("cluster") / "faces", list(made))
    images = folder / "img_align_celeba"
    shutil.copyfile(images / "000001.png", images / "000001 (1).png")
    shutil.copyfile(images / "000002.png", images / "copy.png")
    (images / "torn.png").write_bytes((images / "000003.png").read_bytes()[:500])
    return folder


def same_files(one: Path, other: Path) -> bool:
    def contents(folder: Path) -> dict[str, bytes]:
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if path.name not in TIMED}

    return contents(one) == contents(other) != {}


def test_every_node_works(executor: ClusterExecutor) -> None:
    assert executor.engine.slots == NODES
    assert len(set(executor.map(node_of, range(9), chunk=1))) == NODES


def test_paths_mean_the_same_as_here(
    executor: ClusterExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(executor.map(working_folder, range(9), chunk=1)) == {str(tmp_path)}


def test_a_clean_decides_and_moves_the_same(executor: ClusterExecutor, faces: Path, tmp_path: Path) -> None:
    reports = []
    for name, working in (("serial", None), ("cluster", executor)):
        shutil.copytree(faces, tmp_path / name / "faces")
        report = clean_folder(
            tmp_path / name / "faces", CleanPolicy(max_remove=1), workers=1, executor=working, progress=False
        )
        text = json.dumps(report.to_json()).replace(f"/{name}/", "/")
        reports.append(text.replace(report.run or "-", "RUN"))
        shutil.rmtree(tmp_path / name / "faces" / ".faceaug")
    assert reports[0] == reports[1]
    assert len(json.loads(reports[0])["set_aside"]) == 3
    assert same_files(tmp_path / "serial", tmp_path / "cluster")


@pytest.mark.parametrize("format", ["png", "webdataset"])
def test_an_expansion_has_the_same_bytes(executor: ClusterExecutor, faces: Path, tmp_path: Path, format: Any) -> None:
    dataset = expand_dataset(
        faces, synthetic=12, copies=1, source="faces-64", crop="none", partition="all", eager=False, progress=False
    )
    here = dataset.save(tmp_path / "serial", format=format, workers=1, progress=False)
    there = dataset.save(tmp_path / "cluster", format=format, executor=executor, progress=False)
    assert (here.sizes, here.unreadable, here.notes) == (there.sizes, there.unreadable, there.notes)
    assert same_files(tmp_path / "serial", tmp_path / "cluster")


@pytest.mark.parametrize("format", ["png", "webdataset"])
def test_generated_faces_have_the_same_bytes(executor: ClusterExecutor, tmp_path: Path, format: Any) -> None:
    SyntheticFaceSource("faces-64", seed=3).save(tmp_path / "serial", 150, format=format, progress=False)
    SyntheticFaceSource("faces-64", seed=3).save(
        tmp_path / "cluster", 150, format=format, executor=executor, progress=False
    )
    assert same_files(tmp_path / "serial", tmp_path / "cluster")
    documents = [json.loads((tmp_path / name / "dataset.json").read_text()) for name in ("serial", "cluster")]
    assert documents[0] == documents[1]


def test_selected_faces_cost_the_same(executor: ClusterExecutor, tmp_path: Path) -> None:
    asked = {"Male": 1}
    here = SyntheticFaceSource("dcgan-32", seed=3, attributes=asked).save(tmp_path / "serial", 130, progress=False)
    there = SyntheticFaceSource("dcgan-32", seed=3, attributes=asked).save(
        tmp_path / "cluster", 130, executor=executor, progress=False
    )
    costs = [[(one.looked_at, one.kept, one.passed) for one in report.selection] for report in (here, there)]
    assert costs[0] == costs[1] != []
    assert same_files(tmp_path / "serial", tmp_path / "cluster")


def test_an_alignment_has_the_same_bytes(executor: ClusterExecutor, faces: Path, tmp_path: Path) -> None:
    limits = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    with limits.threadpool_limits(1, "blas"):  # nodes have one thread each; more round landmarks otherwise
        here = align_folder(faces, tmp_path / "serial", size=64, workers=1, progress=False)
    there = align_folder(faces, tmp_path / "cluster", size=64, executor=executor, progress=False)
    assert (here.aligned, here.faces, here.unreadable) == (there.aligned, there.faces, there.unreadable)
    assert here.aligned > 100
    assert same_files(tmp_path / "serial", tmp_path / "cluster")


def test_a_task_that_ends_its_process_is_named(executor: ClusterExecutor, capfd: pytest.CaptureFixture[str]) -> None:
    before = len(executor.notes)
    tasks = [(k, f"faces/{k}.jpg") for k in range(12)]
    found = list(executor.map(end_at_three, tasks, chunk=4, lost=lambda task, _: -task[0]))
    assert found == [0, 1, 2, -3, *range(4, 12)]
    assert executor.notes[before:] == ["faces/3.jpg: ended the process that worked on it, 3 times"]
    assert capfd.readouterr().out == "", "stdout belongs to the JSON of commands"


def test_a_killed_worker_changes_nothing(executor: ClusterExecutor, tmp_path: Path) -> None:
    before = len(executor.notes)
    tasks = ((k, str(tmp_path / "mark")) for k in range(30))
    assert list(executor.map(die_once, tasks, chunk=4)) == list(range(30))
    assert (tmp_path / "mark").exists()
    assert len(executor.notes) == before


def test_an_error_arrives_as_it_was_raised(executor: ClusterExecutor) -> None:
    with pytest.raises(ArgumentError) as caught:
        list(executor.map(fail, range(3)))
    assert str(caught.value) == "task 0"


def test_commands_work_on_a_cluster(executor: ClusterExecutor, faces: Path) -> None:
    plain = CliRunner().invoke(cli, ["clean", str(faces), "--dry-run", "--json"])
    there = CliRunner().invoke(cli, ["clean", str(faces), "--dry-run", "--json", "--on", "ray:auto"])
    assert there.exit_code == 0, there.output
    assert json.loads(there.stdout) == json.loads(plain.stdout)
    wrong = CliRunner().invoke(cli, ["clean", str(faces), "--dry-run", "--on", "ray:auto", "--workers", "2"])
    assert (wrong.exit_code, "leave it out" in wrong.stderr) == (2, True)


def test_check_tells_of_each_node_what_it_sees(executor: ClusterExecutor, faces: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["check", str(faces), "--json"])
    nodes = json.loads(done.stdout)["nodes"]
    assert done.exit_code == 0
    assert [(node["ok"], node["pictures"]) for node in nodes] == [(True, 143)] * NODES
    assert all(node["free_bytes"] > 0 for node in nodes)
    assert CliRunner().invoke(command, ["check", str(faces)]).stdout.count("ok, 143 pictures") == NODES
    assert CliRunner().invoke(command, ["check", str(tmp_path / "none")]).exit_code == 2


def test_a_head_that_does_not_listen_is_named_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FaceAugError, match=rf"^Ray at 127\.0\.0\.1:{port}: nothing answers there"):
        ray_engine.check_reachable(f"127.0.0.1:{port}")
    ray_engine.check_reachable("auto")


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "find_spec", lambda _: None)
    with pytest.raises(ArgumentError, match=r"pip install 'faceaug\[ray\]'"), open_ray():
        pass


@pytest.mark.parametrize(
    ("text", "address"),
    [("ray", None), ("ray:auto", "auto"), ("ray:head:6379", "head:6379"), ("ray:[::1]:6379", "[::1]:6379")],
)
def test_addresses_are_read(text: str, address: str | None) -> None:
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["", "dask", "ray:", "ray:head", "ray://head:10001", "ray:head:port", "rays"])
def test_other_addresses_are_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(ArgumentError, match="expected ray "):
        read_address(text)
