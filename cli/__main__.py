"""`labelstream`, also `python -m cli`: one module per command, imported only when that command is called."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.environment import adopt_running_stack
from shared.errors import LabelstreamError

INTERRUPTED = 130
STARTS_ITS_OWN = frozenset({"demo", "up", "replay", "consensus", "agreement", "economics", "drift"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: `module` holds `app` (a Typer with subcommands) or `command` (a function)."""

    name: str
    module: str
    about: str


ENTRIES = (
    Entry("demo", "cli.demo.command", "Start everything embedded, stream real items through, and prove what came out."),
    Entry("up", "cli.up", "Start the whole stack on this machine and keep it running."),
    Entry("run", "cli.run", "Run one service against the configured broker and database."),
    Entry("economics", "cli.economics.command", "What labels cost under each policy, on one recorded crowd."),
    Entry("replay", "cli.replay.command", "Replay a recorded crowd as if its workers sat at the API."),
    Entry("consensus", "cli.offline.consensus", "Turn a file of answers into labels with posteriors."),
    Entry("agreement", "cli.offline.agreement", "How far the people in a file of answers agree."),
    Entry("drift", "cli.drift.command", "Find where the class mix of a recorded stream changed."),
    Entry("audit", "cli.audit.command", "Prove from databases and topics that nothing was lost or counted twice."),
    Entry("project", "cli.project.commands", "Validate and publish project files; list, show, pause, resume."),
    Entry("model", "cli.model", "Register, promote, roll back and list models."),
    Entry("gold", "cli.gold", "Import items whose answer is known."),
    Entry("labels", "cli.labels", "Split a class; see what that touches."),
    Entry("guidelines", "cli.guidelines", "Publish a guideline version."),
    Entry("annotator", "cli.annotator", "Add people, give them tokens, quarantine, reinstate."),
    Entry("patterns", "cli.patterns", "Which classes people confuse, and which items they get wrong."),
    Entry("quality", "cli.quality", "How often models and live labels are right, with intervals."),
    Entry("doctor", "cli.doctor.command", "Look at everything a deployment stands on, and say what to do."),
    Entry("topics", "cli.topics", "Create and list topics; show the lag of every reader; print ACLs."),
    Entry("migrate", "cli.migrate", "Bring the database of every service to its newest schema."),
    Entry("erase", "cli.erase.command", "Forget an item or a person everywhere, and prove it."),
    Entry("dlq", "cli.dlq.commands", "List, show and replay dead letters."),
)


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application, with only the named command imported; the others are there by name and help alone."""
    app = typer.Typer(
        name="labelstream",
        help="Continuous labelling of production traffic over Kafka.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    app.callback()(_root)
    for entry in ENTRIES:
        if entry.name != wanted:
            app.command(entry.name, help=entry.about)(_stub)
            continue
        module = importlib.import_module(entry.module)
        if hasattr(module, "app"):
            app.add_typer(module.app, name=entry.name, help=entry.about)
        else:
            app.command(entry.name, help=module.command.__doc__)(module.command)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  # costs 30 ms

        sys.stdout.write(version("labelstream") + "\n")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Continuous labelling of production traffic over Kafka."""
    del version


def _stub() -> None:
    raise AssertionError("the named command is always imported")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 2000 else text[:2000] + " ..."  # noqa: PLR2004


def _expected() -> tuple[type[BaseException], ...]:
    """Errors of the surroundings, not of the program: their message is enough."""
    known: list[type[BaseException]] = [OSError, TimeoutError]
    for module, name in (("aiokafka.errors", "KafkaError"), ("asyncpg", "PostgresError"), ("httpx", "HTTPError")):
        if module.partition(".")[0] in sys.modules:
            known.append(getattr(importlib.import_module(module), name))
    return tuple(known)


def _first(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """The error itself or, of a group in which all are of these kinds, the first."""
    if isinstance(error, BaseExceptionGroup):
        found = [_first(inner, kinds) for inner in error.exceptions]
        return found[0] if all(one is not None for one in found) else None
    return error if isinstance(error, kinds) else None


def guarded(run: Callable[[], Any]) -> int:
    """Run a command; an expected error is one line on stderr. Returns the exit code; 0 only on success."""
    try:
        run()
    except SystemExit as exiting:
        return exiting.code if isinstance(exiting.code, int) else int(exiting.code is not None)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if "LABELSTREAM_TRACEBACK" in os.environ:
            raise
        own = _first(error, (LabelstreamError,))
        if own is not None:
            sys.stderr.write(f"error: {_lines(own)}\n")
            return 1
        outside = _first(error, _expected())
        if outside is None:
            raise
        sys.stderr.write(
            f"error: {type(outside).__name__}: {_one_line(outside)}; check that the broker, the database and the"
            " services are up (`labelstream topics list`)\n"
        )
        return 1
    return 0


def _lines(error: BaseException) -> str:
    """One line, except where the error is a list of mistakes: then one line each."""
    return "\n".join(_one_line(ValueError(line)) for line in str(error).splitlines() if line.strip())


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point.

    Raises:
        SystemExit: always, with 0 only on success.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not STARTS_ITS_OWN.intersection(given[:1]):
        adopt_running_stack()
    sys.exit(guarded(lambda: build(given)(args=given, prog_name="labelstream")))


if __name__ == "__main__":
    main()
