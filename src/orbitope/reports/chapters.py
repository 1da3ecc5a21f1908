"""The chapters of the demonstration: each measures something on the networks of a story and says it in plain words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from orbitope.alignment import align
from orbitope.comparison import count, verify
from orbitope.curvature import explain
from orbitope.landscapes import barrier, directional, plane
from orbitope.proof import Certificate, Claim, check_certificate, prove
from orbitope.proof.moves import Step
from orbitope.proof.witnesses import averaged
from orbitope.reports.curves import Path, Violation, draw_barrier, draw_segment, steepest_fall
from orbitope.reports.figures import draw_collapse, draw_plane
from orbitope.reports.page import Fact, Picture, Section
from orbitope.reports.swap_figure import Layer, draw_swap

if TYPE_CHECKING:
    from orbitope.reports.story import Story

Tick = Callable[[int, int], None]
Parameters = Mapping[str, torch.Tensor]

MIDPOINT, AVERAGE = "midpoint.orbitope", "orbit-average.orbitope"
FIRST, SECOND, TWIN, ALIGNED = (f"{name}.safetensors" for name in ("first", "second", "twin", "aligned"))
"""Files that the chapters leave beside the page; the commands that they show run in that folder."""


def power_of_ten(log10: float) -> str:
    """A large number by its decimal logarithm: ``6.9·10⁷⁰``.

    >>> power_of_ten(70.84), power_of_ten(2.0)
    ('6.9·10⁷⁰', '1.0·10²')
    """
    exponent = math.floor(log10)
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{10 ** (log10 - exponent):.1f}·10{raised}"


def lead(story: Story) -> list[str]:
    """What was trained."""
    story.loss["A"] = story.objective.value()
    accuracy = story.objective.accuracy()
    other = story.objective.accuracy(story.other)
    return [
        "Two networks of the same shape were trained on the same 1797 images of handwritten digits, from different "
        f"random weights. The first, **A**, has a loss of {story.loss['A']:.4f} nats and classifies {accuracy:.1%} of "
        f"the images correctly; the second {other:.1%}. Everything below is measured or proved on them."
    ]


def prove_both(story: Story) -> None:
    """Both certificates, written and read back."""
    claims: tuple[tuple[Claim, str], ...] = (("midpoint", MIDPOINT), ("orbit-average", AVERAGE))
    for claim, name in claims:
        with story.task(f"proving: {claim}") as tick:
            result = prove(
                story.objective, story.group, claim=claim, progress=lambda _, done, total, tick=tick: tick(done, total)
            )
        if not isinstance(result, Certificate):
            raise RuntimeError(str(result))
        result.save(story.folder / name)
        story.certificates[claim] = result


# Q1 -------------------------------------------------------------------------------------------------------------------
def symmetry(story: Story) -> Section:
    """One swap, drawn, and the group."""
    unit, i, j, g = story.swapped()
    x = story.objective.x
    verification = verify(story.objective.model, g, (x,))
    twin = g.act(story.params)
    story.loss["B"] = story.objective.value(twin)
    story.keep(TWIN, twin)
    before, after = (_layer(story, unit.name, p, loss) for p, loss in ((story.params, "A"), (twin, "B")))
    order = power_of_ten(story.group.log10_order)
    sets = " and ".join(f"{u.size} {u.role} (`{u.name}`)" for u in story.group.units)
    moved = sum(int((twin[name] != story.params[name]).sum()) for name in twin)
    picture = Picture(
        draw_swap(before, after, (i, j)),
        f"Part of the network before and after hidden nodes {i} and {j} exchanged their places together with all their "
        "edges; below, the weights as strips of coloured cells, which differ.",
        f"Hidden nodes c = {i} and d = {j} of layer {unit.name} exchange places. Red edges travel with c, green edges "
        "with d. The parameters become others, the function stays.",
        draw_swap(before, after, (i, j), narrow=True),
    )
    story.highlights.append(Fact("largest change of an output by the swap", f"{verification.max_abs:.1e}", "numeric"))
    return Section(
        "symmetry",
        "Q1",
        "Hold two hidden nodes by the hand and exchange their places",
        (
            f"The graph of the network, traced from PyTorch, has {len(story.group.units)} sets of interchangeable "
            f"positions: {sets}. Permuting them in every possible way gives a group of {order} elements, none of which "
            "changes the function.",
            f"One of them exchanges nodes {i} and {j} of layer `{unit.name}`, with all incoming and outgoing edges. It "
            f"moves {moved} entries of the parameters: A becomes B. The loss does not notice: "
            f"F(A) = {story.loss['A']:.15f}, F(B) = {story.loss['B']:.15f}.",
        ),
        (
            Fact("order of the group", order, "exact"),
            Fact("F(A) − F(B)", f"{story.loss['A'] - story.loss['B']:.1e} nats", "numeric"),
            Fact("largest change of any output", f"{verification.max_abs:.1e} ({verification.dtype})", "numeric"),
        ),
        (story.save(picture, "swap"),),
        commands=(
            "orbitope inspect demo:digits-mlp",
            f"orbitope verify demo:digits-mlp --weights {FIRST} --other {TWIN}",
        ),
        short="The swap",
    )


def _layer(story: Story, name: str, params: Parameters, loss: str) -> Layer:
    """Weights into and out of some hidden units."""
    placements = story.group.placements
    into = next(p for p, k in story.group.by_name[name].acts_on if k == 0 and len(placements[p].shape) == 2)
    out = next(p for p, k in story.group.by_name[name].acts_on if k == 1)
    return Layer(params[into].double().numpy(), params[out].double().numpy(), story.loss[loss])


# Q5 -------------------------------------------------------------------------------------------------------------------
def copies(story: Story) -> Section:
    """How many distinct copies of these parameters exist."""
    found = count(story.group, story.params)
    digits = str(found.copies)
    story.highlights.append(Fact("equivalent copies of this very network", power_of_ten(found.log10), found.guarantee))
    fixed = "no two of its hidden units are identical" if found.stabiliser == 1 else "some of its hidden units coincide"
    return Section(
        "copies",
        "Q5",
        "How many such twins are there?",
        (
            f"Exactly {digits[:12]}…, a number of {len(digits)} digits: so many different parameter vectors compute "
            f"the function of this very network ({fixed}). If one of them were the optimum, all of them would be: no "
            "optimum is unique once a layer has two different nodes.",
        ),
        (
            Fact("distinct copies", power_of_ten(found.log10), found.guarantee),
            Fact("permutations that change nothing", str(found.stabiliser), found.guarantee),
        ),
        commands=(f"orbitope inspect demo:digits-mlp --weights {FIRST}",),
        short="The copies",
    )


# Q2 -------------------------------------------------------------------------------------------------------------------
def midpoint(story: Story) -> Section:
    """The loss half-way between A and B, certified."""
    certificate, facts = _checked(story, "midpoint", MIDPOINT)
    low, high = certificate.enclosures["average"]
    story.loss["M"] = (low + high) / 2
    story.highlights.append(Fact("the midpoint is worse by at least", f"{certificate.gap:.4f} nats", "exact"))
    return Section(
        "midpoint",
        "Q2",
        "Half-way between A and B the loss is higher",
        (
            "If F were convex, the point M half-way between A and B could not be worse than A. It is: "
            f"F(M) = {story.loss['M']:.6f} against F(A) = {story.loss['A']:.6f} nats. This is not a matter of "
            "rounding: both values were enclosed in arithmetic that accounts for every rounding error, and a second "
            "program that shares no code with the first has computed them again with exact integers.",
            f"*Certified:* {certificate.statement}",
        ),
        facts,
        certificates=(MIDPOINT,),
        commands=(f"orbitope check {MIDPOINT}",),
        short="The midpoint",
    )


def _checked(story: Story, claim: str, name: str) -> tuple[Certificate, tuple[Fact, ...]]:
    """A certificate and what the independent checker says of its file."""
    certificate = story.certificates[claim]
    with story.task(f"checking: {claim}") as tick:
        verdict = check_certificate(story.folder / name, progress=tick)
    if not verdict:
        raise RuntimeError(verdict.reason)
    low, high = certificate.enclosures["average"]
    own_low, own_high = verdict.enclosures["average"]
    return certificate, (
        Fact("gap, at least", f"{verdict.gap_float:.9f} nats", "exact"),
        Fact("width of the enclosure (prover, float64 balls)", f"{high - low:.1e} nats", "exact"),
        Fact("width of the enclosure (checker, exact integers)", f"{own_high - own_low:.1e} nats", "exact"),
        Fact("not even quasi-convex", "proved" if verdict.quasiconvex_refuted else "not claimed", "exact"),
        Fact("still non-convex with any weight decay μ below", f"{verdict.weight_decay:.3g}", "exact"),
    )


# Q3 -------------------------------------------------------------------------------------------------------------------
def average(story: Story) -> Section:
    """The average over all permutations, certified, and the plane through A, B and it."""
    certificate, facts = _checked(story, "orbit-average", AVERAGE)
    collapsed = _orbit_average(story, certificate)
    low, high = certificate.enclosures["end"]
    story.loss["O"] = (low + high) / 2
    accuracy = story.objective.accuracy(collapsed)
    story.highlights.append(Fact("loss at the average of all copies", f"{story.loss['O']:.4f} nats", "exact"))
    first = next(name for name, p in story.group.placements.items() if len(p.shape) == 2)
    images = Picture(
        draw_collapse(story.params[first].numpy(), collapsed[first].numpy()),
        "The weights of the 32 hidden units of the first layer as images: all different before, all the same after.",
        "What each unit of the first layer looks at, before the average over all permutations and after it.",
        draw_collapse(story.params[first].numpy(), collapsed[first].numpy(), narrow=True),
    )
    return Section(
        "average",
        "Q3",
        "The average of all copies is one node, repeated",
        (
            f"If F were convex, averaging over **all** {power_of_ten(story.group.log10_order)} exchanges could not "
            "hurt either. But the average gives every unit of a layer the same weights, so that each layer is "
            "effectively one unit wide. Such a network cannot tell ten digits apart: its loss is "
            f"{story.loss['O']:.4f} nats (guessing costs ln 10 = 2.3026) and it classifies {accuracy:.1%} of the "
            f"images correctly, against {story.objective.accuracy():.1%} before.",
            f"*Certified:* {certificate.statement}",
        ),
        (Fact("F at the orbit average", f"{story.loss['O']:.6f} nats", "exact"), *facts),
        (story.save(images, "collapse"), story.save(_plane(story, collapsed), "plane")),
        (AVERAGE,),
        (f"orbitope check {AVERAGE}",),
        short="The average",
    )


def _orbit_average(story: Story, certificate: Certificate) -> dict[str, torch.Tensor]:
    """The end of the certificate's chain of averages."""
    point = dict(story.params)
    for step in certificate.document["steps"]:
        moves = {name: [(axis, p) for axis, p in pairs] for name, pairs in step["moves"].items()}
        point = averaged(Step(step["units"], step["order"], moves), point)
    return point


def _plane(story: Story, collapsed: Parameters) -> Picture:
    """The loss on the plane through A, B and the orbit average."""
    _, _, _, g = story.swapped()
    twin = g.act(story.params)
    with story.task("drawing the plane"):
        found = plane(story.objective, story.params, twin, collapsed, resolution=49)
    a, b, o = (tuple(map(float, point)) for point in found.points)
    points = {"A": a, "B": b, "M": ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), "O": o}
    losses = {name: story.loss[name] for name in points}
    drawn = [
        draw_plane(found.x, found.y, found.losses, points, values=losses, narrow=narrow) for narrow in (False, True)
    ]
    return Picture(
        drawn[0],
        "Contour map of the loss on the plane through A, B and the orbit average O; between A and B lies the higher "
        "midpoint M, and O lies higher still.",
        "The loss on the plane through A, its twin B and the average O of all copies. The triangle is a slice of the "
        "orbitope, the convex hull of the orbit. A convex loss would be nowhere higher on it than at A.",
        drawn[1],
    )


# Q4 -------------------------------------------------------------------------------------------------------------------
def gradient(story: Story) -> Section:
    """The gradient moves with the symmetry; along the segment it does what no convex function's does."""
    _, _, _, g = story.swapped()
    params = {name: tensor.double() for name, tensor in story.params.items()}
    twin = g.act(params)
    here, there = story.objective.gradient(params), story.objective.gradient(twin)
    carried = g.act(here, partial=True)
    difference = max((there[name] - carried[name]).abs().max().item() for name in there)
    t = torch.linspace(0, 1, 41, dtype=torch.float64)
    with story.task("walking from A to B"):
        walk = barrier(story.objective, params, twin, points=len(t))
        slopes = directional(story.objective, params, twin, t.tolist())
        norms = [_norm(story.objective.gradient(_between(params, twin, s))) for s in (0.0, 0.5)]
    fall = steepest_fall(t.numpy(), slopes.numpy())
    picture = Picture(
        _segment(story, walk.t, walk.losses, slopes, fall, False),
        "The loss from A to B rises to a bump and falls again; below, its slope, which falls where a convex function's "
        "slope could only rise.",
        "The loss on the way from A to B, and its slope. The slope of a convex function never falls.",
        _segment(story, walk.t, walk.losses, slopes, fall, True),
    )
    violated = f"φ′({fall.t1:.2f}) = {fall.slope1:+.4f} > φ′({fall.t2:.2f}) = {fall.slope2:+.4f}" if fall else "none"
    return Section(
        "gradient",
        "Q4",
        "Two valleys with a hill between them",
        (
            "The gradient moves with the symmetry: ∇F(gA) = g∇F(A). If A is stationary, so is B, and a convex function "
            "is constant between two stationary points. This network was not trained to exact stationarity "
            f"(‖∇F(A)‖ = {norms[0]:.2e}, at the midpoint {norms[1]:.2e}), but the same argument needs no stationarity: "
            "along a line the slope of a convex function never falls, and here it does.",
        ),
        (
            Fact("largest entry of ∇F(gA) − g∇F(A)", f"{difference:.1e}", "numeric"),
            Fact("the slope falls", violated, "numeric"),
            Fact("‖∇F‖ at A, at M", f"{norms[0]:.3e}, {norms[1]:.3e}", "numeric"),
        ),
        (story.save(picture, "segment"),),
        commands=(f"orbitope barrier demo:digits-mlp --weights {FIRST} {TWIN} --data digits",),
        short="The slope",
    )


def _segment(
    story: Story, t: ArrayLike, losses: ArrayLike, slopes: ArrayLike, fall: Violation | None, narrow: bool
) -> Figure:
    ends = (story.loss["A"], story.loss["B"])
    return draw_segment(t, losses, ends, directional=slopes, violation=fall, narrow=narrow)


def _between(a: Parameters, b: Parameters, t: float) -> dict[str, torch.Tensor]:
    return {name: torch.lerp(a[name], b[name], t) for name in a}


def _norm(gradients: Parameters) -> float:
    return torch.cat([g.flatten() for g in gradients.values()]).norm().item()


# Q6 -------------------------------------------------------------------------------------------------------------------
def objection(story: Story) -> Section:
    """ReLU is convex and non-decreasing; where the composition rule breaks."""
    explanation = explain(story.objective, certificate=story.certificates["midpoint"])
    facts = [Fact(verdict.axis, verdict.verdict.lower(), verdict.guarantee) for verdict in explanation.verdicts]
    return Section(
        "objection",
        "Q6",
        "“But ReLU is convex and non-decreasing”",
        tuple(explanation.summary),
        tuple(facts),
        commands=(f"orbitope explain demo:digits-mlp --weights {FIRST} --data digits",),
        short="The objection",
    )


# Q9 -------------------------------------------------------------------------------------------------------------------
def undoing(story: Story) -> Section:
    """Two independent networks, averaged as they are and after alignment."""
    objective = story.objective
    with story.task("aligning"):
        alignment = align(story.params, story.other, story.group)
    aligned = alignment.element.act(story.other)
    story.keep(ALIGNED, aligned)
    with story.task("walking between the networks"):
        naive = barrier(objective, story.params, story.other, points=25)
        after = barrier(objective, story.params, aligned, points=25)
    paths = [
        Path("as trained", naive.losses, naive.accuracy),
        Path("after alignment", after.losses, after.accuracy),
    ]
    picture = Picture(
        draw_barrier(naive.t, paths),
        "The loss between the two networks: a high barrier as trained, a much lower one after alignment.",
        "The loss on the straight way between the two independently trained networks.",
        draw_barrier(naive.t, paths, narrow=True),
    )
    middle = [objective.accuracy(_between(story.params, end, 0.5)) for end in (story.other, aligned)]
    story.highlights.append(
        Fact("barrier between the two networks, aligned", f"{naive.height:.3f} → {after.height:.3f}", "numeric")
    )
    return Section(
        "undoing",
        "Q9",
        "Undoing the symmetry",
        (
            "The same symmetry is why trained networks cannot simply be averaged: each has its units in an order of "
            "its own. The average of the two networks as they are classifies "
            f"{middle[0]:.1%} of the images correctly; after the units of the second are put into the order of the "
            f"first, {middle[1]:.1%}.",
        ),
        (
            Fact("barrier as trained", f"{naive.height:.4f} nats", "numeric"),
            Fact("barrier after alignment", f"{after.height:.4f} nats", "numeric"),
            Fact(
                "parameter distance before, after",
                f"{alignment.distance_before:.3f}, {alignment.distance_after:.3f}",
                "numeric",
            ),
            Fact("the alignment itself", "weight matching, a local search", "heuristic"),
        ),
        (story.save(picture, "barrier"),),
        commands=(
            f"orbitope align demo:digits-mlp --weights {FIRST} {SECOND} -o again.safetensors",
            f"orbitope barrier demo:digits-mlp --weights {FIRST} {ALIGNED} --data digits",
        ),
        short="Undoing it",
    )


CHAPTERS: tuple[Callable[[Story], Section], ...] = (
    symmetry,
    copies,
    midpoint,
    average,
    gradient,
    objection,
    undoing,
)
"""In the order in which they are told."""
