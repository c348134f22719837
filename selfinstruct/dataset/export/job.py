"""One export's options and files, and checks that they can be used together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfinstruct.dataset.dataset_card.card_inputs import Terms
from selfinstruct.dataset.export.companion_files import (
    CARD,
    DATASET_INFO,
    axolotl_stanza,
    check_card,
    check_llama_factory,
    dataset_info,
    has_unedited_card,
    stanza_path,
)
from selfinstruct.dataset.export.export_options import ExportOptions
from selfinstruct.dataset.export.writing import Part
from selfinstruct.dataset.file_jobs import refuse_collisions
from selfinstruct.errors import ConfigError, ExportError, InputError
from selfinstruct.files import because, is_stream


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob(ExportOptions):
    """The options of one `export_records` call, including its input and output files."""

    source: str
    """The run directory or the file of records to export; "-" is stdin."""
    output: Path
    """The file or directory to write; "-" is stdout."""
    input_format: str | None = None
    """The input file's format. If None, the file's name or first character determines it."""
    include_seed_tasks: bool = False
    """True if to write the seed tasks too, before all other tasks."""
    limit: int | None = None
    """Maximum number of instructions, not counting seed tasks; None for all instructions."""
    max_instances_per_task: int | None = None
    """Maximum number of rows per instruction; None for all rows."""
    benchmarks: Sequence[str] = ()
    """Benchmark files. Rows that contain a benchmark item are left out."""
    llama_factory: bool = False
    """True if to add the output to LLaMA-Factory's dataset_info.json."""
    axolotl: bool = False
    """True if to write a stanza for axolotl's configuration."""
    card: bool = False
    """True if to write a dataset card, with the following terms."""
    license: str | None = None
    model_terms: str | None = None
    source_license: str | None = None
    languages: tuple[str, ...] = ()

    @property
    def terms(self) -> Terms:
        """The licenses, model terms and languages to state in the card."""
        return Terms(
            license=self.license,
            model_terms=self.model_terms,
            languages=self.languages,
            source_license=self.source_license,
        )

    def shown(self) -> dict[str, str]:
        """Return the options that affect the data, by flag without dashes, for display in the card."""
        shares = "/".join(f"{share:g}" for share in self.shares)
        options = {
            "limit": self.limit,
            "max-instances-per-task": self.max_instances_per_task,
            "split": self.split if isinstance(self.split, str) else shares or None,
            "shuffle-seed": self.shuffle_seed,
            "system": self.system,
            "template": Path(self.template).name if self.template is not None else None,
            "include-seed-tasks": "yes" if self.include_seed_tasks else None,
            "similarities": "yes" if self.similarities else None,
            "csv-safe": "yes" if self.csv_safe else None,
            "decontaminate": ", ".join(Path(name).name for name in self.benchmarks) or None,
        }
        return {name: str(value) for name, value in options.items() if value is not None}

    def check(self) -> None:
        """Check that all files can be written and that no input or foreign file would be replaced.

        Raises ConfigError, InputError or ExportError if not.
        """
        names = self.names(self.output)
        places = [path for _, path in names if path != self.output]
        beside = {"llama_factory": self.llama_factory, "axolotl": self.axolotl, "card": self.card}
        if str(self.output) == "-":
            for setting, is_given in beside.items():
                if is_given:
                    raise ConfigError(setting, "needs a file name, not -; choose one with -o")
            return
        if self.llama_factory:
            check_llama_factory(self.output, self)
            places.append(self.output.parent / DATASET_INFO)
        if self.axolotl:
            places.append(stanza_path(self.output))
        if self.card:
            check_card(self.output)
            places.append(self.output.parent / CARD)
        try:
            self._check_collisions(places)
        except OSError as error:  # such as a deleted working directory
            raise ExportError(self.output, f"cannot be written {because(error)}") from None

    def check_for_file(self) -> None:
        """Raise ConfigError if an option needs a run as the source. Call this if the source is a file."""
        if self.similarities:
            problem = f"needs a run, but {self.source} is a file of records"
            remedy = "to add similarities to a file, use selfinstruct filter --similarities"
            raise ConfigError("similarities", f"{problem}; {remedy}")
        if self.card:
            problem = (
                f"describes how a run made its data, but {self.source} is a file of records; use "
                "selfinstruct import to create a run from the file"
            )
            raise ConfigError("card", problem)

    def _check_collisions(self, places: Sequence[Path]) -> None:
        if places and is_stream(self.output):
            problem = "is a pipe or a device, which cannot take several files; choose a file"
            raise InputError(self.output, problem)
        template = self.template
        refuse_collisions(
            self.output,
            places,
            inputs=[self.source],
            read=[*self.benchmarks, *([str(template)] if template is not None else [])],
        )

    def trainer_files(self, container: str, parts: Sequence[Part]) -> dict[Path, bytes]:
        """Return the content of the trainers' configuration files, by path."""
        files = {}
        if self.llama_factory:
            info = dataset_info(self.output, self, parts)
            files[self.output.parent / DATASET_INFO] = info
        if self.axolotl:
            stanza = axolotl_stanza(self, container, parts)
            files[stanza_path(self.output)] = stanza
        return files

    def remarks_on_earlier(self, parts: Sequence[Part]) -> Iterator[str]:
        """Yield remarks about files that earlier exports left and that could be mistaken for this one's."""
        if str(self.output) == "-" or is_stream(self.output):
            return
        if not self.card and has_unedited_card(self.output):
            place = self.output.parent / CARD
            yield f"{place} describes an earlier export; replace it with --card"
        written = {part.path for part in parts}
        for shares in ((), (0.5, 0.5), (0.4, 0.3, 0.3)):
            for _, path in replace(self, split=shares).names(self.output):
                if path not in written and path.exists():
                    written.add(path)
                    yield f"{path} is from an earlier export and is not part of this one; remove it"
