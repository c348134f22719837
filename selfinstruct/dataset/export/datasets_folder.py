"""Writes a directory that the package `datasets` can load. It appears completely or not at all.

    data/                      load_from_disk("data")["train"]
    ├── dataset_dict.json
    ├── train/                 data-00000-of-00001.arrow, dataset_info.json, state.json
    └── test/

Without a split, the directory has the content of `train/`. The same rows produce the same bytes.
"""

import ctypes
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from selfinstruct.dataset.record_files.formats import package_for
from selfinstruct.dataset.record_files.sink import Target
from selfinstruct.display import scrub
from selfinstruct.errors import InputError
from selfinstruct.files import sync_directory, temporary_beside
from selfinstruct.runner.run_file_names import owning_run

_DATASET_FILE = re.compile(
    r"dataset_info\.json|state\.json|(data-\d+-of-\d+|cache-.*|indices)\.arrow", re.DOTALL
)
"""Names of files that `datasets` writes. LLaMA-Factory also has a `dataset_info.json`."""


class Folder(Target):
    """A directory that the package `datasets` can load; see `Target`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._real = Path(os.path.realpath(path))
        # Its name is random, because a killed process may have left a directory that contains an earlier
        # dataset.
        self._workplace = temporary_beside(self._real)
        self._earlier = self._workplace / "earlier"
        self._draft = self._workplace / "dataset"
        """The temporary directory that the new dataset is written to first."""

    def open(self) -> None:
        """Create the temporary directory. Raises InputError if the target must not be created or replaced."""
        if self._is_stdout:
            raise InputError("stdout", "cannot be a directory; choose a directory with -o")
        with self.faults():
            self._check_place()
            self._make_parents(self._real)
            self._workplace.mkdir()

    def _check_place(self) -> None:
        problem = None
        if owning_run(self._real) is not None:
            problem = "is part of a run"
        elif os.path.ismount(self._real):
            problem = "is a mount point, which another directory cannot replace"
        elif self._real.exists() and not (self._real.is_dir() and _is_dataset(self._real)):
            problem = "exists, but is not a dataset directory or also contains other files"
        elif scrub(str(self._real)) != str(self._real):
            problem = "is not valid UTF-8, so the package datasets cannot read the directory"
        if problem is not None:
            raise InputError(self.path, f"{problem}; choose another name")

    def save(self, parts: Mapping[str, IO[bytes]]) -> None:
        """Write each part's Parquet data as a dataset. A single part gets no subdirectory."""
        datasets = package_for(self.path, "datasets")
        with self.faults(), _without_bars(datasets):
            loaded = {name: _dataset(datasets, file) for name, file in parts.items()}
            saved = datasets.DatasetDict(loaded) if len(loaded) > 1 else loaded.popitem()[1]
            saved.save_to_disk(self._draft)
            self._check_place()  # again, because the target may have been created meanwhile
            for path in [*self._draft.rglob("*"), self._draft]:
                sync_directory(path)  # this works for files too

    def finish(self) -> None:
        """Rename the temporary directory to its final name. It replaces an earlier dataset with that name."""
        with self.faults():
            if not self._real.exists():
                self._draft.rename(self._real)
            elif not _exchange(self._draft, self._real):
                self._real.rename(self._earlier)
                self._draft.rename(self._real)
            sync_directory(self._real.parent)
        self._new_folders.clear()
        shutil.rmtree(self._workplace, ignore_errors=True)

    def abandon(self) -> None:
        """Remove everything that was created. An earlier dataset is kept."""
        with suppress(OSError):
            self._earlier.rename(self._real)  # exists only if the second of two renames failed
        if not self._earlier.exists():
            shutil.rmtree(self._workplace, ignore_errors=True)
            super().abandon()


def _is_dataset(folder: Path, *, is_part: bool = False) -> bool:
    """Return whether a directory is empty or contains only files that `datasets` writes."""
    inside = [*folder.iterdir()]
    if not is_part and any(path.name == "dataset_dict.json" for path in inside):
        parts = [path for path in inside if path.name != "dataset_dict.json"]
        return all(path.is_dir() and _is_dataset(path, is_part=True) for path in parts)
    names = {path.name for path in inside}
    return not names or ("state.json" in names and all(map(_DATASET_FILE.fullmatch, names)))


def _exchange(one: Path, other: Path) -> bool:
    """Swap two directories atomically, so that both names exist at all times.

    Returns False if the operating system or the file system cannot do this.
    """
    at_working_directory, exchange = -100, 2  # Linux's AT_FDCWD and RENAME_EXCHANGE
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    result: int = renameat2(
        at_working_directory, names[0], at_working_directory, names[1], exchange
    )
    return result == 0


def _dataset(datasets: Any, file: IO[bytes]) -> Any:
    import pyarrow.parquet

    file.seek(0)
    # By default, the package generates a random fingerprint and writes it into a file.
    fingerprint = hashlib.sha256(file.read()).hexdigest()[:16]
    table = datasets.table.InMemoryTable(pyarrow.parquet.read_table(file))
    return datasets.Dataset(table, fingerprint=fingerprint)


@contextmanager
def _without_bars(datasets: Any) -> Iterator[None]:
    """Disable the package's progress bars within the block."""
    were_shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if were_shown:
            datasets.enable_progress_bars()
