"""The docs say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backstream.apps.cli.commands import GROUPS, load
from backstream.apps.deploy import Choices, TemplateFormat, template
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import Metric
from backstream.model import prices
from kit import terraform_module
from kit.cli_reference import reference

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_cli_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "run `make docs`"


def test_every_option_that_a_page_shows_with_a_command_is_one_of_its_options() -> None:
    commands = {name: load(name) for group in GROUPS.values() for name in group}
    known = {
        name: {each for option in found.params for each in (*option.opts, *option.secondary_opts)}
        for name, found in commands.items()
    }
    names = "|".join(sorted(commands, key=len, reverse=True))
    shown = [
        (page.name, command[1], option)
        for page in [*PAGES, ROOT / "CHANGELOG.md"]
        for command in re.finditer(rf"(?:backstream |`)({names})(?![\w-])([^\n`|;&#]*)", re.sub(r"\\\n\s*", " ", page.read_text()))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", command[2])
    ]
    assert len(shown) > 400, "little was looked at"
    assert [each for each in shown if each[2] not in known[each[1]] | {"--help", "--debug"}] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_a_heading_lead_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*\.md)?#([^)]+)\)", page.read_text())
    missing = [f"{file}#{anchor}" for file, anchor in links if anchor not in anchors(page.parent / file if file else page)]
    assert not missing


def anchors(page: Path) -> set[str]:
    """Returns the names by which a page's headings are linked, as GitHub and the site make them."""
    outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", each).lower() for each in re.findall(r"^#+ (.+)$", outside, re.MULTILINE)]
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", each).strip()) for each in plain}


def test_the_calculator_has_the_prices_of_the_code() -> None:
    script = (ROOT / "docs" / "assets" / "costs.js").read_text()
    told = {name: float(value) for name, value in re.findall(r"^  (\w+): ([\d.e-]+),", script, re.MULTILINE)}
    assert (told["put"], told["get"]) == (prices.PUT, prices.GET)


def test_every_variable_of_the_environment_is_in_its_table() -> None:
    told = (ROOT / "docs" / "environment.md").read_text() + (ROOT / "docs" / "web.md").read_text()
    known = {each for path in (ROOT / "src").rglob("*.py") for each in re.findall(r'"(BACKSTREAM_[A-Z_]+[A-Z])"', path.read_text())}
    assert known, "nothing was looked at"
    assert not {each for each in known if each not in told}


def test_every_metric_is_in_its_table() -> None:
    told = (ROOT / "docs" / "metrics.md").read_text()
    known = [each for each in vars(metrics).values() if isinstance(each, Metric)]
    assert known, "nothing was looked at"
    assert [each for each in known if each.series not in told or each.name not in told] == []


def test_the_terraform_module_is_whole_in_a_registrys_layout() -> None:
    files = terraform_module.files()
    assert {
        "README.md",
        "LICENSE",
        "main.tf",
        "variables.tf",
        "outputs.tf",
        "versions.tf",
        "examples/one-table/main.tf",
    } <= files.keys()
    assert {
        each for name, text in files.items() if name == "variables.tf" for each in re.findall(r"^(\w+) ", text, re.MULTILINE)
    } == {"variable"}
    split = sorted(
        each for name, text in files.items() if name.endswith(".tf") and "/" not in name for each in terraform_module.blocks(text)
    )
    assert split == sorted(terraform_module.blocks(template(Choices(), TemplateFormat.HCL)))
    named = re.findall(r"^  (\w+) +=", files["examples/one-table/main.tf"].split("module ")[1], re.MULTILINE)
    assert set(named) - {"source"} <= set(re.findall(r'^variable "(\w+)"', files["variables.tf"], re.MULTILINE))
