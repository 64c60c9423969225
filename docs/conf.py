"""Sphinx configuration. Tables of states and options are generated here from the code itself."""

from __future__ import annotations

import inspect
import re
from typing import Any

import attrs

import batchkit
from batchkit import TRANSITIONS, BatchConfig, JobStatus

project = "batchkit"
author = "the batchkit authors"
release = version = batchkit.__version__
copyright = f"2025, {author}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"batchkit {release}"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# Attributes are written in docstrings; as fields of the class they would be listed twice.
napoleon_use_ivar = True
napoleon_use_rtype = False

nitpicky = True
# Of the standard library and of dependencies, whose inventories are not fetched.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!batchkit).*"),
    # Private names in signatures; the public ones among them are linked, see below.
    (r"py:.*", r"batchkit\._.*"),
    (r"py:.*", r"batchkit\.\w+\._.*"),
]


# -- generated tables ------------------------------------------------------------------------


def _meanings(cls: type) -> dict[str, str]:
    """The ``Attributes:`` section of a class, by name."""
    doc = inspect.getdoc(cls) or ""
    lines = doc.partition("Attributes:\n")[2].splitlines()
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        if entry := re.match(r"    (\w[\w, ]*): (.*)", line):
            names = entry[1].split(", ")
            found.update(dict.fromkeys(names, entry[2]))
        elif line.startswith("        "):
            found.update({name: f"{found[name]} {line.strip()}" for name in names})
    return {name: _as_markdown(meaning) for name, meaning in found.items()}


def _as_markdown(meaning: str) -> str:
    plain = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", meaning)
    return plain.replace("``", "`").replace("|", "\\|")


def _default(field: attrs.Attribute[Any]) -> str:
    value = field.default
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory()  # type: ignore[union-attr]
    return repr(value)


def config_table() -> str:
    """Every option of a batch with its default and its meaning."""
    meanings = _meanings(BatchConfig)
    rows = [
        f"| `{field.name}` | `{_default(field)}` | {meanings.get(field.name, '')} |"
        for field in attrs.fields(BatchConfig)
    ]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


def state_table() -> str:
    """Every status with its labels and what may follow it."""
    rows = [
        f"| `{status.name}` | {status.label('en')} | {status.label('pt')} | {_followers(status)} |"
        for status in JobStatus
    ]
    head = ["| status | English | Portuguese | may become |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _followers(status: JobStatus) -> str:
    order = [other for other in JobStatus if other in TRANSITIONS[status]]
    return ", ".join(f"`{other.name}`" for other in order) or "nothing"


def state_diagram() -> str:
    """The same as a drawing of text, without any tool to draw it."""
    width = max(len(status.name) for status in JobStatus)
    lines = []
    for status in JobStatus:
        order = [other.name for other in JobStatus if other in TRANSITIONS[status]]
        for number, name in enumerate(order or ["(nothing)"]):
            last = number == max(0, len(order) - 1)
            branch = "└─►" if last else "├─►"
            if number == 0:
                branch = "───►" if len(order) < 2 else "─┬─►"
                lines.append(f"{status.name:<{width}} {branch:<4} {name}")
            else:
                lines.append(f"{'':<{width}}  {branch:<3} {name}")
    return "\n".join(["```text", *lines, "```"])


GENERATED = {
    "configuration": config_table,
    "states": state_table,
    "diagram": state_diagram,
}


def fill(app: Any, name: str, source: list[str]) -> None:
    """Puts generated tables where a page asks for them."""
    source[0] = re.sub(r"<!-- generated: (\w+) -->", lambda found: GENERATED[found[1]](), source[0])


# -- links -----------------------------------------------------------------------------------

_PLACES = ("batchkit", *(f"batchkit.{name}" for name in (
    "clients.base", "storage", "storage.base", "executors", "artifacts", "sources", "testing",
)))  # fmt: skip


def link_public_name(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Leads ``batchkit._jobs.Job``, as signatures have it, to ``batchkit.Job``."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    name = target.rsplit(".", 1)[-1]
    for place in _PLACES:
        full = f"{place}.{name}"
        if full in domain.objects:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, text)
    return None


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", fill)
    app.connect("missing-reference", link_public_name)
    return {"parallel_read_safe": True}
