"""``python -m faceaug.cluster check FOLDER``: whether a cluster can work on a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from faceaug.cluster.check import check_folder
from faceaug.cluster.ray_engine import open_engine, read_address
from faceaug.errors import FaceAugError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cluster() -> None:
    """Look after a cluster that faceaug works on."""


@cluster.command(epilog="\b\nExample:\n  python -m faceaug.cluster check /shared/celeba --on ray:head:6379")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--on", default="ray:auto", show_default=True, metavar="ray[:ADDRESS]", help="The cluster.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(folder: Path, on: str, as_json: bool) -> None:
    """Say for each node whether it sees FOLDER as this machine does, its versions and its free memory."""
    try:
        with open_engine(read_address(on)) as engine:
            found = check_folder(engine, folder)
    except FaceAugError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "nodes": [node.to_json() for node in found]}))
    else:
        click.echo("\n".join(node.line() for node in found))
    sys.exit(1 if any(node.faults for node in found) else 0)


if __name__ == "__main__":
    cluster(prog_name="python -m faceaug.cluster")
