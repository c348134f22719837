"""`selfinstruct estimate`: estimate the requests, tokens, dollars and hours that a run will take."""

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.cli.commands.run import run_named
from selfinstruct.cli.expected_cost import headline, limit_lines, money, money_range, shown_range
from selfinstruct.cli.options import JsonOption, OutputOption, SourceArgument, with_settings
from selfinstruct.cli.output import is_terminal, print_json, say
from selfinstruct.cli.text_layout import print_blocks, wrapped
from selfinstruct.display import counted

if TYPE_CHECKING:
    from selfinstruct.analysis.estimate.assumptions import Assumptions, Figure
    from selfinstruct.analysis.estimate.results import Estimate
    from selfinstruct.budget.prices import Quotation
    from selfinstruct.cost import Consumption, Price
    from selfinstruct.runner.directory import Run

_NAME = 25
_VALUE = 22


@with_settings
def estimate(
    source: SourceArgument = None,
    output: OutputOption = None,
    probe: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Send N real requests of each stage and base the estimate on their replies.",
        ),
    ] = None,
    json_output: JsonOption = False,
    **settings: Any,
) -> None:
    """Estimate the requests, tokens, dollars and hours of a run. Takes the same flags as `run`.

    Writes no files, and sends no requests unless --probe is used. For an existing run, estimates what is
    left, based on the run's own replies.

    Example: selfinstruct estimate -m gpt-5.4-mini -n 52000
    """
    from selfinstruct.analysis.estimate import basis_of
    from selfinstruct.analysis.estimate.forecast import forecast
    from selfinstruct.budget.prices import require_price
    from selfinstruct.config.endpoint_address import address, for_a_new_run
    from selfinstruct.runner.directory import is_run, planned_run

    directory, settings = run_named(source, output, settings)
    if directory is None or not is_run(directory):
        settings = for_a_new_run(settings, environ=os.environ)
    run = planned_run(directory, settings)
    if run.config.max_cost is not None:
        require_price(run.config)
    timeline, probed = None, None
    if probe is not None:
        probing = planned_run(directory, settings)
        probed = _probe(probing, probe)
        timeline = probing.state.timeline
    basis = basis_of(run, timeline)
    expected = forecast(basis)
    limits = limit_lines(basis, expected)
    if json_output:
        endpoint = address(run.config, environ=os.environ)
        fields = {"model": run.config.model, "base_url": endpoint, "limits": limits}
        print_json(_as_json(expected, probed) | fields)
    else:
        print_blocks(_blocks(expected, probed, limits))


# ── probe ────────────────────────────────────────────────────────────────────────────────────────────────


def _probe(run: "Run", count: int) -> "Consumption":
    """Send `count` requests of each stage and return what they consumed. Exits with 4 if a request fails."""
    from selfinstruct.budget.prices import price_of
    from selfinstruct.cli.run_preview import impatient
    from selfinstruct.errors import BackendError

    run.config = impatient(run.config)
    before = run.state.ledger.spent
    try:
        asyncio.run(_send(run, count))
    except BackendError as error:
        line = _probe_line(run.state.ledger.spent - before, price_of(run.config))
        say(f"selfinstruct: {error}", line, "Nothing was written.")
        raise typer.Exit(error.exit_code) from None
    return run.state.ledger.spent - before


async def _send(run: "Run", count: int) -> None:
    from selfinstruct.analysis.preview import probe
    from selfinstruct.cli.run_preview import say_wait
    from selfinstruct.llm.online import open_backend

    if is_terminal(sys.stderr):
        say("waiting for the replies …")
    async with open_backend(run.config, environ=os.environ, on_wait=say_wait) as backend:
        await probe(run, backend=backend, count=count)


def _probe_line(spent: "Consumption", price: "Price | None") -> str:
    dollars = f", {money(price.cost(spent))}" if price is not None and spent.tokens else ""
    requests = counted(spent.requests, "request")
    return f"The probe took {requests}, {spent.tokens:,} tokens{dollars}; its replies are not kept."


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────


def _blocks(
    expected: "Estimate", probed: "Consumption | None", limits: list[str]
) -> Iterator[Iterable[str]]:
    yield [line for text in (headline(expected), *limits) for line in wrapped(text)]
    yield _table(expected)
    if notes := [line for note in _notes(expected) for line in wrapped(note)]:
        yield notes
    yield ["Assumptions", *_assumption_lines(expected.assumptions)]
    yield _next(expected, probed)


def _next(expected: "Estimate", probed: "Consumption | None") -> list[str]:
    """Return lines about the cost of the probe, if there was one, and the next command."""
    if probed is not None:
        price = expected.quotation.price if expected.quotation is not None else None
        return [*wrapped(_probe_line(probed, price)), "Next, without --probe: selfinstruct run"]
    if expected.so_far.requests:
        return ["Next, with the same flags: selfinstruct run"]
    return wrapped(
        "Next: --probe 5 measures most of these numbers with a few real requests; `selfinstruct run` "
        "starts the run."
    )


def _notes(expected: "Estimate") -> Iterator[str]:
    """Yield the paragraphs below the table."""
    quotation, so_far = expected.quotation, expected.so_far
    if so_far.requests:
        paid = f", {money(quotation.price.cost(so_far))}" if quotation is not None else ""
        total = expected.total_usd
        whole = f"; in all: {money_range(total)}" if total is not None else ""
        yield f"So far: {so_far.requests:,} requests, {so_far.tokens:,} tokens{paid}{whole}."
    if (batch := expected.left_batch_usd) is not None:
        yield f"With the vendor's Batch API: {money_range(batch)}. `run` does not use this API yet."
    if quotation is not None and quotation.vendor:
        price = quotation.price
        asked = [_price(dollars) for dollars in (price.input, price.cached_input, price.output)]
        yield (
            f"Price: {asked[0]} in, {asked[1]} cached and {asked[2]} out per million tokens "
            f"({quotation}; {quotation.source}). Prices change: check that this one is still valid."
        )


def _price(dollars: Decimal) -> str:
    return f"${dollars:.2f}" if dollars == round(dollars, 2) else f"${dollars}"


def _table(expected: "Estimate") -> Iterator[str]:
    yield _row("", "requests", "tokens", "dollars")
    rows = list(expected.stages.items())
    in_all = [("in all", expected.left)] if len(rows) > 1 else []
    for name, amounts in [*rows, *in_all]:
        middle = amounts.expected
        tokens = f"{_tokens(middle.prompt_tokens)} in, {_tokens(middle.completion_tokens)} out"
        usd = expected.usd(amounts)
        requests = shown_range(amounts, lambda consumed: f"{consumed.requests:,}")
        yield _row(name, requests, tokens, money_range(usd) if usd is not None else "unknown")


def _row(name: str, requests: str, tokens: str, dollars: str) -> str:
    return f"{name:<10} {requests:<25} {tokens:<20} {dollars}".rstrip()


def _tokens(tokens: int) -> str:
    return f"{tokens / 1e6:,.1f} M" if tokens >= 1e6 else f"{tokens / 1e3:,.0f} k"


def _assumption_lines(assumptions: "Assumptions") -> Iterator[str]:
    decline, twice = assumptions.decline, assumptions.asked_twice
    tenfold = decline.range.each(lambda power: 1 - 10**-power)
    yield _assumption("candidates in a reply", assumptions.candidates)
    yield _assumption(f"accepted, pool of {assumptions.pool_size:,}", assumptions.acceptance, "%")
    yield _assumption("fewer in ten times that", replace(decline, range=tenfold), "%")
    if twice.range.high:
        yield _assumption("classified twice", twice, "%")
    for stage, per in assumptions.stages.items():
        yield _assumption(f"tokens in, {stage}", per.prompt_tokens)
        yield _assumption(f"tokens out, {stage}", per.reply_tokens)
        yield _assumption(f"seconds, {stage}", per.seconds)
        if per.cached_share:
            basis = per.prompt_tokens.basis
            yield f"  {f'cached, {stage}':<{_NAME}}{f'{per.cached_share:.0%}':<{_VALUE}}{basis}"


def _assumption(name: str, figure: "Figure", unit: str = "") -> str:
    values = figure.range.times(100) if unit else figure.range
    return f"  {name:<{_NAME}}{shown_range(values, _number, unit):<{_VALUE}}{figure.basis}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.2g}"


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────


def _as_json(expected: "Estimate", probed: "Consumption | None") -> dict[str, Any]:
    from selfinstruct.analysis.estimate.ranges import range_json

    quotation, batch = expected.quotation, expected.left_batch_usd

    def consumption(spent: "Consumption") -> dict[str, Any]:
        usd = round(float(quotation.price.cost(spent)), 6) if quotation is not None else None
        return asdict(spent) | {"usd": usd}

    return expected.as_json() | {
        "stages_left": [
            {"stage": stage} | expected.amounts_json(amounts)
            for stage, amounts in expected.stages.items()
        ],
        "batch_usd_left": range_json(batch) if batch is not None else None,
        "so_far": consumption(expected.so_far),
        "price": _price_json(quotation) if quotation is not None else None,
        "assumptions": _assumptions_json(expected.assumptions),
        "probe": consumption(probed) if probed is not None else None,
    }


def _price_json(quotation: "Quotation") -> dict[str, Any]:
    prices, discount = asdict(quotation.price), quotation.batch_discount
    return {
        **{f"{name}_usd_per_million_tokens": float(usd) for name, usd in prices.items()},
        "batch_discount": float(discount) if discount is not None else None,
        "vendor": quotation.vendor,
        "as_of": quotation.as_of,
        "source": quotation.source,
        "given": list(quotation.overrides),
    }


def _assumptions_json(assumptions: "Assumptions") -> dict[str, Any]:
    from selfinstruct.analysis.estimate.ranges import range_json

    def figure(value: "Figure") -> dict[str, Any]:
        return range_json(value.range) | {"basis": value.basis}

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
