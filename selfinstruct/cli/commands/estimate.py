"""`selfinstruct estimate`: what a run will take, before a cent is spent."""

import asyncio
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.cli.commands.run import run_named
from selfinstruct.cli.options import JsonOption, OutputOption, SourceArgument, with_settings

if TYPE_CHECKING:
    from selfinstruct.analysis.estimate import Assumptions, Basis, Estimate, Range
    from selfinstruct.budget.prices import Quotation
    from selfinstruct.cost import Consumption
    from selfinstruct.events import Event
    from selfinstruct.runner.directory import Run

_NAME = 25
_VALUE = 22
_WIDEST = 100
_ENDS = ("low", "expected", "high")


@with_settings
def estimate(
    source: SourceArgument = None,
    output: OutputOption = None,
    probe: Annotated[
        int | None,
        typer.Option(
            "--probe",
            min=1,
            metavar="N",
            help="Send N real requests of each stage, and go by their replies.",
            show_default=False,
        ),
    ] = None,
    json_output: JsonOption = False,
    **settings: Any,
) -> None:
    """Estimate what a run will take: requests, tokens, dollars and hours. Takes the flags of `run`.

    Nothing is written, and without --probe nothing is sent. Of a run that exists, what is left is estimated
    from its own replies.

    Example: selfinstruct estimate -m gpt-4.1-mini -n 52000
    """
    from selfinstruct.analysis.estimate import basis_of, forecast
    from selfinstruct.budget.prices import require_price
    from selfinstruct.cli.expected_cost import limit_lines
    from selfinstruct.llm.endpoint import address
    from selfinstruct.runner.directory import is_run, planned_run

    directory, settings = run_named(source, output, settings)
    if directory is None or not is_run(directory):
        settings = _with_address(settings)
    run = planned_run(directory, settings)
    if run.config.max_cost is not None:
        require_price(run.config)
    seen = _probe(planned_run(directory, settings), probe) if probe is not None else []
    basis = basis_of(run, seen)
    found = forecast(basis)
    limits = limit_lines(basis, found)
    if json_output:
        where = address(run.config, environ=os.environ)
        typer.echo(json.dumps(_as_json(basis, found, where, seen, limits)))
    else:
        typer.echo("\n".join(_page(basis, found, seen, limits)))


def _with_address(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the address that a new run would have: prices are those of an address."""
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.llm.endpoint import address

    if not settings.get("model"):
        return dict(settings)
    return {**settings, "base_url": address(RunConfig(**settings), environ=os.environ)}


# ── probe ────────────────────────────────────────────────────────────────────────────────────────────────


def _probe(run: "Run", count: int) -> "list[Event]":
    """Events of some requests of each stage; exits with 4 where the endpoint gives up."""
    from selfinstruct.cli.run_preview import impatient
    from selfinstruct.cli.terminal import say
    from selfinstruct.errors import BackendError

    run.config = impatient(run.config)
    seen: list[Event] = []
    try:
        asyncio.run(_send(run, count, seen))
    except BackendError as error:
        say(f"selfinstruct: {error}", _told(run, seen), "Nothing was written.")
        raise typer.Exit(error.exit_code) from None
    return seen


async def _send(run: "Run", count: int, seen: "list[Event]") -> None:
    from selfinstruct.analysis.preview import probe
    from selfinstruct.cli.terminal import say
    from selfinstruct.llm.online import OnlineBackend

    def on_wait(problem: str, seconds: float) -> None:
        say(f"trying again in {seconds:.1f} s: {problem}")

    if sys.stderr.isatty():
        say("waiting for the replies …")
    async with OnlineBackend(run.config, environ=os.environ, on_wait=on_wait) as backend:
        await probe(run, backend=backend, count=count, record=seen.append)


def _spent(seen: "list[Event]") -> "Consumption":
    from selfinstruct.cost import Consumption, consumed
    from selfinstruct.events import CompletionReceived
    from selfinstruct.records import Usage

    spent = Consumption()
    for event in seen:
        if isinstance(event, CompletionReceived):
            usage = event.completion.usage or Usage(prompt_tokens=0, completion_tokens=0)
            spent += consumed(usage)
    return spent


def _told(run: "Run", seen: "list[Event]") -> str:
    from selfinstruct.budget.prices import price_of
    from selfinstruct.cli.expected_cost import money

    spent, price = _spent(seen), price_of(run.config)
    what = "1 request" if spent.requests == 1 else f"{spent.requests:,} requests"
    dollars = f", {money(price.cost(spent))}" if price is not None and spent.tokens else ""
    return f"The probe took {what}, {spent.tokens:,} tokens{dollars}; its replies are not kept."


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────


def _page(
    basis: "Basis", found: "Estimate", seen: "list[Event]", limits: list[str]
) -> Iterator[str]:
    from selfinstruct.cli.expected_cost import headline

    width = max(60, min(_WIDEST, shutil.get_terminal_size().columns))
    wrapped = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    yield from wrapped.wrap(headline(found))
    yield from (line for limit in limits for line in wrapped.wrap(limit))
    yield ""
    yield from _table(found)
    yield from _notes(found, wrapped)
    yield ""
    yield "This rests on"
    yield from _assumption_lines(basis.assumptions)
    yield ""
    if seen:
        yield from wrapped.wrap(_told_of(basis, seen))
        yield "Next, without --probe: selfinstruct run"
    elif basis.so_far.requests:
        yield "Next, with the same flags: selfinstruct run"
    else:
        said = "Next: --probe 5 measures most of this with a few real requests; `selfinstruct run` starts."
        yield from wrapped.wrap(said)


def _notes(found: "Estimate", wrapped: textwrap.TextWrapper) -> list[str]:
    """What there is to say beside the table, a blank line before it; nothing where there is nothing."""
    from selfinstruct.cli.expected_cost import money, money_range

    notes: list[str] = []
    quotation = found.quotation
    if found.so_far.requests:
        total = found.total_usd
        paid = f", {money(quotation.price.cost(found.so_far))}" if quotation is not None else ""
        whole = f"; in all it will be {money_range(total)}" if total is not None else ""
        said = f"So far: {found.so_far.requests:,} requests, {found.so_far.tokens:,} tokens{paid}{whole}."
        notes += wrapped.wrap(said)
    batch = found.left_batch_usd
    if batch is not None:
        said = f"By the vendor's Batch API: {money_range(batch)}. `run` does not use it yet."
        notes += wrapped.wrap(said)
    if quotation is not None and quotation.vendor:
        notes += wrapped.wrap(f"Price: {_price(quotation)}")
    return ["", *notes] if notes else []


def _told_of(basis: "Basis", seen: "list[Event]") -> str:
    from selfinstruct.cli.expected_cost import money

    spent = _spent(seen)
    what = "1 request" if spent.requests == 1 else f"{spent.requests:,} requests"
    price = basis.quotation.price if basis.quotation is not None else None
    dollars = f", {money(price.cost(spent))}" if price is not None and spent.tokens else ""
    return f"The probe took {what}, {spent.tokens:,} tokens{dollars}; its replies are not kept."


def _table(found: "Estimate") -> Iterator[str]:
    from selfinstruct.cli.expected_cost import money_range

    price = found.quotation.price if found.quotation is not None else None
    yield _row("", "requests", "tokens", "dollars")
    rows = [(stage.stage, stage.amounts) for stage in found.stages]
    if len(rows) > 1:
        rows.append(("in all", found.left))  # type: ignore[arg-type]
    for name, amounts in rows:
        requests = _three(*(getattr(amounts, end).requests for end in _ENDS))
        read = amounts.expected.prompt_tokens
        written = amounts.expected.completion_tokens
        tokens = f"{_tokens(read)} in, {_tokens(written)} out"
        dollars = money_range(amounts.usd(price)) if price is not None else "unknown"
        yield _row(name, requests, tokens, dollars)


def _row(name: str, requests: str, tokens: str, dollars: str) -> str:
    return f"{name:<10} {requests:<25} {tokens:<20} {dollars}".rstrip()


def _tokens(tokens: int) -> str:
    return f"{tokens / 1e6:,.1f} M" if tokens >= 1e6 else f"{tokens / 1e3:,.0f} k"


def _three(low: int, expected: int, high: int) -> str:
    return f"{expected:,}" if low == high else f"{expected:,} ({low:,}–{high:,})"


def _price(quotation: "Quotation") -> str:
    price = quotation.price
    asked = (_asked(price.input), _asked(price.cached_input), _asked(price.output))
    return (
        f"{asked[0]} in, {asked[1]} cached and {asked[2]} out per million tokens "
        f"({quotation}; {quotation.source}). Prices change: see whether it still holds."
    )


def _asked(dollars: Decimal) -> str:
    return f"${dollars:.2f}" if dollars == round(dollars, 2) else f"${dollars}"


def _assumption_lines(assumptions: "Assumptions") -> Iterator[str]:
    def line(name: str, value: str, basis: str) -> str:
        return f"  {name:<{_NAME}}{value:<{_VALUE}}{basis}".rstrip()

    def figure(found: "Range", unit: float = 1.0, sign: str = "") -> str:
        shown = [_number(value * unit) for value in (found.expected, found.low, found.high)]
        if shown[1] == shown[2]:
            return f"{shown[0]}{sign}"
        return f"{shown[0]}{sign} ({shown[1]}–{shown[2]})"

    yield line(
        "candidates in a reply",
        figure(assumptions.candidates.range),
        assumptions.candidates.basis,
    )
    acceptance, pool = assumptions.acceptance, f"pool of {assumptions.pool_size:,}"
    yield line(f"accepted, {pool}", figure(acceptance.range, 100, "%"), acceptance.basis)
    halved = assumptions.decline.range
    tenfold = [100 * (1 - 10**-power) for power in (halved.expected, halved.low, halved.high)]
    yield line(
        "fewer in ten times that",
        f"{_number(tenfold[0])}% ({_number(tenfold[1])}–{_number(tenfold[2])})",
        assumptions.decline.basis,
    )
    if assumptions.asked_twice.range.high:
        twice = assumptions.asked_twice
        yield line("kinds asked twice", figure(twice.range, 100, "%"), twice.basis)
    for stage, per in assumptions.stages.items():
        name = f"tokens in, {stage}"
        yield line(name, figure(per.prompt_tokens.range), per.prompt_tokens.basis)
        name = f"tokens out, {stage}"
        yield line(name, figure(per.reply_tokens.range), per.reply_tokens.basis)
        yield line(f"seconds, {stage}", figure(per.seconds.range), per.seconds.basis)
        if per.cached_share:
            yield line(f"cached, {stage}", f"{per.cached_share:.0%}", per.prompt_tokens.basis)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.2g}"


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────


def _as_json(
    basis: "Basis", found: "Estimate", where: str, seen: "list[Event]", limits: list[str]
) -> dict[str, Any]:
    from selfinstruct.analysis.estimate import amounts_json, money_json

    quotation = found.quotation
    price = quotation.price if quotation is not None else None

    def consumption(spent: "Consumption") -> dict[str, Any]:
        return {
            "requests": spent.requests,
            "prompt_tokens": spent.prompt_tokens,
            "cached_tokens": spent.cached_tokens,
            "completion_tokens": spent.completion_tokens,
            "usd": round(float(price.cost(spent)), 6) if price is not None else None,
        }

    stages = [
        {"stage": stage.stage}
        | amounts_json(stage.amounts)
        | {"usd": money_json(stage.amounts.usd(price)) if price is not None else None}
        for stage in found.stages
    ]
    return found.as_json() | {
        "model": basis.config.model,
        "base_url": where,
        "stages_left": stages,
        "batch_usd_left": money_json(found.left_batch_usd),
        "so_far": consumption(found.so_far),
        "price": {
            "input_usd_per_million_tokens": float(quotation.price.input),
            "cached_input_usd_per_million_tokens": float(quotation.price.cached_input),
            "output_usd_per_million_tokens": float(quotation.price.output),
            "batch_discount": float(quotation.batch_discount)
            if quotation.batch_discount is not None
            else None,
            "vendor": quotation.vendor,
            "as_of": quotation.as_of,
            "source": quotation.source,
            "given": list(quotation.overrides),
        }
        if quotation is not None
        else None,
        "assumptions": _assumptions_json(basis.assumptions),
        "limits": limits,
        "probe": consumption(_spent(seen)) if seen else None,
    }


def _assumptions_json(assumptions: "Assumptions") -> dict[str, Any]:
    from selfinstruct.analysis.estimate import Figure, range_json

    def figure(found: Figure) -> dict[str, Any]:
        return range_json(found.range) | {"basis": found.basis}

    return {
        "candidates_per_reply": figure(assumptions.candidates),
        "acceptance": figure(assumptions.acceptance),
        "acceptance_pool_size": assumptions.pool_size,
        "acceptance_decline_exponent": figure(assumptions.decline),
        "share_asked_twice": figure(assumptions.asked_twice),
        "stages": {
            stage: {
                "prompt_tokens": figure(per.prompt_tokens),
                "reply_tokens": figure(per.reply_tokens),
                "latency_s": figure(per.seconds),
                "cached_share": round(per.cached_share, 6),
            }
            for stage, per in assumptions.stages.items()
        },
    }
