"""The picture of curvature: well formed, the same bytes, every operation once, the break and its reason."""

from __future__ import annotations

from xml.etree import ElementTree as Tree

import torch
from tests.curvature.explaining import dense, with_weights
from torch import nn

from orbitope.curvature import Outline, explain, walked
from orbitope.reports import curvature_figure
from orbitope.reports.curvature_figure import curvature_svg

SVG = "{http://www.w3.org/2000/svg}"


def _drawn(of, analysis, params=None):
    content = curvature_svg(walked(of, analysis, params), "a network")
    assert content == curvature_svg(walked(of, analysis, params), "a network")
    return Tree.fromstring(content)


def _boxes(root):
    return [r for r in root.iter(f"{SVG}rect") if "box" in r.get("class", "").split()]


def _texts(root):
    return [t.text for t in root.iter(f"{SVG}text")]


def test_the_break_and_its_reason():
    of = dense(4, 5, 6, 3)
    found = explain(of)
    for analysis, leaves in ((found.joint, 6), (found.block("2"), 2), (found.inputs, 1)):
        root = _drawn(of, analysis)
        boxes = _boxes(root)
        assert sum("broken" in b.get("class") for b in boxes) == 1
        assert sum("leaf" in b.get("class") for b in boxes) == leaves
        assert any(text.startswith("breaks here:") for text in _texts(root))
        assert any(text.startswith("layer 2 · linear.py:") for text in _texts(root))
        assert analysis.loss.reason in root.find(f"{SVG}desc").text


def test_nothing_lies_on_top_of_anything_and_all_is_inside():
    found = explain(of := dense(4, 5, 6, 3))
    root = _drawn(of, found.joint)
    width, height = float(root.get("width")), float(root.get("height"))
    places = [tuple(float(b.get(k)) for k in ("x", "y", "width", "height")) for b in _boxes(root)]
    for k, (x, y, w, h) in enumerate(places):
        assert x + w <= width and y + h <= height
        assert all(x + w <= a or a + c <= x or y + h <= b or b + d <= y for a, b, c, d in places[:k])


def test_colours_are_the_kinds():
    of = dense(4, 5, 6, 3)
    params = with_weights(of, layer_2=torch.abs, layer_4=lambda w: -w.abs())
    root = _drawn(of, explain(of, params=params).inputs, params)
    kinds = [b.get("class").split()[1] for b in _boxes(root)]
    assert kinds[:6] == ["affine", "affine", "convex", "convex", "convex", "concave"]
    legend = {k.get("class").split()[1] for k in root.iter(f"{SVG}rect") if k.get("class", "").startswith("key")}
    assert legend == set(kinds)


def test_branches_stand_side_by_side_and_long_programs_are_cut(monkeypatch):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            for _ in range(9):
                x = x + torch.relu(self.a(x)) - torch.tanh(self.b(x))
            return x

    of = Outline.of(Residual().eval(), (torch.randn(3, 4),), loss="mse")
    found = explain(of)
    whole = _boxes(_drawn(of, found.joint))
    assert len(whole) > 40 and len({b.get("x") for b in whole}) > 1
    monkeypatch.setattr(curvature_figure, "MOST", 12)
    root = _drawn(of, found.joint)
    assert len(_boxes(root)) == 12 and any("not drawn" in text for text in _texts(root))
