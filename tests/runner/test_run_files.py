"""Test that links and special files in a run directory do not redirect commands to other files.

The directory may come from an untrusted source.
Each test plants a link or a special file in a finished run, runs commands, and compares all files inside and
outside the directory.
"""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ScriptedBackend, make_seed_task, typed

from selfinstruct.api import run
from selfinstruct.cli.log_file import check_log_file
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.record_files import Record, write_records
from selfinstruct.errors import InputError, JournalError, RunDirectoryError
from selfinstruct.files import open_regular, write_together
from selfinstruct.pipeline.seed_tasks import read_seed_tasks, render_seed_tasks
from selfinstruct.runner.directory import read_run
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.lock import holder, locked
from selfinstruct.runner.manifest import read_manifest, write_manifest
from selfinstruct.runner.run_events import run_events

FILES = (
    "config.yaml",
    "journal.jsonl",
    "journal.jsonl.torn",
    "seed_tasks.jsonl",
    "run.lock",
    "prompts/classify.txt",
)
READING = (
    ("status", "run"),
    ("status", "run", "--json"),
    ("export", "run", "-o", "out.json"),
    ("export", "run", "-o", "out.json", "--card"),
    ("explain", "run", "task_000001"),
    ("verify", "run"),
    ("refilter", "run", "-o", "made"),
    ("estimate", "run"),
    ("run", "run", "--preview"),
)
WRITING = (("run", "run"), ("run", "run", "-n", "50"), ("run", "-o", "run", "-m", "other"))
MAKING = (
    ("run", "-o", "run", "-m", "m", "--base-url", "http://127.0.0.1:9/v1"),
    ("refilter", "whole", "-o", "run"),
    ("import", "list.json", "-o", "run"),
)


# ── planted files ──────────────────────────────────────────────────────────────────────────────────────


def _link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "victim")


def _link_to_a_copy(path: Path, outside: Path) -> None:
    """Move the file outside the run, and replace it with a link to the moved file."""
    if path.exists():
        path.rename(outside / "moved")
    else:
        (outside / "moved").write_bytes(b"")
    path.symlink_to(outside / "moved")


def _dangling(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "new")


def _loop(path: Path, _: Path) -> None:
    path.symlink_to(path.name)


def _link_to_a_device(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def _link_to_a_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(outside / "pipe")
    path.symlink_to(outside / "pipe")


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(os.path.relpath(path))  # the absolute path may be too long


def _directory(path: Path, _: Path) -> None:
    path.mkdir()


def _device(path: Path, _: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("this user may not make devices")


Plant = Callable[[Path, Path], None]
PLANTS: dict[str, tuple[Plant, str]] = {
    "link": (_link, "a symbolic link"),
    "link to a copy": (_link_to_a_copy, "a symbolic link"),
    "dangling link": (_dangling, "a symbolic link"),
    "loop": (_loop, "a symbolic link"),
    "link to a device": (_link_to_a_device, "a symbolic link"),
    "link to a pipe": (_link_to_a_pipe, "a symbolic link"),
    "pipe": (_pipe, "a pipe"),
    "socket": (_socket, "a socket"),
    "directory": (_directory, "a directory"),
    "device": (_device, "a device"),
}


def plant(kind: str, path: Path, outside: Path) -> str:
    """Replace a file or directory with a planted one. Return its file type, as in error messages."""
    put, name = PLANTS[kind]
    if kind != "link to a copy":
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    put(path, outside)
    return name


@pytest.fixture(scope="session")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole")
    (place / "seeds.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(
        model="m",
        num_instructions=4,
        seed_tasks=place / "seeds.jsonl",
        base_url="http://127.0.0.1:9/v1",
    )
    run(place / "run", config, backend=ScriptedBackend())
    return place / "run"


@pytest.fixture
def here(tmp_path: Path, _whole: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create two runs in a new current directory. Tests damage only the one named `run`."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    shutil.copytree(_whole, place / "run")
    shutil.copytree(_whole, place / "whole")
    (place / "list.json").write_text('[{"instruction": "Name a river.", "output": "The Elbe"}]')
    return place


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Create a directory outside the run, with a user's file that must not change."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "victim").write_text("precious")
    return place


def everything(*places: Path) -> dict[str, tuple[int, bytes | str | None]]:
    """Return all paths with their modes and contents, without following links."""
    contents: dict[str, tuple[int, bytes | str | None]] = {}
    for path in (path for place in places for path in place.rglob("*")):
        mode = path.lstat().st_mode
        content: bytes | str | None = None
        if stat.S_ISREG(mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(mode):
            content = os.readlink(path)  # noqa: PTH115
        contents[str(path)] = (mode, content)
    return contents


def refused(command: tuple[str, ...], problem: str, *places: Path) -> None:
    """Check that a command prints one sentence, exits with code 2, and changes no file."""
    before = everything(*places)
    done = typed(*command)
    assert (done.returncode, done.stdout) == (2, ""), (command, done)
    assert done.stderr.startswith("selfinstruct: run: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert problem in done.stderr
    assert everything(*places) == before


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", PLANTS)
def test_a_planted_file_is_refused(here: Path, outside: Path, name: str, kind: str) -> None:
    kind_name = plant(kind, here / "run" / name, outside)
    for command in (*READING, *WRITING):
        refused(command, f"{name} is {kind_name}, not a regular file; ", here, outside)


@pytest.mark.parametrize("kind", [kind for kind in PLANTS if kind != "directory"])
def test_a_planted_prompts_folder_is_refused(here: Path, outside: Path, kind: str) -> None:
    kind_name = plant(kind, here / "run/prompts", outside)
    for command in (*READING, *WRITING):
        refused(command, f"prompts is {kind_name}, not a directory; ", here, outside)


@pytest.mark.parametrize("name", [name for name in FILES if name != "config.yaml"])
@pytest.mark.parametrize("kind", PLANTS)
def test_a_planted_leftover_is_refused(here: Path, outside: Path, name: str, kind: str) -> None:
    (here / "run/config.yaml").unlink()
    kind_name = plant(kind, here / "run" / name, outside)
    for command in MAKING:
        refused(command, f"{name} is {kind_name}, not a regular file; ", here, outside)


@pytest.mark.parametrize("name", ["run.lock", "prompts"])
def test_a_link_alone_is_refused(here: Path, outside: Path, name: str) -> None:
    shutil.rmtree(here / "run")
    (here / "run").mkdir()
    (here / "run/run.lock").touch()
    plant("link", here / "run" / name, outside)
    for command in MAKING:
        refused(command, f"{name} is a symbolic link, not a ", here, outside)


def test_doctor_names_a_planted_file(here: Path, outside: Path) -> None:
    plant("link", here / "run/journal.jsonl", outside)
    before = everything(here, outside)
    done = typed("doctor", "run")
    assert done.returncode == 2
    assert "journal.jsonl is a symbolic link" in done.stdout
    assert everything(here, outside) == before


def test_the_directory_itself_may_be_a_link(here: Path) -> None:
    (here / "run").rename(here / "elsewhere")
    (here / "run").symlink_to("elsewhere")
    for command in (("run", "run"), *(c for c in READING if "--preview" not in c)):
        assert typed(*command).returncode == 0, command


def test_files_of_the_user_may_be_links(here: Path) -> None:
    seeds = render_seed_tasks([make_seed_task(n) for n in range(10)])
    (here / "seeds.jsonl").write_bytes(seeds)
    (here / "seeds").symlink_to("seeds.jsonl")
    (here / "real.yaml").write_text("model: m\nbase_url: http://127.0.0.1:9/v1\nseed_tasks: seeds")
    (here / "settings").symlink_to("real.yaml")
    (here / "templates").symlink_to("run/prompts")
    assert typed("estimate", "settings", "--prompts", "templates").returncode == 0


# ── functions ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT | os.O_APPEND])
def test_only_a_regular_file_opens(tmp_path: Path, outside: Path, kind: str, flags: int) -> None:
    plant(kind, tmp_path / "file", outside)
    before = everything(tmp_path)
    with pytest.raises(OSError, match="Is a directory" if kind == "directory" else "not a regular"):
        open_regular(tmp_path / "file", flags)
    assert everything(tmp_path) == before


def test_a_late_link_is_not_followed(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant("link", tmp_path / "file", outside)
    monkeypatch.setattr("selfinstruct.files.require_regular", lambda *_, **__: None)
    with pytest.raises(OSError, match="symbolic links"):
        open_regular(tmp_path / "file", os.O_RDONLY)


def test_a_late_pipe_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "file")
    monkeypatch.setattr("selfinstruct.files.require_regular", lambda *_, **__: None)
    with pytest.raises(OSError, match="a pipe, not a regular file"):
        open_regular(tmp_path / "file", os.O_RDONLY)


def test_manifests_follow_no_links(here: Path, outside: Path) -> None:
    manifest = read_manifest(here / "run")
    (outside / "classify.txt").write_text("precious")
    shutil.rmtree(here / "run/prompts")
    (here / "run/prompts").symlink_to(outside)
    before = everything(here, outside)
    with pytest.raises(RunDirectoryError, match="prompts is a symbolic link"):
        write_manifest(here / "run", manifest)
    with pytest.raises(RunDirectoryError, match="prompts is a symbolic link"):
        read_manifest(here / "run")
    assert everything(here, outside) == before


# ── hard links ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.jsonl.torn", "run.lock"])
@pytest.mark.parametrize("content", [b"", b"precious", b"4242\n"])
def test_a_file_with_two_names_is_not_written(
    here: Path, outside: Path, name: str, content: bytes
) -> None:
    (outside / "victim").write_bytes(content)
    (here / "run" / name).unlink(missing_ok=True)
    os.link(outside / "victim", here / "run" / name)
    refused(("run", "run"), f"{name} has a second name (hard link)", here, outside)


def test_a_run_of_hard_links_can_be_read(here: Path) -> None:
    for path in [path for path in (here / "run").rglob("*") if path.is_file()]:
        os.link(path, here / f"second {path.name}")
    for command in (command for command in READING if "--preview" not in command):
        assert typed(*command).returncode == 0, command


@pytest.mark.parametrize("content", [b"precious", b"4242 precious", b"1" * 99, b"-1"])
def test_a_foreign_lock_file_keeps_its_content(here: Path, content: bytes) -> None:
    (here / "run/run.lock").write_bytes(content)
    refused(("run", "run"), "run.lock contains something other than a process id; ", here)
    assert holder(here / "run") is None


@pytest.mark.parametrize("content", [b"", b"4242\n", b"4242", b"\0\0\0\0\0"])
def test_a_lock_file_after_a_crash_is_reused(here: Path, content: bytes) -> None:
    (here / "run/run.lock").write_bytes(content)
    with locked(here / "run"):
        assert (here / "run/run.lock").read_text() == f"{os.getpid()}\n"
    assert (here / "run/run.lock").read_bytes() == b""


def test_a_torn_line_is_written_to_no_other_file(here: Path, outside: Path) -> None:
    path = here / "run/journal.jsonl"
    with path.open("ab") as file:
        file.write(b'{"seq":')
    os.link(outside / "victim", here / "run/journal.jsonl.torn")
    before = everything(here, outside)
    with Journal(path, run_events) as journal, pytest.raises(JournalError, match="second name"):
        for _ in journal.replay():
            pass
    assert everything(here, outside) == before


# ── temporary files ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["link", "file", "directory"])
def test_temporary_names_are_unpredictable(here: Path, outside: Path, kind: str) -> None:
    names = ("out.json", "run/config.yaml")
    for target in (here / name for name in names):
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        if kind == "file":
            temporary.write_text("left over")
        else:
            plant(kind, temporary, outside)
    before = everything(here, outside)
    assert typed("export", "run", "-o", "out.json").returncode == 0
    manifest = read_manifest(here / "run")
    write_manifest(here / "run", manifest)
    with write_records(here / "out.json"):
        pass
    after = everything(here, outside)
    assert after.keys() - before.keys() == {str(here / "out.json")}
    assert {n for n in before if after[n] != before[n]} <= {str(here / "run/config.yaml")}


def test_files_of_a_run_replace_links(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "file").symlink_to(outside / "victim")
    write_together({tmp_path / "file": b"new"})
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (outside / "victim").read_text() == "precious"


def test_a_file_of_the_user_may_be_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "file").symlink_to(outside / "victim")
    with write_records(tmp_path / "file", format="jsonl") as writer:
        writer.write(Record({}, "x", 1))
    assert (tmp_path / "file").is_symlink()
    assert (outside / "victim").read_text() == "{}\n"


# ── outputs ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["journal.jsonl", "run.lock", "prompts/classify.txt"])
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_log_replaces_no_file_of_a_run(
    here: Path, outside: Path, name: str, link: Callable[[Path, Path], None]
) -> None:
    link(here / "run" / name, outside / "night.jsonl")
    before = everything(here, outside)
    done = typed("run", "run", "--log-file", outside / "night.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert "night.jsonl: is a file of the run in " in done.stderr
    assert everything(here, outside) == before


@pytest.mark.parametrize("name", ["run/Journal.JSONL", "run/Prompts/classify.txt"])
def test_case_does_not_matter(here: Path, name: str) -> None:
    """Some file systems ignore the case of file names."""
    (here / "run/Prompts").mkdir(exist_ok=True)
    done = typed("export", "run", "-o", name)
    assert done.returncode == 2
    assert f"{name}: is a file of the run in " in done.stderr
    with pytest.raises(InputError, match="is a file of the run in"):
        check_log_file(here / name, here / "run")


def test_a_log_may_not_link_into_a_new_run(here: Path) -> None:
    (here / "night.jsonl").symlink_to("new/journal.jsonl")
    with pytest.raises(InputError, match="is a file of the run in new"):
        check_log_file(Path("night.jsonl"), Path("new"))


@pytest.mark.parametrize("kind", PLANTS)
def test_a_card_replaces_no_planted_file(here: Path, outside: Path, kind: str) -> None:
    """The card's file name is fixed, so a planted file may already have this name."""
    (here / "run/exports").mkdir()
    plant(kind, here / "run/exports/README.md", outside)
    before = everything(here, outside)
    done = typed("export", "run", "-o", "run/exports/data.json", "--card")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("selfinstruct: run/exports/README.md: cannot be read (")
    assert everything(here, outside) == before


@pytest.mark.parametrize("name", ["exports", "exports/alpaca_data.json"])
def test_demo_exports_follow_no_link(here: Path, outside: Path, name: str) -> None:
    shutil.rmtree(here / "run")
    (here / "run" / name).parent.mkdir(parents=True)
    (here / "run/run.lock").touch()
    (outside / "alpaca_data.json").write_text("precious")
    (here / "run" / name).symlink_to(outside if name == "exports" else outside / "victim")
    refused(("demo", "-o", "run"), f"{name} is a symbolic link, not a ", here, outside)


def test_reading_refuses_planted_files(here: Path, outside: Path) -> None:
    (here / "list").symlink_to("run/seed_tasks.jsonl")
    assert read_seed_tasks(here / "list")
    plant("pipe", here / "run/prompts/classify.txt", outside)
    with pytest.raises(RunDirectoryError, match=r"prompts/classify.txt is a pipe"):
        read_run(here / "run")
