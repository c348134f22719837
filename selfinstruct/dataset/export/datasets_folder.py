"""A folder for the package `datasets`, which appears completely or not at all.

    data/                      load_from_disk("data")["train"]
    ├── dataset_dict.json
    ├── train/                 data-00000-of-00001.arrow, dataset_info.json, state.json
    └── test/

Without parts, the folder has the content of `train/`. The same rows give the same bytes.
"""

import ctypes
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selfinstruct.errors import ExportError, InputError
from selfinstruct.files import because, sync_directory
from selfinstruct.runner.run_files import owning_run

_DATASET_FILE = re.compile(
    r"dataset_info\.json|state\.json|(data-\d+-of-\d+|cache-.*|indices)\.arrow", re.DOTALL
)
"""Files of the package. LLaMA-Factory has a `dataset_info.json` too."""


def datasets_for(path: Path) -> Any:
    """Return the package `datasets`. Raises InputError if it is not installed."""
    try:
        import datasets
    except ImportError:
        problem = "needs the package datasets: pip install 'selfinstruct[datasets]'"
        raise InputError(path, problem) from None
    return datasets


class Folder:
    """A folder with a temporary name until `finish`; `abandon` undoes everything, at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        real = Path(os.path.realpath(path))
        self._real = real
        # The random name differs from the folders of killed processes, which may contain an earlier dataset.
        self._workplace = real.with_name(f".{real.name}.{secrets.token_hex(4)}.tmp")
        self._earlier = self._workplace / "earlier"
        self.draft = self._workplace / "dataset"
        """The new content of the folder."""
        self.drafts = self._workplace / "drafts"
        """A folder for temporary files."""
        self._new_folders: list[Path] = []

    def open(self) -> None:
        """Create the temporary folder. Raises InputError if the place is taken."""
        if str(self.path) == "-":
            raise InputError("stdout", "cannot be a folder; name one with -o")
        with _faults(self.path):
            self._check_place()
            while not self._real.parent.exists():
                missing = next(p for p in reversed(self._real.parents) if not p.exists())
                self._new_folders.append(missing)
                missing.mkdir()
            self.drafts.mkdir(parents=True)

    def _check_place(self) -> None:
        problem = None
        if owning_run(self._real) is not None:
            problem = "is part of a run"
        elif os.path.ismount(self._real):
            problem = "is a mount point, which another folder cannot replace"
        elif self._real.exists() and not (self._real.is_dir() and _is_dataset(self._real)):
            problem = "exists and is not a dataset folder, or has other files in it"
        if problem is not None:
            raise InputError(self.path, f"{problem}; choose another name")

    def complete(self) -> None:
        """Flush everything to the disk."""
        with _faults(self.path):
            self._check_place()  # again, since the place may be taken now
            for path in [*self.draft.rglob("*"), self.draft]:
                sync_directory(path)  # works for files too

    def finish(self) -> None:
        """Give the folder its name, in place of an earlier dataset."""
        with _faults(self.path):
            if not self._real.exists():
                self.draft.rename(self._real)
            elif not _exchange(self.draft, self._real):
                self._real.rename(self._earlier)
                self.draft.rename(self._real)
            sync_directory(self._real.parent)
        self._new_folders.clear()
        shutil.rmtree(self._workplace, ignore_errors=True)

    def abandon(self) -> None:
        """Remove what was created. An earlier dataset stays."""
        with suppress(OSError):
            self._earlier.rename(self._real)  # exists only if the second of two renames failed
        if self._earlier.exists():
            return
        shutil.rmtree(self._workplace, ignore_errors=True)
        for folder in reversed(self._new_folders):
            with suppress(OSError):
                folder.rmdir()


def _is_dataset(folder: Path, *, is_part: bool = False) -> bool:
    """Return whether a folder is empty or has only files of the package."""
    inside = [*folder.iterdir()]
    if not is_part and any(path.name == "dataset_dict.json" for path in inside):
        parts = [path for path in inside if path.name != "dataset_dict.json"]
        return all(path.is_dir() and _is_dataset(path, is_part=True) for path in parts)
    names = {path.name for path in inside}
    return not names or ("state.json" in names and all(map(_DATASET_FILE.fullmatch, names)))


def _exchange(one: Path, other: Path) -> bool:
    """Swap the names of two folders in one step, so that readers always find one of them.

    Returns False if the system cannot swap names.
    """
    at_working_directory, exchange = -100, 2  # of Linux: AT_FDCWD, RENAME_EXCHANGE
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    result: int = renameat2(
        at_working_directory, names[0], at_working_directory, names[1], exchange
    )
    return result == 0


def save(parts: Mapping[str, Path], folder: Folder) -> None:
    """Save Parquet files, one per part, as a folder; a single part has no name there. Raises ExportError."""
    datasets = datasets_for(folder.path)
    with _faults(folder.path), _without_bars(datasets):
        loaded = {name: _dataset(datasets, path) for name, path in parts.items()}
        if len(loaded) == 1:
            [only] = loaded.values()
            only.save_to_disk(folder.draft)
        else:
            datasets.DatasetDict(loaded).save_to_disk(folder.draft)


def _dataset(datasets: Any, path: Path) -> Any:
    import pyarrow.parquet

    table = datasets.table.InMemoryTable(pyarrow.parquet.read_table(path))
    # Without this the package draws a fingerprint at random and writes it into a file.
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return datasets.Dataset(table, fingerprint=fingerprint)


@contextmanager
def _without_bars(datasets: Any) -> Iterator[None]:
    """Turn off the progress bars of the package; afterwards restore the setting."""
    were_shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if were_shown:
            datasets.enable_progress_bars()


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(path, f"cannot be written {because(error)}") from None
    except ValueError as error:
        # The package refuses a name that is not text.
        if "embedded null" not in str(error) and not isinstance(error, UnicodeEncodeError):
            raise
        raise ExportError(path, "is not a valid folder name; choose another") from None
