"""What a run writes along the way: log, sample sheets, checkpoints, the model; and rollback after divergence."""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor

from faceaug.errors import FaceAugError, RefusedError, printable
from faceaug.progress import aside
from faceaug.progress.phases import Phase
from faceaug.storage.files import replacing_folder
from faceaug.synthesize.weights import MODEL_FILES
from faceaug.train.checkpoint import checkpoint_bytes, checkpoints, parse_checkpoint, write_checkpoint
from faceaug.train.config import TrainConfig
from faceaug.train.export import export_model, statistics_batches
from faceaug.train.monitor import FAKES, Monitor
from faceaug.train.processes import Processes
from faceaug.train.record import RunLog, shown_before
from faceaug.train.samples import fixed_faces, write_sheet
from faceaug.train.schedule import passed
from faceaug.train.session import Session

_TRIAL = 64  # faces
_NEAREST = 2_000  # images between two looks at a short run


class Keeper:
    """Writes the run folder. In processes other than the first it writes nothing.

    Args:
        run: the run folder.
        session: the run's state.
        processes: all processes of the run.
        log: of the first process; None in the others.
        monitor: of the first process; None in the others.

    Attributes:
        saving: seconds that ``save`` takes, by the last time or an estimate; 0 if nothing is known.
        looking: the same of ``look``.
    """

    def __init__(
        self, run: Path, session: Session, processes: Processes, log: RunLog | None, monitor: Monitor | None
    ) -> None:
        self.run = run
        self.session = session
        self.processes = processes
        self.log = log
        self.saving = 0.0
        self.looking = 0.0
        self._monitor = monitor
        self._clock = (time.monotonic(), session.images)
        self._proxy: float | None = None
        self._alarmed: set[str] = set()
        self._before = 0 if log is None else shown_before(run)

    def attend(self, phase: Phase) -> None:
        """Write what is due after a step, and show in ``phase`` how far the run is, with the newest losses."""
        config = self.session.config
        phase.reach(self.session.images)
        if self._due(config.log_every):
            self._write_reading(phase)
        if self._due(watch_interval(config)):
            self.look()
        if self._due(config.sample_every):
            self.write_samples()
        if self._due(config.checkpoint_every):
            self.save()

    def save(self) -> None:
        """Write a checkpoint, and export it as a model."""
        if self.log is not None:
            began = time.monotonic()
            self.log.sync()
            write_checkpoint(self.run, self.session.checkpoint())
            with replacing_folder(self.run / "model", ours=MODEL_FILES) as folder:
                export_model(self.run, folder, overwrite=True)
            self.saving = time.monotonic() - began

    def estimate_saving(self) -> None:
        """Estimate how long ``look`` and ``save`` take: nearly all of it are faces, watched and for batch norm."""
        if self.log is not None:
            began = time.monotonic()
            self._fixed_faces(_TRIAL)  # of two networks
            each = (time.monotonic() - began) / (2 * _TRIAL)
            batches, size = statistics_batches(self.session.config.size)
            self.looking, self.saving = each * 2 * FAKES, each * batches * size

    def write_samples(self) -> None:
        """Write a sheet of faces from the fixed latents."""
        if self.log is not None:
            write_sheet(self.run, self.session.images, *self._fixed_faces(32))

    def roll_back(self) -> None:
        """Return to the newest checkpoint, or to the start, and halve the learning rates.

        Raises:
            FaceAugError: the config's number of rollbacks is used up.
        """
        session = self.session
        config = session.config
        failed_at = session.images
        rollbacks = session.guard.rollbacks + 1
        if rollbacks > config.rollbacks:
            raise FaceAugError(
                f"{printable(self.run)}: the losses or gradients were not finite in {config.skips} steps in a row at "
                f"{failed_at:,} images, after {config.rollbacks} returns to a checkpoint at a lower rate; the last "
                "checkpoint is kept. Begin a new run with a lower learning rate or --precision fp32; "
                f"--init {printable(self.run)} starts it from these weights"
            )
        if not restore_newest(self.run, session, self.processes):
            session.begin()
        session.guard.rollbacks = rollbacks
        self._clock = (time.monotonic(), session.images)
        if self.log is not None:
            self.save()  # so that a run that is killed later remembers the rollback, and stays the same run
            self.log.cut(session.images)
            self.log.write(session.images, {"event": "rollback", "from": failed_at, "rate_share": 0.5**rollbacks})
            with aside():
                warnings.warn(
                    f"numbers were not finite at {failed_at:,} images: back to {session.images:,}, at half the rate",
                    stacklevel=2,
                )

    def _due(self, every: int) -> bool:
        return passed(self.session.images, self.session.config.batch, every)

    def _write_reading(self, phase: Phase) -> None:
        session = self.session
        readings = session.readings
        then, shown = self._clock
        now = time.monotonic()
        rate = (session.images - shown) / max(now - then, 1e-9)
        self._clock = (now, session.images)
        if self.log is None:
            return
        facts = {
            "d_loss": readings.d_loss,
            "g_loss": readings.g_loss,
            "real_logit": readings.real_logit,
            "fake_logit": readings.fake_logit,
        }
        if session.config.r1 or session.config.r2:
            facts["penalty"] = readings.penalty
        if session.config.operations:
            facts["augment_p"] = session.augmenting.p
        if session.config.conditional:
            facts |= {"named": readings.named, "obeyed": readings.obeyed, "toggled": readings.toggled}
        if session.config.matching:
            facts["mismatch"] = readings.mismatch
        if session.config.projected:
            facts["projected_loss"] = readings.projected_loss
        if session.guard.skipped:
            facts["skipped"] = session.guard.skipped
        self.log.write(session.images, facts | {"images_per_s": round(rate, 1)})
        words = f"D {readings.d_loss:.2f}  G {readings.g_loss:.2f}"
        phase.reach(session.images, words if self._proxy is None else f"{words}  proxy {self._proxy:.3f}")

    def look(self) -> None:
        """Compare generated faces with real ones, and warn of what is wrong; once at the same images."""
        session = self.session
        if self.log is None or self._monitor is None or session.images in (0, session.health.get("images")):
            return
        raw, averaged = self._fixed_faces(FAKES)
        health = self._monitor.look(
            raw,
            averaged,
            certainty=session.augmenting.last,
            images=session.images,
            logit=_loudest(session),
            before=self._before,
        )
        self._proxy = health.proxy
        session.health = {
            "images": session.images,
            "state": health.state,
            "diversity": health.diversity,
            "alarms": list(health.alarms),
            "notes": list(health.notes),
        }
        facts = {
            "proxy": health.proxy,
            "proxy_raw": health.proxy_raw,
            "diversity": health.diversity,
            "certainty": session.augmenting.last,
        }
        self.log.write(session.images, facts | ({"alarms": list(health.alarms)} if health.alarms else {}))
        for alarm in health.alarms:
            if alarm[:30] not in self._alarmed:  # warned of once in a session; the log has every occurrence
                self._alarmed.add(alarm[:30])
                with aside():
                    warnings.warn(f"at {session.images:,} images {alarm}", stacklevel=2)

    def _fixed_faces(self, n: int) -> tuple[Tensor, Tensor]:
        session = self.session
        asked = session.sampled_attributes(n)
        networks = session.networks
        device = session.processes.device
        raw = fixed_faces(networks.generator, session.config, n, device, asked)
        return raw, fixed_faces(networks.average, session.config, n, device, asked)


def watch_interval(config: TrainConfig) -> int:
    """Images between two looks: ``monitor_every``, or a quarter of a run that would be looked at once or never."""
    if config.images >= 2 * config.monitor_every:
        return config.monitor_every
    return min(config.monitor_every, max(config.images // 4, _NEAREST))


@torch.no_grad()
def _loudest(session: Session) -> float:
    """The larger magnitude of the last step's mean logits; infinite if a weight is not finite, 0 before any step."""
    numbers = [*session.networks.average.parameters(), *session.networks.average.buffers()]
    if not all(bool(torch.isfinite(number).all()) for number in numbers):
        return math.inf
    logits = (session.readings.real_logit, session.readings.fake_logit)
    return max((abs(logit) for logit in logits if not math.isnan(logit)), default=0.0)


def restore_newest(run: Path, session: Session, processes: Processes) -> bool:
    """Restore the newest checkpoint of the run in every process; False if there is none.

    Raises:
        RefusedError: the checkpoint was made with other faces.
        WeightsError: the checkpoint is damaged.
    """
    found = checkpoints(run) if processes.rank == 0 else []
    state, tensors = checkpoint_bytes(found[-1]) if found else (None, None)
    state = processes.from_first(state)
    tensors = processes.from_first(tensors)
    if state is None or tensors is None:
        return False
    saved = parse_checkpoint((state, tensors), found[-1] if found else run)
    if saved.faces != session.faces.fingerprint:
        raise RefusedError(
            f"{printable(run)}: the faces are not those the run began with; give the same folder, unchanged"
        )
    session.restore(saved)
    return True
