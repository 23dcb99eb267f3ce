"""Commands of a plan to argument lists. A value is one word, whatever is in it; a shell sees it as a variable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nunatak.core.work import Command
from nunatak.datasets.functions import text_of
from nunatak.datasets.plan import CommandPlan
from nunatak.datasets.template import Hole, Scope, Template, compile_template
from nunatak.datasets.words import quoting

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")


class TextTable:
    """Names with templates, as of environment variables."""

    def __init__(self, table: Mapping[str, str]) -> None:
        """Compile."""
        self.templates = {name: compile_template(text) for name, text in table.items()}
        self.constant = all(template.constant is not None for template in self.templates.values())

    def expand(self, scope: Scope) -> dict[str, str]:
        """Return the texts. Raises `Invalid` where an expression fails."""
        return {name: template.render(scope) for name, template in self.templates.items()} if self.templates else {}


class CommandProgram:
    """One command, compiled."""

    def __init__(self, plan: CommandPlan) -> None:
        """Compile."""
        self.shell = plan.shell
        self.words = [(template := compile_template(word), template.constant) for word in plan.words]
        self.variables = TextTable(plan.variables)
        self.stdin = compile_template(plan.stdin)
        constants = [constant for _, constant in self.words] + [self.stdin.constant]
        constant = self.variables.constant and None not in constants
        self._same = self._expand(Scope({}, {})) if constant else None  # for all jobs

    @property
    def constant(self) -> bool:
        """Tell whether it is the same in all jobs."""
        return self._same is not None

    def expand(self, scope: Scope) -> Command:
        """Return the argument list. Raises `Invalid` where an expression fails."""
        return self._same or self._expand(scope)

    def _expand(self, scope: Scope) -> Command:
        variables = self.variables.expand(scope)
        if self.shell:
            text = "".join(shell_parts(self.words[0][0], scope, variables))
            return Command(("set -e\n" + text,), True, variables, self.stdin.render(scope))
        argv: list[str] = []
        for template, constant in self.words:
            if constant is None:
                argv += template.words(scope)
            else:
                argv.append(constant)
        return Command(tuple(argv), False, variables, self.stdin.render(scope))


def shell_parts(template: Template, scope: Scope, variables: dict[str, str]) -> Iterator[str]:
    """Yield the text for a shell: harmless values as they are, others as variables, never read as commands."""
    state = ""
    for part in template.parts:
        if isinstance(part, Hole):
            values = part.expression.evaluate(scope) if part.spec is None else part.render(scope)
            listed = values if isinstance(values, list | tuple) else [values]
            yield " ".join(_shell_word(text_of(value), state, variables) for value in listed)
        else:
            state = quoting(part, state)
            yield part


def _shell_word(value: str, state: str, variables: dict[str, str]) -> str:
    if _PLAIN.match(value):
        return value
    name = f"NUNATAK_VALUE_{len(variables) + 1}"
    variables[name] = value
    return {'"': f"${{{name}}}", "#": f"${{{name}}}", "'": f"'\"${{{name}}}\"'"}.get(state[-1:], f'"${{{name}}}"')
