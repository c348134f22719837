"""A folder that the package `datasets` reads, which appears whole or not at all.

    data/                      load_from_disk("data")["train"]
    ├── dataset_dict.json
    ├── train/                 data-00000-of-00001.arrow, dataset_info.json, state.json
    └── test/

Without parts it is what stands in `train/` here. The same rows give the same bytes.
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

_OF_A_DATASET = re.compile(
    r"dataset_info\.json|state\.json|(data-\d+-of-\d+|cache-.*|indices)\.arrow", re.DOTALL
)
"""Files that the package writes; `dataset_info.json` is also what LLaMA-Factory calls a file of its own."""


def datasets_for(path: Path) -> Any:
    """The package `datasets`. Raises InputError, which says how to install it."""
    try:
        import datasets
    except ImportError:
        raise InputError(
            path,
            "is to be a folder for the package datasets, which is not installed: "
            "pip install 'selfinstruct[datasets]'",
        ) from None
    return datasets


class Folder:
    """A folder under another name until `finish`; `abandon` takes all back, at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        real = Path(os.path.realpath(path))
        self._real = real
        # Nobody else's: one that was killed may have left its own, with what stood here before in it.
        self._workplace = real.with_name(f".{real.name}.{secrets.token_hex(4)}.tmp")
        self._before = self._workplace / "before"
        self.draft = self._workplace / "dataset"
        """What is to be the folder."""
        self.drafts = self._workplace / "drafts"
        """Room for what it is made of."""
        self._made: list[Path] = []

    def open(self) -> None:
        """Make it. Raises InputError where something else stands in its place."""
        if str(self.path) == "-":
            raise InputError("stdout", "cannot be a folder; name one with -o")
        with _faults(self.path):
            self._check_place()
            while not self._real.parent.exists():
                missing = next(p for p in reversed(self._real.parents) if not p.exists())
                self._made.append(missing)
                missing.mkdir()
            self.drafts.mkdir(parents=True)

    def _check_place(self) -> None:
        problem = None
        if owning_run(self._real) is not None:
            problem = "is a part of a run"
        elif os.path.ismount(self._real):
            problem = "is a place where a disk is mounted, so no other folder can take it"
        elif self._real.exists() and not (self._real.is_dir() and _is_dataset(self._real)):
            problem = "is there already and no folder of a dataset, or holds something else besides"
        if problem is not None:
            raise InputError(self.path, f"{problem}; choose another name")

    def complete(self) -> None:
        """Everything was written, and is to be on the disk."""
        with _faults(self.path):
            self._check_place()  # somebody may have put something there meanwhile
            for path in [*self.draft.rglob("*"), self.draft]:
                if path.is_file():
                    descriptor = os.open(path, os.O_RDONLY)
                    try:
                        os.fsync(descriptor)
                    finally:
                        os.close(descriptor)
                else:
                    sync_directory(path)

    def finish(self) -> None:
        """Give it its name, in the place of an earlier one."""
        with _faults(self.path):
            if not self._real.exists():
                self.draft.rename(self._real)
            elif not _exchange(self.draft, self._real):
                self._real.rename(self._before)
                self.draft.rename(self._real)
            sync_directory(self._real.parent)
        self._made.clear()
        shutil.rmtree(self._workplace, ignore_errors=True)

    def abandon(self) -> None:
        """Something went wrong: what was there before stands, and nothing else is left."""
        with suppress(OSError):
            self._before.rename(self._real)  # it is there only if the second of two renames failed
        if self._before.exists():
            return
        shutil.rmtree(self._workplace, ignore_errors=True)
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()


def _is_dataset(folder: Path, *, is_part: bool = False) -> bool:
    """Whether a folder is empty, or all that is in it is what the package wrote there."""
    inside = [*folder.iterdir()]
    if not is_part and any(path.name == "dataset_dict.json" for path in inside):
        parts = [path for path in inside if path.name != "dataset_dict.json"]
        return all(path.is_dir() and _is_dataset(path, is_part=True) for path in parts)
    names = {path.name for path in inside}
    return not names or ("state.json" in names and all(map(_OF_A_DATASET.fullmatch, names)))


def _exchange(one: Path, other: Path) -> bool:
    """Give two folders each other's name in one step, so that both names always lead to something.

    False where the system cannot do it.
    """
    at_working_directory, exchange = -100, 2  # of Linux: AT_FDCWD, RENAME_EXCHANGE
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    done: int = renameat2(at_working_directory, names[0], at_working_directory, names[1], exchange)
    return done == 0


def save(parts: Mapping[str, Path], folder: Folder) -> None:
    """Make the folder of Parquet files, one a part; a single part is not named in it.

    Raises ExportError.
    """
    datasets = datasets_for(folder.path)
    with _faults(folder.path), _without_bars(datasets):
        read = {
            name: _dataset(datasets, path, folder.drafts / f"{name}.arrow")
            for name, path in parts.items()
        }
        if len(read) == 1:
            [only] = read.values()
            only.save_to_disk(folder.draft)
        else:
            datasets.DatasetDict(read).save_to_disk(folder.draft)


def _dataset(datasets: Any, path: Path, draft: Path) -> Any:
    """A Parquet file as a dataset, whose rows lie in another file: memory holds a few at a time."""
    import pyarrow
    import pyarrow.parquet

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while some := file.read(1 << 20):
            digest.update(some)
    with pyarrow.parquet.ParquetFile(path) as source:
        schema = source.schema_arrow
        with pyarrow.OSFile(str(draft), "wb") as sink, pyarrow.ipc.new_stream(sink, schema) as to:
            for batch in source.iter_batches(batch_size=1000):
                to.write_batch(batch)
    dataset = datasets.Dataset.from_file(str(draft))
    # It would be a new one each time, and stands in a file.
    dataset._fingerprint = digest.hexdigest()[:16]  # noqa: SLF001
    return dataset


@contextmanager
def _without_bars(datasets: Any) -> Iterator[None]:
    """How it shows its progress is not ours to decide in a program of somebody else."""
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
        # A name that is no text is refused by the package.
        if "embedded null" not in str(error) and not isinstance(error, UnicodeEncodeError):
            raise
        raise ExportError(path, "is no name of a folder; choose another") from None
