"""Heat maps of known profiles: figures, lines of a terminal, a page."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import click
import pytest
import torch
from profile_samples import profile_of

from expertrag.api.errors import InvalidArgument
from expertrag_lab.cli.heat_lines import heat_lines
from expertrag_lab.surgery.profiling.heat_map import heat_map
from expertrag_lab.surgery.profiling.importance import ExpertProfile, Method
from expertrag_lab.surgery.profiling.profile_page import profile_page

LEGAL = torch.tensor([[8.0, 4.0, 0.0, 1.0, 3.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
TAX = torch.tensor([[0.0, 0.0, 8.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
EVIL = '<script>alert("x")</script>'


def _profile() -> ExpertProfile:
    """Two domains; expert 3 of the second layer is a super expert."""
    peak = torch.ones(2, 5, dtype=torch.float64)
    peak[1, 3] = 100.0
    return profile_of({"legal": LEGAL, "tax": TAX}, peak=peak)


def test_figures_are_those_of_the_profile() -> None:
    shown = heat_map(_profile(), "tiny", Method.EASY_EP, ["legal"])
    first, second = shown.layers
    assert (shown.domains, shown.tokens, shown.method) == (("legal",), 10, "easy-ep")
    assert (first.layer, first.importance) == (1, (8.0, 4.0, 0.0, 1.0, 3.0))
    # 1, 1/2, unused, 1/8 and 3/8: an eighth less for each factor of three
    assert first.heat == pytest.approx((1.0, 0.9211, 0.0, 0.7634, 0.8884), abs=1e-4)
    assert first.top_half == pytest.approx(15 / 16)  # 3 of 5 experts
    assert second.top_half == pytest.approx(3 / 5)
    assert shown.top_half == pytest.approx((15 / 16 + 3 / 5) / 2)
    assert (first.super_experts, second.super_experts) == ((), (3,))
    both = heat_map(_profile(), "tiny", Method.EASY_EP)
    assert (both.domains, both.tokens) == (("legal", "tax"), 20)
    assert both.layers[0].importance == (4.0, 2.0, 4.0, 0.5, 1.5)
    with pytest.raises(InvalidArgument, match="no domain 'none': it has legal, tax"):
        heat_map(_profile(), "tiny", Method.EASY_EP, ["none"])


def test_a_layer_without_importance_is_empty() -> None:
    profile = profile_of({"legal": torch.zeros(1, 4)})
    shown = heat_map(profile, "tiny", Method.EASY_EP)
    assert (shown.top_half, shown.layers[0].heat) == (0.0, (0.0,) * 4)
    assert "layer 1 ····" in "\n".join(heat_lines(shown, 80))


def test_experts_beside_one_that_holds_nearly_all_are_told_apart() -> None:
    scores = torch.tensor([[1e3, 5.0, 1.0, 0.2, 0.04, 1e-3, 1e-9, 0.0]])
    shown = heat_map(profile_of({"legal": scores}), "tiny", Method.EASY_EP)
    heat = shown.layers[0].heat
    assert list(heat) == sorted(heat, reverse=True)
    assert heat[5] == heat[6] == 0.02 and heat[7] == 0.0
    _, line, *_ = heat_lines(shown, 80)
    assert line == "layer 1 █▄▂▁▁▁▁· 100%"


def test_a_line_is_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = heat_map(_profile(), "tiny", Method.EASY_EP, ["legal"])
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    title, first, second, *legend = heat_lines(shown, 100)
    assert title == "tiny: easy-ep, legal"
    assert first == "layer 1 ██·▇█  94%"
    assert second == f"layer 2 ███{click.style('◆', fg='red', bold=True)}█  60%"
    assert "an expert" in legend[0] and "holds 76.9%" in legend[1] and legend[2].endswith(": 2:3")
    monkeypatch.setenv("NO_COLOR", "1")
    assert list(heat_lines(shown, 100))[2] == "layer 2 ███◆█  60%"


@pytest.mark.parametrize("width", [1, 20, 40, 79])
def test_narrow_terminals_share_characters(width: int) -> None:
    scores = torch.zeros(2, 100)
    scores[:, [0, 99]] = torch.tensor([1.0, 0.1])
    shown = heat_map(profile_of({"legal": scores}), "tiny", Method.EASY_EP)
    _, first, second, *legend = heat_lines(shown, width)
    cells = first.split()[2]
    together = -(-100 // max(8, width - 13))
    assert len(first) == len(second) <= max(width, 21) and len(cells) == -(-100 // together)
    assert (cells[0], cells[-1]) == ("█", "▆") and set(cells[1:-1]) == {"·"}
    assert f"the most important of {together} experts" in " ".join(legend)
    assert all(len(line) <= max(width, 40) for line in legend)


class _Page(HTMLParser):
    """The cells and the tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_the_same_figures_and_no_markup_of_names() -> None:
    profile = _profile()
    domains = {EVIL: profile.domains["legal"], "tax": profile.domains["tax"]}
    named = replace(profile, domains=domains)
    maps = [heat_map(named, EVIL, Method.EASY_EP, some) for some in ([], [EVIL], ["tax"])]
    page = _Page(profile_page(maps))
    assert "script" not in page.tags and "link" not in page.tags and "img" not in page.tags
    assert f"Experts of {EVIL}" in page.text and page.text.count(EVIL) == 4
    control = replace(maps[0], model="\x1b[2J", domains=("\x1b[2J",))
    assert "\x1b" not in profile_page([control])
    cells = [cell for cell in page.cells if cell.get("class") != "share"]
    assert len(cells) == 3 * 2 * 5
    own = cells[10:20]
    assert own[0]["title"] == "layer 1, expert 0: 8" and own[0]["style"] == "--h:1.000"
    assert own[1]["style"] == "--h:0.921" and own[2]["class"] == "none"
    assert own[8]["class"] == "super" and "class" not in own[9]
    assert "holds 76.9%" in page.text and "10 tokens" in page.text
