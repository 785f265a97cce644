"""Command-line options made from the settings table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from raingauge.settings import CORE_KNOBS, DATA_DIR, Knob, Settings, load


def all_knobs() -> tuple[Knob[Any], ...]:
    """The whole settings table: the spine's and every contract's."""
    from raingauge.contracts import CONTRACTS  # noqa: PLC0415 - keeps `raingauge token` quick to start

    return CORE_KNOBS + tuple(knob for contract in CONTRACTS for knob in contract.knobs)


def with_knobs(knobs: Sequence[Knob[Any]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option per knob; the command gets those that were passed as `options`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**options: object) -> None:
            command(options)

        run.__doc__ = command.__doc__
        run.__name__ = command.__name__
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(knob.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(knob))
                for knob in knobs
            ]
        )
        run.__annotations__ = {knob.name: _option(knob) for knob in knobs}
        return run

    return decorate


def _option(knob: Knob[Any]) -> Any:
    default = "(hidden)" if knob.secret else str(knob.default)
    names = [f"{knob.option}/--no-{knob.option[2:]}"] if isinstance(knob.default, bool) else [knob.option]
    return Annotated[
        type(knob.default) | None,
        typer.Option(*names, help=f"{knob.help} [env: {knob.env}]", show_default=default or False),
    ]


DataDir = Annotated[
    str | None, typer.Option("--data-dir", help=f"{DATA_DIR.help} [env: {DATA_DIR.env}]", show_default=DATA_DIR.default)
]


def settings_from(data_dir: str | None) -> Settings:
    """Settings for a command whose only option of the table is the data directory."""
    return load(all_knobs(), {DATA_DIR.name: data_dir})
