"""The command line: parse, call one function, print its report. No logic."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import click

from faceaug.commands import options as parsing
from faceaug.commands.align import align, photo_options
from faceaug.commands.clean import clean, undo
from faceaug.commands.cluster import on_option
from faceaug.commands.console import Commands, Console, common_options, run_to_the_end, use_large_pages
from faceaug.commands.convert import convert
from faceaug.commands.deidentify import deidentify
from faceaug.commands.outputs import OutputFile, OutputFolder, overwrite_option
from faceaug.commands.report import report_option, write_report
from faceaug.commands.split import split
from faceaug.data.marks import GRID, ONNX, PREVIEW, REPLAYED, TOGGLES, sheet_kind
from faceaug.errors import Interrupted

_EXAMPLES = "\b\nExample:\n  "


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="faceaug")
def cli() -> None:
    """Make a folder of face pictures a better training set."""


@cli.command(epilog=_EXAMPLES + "faceaug demo")
@click.argument("out", type=OutputFolder(), required=False)
@common_options
def demo(out: Path | None, console: Console) -> None:
    """Run the whole pipeline on generated faces.

    Makes a small messy folder of generated faces in OUT (default: faceaug-demo), cleans it, expands it, loads it,
    and writes OUT/report.html. Needs only this package and no network.
    """
    from faceaug.commands.demo import run_demo

    report = run_demo(out, say=console.say, progress=console.progress)
    console.document(report.to_json())


@cli.command(epilog=_EXAMPLES + "faceaug preview ./celeba --out sheet.png")
@click.argument("folder", type=parsing.INPUT)
@click.option("--out", type=OutputFile(sheet_kind(PREVIEW), later=True), required=True, help="The PNG to write.")
@overwrite_option
@click.option(
    "--preset", type=click.Choice(["document", "light", "strong"]), help="Preset of the last rows.  [default: light]"
)
@click.option("--recipe", type=parsing.INPUT, help="Your own recipe for the last rows (recipe.toml).")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed that selects the faces.")
@parsing.reading_options
@common_options
def preview(
    folder: Path, out: Path, overwrite: bool, preset: str | None, recipe: Path | None, seed: int, console: Console
) -> None:
    """Draw a contact sheet: a row per augmentation, stronger to the right, with landmarks."""
    from faceaug.augment import Preset, load_recipe
    from faceaug.augment.preview import write_preview

    if preset and recipe:
        raise click.UsageError("--preset and --recipe: choose one")
    shown = load_recipe(recipe) if recipe else Preset(preset) if preset else None
    size = write_preview(folder, out, recipe=shown, seed=seed, overwrite=overwrite)
    console.say(f"{out}: {size[1]}x{size[0]} pixels")
    console.document({"out": str(out), "width": size[1], "height": size[0]})


@cli.command(epilog=_EXAMPLES + "faceaug synth --n 10000 --out ./extra")
@click.option("--n", type=int, default=10_000, show_default=True, help="Number of faces.")
@click.option("--out", type=OutputFolder(), required=True, help="A new or empty folder.")
@click.option("--model", metavar="NAME|PATH", help="Bundled model, model folder or run folder.  [default: faces-64]")
@click.option("--seed", type=int, default=0, show_default=True, help="Face k depends only on model, seed and k.")
@click.option("--format", "ending", type=click.Choice(["png", "jpg", "webdataset"]), default="png", show_default=True)
@click.option("--grid", type=OutputFile(sheet_kind(GRID)), help="Also write a contact sheet of the first faces (PNG).")
@parsing.making_options
@click.option(
    "--toggles", type=OutputFile(sheet_kind(TOGGLES)), help="Also write faces with each attribute toggled (PNG)."
)
@overwrite_option
@click.option("--download", is_flag=True, help="Allow fetching a model OWNER/NAME from the Hugging Face hub.")
@click.option("--sha256", metavar="DIGEST", help="Refuse a model whose config.json has another SHA-256.")
@on_option(torch=True)
@common_options
def synth(
    n: int, out: Path, model: str | None, seed: int, ending: Any, grid: Path | None, download: bool,
    sha256: str | None, making: dict[str, Any], toggles: Path | None, overwrite: bool, executor: Any,
    console: Console,
) -> None:  # fmt: skip
    """Write generated faces as files, with metadata.csv."""
    from faceaug.synthesize import SyntheticFaceSource
    from faceaug.synthesize.toggles import write_toggles
    from faceaug.synthesize.weights import default_model

    chosen = model or default_model(attributes=making["attributes"] or toggles)
    source = SyntheticFaceSource.from_pretrained(chosen, download=download, sha256=sha256, n=n, seed=seed, **making)
    if toggles is not None:
        write_toggles(source, toggles, overwrite=overwrite)
    report = source.save(out, format=ending, executor=executor, progress=console.progress)
    if grid is not None:
        source.save_grid(grid, min(n, 100), overwrite=overwrite)
    console.say(report.summary())
    console.document(report.to_json())


@cli.command(epilog=_EXAMPLES + "faceaug expand ./celeba --out ./celeba-plus --size 64 --synthetic 0.25")
@click.argument("folder", type=parsing.INPUT)
@click.option("--out", type=OutputFolder(*REPLAYED), required=True, help="A new or empty folder outside FOLDER.")
@parsing.expand_options
@on_option(torch=True)
@overwrite_option
@photo_options
@common_options
def expand(
    folder: Path, out: Path, balance: tuple[str, ...], synthetic: str | None, model: tuple[str, ...], ending: Any,
    workers: int | None, replay: str | None, faces: Path | None, recipe: Path | None, only_synthetic: bool,
    overwrite: bool, executor: Any, console: Console, **options: Any,
) -> None:  # fmt: skip
    """Write real, augmented and synthetic faces as a new folder. Never writes into FOLDER."""
    from faceaug.commands.expand import audit, replay_to
    from faceaug.mix import expand_dataset, save_dataset

    if replay is not None:
        if executor is not None:
            raise click.UsageError("--on has no effect with --replay; leave it out")
        models = parsing.read_models(model)
        made = replay_to(folder, replay, out, faces=faces, models=models, recipe=recipe, overwrite=overwrite)
        console.say(
            f"{made.name} ({made.origin}) regenerated: {'the same bytes' if made.same else 'OTHER BYTES'}; {out}"
        )
        console.document(made.to_json() | {"out": str(out)})
        return
    share = None if synthetic is None else parsing.read_number(synthetic)
    dataset = expand_dataset(
        folder,
        synthetic=share,
        balance=dict(map(parsing.read_balance, balance)),
        recipe=recipe,
        source=parsing.read_models(model),
        only_synthetic=only_synthetic,
        eager=False,
        progress=console.progress,
        **options,
    )
    appendix = audit if only_synthetic else None
    report = save_dataset(
        dataset,
        out,
        format=ending,
        workers=workers,
        executor=executor,
        progress=console.progress,
        appendix=appendix,
    )
    console.say(report.summary(verbose=console.verbose))
    console.document(report.to_json())


@cli.command(epilog=_EXAMPLES + "faceaug train ./celeba --out ./run --minutes 30")
@click.argument("folder", type=parsing.INPUT)
@parsing.train_options
@photo_options
@common_options
def train(
    folder: Path, run: Path, console: Console, *, classifier: bool, preset: str | None, settings: tuple[str, ...],
    resume: bool, init: str | None, tensorboard: bool, minutes: float | None, partition: str | None,
    device: str | None, **changes: Any,
) -> None:  # fmt: skip
    """Train a generator on a folder of faces. SIGINT and SIGTERM save first; --resume continues exactly there.

    With --classifier, train an attribute classifier instead; the folder needs a table of attributes.

    For several processes, start it with `torchrun --nproc-per-node 2 -m faceaug train ...` (generators only).
    """
    from faceaug.commands.train import train_network

    use_large_pages()
    report = train_network(
        folder,
        run,
        classifier=classifier,
        preset=preset,
        settings=settings,
        resume=resume,
        init=init,
        tensorboard=tensorboard,
        changes=changes,
        progress=console.progress,
        minutes=minutes,
        began=console.began,
        partition=partition,
        device=device,
    )
    console.detail(report.unreadable)
    for note in report.notes[: None if console.verbose else 3]:
        console.note(note)
    console.say(report.summary())
    console.document(report.to_json())


@cli.command(epilog=_EXAMPLES + "faceaug evaluate dcgan-32 ./celeba --report report.html")
@click.argument("model", metavar="MODEL|FOLDER")
@click.argument("folder", type=parsing.INPUT, metavar="OTHER")
@report_option("faceaug evaluate")
@overwrite_option
@parsing.evaluate_options
@photo_options
@common_options
def evaluate(
    model: str, folder: Path, report: Path | None, overwrite: bool, memorisation: bool, usefulness: bool,
    console: Console, **options: Any,
) -> None:  # fmt: skip
    """Measure a model, or a folder of faces, against real faces: fidelity, diversity, memorisation.

    MODEL is a bundled name, a model folder or a run folder; OTHER holds its training pictures. Or FOLDER holds any
    faces, generated or real, and OTHER those to compare them with. Every figure comes with a control, the same figure
    for real faces. --memorisation runs only that part; --usefulness tests instead whether a model's faces help a
    classifier.
    """
    use_large_pages()
    from faceaug.commands.evaluate import assess, read_options

    found = assess(
        model,
        folder,
        read_options(options),
        memorisation=memorisation,
        usefulness=usefulness,
        report=report,
        progress=console.progress,
    )
    console.say(found.summary(verbose=console.verbose))
    if report is not None:
        write_report(report, found, found.to_html, command="faceaug evaluate", overwrite=overwrite)
        console.say(f"report: {report}")
    console.document(found.to_json())


@cli.command("import-model", epilog=_EXAMPLES + "faceaug import-model generator.pth --out ./my-model")
@click.argument("weights", type=parsing.INPUT)
@click.option("--out", type=OutputFolder(), required=True, help="A new or empty folder.")
@click.option("--name", help="Name of the model.  [default: the file's]")
@click.option(
    "--crop",
    type=click.Choice(["center178", "center140", "square", "none"]),
    default="center178",
    show_default=True,
    help="Crop of its training pictures.",
)
@click.option("--latent", type=click.Choice(["normal", "uniform"]), default="normal", show_default=True)
@click.option("--license", default="unknown", show_default=True, help="Licence of the weights, for the model card.")
@click.option("--part", metavar="NAME", help="Which generator to take if the file holds several.")
@common_options
def import_model(
    weights: Path, out: Path, name: str | None, crop: Any, latent: str, license: str, part: str | None,
    console: Console,
) -> None:  # fmt: skip
    """Convert the weights of a DCGAN's generator, .pth or safetensors, to a model folder. Code is never run."""
    from faceaug.synthesize.convert import NOTES, import_state_dict

    config = import_state_dict(weights, out, name=name, crop=crop, latent=latent, license=license, part=part)
    notes = [f"{words}: {config.training[key]}" for key, words in NOTES.items() if key in config.training]
    for note in notes:
        console.note(note)
    console.say(f"{config.name}: {config.size}x{config.size} faces from {config.z_size} numbers, in {out}")
    facts = {"out": str(out), "name": config.name, "size": config.size, "sha256": config.sha256, "notes": notes}
    console.document(facts)


@cli.command("export-model", epilog=_EXAMPLES + "faceaug export-model dcgan-32 --to onnx --out faces.onnx")
@click.argument("model")
@click.option("--out", type=OutputFolder(ONNX), required=True, help="The file or folder to write.")
@click.option("--to", "kind", type=click.Choice(["folder", "onnx"]), default="folder", show_default=True)
@overwrite_option
@common_options
def export_model(model: str, out: Path, kind: str, overwrite: bool, console: Console) -> None:
    """Write a model as a folder for the Hugging Face hub, or as ONNX, checked against the original."""
    from faceaug.synthesize.convert import export_folder, export_onnx
    from faceaug.synthesize.weights import load_model

    if kind == "onnx":
        difference = export_onnx(load_model(model), out, overwrite=overwrite)
        console.say(f"{out}: onnxruntime's faces differ by at most {difference:.1g} of 2")
        console.document({"out": str(out), "difference": difference})
        return
    config = export_folder(load_model(model), out)
    console.say(f"{config.name} in {out}")
    console.document({"out": str(out), "name": config.name, "sha256": config.sha256})


@cli.command(epilog=_EXAMPLES + "faceaug serve --port 8000")
@parsing.serve_options
@common_options
def serve(models: tuple[str, ...], console: Console, **where: Any) -> None:
    """Serve a page with a button that makes faces, until interrupted. Needs faceaug[serve]."""
    from faceaug.commands.server import load_server

    run_server = load_server()

    def listening(url: str) -> None:
        """Say where the page is."""
        console.say(f"{url}  (Ctrl-C stops)")
        console.document({"url": url})

    try:
        run_server(models, on_listening=listening, **where)
    except KeyboardInterrupt:
        raise Interrupted("stopped; requests under way were answered") from None


@cli.command(epilog=_EXAMPLES + "faceaug info")
@click.argument("folder", type=parsing.INPUT, required=False)
@parsing.layout_option
@common_options
def info(folder: Path | None, console: Console) -> None:
    """Show versions, models with licence and hash, and known trouble; or the contents of FOLDER.

    For a folder: its layout, the numbers of pictures, labels, partitions, identities and landmarks, and data that is
    not used.
    """
    from faceaug.commands.doctor import examine
    from faceaug.data.overview import look_over

    found = examine() if folder is None else look_over(folder)
    console.say(found.summary())
    console.document(found.to_json())


cli.add_command(clean)
cli.add_command(undo)
cli.add_command(align)
cli.add_command(convert)
cli.add_command(deidentify)
cli.add_command(split)


def main() -> NoReturn:
    """Run the command line; every failure prints one line and exits with its documented code."""
    run_to_the_end(cli)
