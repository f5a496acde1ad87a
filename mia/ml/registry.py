"""Models on disk by the hash of their content, and the pointer that says which are in use.

``<root>/models/<sha256>/`` holds ``model.npz`` (flat arrays), ``golden.npz`` (256 vectors and their
probabilities) and ``manifest.json``, which names the hashes of both; its own hash names the folder.
Everything is verified whenever it is loaded, and nothing in it can run code. ``current`` is
replaced in one step; ``history.ndjson`` is only added to.
"""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.data.files import reading, replace_file, sync, writing
from mia.errors import DataError, FormatError
from mia.ml.flat_model import FlatModel, Scorer, from_arrays
from mia.ml.inputs import INPUTS, INPUTS_SHA256, WIDTH

SCHEMA = 1
FOLDER = "models"
CURRENT = "current"
HISTORY = "history.ndjson"
GOLDEN_ROWS = 256
TOLERANCE = 1e-12
"""Probabilities of golden rows may differ by this: another machine has another ``exp``."""

_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Current:
    """Which models are in use; what ``current`` holds.

    Attributes
    ----------
    gate : str
        Hash of the model that decides, empty without one.
    shadow : str
        Hash of the model that is only watched, empty without one.
    previous : tuple of str
        Models that decided before, newest last.
    gate_since : int
        Exit of the last trade that was known when the gate was promoted, ns UTC: later ones judge
        it.
    demotions : mapping of str to int
        By family.
    retired : tuple of str
        Families that wait for a person.
    trained_trades : int
        Labelled trades when the shadow was trained.
    """

    gate: str = ""
    shadow: str = ""
    previous: tuple[str, ...] = ()
    gate_since: int = 0
    demotions: Mapping[str, int] = field(default_factory=dict)
    retired: tuple[str, ...] = ()
    trained_trades: int = 0

    @property
    def stage(self) -> str:
        """``gate``, ``shadow`` or ``collect``."""
        return "gate" if self.gate else "shadow" if self.shadow else "collect"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that was verified, with what is known of it."""

    sha256: str
    model: FlatModel
    manifest: Mapping[str, Any]


class Registry:
    """The models below a directory.

    Parameters
    ----------
    root : Path
        A state directory or any other folder; made when something is saved.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER

    def save(self, model: FlatModel, manifest: Mapping[str, Any], rows: NDArray[np.float64]) -> str:
        """Write a model, verify it, and return its hash.

        Parameters
        ----------
        manifest : mapping
            What is known of it, as plain values.
        rows : ndarray of float64, shape (n, 22)
            Training vectors; golden rows are drawn from them, some with values left out.

        Raises
        ------
        DataError
            If it cannot be written or does not read back as it was.
        """
        golden = golden_rows(rows)
        files = {
            "model.npz": _packed(model.arrays()),
            "golden.npz": _packed({"x": golden, "p": Scorer(model).probabilities(golden)}),
        }
        facts = {
            **manifest,
            "schema": SCHEMA,
            "inputs": list(INPUTS),
            "inputs_sha256": INPUTS_SHA256,
            "family": model.family,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        }
        text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False).encode()
        name = hashlib.sha256(text).hexdigest()
        target = self.folder / name
        with writing(target):
            target.mkdir(parents=True, exist_ok=True)
            for file, data in {**files, "manifest.json": text}.items():
                (target / file).write_bytes(data)
                sync(target / file)
        self.load(name)
        return name

    def load(self, sha256: str) -> StoredModel:
        """Read a model and verify all of it.

        Raises
        ------
        DataError
            If it is absent or cannot be read.
        FormatError
            If a hash is wrong, the inputs are not those of this version, an array is not what it
            must be, or a golden row gives another probability.
        """
        target = self.folder / sha256
        if not (len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")):
            raise FormatError(f"{sha256!r} names no model")
        text = _read(target / "manifest.json")
        if hashlib.sha256(text).hexdigest() != sha256:
            raise FormatError(f"{target}: manifest.json is not the one that its folder names")
        manifest = json.loads(text)
        if manifest.get("schema") != SCHEMA or manifest.get("inputs_sha256") != INPUTS_SHA256:
            raise FormatError(f"{target} was made for other inputs: train again with this version")
        arrays = {}
        for name in ("model.npz", "golden.npz"):
            data = _read(target / name)
            if hashlib.sha256(data).hexdigest() != manifest["files"].get(name):
                raise FormatError(f"{target}: {name} is damaged: its hash is not the recorded one")
            arrays[name] = _unpacked(data, target / name)
        model = from_arrays(arrays["model.npz"])
        golden = arrays["golden.npz"]
        x, p = golden.get("x"), golden.get("p")
        if x is None or p is None or x.shape != (GOLDEN_ROWS, WIDTH) or p.shape != (GOLDEN_ROWS,):
            raise FormatError(f"{target}: golden.npz does not hold {GOLDEN_ROWS} rows")
        found = Scorer(model).probabilities(x)
        if not np.abs(found - p).max() <= TOLERANCE or manifest["family"] != model.family:
            raise FormatError(f"{target} gives other probabilities here than where it was made")
        return StoredModel(sha256, model, manifest)

    def current(self) -> Current:
        """Read which models are in use; nothing is where no pointer is.

        Raises
        ------
        FormatError
            If the pointer is damaged.
        """
        path = self.folder / CURRENT
        if not path.exists():
            return Current()
        names = {f.name for f in fields(Current)}
        try:
            held = json.loads(_read(path))
            values = {name: held[name] for name in names}
            found = Current(
                **values | {name: tuple(values[name]) for name in ("previous", "retired")}
            )
            well = all(isinstance(name, str) for name in (found.gate, found.shadow))
            if not well or held["schema"] != SCHEMA:
                raise ValueError("fields of another kind")
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path} is damaged ({error}): run `mia ml rollback`") from None
        return found

    def activate(self, current: Current, event: str, ts: int, **facts: Any) -> None:
        """Replace the pointer in one step, and write down why.

        Parameters
        ----------
        event : str
            ``TRAINED``, ``PROMOTED``, ``DEMOTED``, ``ROLLED_BACK``, ``ENABLED``, ``DROPPED``.
        ts : int
            When, ns UTC.
        **facts
            Plain values for the history.

        Raises
        ------
        DataError
            If it cannot be written; the pointer is then as it was.
        """
        with replace_file(self.folder / CURRENT) as temporary:
            text = json.dumps({"schema": SCHEMA, **asdict(current)}, indent=1) + "\n"
            temporary.write_text(text, encoding="utf-8")
        line = json.dumps({"ts": ts, "event": event, "stage": current.stage, **facts}) + "\n"
        path = self.folder / HISTORY
        with writing(path):
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode())
            finally:
                os.close(handle)

    def history(self) -> list[dict[str, Any]]:
        """Return every change, oldest first; a torn line is left out."""
        path = self.folder / HISTORY
        if not path.exists():
            return []
        found = []
        for line in _read(path).splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def rollback(self, ts: int) -> Current:
        """Put back the model that decided before; without one, no model decides.

        Raises
        ------
        DataError
            If no model decides and none did, or the one before is damaged.
        """
        try:
            now = self.current()
        except FormatError:
            # A damaged pointer is the reason to roll back: start again without a model.
            now = Current()
            self.activate(now, "ROLLED_BACK", ts, reason="the pointer was damaged")
            return now
        if not now.gate and not now.previous:
            raise DataError("no model decides and none did: there is nothing to roll back")
        gate, previous = "", now.previous
        if previous:
            gate, previous = previous[-1], previous[:-1]
            self.load(gate)
        after = replace(now, gate=gate, previous=previous)
        self.activate(after, "ROLLED_BACK", ts, gate=gate, replaced=now.gate)
        return after


def golden_rows(rows: NDArray[np.float64], seed: int = 256) -> NDArray[np.float64]:
    """Draw 256 vectors from training vectors, a tenth of their values left out."""
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rows[rng.integers(0, len(rows), GOLDEN_ROWS)].copy()
    drawn[rng.random(drawn.shape) < 0.1] = np.nan
    return drawn


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    columns: dict[str, Any] = dict(arrays)
    np.savez(buffer, **columns)
    return buffer.getvalue()


def _unpacked(data: bytes, path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:
        # zipfile, numpy and zlib each have their own errors for bytes that are no archive.
        raise FormatError(f"{path} holds no arrays: {error}") from None


def _read(path: Path) -> bytes:
    with reading(path):
        if path.stat().st_size > _LARGEST:
            raise FormatError(f"{path} is larger than any model: it was not written here")
        return path.read_bytes()
