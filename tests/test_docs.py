"""Documents hold together: links, anchors, and what they and the code cite of each other."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
CITING = sorted(
    path
    for pattern in ("src/**/*.py", "tests/**/*.py", "benchmarks/**/*.py", "conf/**/*.yml", "*.toml")
    for path in PROJECT.glob(pattern)
    if path != Path(__file__)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CITED_PAGE = re.compile(r"\bdocs/[\w/-]+\.md(?:#[\w-]+)?")
CITED_RECORD = re.compile(r"\bADR (\d{4})")
CITED_TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
TREE_LINE = re.compile(r"^(?P<indent> *)(?P<folder>\w+)/ ")


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@cache
def prose_of(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    anchors: list[str] = []
    for heading in re.findall(r"^#+ +(.*?) *$", prose_of(page), flags=re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        seen = sum(anchor == slug or anchor.startswith(f"{slug}-") for anchor in anchors)
        anchors.append(slug if slug not in anchors else f"{slug}-{seen}")
    return frozenset(anchors)


@cache
def names_used_by(page: Path) -> frozenset[tuple[str, str]]:
    """Return what the Python blocks of a page import from this package, as (module, name)."""
    return frozenset(
        (str(node.module), alias.name)
        for block in PYTHON_BLOCK.findall(page.read_text())
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hsrl_pipeline")
        for alias in node.names
    )


def is_missing(target: str, folder: Path) -> bool:
    """Return whether a relative link leads nowhere."""
    path, _, anchor = target.partition("#")
    page = folder / path
    if not page.exists():
        return True
    return bool(anchor) and anchor not in anchors_of(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_and_anchors_lead_somewhere(page: Path) -> None:
    targets = [link for link in LINK.findall(prose_of(page)) if "://" not in link]
    here = [f"{page.name}{link}" if link.startswith("#") else link for link in targets]
    assert [link for link in here if is_missing(link, page.parent)] == []


def test_pages_sections_and_records_that_code_cites_exist() -> None:
    records = {path.name[:4] for path in PROJECT.glob("docs/adr/[0-9]*.md")}
    missing = []
    for path in CITING:
        text = path.read_text()
        wrong = [cited for cited in CITED_PAGE.findall(text) if is_missing(cited, PROJECT)]
        wrong += [f"ADR {number}" for number in CITED_RECORD.findall(text) if number not in records]
        missing += [f"{name_of(path)}: {cited}" for cited in wrong]
    assert missing == []


def test_records_that_pages_name_exist() -> None:
    records = {path.name[:4] for path in PROJECT.glob("docs/adr/[0-9]*.md")}
    named = {
        (name_of(page), number)
        for page in PAGES
        for number in CITED_RECORD.findall(page.read_text())
    }
    assert {(page, number) for page, number in named if number not in records} == set()


def test_tests_that_pages_name_exist() -> None:
    named = {cited for page in PAGES for cited in CITED_TEST.findall(page.read_text())}
    assert len(named) > 10
    missing = [
        f"{path}::{test}"
        for path, test in sorted(named)
        if not (PROJECT / path).is_file() or f"def {test}(" not in (PROJECT / path).read_text()
    ]
    assert missing == []


def test_python_on_pages_takes_its_names_from_the_faces_of_the_library() -> None:
    used = {(name_of(page), *pair) for page in PAGES for pair in names_used_by(page)}
    assert {"docs/semantic_ids.md", "docs/simulators.md", "docs/agents.md"} <= {
        page for page, _, _ in used
    }
    for page, module, name in sorted(used):
        face = import_module(module)
        offered = face.__all__ if hasattr(face, "__path__") else vars(face)
        assert name in offered, f"{page}: {module} does not offer {name}"
        getattr(face, name)
        part = module.split(".")[1]
        assert part not in {"io", "pipelines"}, f"{page} needs Kedro for {module}.{name}"


@pytest.mark.parametrize(
    ("index", "pages"),
    [
        ("docs/adr/README.md", sorted(PROJECT.glob("docs/adr/[0-9]*.md"))),
        (
            "docs/README.md",
            [page for page in sorted(PROJECT.glob("docs/*.md")) if page.name != "README.md"],
        ),
    ],
)
def test_an_index_lists_every_page(index: str, pages: list[Path]) -> None:
    listed = {link.partition("#")[0] for link in LINK.findall((PROJECT / index).read_text())}
    assert [page.name for page in pages if page.name not in listed] == []


def test_the_tree_of_the_architecture_has_a_line_for_every_folder() -> None:
    text = (PROJECT / "ARCHITECTURE.md").read_text()
    tree = text.partition("```text\n")[2].partition("```")[0]
    listed: set[str] = set()
    parents: list[str] = []
    for line in tree.splitlines():
        if found := TREE_LINE.match(line):
            parents[len(found["indent"]) // 2 :] = [found["folder"]]
            listed.add("/".join(parents))
    packages = {
        str(path.parent.relative_to(PROJECT / "src")) for path in PROJECT.glob("src/**/__init__.py")
    }
    assert packages - listed == set()
