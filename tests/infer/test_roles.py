"""Roles: what units are called follows from how the network uses them, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.zoo import model
from torch import nn

import orbitope
from orbitope.infer.roles import ROLES, RULES

L = nn.Linear
Made = tuple[nn.Module, tuple[torch.Tensor, ...]]
CASES: dict[str, tuple[Callable[[], Made], dict[int, str]]] = {}


def case(**roles: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Enter a network with the role of its units by their size: ``n7="hidden units"``."""

    def enter(build: Callable[[], Made]) -> Callable[[], Made]:
        CASES[build.__name__] = (build, {int(key[1:]): role for key, role in roles.items()})
        return build

    return enter


def tokens(width: int) -> torch.Tensor:
    return torch.randn(2, 3, width)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return (q @ k.transpose(-2, -1)).softmax(-1) @ v


# dense and convolutional -------------------------------------------------------------------------------------------
@case(n7="hidden units", n5="hidden units")
def dense() -> Made:
    return nn.Sequential(L(4, 7), nn.ReLU(), L(7, 5), nn.Tanh(), L(5, 3)).eval(), (torch.randn(2, 4),)


@case(n7="residual stream", n5="hidden units")
def residual() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        return m.out(x + m.down(torch.relu(m.up(x))))

    return model(forward, stem=L(4, 7), up=L(7, 5), down=L(5, 7), out=L(7, 3)), (torch.randn(2, 4),)


@case(n7="hidden units")
def gate_is_no_residual() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.out(m.a(x) + torch.relu(m.b(x)))

    return model(forward, a=L(4, 7), b=L(4, 7), out=L(7, 3)), (torch.randn(2, 4),)


@case(n7="channels", n5="channels", n6="hidden units")
def convolutional() -> Made:
    parts = (nn.Conv2d(3, 7, 3), nn.ReLU(), nn.Conv2d(7, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*parts, L(5, 6), nn.ReLU(), L(6, 2)).eval(), (torch.randn(2, 3, 9, 8),)


@case(n7="channels")
def depthwise() -> Made:
    parts = (nn.Conv1d(3, 7, 1), nn.Conv1d(7, 7, 3, groups=7), nn.ReLU(), nn.Conv1d(7, 2, 1))
    return nn.Sequential(*parts).eval(), (torch.randn(2, 3, 9),)


@case(n4="groups", n2="channels", n5="channels")
def grouped() -> Made:
    parts = (nn.Conv1d(3, 8, 1), nn.ReLU(), nn.Conv1d(8, 20, 3, groups=4), nn.ReLU(), nn.Conv1d(20, 2, 1))
    return nn.Sequential(*parts).eval(), (torch.randn(2, 3, 9),)


@case(n4="groups", n3="channels")
def group_norm() -> Made:
    parts = (nn.Conv1d(2, 12, 1), nn.GroupNorm(4, 12), nn.ReLU(), nn.Conv1d(12, 2, 1))
    return nn.Sequential(*parts).eval(), (torch.randn(2, 2, 9),)


# attention ---------------------------------------------------------------------------------------------------------
@case(n7="residual stream", n5="heads", n4="head dimension (query·key)", n6="head dimension (value)")
def attention() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        q, k, v = (part(x).unflatten(-1, (5, -1)).transpose(1, 2) for part in (m.a, m.b, m.c))
        return m.out(x + m.d(attend(q, k, v).transpose(1, 2).flatten(2)))

    return model(forward, stem=L(3, 7), a=L(7, 20), b=L(7, 20), c=L(7, 30), d=L(30, 7), out=L(7, 2)), (tokens(3),)


@case(
    n2="key/value heads",
    n3="query heads of a group",
    n4="head dimension (query·key)",
    n6="head dimension (value)",
    n7="residual stream",
)
def grouped_queries() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        q = m.a(x).unflatten(-1, (6, -1)).transpose(1, 2)
        k, v = (part(x).unflatten(-1, (2, -1)).transpose(1, 2).repeat_interleave(3, 1) for part in (m.b, m.c))
        return m.out(x + m.d(attend(q, k, v).transpose(1, 2).flatten(2)))

    return model(forward, stem=L(3, 7), a=L(7, 24), b=L(7, 8), c=L(7, 12), d=L(36, 7), out=L(7, 2)), (tokens(3),)


@case(n4="head dimension (query·key)", n6="head dimension (value)", n7="hidden units")
def one_head() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(m.stem(x))
        return m.out(attend(m.a(x), m.b(x), m.c(x)))

    return model(forward, stem=L(3, 7), a=L(7, 4), b=L(7, 4), c=L(7, 6), out=L(6, 2)), (tokens(3),)


@case(n3="heads", n5="head dimension (query·key)", n7="head dimension (value)", n6="residual stream")
def heads_as_modules() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(m.stem(x))
        heads = [attend(a(x), b(x), c(x)) for a, b, c in zip(m.a, m.b, m.c, strict=True)]
        return m.out(x + m.mix(torch.cat(heads, -1)))

    parts = {name: nn.ModuleList([L(6, width) for _ in range(3)]) for name, width in (("a", 5), ("b", 5), ("c", 7))}
    return model(forward, stem=L(4, 6), mix=L(21, 6), out=L(6, 2), **parts), (tokens(4),)


@case(n5="inner dimension")
def two_towers() -> Made:
    return model(lambda m, x, y: m.a(x) @ m.b(y).T, a=L(3, 5), b=L(4, 5)), (torch.randn(2, 3), torch.randn(6, 4))


# experts and branches ----------------------------------------------------------------------------------------------
def _mixed(m: Any, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    hidden = torch.relu(torch.einsum("td,edi->eti", x, m.up))
    return m.out(x + torch.einsum("eti,eid,te->td", hidden, m.down, weights))


@case(n5="experts", n9="hidden units", n6="residual stream")
def experts_in_one_tensor() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(m.stem(x))
        return _mixed(m, x, m.router(x).softmax(-1))

    up, down = nn.Parameter(torch.randn(5, 6, 9)), nn.Parameter(torch.randn(5, 9, 6))
    return model(forward, stem=L(4, 6), router=L(6, 5), up=up, down=down, out=L(6, 3)), (torch.randn(8, 4),)


@case(n5="experts", n9="hidden units", n6="residual stream")
def experts_as_modules() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(m.stem(x))
        weights = m.router(x).softmax(-1)
        y = sum(down(torch.relu(up(x))) * weights[:, k : k + 1] for k, (up, down) in enumerate(m.experts))
        return m.out(x + y)

    experts = nn.ModuleList([nn.ModuleList([L(6, 9), L(9, 6)]) for _ in range(5)])
    return model(forward, stem=L(4, 6), router=L(6, 5), experts=experts, out=L(6, 3)), (torch.randn(8, 4),)


@case(n3="branches", n9="hidden units", n5="hidden units", n6="hidden units")
def parallel_branches() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(m.stem(x))
        return m.out(sum(down(torch.relu(up(x))) for up, down in m.parts))

    parts = nn.ModuleList([nn.ModuleList([L(6, 9), L(9, 5)]) for _ in range(3)])
    return model(forward, stem=L(4, 6), parts=parts, out=L(5, 3)), (torch.randn(8, 4),)


@case(n3="groups", n4="hidden units", n5="hidden units")
def block_diagonal() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(m.stem(x)).unflatten(-1, (3, 4))
        return m.out(torch.relu(torch.einsum("bgi,gio->bgo", x, m.blocks)).flatten(1))

    return model(forward, stem=L(2, 12), blocks=nn.Parameter(torch.randn(3, 4, 5)), out=L(15, 2)), (torch.randn(8, 2),)


# recurrence --------------------------------------------------------------------------------------------------------
@case(n7="recurrent state")
def recurrent() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(m.read(x[:, 0]))
        for t in range(1, 4):
            h = torch.tanh(m.read(x[:, t]) + m.again(h))
        return m.out(h)

    return model(forward, read=L(5, 7), again=L(7, 7, bias=False), out=L(7, 3)), (torch.randn(2, 4, 5),)


@case(n4="state dimension", n10="hidden units")
def state_space() -> Made:
    def forward(m: Any, u: torch.Tensor) -> torch.Tensor:
        x = F.silu(m.inp(u))
        step, write, read = F.softplus(m.step(x)), m.write(x), m.read(x)
        h, ys = torch.zeros(2, 10, 4), []
        for t in range(5):
            h = torch.exp(-step[:, t, :, None] * m.decay) * h + x[:, t, :, None] * write[:, t, None, :]
            ys.append((h * read[:, t, None, :]).sum(-1))
        return m.out(torch.stack(ys, 1))

    decay = nn.Parameter(torch.rand(10, 4))
    parts = {"inp": L(6, 10), "step": L(10, 10), "write": L(10, 4), "read": L(10, 4), "out": L(10, 6)}
    return model(forward, decay=decay, **parts), (torch.randn(2, 5, 6),)


# tables and low rank -----------------------------------------------------------------------------------------------
@case(n5="embedding")
def embedding() -> Made:
    return nn.Sequential(nn.Embedding(11, 5), L(5, 2)).eval(), (torch.randint(0, 11, (3, 4)),)


@case(n2="rank", n7="hidden units")
def low_rank_update() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.out(torch.relu(F.linear(x, m.first.weight + m.b @ m.a)))

    a, b = nn.Parameter(torch.randn(2, 4)), nn.Parameter(torch.randn(7, 2))
    return model(forward, first=L(4, 7), a=a, b=b, out=L(7, 3)), (torch.randn(6, 4),)


# tests -------------------------------------------------------------------------------------------------------------
def found(made: Made) -> dict[int, set[str]]:
    """The roles of all units by their size."""
    roles: dict[int, set[str]] = {}
    for unit in orbitope.symmetries(*made).units:
        roles.setdefault(unit.size, set()).add(unit.role)
    return roles


@pytest.mark.parametrize("name", [*CASES])
def test_roles_follow_from_use(name: str) -> None:
    build, expected = CASES[name]
    torch.manual_seed(0)
    assert found(build()) == {size: {role} for size, role in expected.items()}


def test_every_role_but_the_last_resort_is_tested() -> None:
    seen = {role for _, roles in CASES.values() for role in roles.values()}
    assert set(ROLES) - seen <= {"head dimension", "tokens", "units"}
    assert {name for name, _, _ in RULES} | {"units"} == set(ROLES)


def test_names_of_parameters_play_no_part() -> None:
    """The same network with names that mislead."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.experts(x)
        return m.attention(x + m.router(torch.relu(m.q_proj(x))))

    net = model(forward, experts=L(4, 7), q_proj=L(7, 5), router=L(5, 7), attention=L(7, 3))
    assert found((net, (torch.randn(2, 4),))) == {7: {"residual stream"}, 5: {"hidden units"}}


def test_roles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    build, _ = CASES["grouped_queries"]
    torch.manual_seed(0)
    made = build()
    named = orbitope.symmetries(*made)
    monkeypatch.setattr("orbitope.infer.roles.RULES", ())
    bare = orbitope.symmetries(*made)
    assert {unit.role for unit in bare.units} == {"units"}
    assert [(u.name, u.size, u.over, u.acts_on) for u in bare.units] == [
        (u.name, u.size, u.over, u.acts_on) for u in named.units
    ]
