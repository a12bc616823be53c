"""The manual: pages for `man` and one for the docs, from the commands themselves.

click-man 0.6.0 does not find commands that a group loads on demand, and has no sections for exit status, environment
and files.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

import click

from zbx_nvidia import __version__
from zbx_nvidia.cli.exits import MEANINGS, meanings
from zbx_nvidia.cli.main import COMMANDS, main
from zbx_nvidia.collector.main import USAGE
from zbx_nvidia.collector.resident.config import PATH
from zbx_nvidia.template.userparameters import COMMAND, FILE

PROGRAM = "zbx-nvidia"
AGENT = "zbx-nvidia-agent"
# With this first line, click does not rewrap a paragraph.
VERBATIM = "\b\n"
EXAMPLE = "Example:\n"
FILES = {
    COMMAND: "The program that the Zabbix agent runs: the default path in the UserParameter file.",
    "/etc/zabbix/zabbix_agentd.d/nvidia.conf": (
        "The UserParameter file, or in another folder that an Include line of the agent names."
    ),
    PATH: f"Configuration of {AGENT} serve; optional.",
    FILE: f"The document that {AGENT} serve writes.",
}

Rows = list[tuple[str, str]]


class Help(NamedTuple):
    """The help of a command, in parts."""

    name: str
    usage: str
    paragraphs: list[str]
    examples: list[str]
    options: Rows
    environment: Rows


def _top() -> click.Context:
    return click.Context(main, info_name=PROGRAM, **main.context_settings)


# -- the help in parts ------------------------------------------------------------------------------------------------


def help_of(name: str) -> Help:
    """The help of a command, or of the program itself if the name is empty."""
    top = _top()
    command = main.get_command(top, name) if name else main
    assert command is not None  # noqa: S101  it is in the table
    context = click.Context(command, info_name=name, parent=top) if name else top
    text = inspect.cleandoc(command.help or "")
    blocks = [block for block in text.split("\n\n") if block.strip()]
    examples = [block.removeprefix(VERBATIM) for block in blocks if block.removeprefix(VERBATIM).startswith(EXAMPLE)]
    records = [(option, option.get_help_record(context)) for option in command.get_params(context)]
    return Help(
        name,
        " ".join([context.command_path, *command.collect_usage_pieces(context)]),
        [block for block in blocks if block.removeprefix(VERBATIM) not in examples],
        [_unindented(block.partition("\n")[2]) for block in examples],
        [record for _, record in records if record and record[1]],
        _environment([option for option, _ in records if isinstance(option, click.Option)]),
    )


def _environment(options: list[click.Option]) -> Rows:
    rows = []
    for option in options:
        text = option.help or ""
        if isinstance(option.envvar, str):
            rows.append((option.envvar, f"Used if {option.opts[0]} is not given."))
        rows += [(name, f"Used if {option.opts[0]} is not given.") for name in re.findall(r"variable ([A-Z_]+)", text)]
    return sorted(rows)


def _unindented(block: str) -> str:
    lines = block.splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:] for line in lines)


def _summary(text: str) -> str:
    """The first sentence, in the form for a manual's NAME section."""
    sentence = re.split(r"\.(?:\s|$)", " ".join(text.split()))[0]
    return sentence[:1].lower() + sentence[1:]


# -- for man ----------------------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Path below share/man -> page."""
    texts = {f"man1/{PROGRAM}.1": _program(), f"man8/{AGENT}.8": _agent()}
    for name in COMMANDS:
        texts[f"man1/{PROGRAM}-{name}.1"] = _command(help_of(name))
    return texts


def _program() -> str:
    parts = help_of("")
    commands = [help_of(name) for name in COMMANDS]
    by_command = [
        (f"{code} ({name})", text)
        for name in COMMANDS
        for code, text in meanings(name).items()
        if text != MEANINGS.get(code)
    ]
    environment = sorted({row[0] for command in commands for row in command.environment})
    return _page(
        PROGRAM,
        1,
        _summary(parts.paragraphs[0]),
        [
            ("SYNOPSIS", _bold(parts.usage)),
            ("DESCRIPTION", _paragraphs(parts.paragraphs) + _paragraph("Each command has its own page.")),
            ("COMMANDS", _rows([(command.name, _sentence(command)) for command in commands])),
            ("OPTIONS", _rows(parts.options)),
            ("EXIT STATUS", _rows([(str(code), text) for code, text in MEANINGS.items()] + by_command)),
            (
                "ENVIRONMENT",
                _rows(
                    [(name, f"See {_users(name, commands)}.") for name in environment]
                    + [("NO_COLOR", "If set, the output has no colors.")]
                ),
            ),
            ("FILES", _rows(list(FILES.items()))),
            ("EXAMPLES", "".join(_literal(text) for command in commands[:3] for text in command.examples)),
            ("SEE ALSO", _see([(f"{PROGRAM}-{name}", 1) for name in COMMANDS] + [(AGENT, 8)])),
        ],
    )


def _users(variable: str, commands: list[Help]) -> str:
    names = [command.name for command in commands if any(name == variable for name, _ in command.environment)]
    return ", ".join(f"{PROGRAM}-{name}(1)" for name in names)


def _sentence(command: Help) -> str:
    text = _summary(command.paragraphs[0])
    return text[:1].upper() + text[1:] + "."


def _command(parts: Help) -> str:
    codes = [(str(code), text) for code, text in meanings(parts.name).items()]
    return _page(
        f"{PROGRAM}-{parts.name}",
        1,
        _summary(parts.paragraphs[0]),
        [
            ("SYNOPSIS", _bold(parts.usage)),
            ("DESCRIPTION", _paragraphs(parts.paragraphs)),
            ("OPTIONS", _rows(parts.options)),
            ("EXIT STATUS", _rows(codes)),
            ("ENVIRONMENT", _rows(parts.environment)),
            ("EXAMPLES", "".join(_literal(text) for text in parts.examples)),
            ("SEE ALSO", _see([(PROGRAM, 1), (AGENT, 8)])),
        ],
    )


def _agent() -> str:
    """From the text of its --help: lines of usage, rows of two columns, and sentences."""
    usage, rows, text = [], [], []
    for line in USAGE.splitlines():
        if match := re.match(r"(?:usage:|\s{6,})\s*(zbx-nvidia-agent .*)", line):
            usage.append(match[1])
        elif match := re.match(r"(\S+) {2,}(.+)", line):
            rows.append((match[1], match[2][:1].upper() + match[2][1:] + "."))
        elif line:
            text.append(line)
    codes = [row for line in text if line.startswith("Exit code") for row in re.findall(r"(\d)[,:] ([^.]+)\.", line)]
    return _page(
        AGENT,
        8,
        "the program that the Zabbix agent runs to read NVIDIA GPUs",
        [
            ("SYNOPSIS", "".join(_bold(line) + ".br\n" for line in usage).removesuffix(".br\n")),
            ("COMMANDS AND OPTIONS", _rows(rows)),
            ("EXIT STATUS", _rows([(code, f"{meaning[:1].upper()}{meaning[1:]}.") for code, meaning in codes])),
            ("FILES", _rows(list(FILES.items()))),
            ("EXAMPLES", _literal(f"sudo -u zabbix {COMMAND} get")),
            ("SEE ALSO", _see([(PROGRAM, 1)])),
        ],
    )


def _page(name: str, section: int, summary: str, sections: list[tuple[str, str]]) -> str:
    head = f'.TH {_text(name.upper())} {section} "" "{PROGRAM} {__version__}"\n'
    body = f".SH NAME\n{_text(name)} \\- {_text(summary)}\n"
    return head + body + "".join(f".SH {title}\n" + text.removeprefix(".PP\n") for title, text in sections if text)


def _text(text: str) -> str:
    """Text escaped for roff, with text in `` in bold.

    A plain - would become a hyphen, which does not work in a pasted command.
    """
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("“", "\\(lq").replace("”", "\\(rq")
    escaped = re.sub("`([^`]+)`", r"\\fB\1\\fR", escaped)
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())


def _bold(text: str) -> str:
    return f'.B "{_text(text)}"\n'


def _paragraph(text: str) -> str:
    return f".PP\n{_text(text)}\n"


def _paragraphs(blocks: list[str]) -> str:
    parts = []
    for block in blocks:
        if block.startswith(VERBATIM):
            parts.append(_literal(block.removeprefix(VERBATIM)))
        else:
            parts.append(_paragraph(" ".join(block.split())))
    return "".join(parts)


def _literal(text: str) -> str:
    return f".PP\n.nf\n.RS 4\n{_text(text)}\n.RE\n.fi\n"


def _rows(rows: Rows) -> str:
    return "".join(f'.TP\n.B "{_text(name)}"\n{_text(text)}\n' for name, text in rows)


def _see(others: list[tuple[str, int]]) -> str:
    return ",\n".join(f".BR {_text(name)} ({section})" for name, section in others).replace(",\n.BR", " ,\n.BR") + "\n"


# -- for the docs -----------------------------------------------------------------------------------------------------


def markdown() -> str:
    """docs/COMMANDS.md."""
    lines = [
        "<!-- Generated by `make generate`: change src/zbx_nvidia/cli or collector/main.py, then run it again. -->\n",
        "# Commands\n",
        f"The output of `{PROGRAM} COMMAND --help`, and the exit codes. `man {PROGRAM}` shows it too.\n",
        "| Exit code | Meaning |",
        "|---|---|",
        *(f"| {code} | {text} |" for code, text in MEANINGS.items()),
        "",
    ]
    top = _top()
    for name in COMMANDS:
        command = main.get_command(top, name)
        assert command is not None  # noqa: S101  it is in the table
        context = click.Context(command, info_name=name, parent=top, terminal_width=110, max_content_width=110)
        own = {code: text for code, text in meanings(name).items() if text != MEANINGS.get(code)}
        lines += [f"## {name}\n", f"```\n{context.get_help()}\n```\n"]
        lines += [f"Exit code {code}: {text}\n" for code, text in own.items()]
    return "\n".join([*lines, f"## {AGENT}\n", f"```\n{USAGE}```\n"])
