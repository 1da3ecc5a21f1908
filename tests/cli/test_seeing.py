"""inspect, twin, verify: the symmetry is found, applied, and holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import factorial, log10
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file, save_model
from tests.cli.conftest import METADATA, Run, Runner, network

import orbitope

Valid = Callable[[Run], dict[str, Any]]

# inspect ------------------------------------------------------------------------------------------------------------

MLP = """\
models.py:make   6 tensors, 83 entries
├─ 0               6 hidden units                       0.weight[0]  0.bias[0]
│  │                                                    2.weight[1]
│  └─ 0.scale      6 scales                             × 0.weight[0]
│                                                       × 0.bias[0]
│                                                       ÷ 2.weight[1]
├─ 2               5 hidden units                       2.weight[0]  2.bias[0]
│  │                                                    4.weight[1]
│  └─ 2.scale      5 scales                             × 2.weight[0]
│                                                       × 2.bias[0]
│                                                       ÷ 4.weight[1]
└─ 4
   ├─ shift        5 shifts of hidden units, loss only  + weight[1]
   └─ shift#2      1 shift, loss only                   + bias

86\N{NO-BREAK SPACE}400 copies, 11 flat directions
loss only: 6 more

This network has 86,400 equivalent copies: settings of its parameters, reached
by exchanging units, that all compute the same function, whatever the weights
are. 2 sets of units give 6! · 5! of them (exact for the traced program).
Besides, one may move the parameters along 11 flat directions: 11 of scales.
None of this changes the function.

With these weights, 86,400 of them are distinct (exact).

what is fixed, and why
  1 axis  it indexes the input input  0.weight[1]
  2 axes  it indexes the output       4.{weight,bias}[0]
"""


def test_inspect_tells_units_and_copies(run: Runner) -> None:
    done = run("inspect", "models.py:make", "--weights", "a.safetensors")
    assert done.code == 0 and done.out.startswith(MLP)


def test_inspect_json(run: Runner, valid: Valid) -> None:
    body = valid(run("inspect", "models.py:make", "--format", "json"))
    assert body["log10_order"] == pytest.approx(log10(factorial(6) * factorial(5)))
    assert body["order"] == "6! · 5!" and body["copies"] is None and body["symmetry"] is None
    assert [(u["name"], u["size"], u["role"], u["module"]) for u in body["units"]] == [
        ("0", 6, "hidden units", ""),
        ("2", 5, "hidden units", ""),
    ]
    assert body["roles"] == {"hidden units": 2} and body["picture"] is None
    assert [(c["reason"], c["axes"], c["positions"]) for c in body["causes"]] == [
        ("it indexes the input input", 1, 4),
        ("it indexes the output", 2, 6),
    ]
    assert body["parameters"] == {"tensors": 6, "entries": 83, "moved": 5}
    assert (body["dimension"], body["sign_bits"], body["dimension_by_part"]) == (11, 0, {"scales": 11})
    assert body["loss"] == {"dimension": 6, "sign_bits": 0} and body["approximate"] == {"dimension": 0, "sign_bits": 0}
    scale = next(f for f in body["families"] if f["name"] == "0.scale")
    assert scale["part"] == "scales" and scale["what"] == "6 scales" and scale["units"] == "0"
    assert [(s["parameter"], s["axis"], s["by"]) for s in scale["acts_on"]] == [
        ("0.weight", 0, "×"),
        ("0.bias", 0, "×"),
        ("2.weight", 1, "÷"),
    ]
    assert (
        valid(run("inspect", "models.py:make", "--weights", "a.safetensors", "--format=json"))["copies"]["copies"]
        == "86400"
    )


def test_a_twin_pair_of_units_has_fewer_copies(run: Runner, home: Path, valid: Valid) -> None:
    state = load_file(home / "a.safetensors")
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("2.weight", 1)):
        state[name].select(axis, 1).copy_(state[name].select(axis, 4))
    save_file(state, home / "alike.safetensors")
    done = run("inspect", "models.py:make", "--weights", "alike.safetensors", "--format", "json")
    assert valid(done)["copies"]["copies"] == "43200"
    told = run("inspect", "models.py:make", "--weights", "alike.safetensors").out
    assert "positions 1, 4 coincide" in " ".join(told.split())


def test_inspect_names_what_it_does_not_know(run: Runner, valid: Valid) -> None:
    done = run("inspect", "models.py:bent")
    assert "operations without a rule, which fix what they touch\n  orbitope_tests.bend.default  models.py:" in done.out
    assert "not read by the network, never moved\n  idle.weight, idle.bias\n" in done.out
    body = valid(run("inspect", "models.py:bent", "--format", "json"))
    assert [op["operation"] for op in body["unknown_operations"]] == ["orbitope_tests.bend.default"]
    assert any(cause["unknown"] for cause in body["causes"])
    assert body["unused"] == ["idle.weight", "idle.bias"]


def test_layers_that_look_alike_are_drawn_once(run: Runner) -> None:
    done = run("inspect", "models.py:deep")
    assert re.search(r"─ 0\.0 … 3\.0 × 4 +8 hidden units", done.out) and "1.0.weight" not in done.out
    assert re.search(r"─ 0\.0\.scale +8 scales\n.*× 0\.0\.\{weight,bias\}\[0\]  ÷ 0\.2\.weight\[1\]", done.out)
    assert re.search(r"─ blocks\.0\.2\.shift … blocks\.2\.2\.shift × 3 +6 shifts", done.out)
    assert "blocks.{0..3}.2.{weight,bias}[0]" in done.out and "8!⁴ · 6!" in done.out
    everything = run("inspect", "models.py:deep", "--all").out
    assert all(f"blocks.{k}.2.bias[0]" in everything and f"─ {k}.0  " in everything for k in range(4))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("flags", [(), ("--all",)])
def test_lines_fit_the_terminal(
    run: Runner, monkeypatch: pytest.MonkeyPatch, width: int, flags: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("inspect", "models.py:attentive", *flags).out.splitlines()
    assert max(map(len, lines)) <= width and lines[0].startswith("models.py:attentive")
    text = " ".join(" ".join(lines).replace("│", " ").split())
    assert "3 heads" in text and "2 head dimension (query·key) in each of 3" in text


def test_units_over_others_stand_under_them(run: Runner, valid: Valid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = run("inspect", "models.py:attentive").out.splitlines()
    rows = [(k, line) for k, line in enumerate(lines) if "shifts of" not in line]
    at = {role: k for k, line in rows for role in ("heads", "(query·key)", "(value)") if f" {role}" in line}
    depth = {role: lines[k].index("─ ") for role, k in at.items()}
    assert at["heads"] < min(at["(query·key)"], at["(value)"]) and depth["(value)"] == depth["heads"] + 3
    units = {u["role"]: u for u in valid(run("inspect", "models.py:attentive", "--format", "json"))["units"]}
    heads = units["heads"]
    over = [{"name": heads["name"], "size": 3, "role": "heads"}]
    assert units["head dimension (query·key)"]["over"] == units["head dimension (value)"]["over"] == over


def test_what_else_moves_units_stands_under_them(run: Runner, valid: Valid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = run("inspect", "models.py:attentive").out.splitlines()
    at = next(k for k, line in enumerate(lines) if "2 head dimension (query·key) in each of 3" in line)
    below = next(k for k, line in enumerate(lines) if "GL(2) in each of 3" in line)
    assert at < below and lines[below].index("─ ") == lines[at].index("─ ") + 3
    families = valid(run("inspect", "models.py:attentive", "--format", "json"))["families"]
    # by hand: q and k share GL(2) in 3 heads, v and mix GL(5), the stream GL(8), relu allows 24 scales;
    # the biases of stem, mix, deep and v are taken up by later ones, that of k by the softmax
    assert {f["what"]: f["dimension"] for f in families if f["part"] == "matrices"} == {
        "GL(8)": 64,
        "GL(2)": 3 * 4,
        "GL(5)": 3 * 25,
    }
    assert sum(f["dimension"] for f in families if f["part"] == "scales") == 24
    assert sum(f["dimension"] for f in families if f["part"] == "translations" and not f["loss"]) == 3 * 8 + 15 + 6


def test_notes_of_the_analysis_are_told(run: Runner, home: Path, valid: Valid) -> None:
    document = json.loads((home / "symmetry.json").read_text()) | {"notes": ["seen at one size"]}
    (home / "noted.json").write_text(json.dumps(document))
    assert "notes on the analysis\n  seen at one size\n" in run("inspect", "--symmetry", "noted.json").out
    assert valid(run("inspect", "--symmetry", "noted.json", "--format", "json"))["notes"] == ["seen at one size"]


SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_shows_units_and_parameters(run: Runner, home: Path, valid: Valid) -> None:
    body = valid(run("inspect", "models.py:attentive", "--svg", "units.svg", "--format", "json"))
    assert body["picture"] == "units.svg"
    root = ElementTree.fromstring((home / "units.svg").read_bytes())
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert {"3 heads", "3 × 2 head dimension (query·key)", "residual stream", "wide", "deep", "24"} <= texts
    told = [element.text or "" for element in root.iter(f"{SVG}title")]
    for unit in body["units"]:
        modules = {spot["parameter"].rpartition(".")[0] for spot in unit["acts_on"]}
        assert sum(text.startswith(f"{unit['name']}: ") for text in told) == len(modules), "a track in each module"
    assert float(root.get("height", "0")) < 1200 and "prefers-color-scheme: dark" in (home / "units.svg").read_text()


def test_the_picture_folds_alike_layers_and_is_the_same_each_time(run: Runner, home: Path) -> None:
    run("inspect", "models.py:deep", "--svg", "a.svg")
    run("inspect", "models.py:deep", "--svg", "b.svg")
    assert (home / "a.svg").read_bytes() == (home / "b.svg").read_bytes()
    texts = {element.text for element in ElementTree.parse(home / "a.svg").iter(f"{SVG}text")}
    assert "4 × alike: blocks.0 … 3" in texts and "blocks.1.0" not in texts


def test_the_picture_is_whole_or_not_there(run: Runner, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("inspect", "models.py:make", "--svg", "units.png").code == 2
    assert run("inspect", "models.py:make", "--svg", "nowhere/units.svg").code == 2

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    assert run("inspect", "models.py:make", "--svg", "full.svg").code == 2
    assert not [*home.glob("*full.svg*")]


def test_scope_freezes_the_rest(run: Runner, valid: Valid) -> None:
    body = valid(run("inspect", "models.py:make", "--scope", "0.*", "--scope", "2.weight", "--format", "json"))
    assert [u["size"] for u in body["units"] if u["size"] > 1] == [6]


def test_no_symmetry_is_said(run: Runner) -> None:
    assert "No permutation of units keeps the function" in run("inspect", "models.py:linear").out


@pytest.mark.parametrize(
    "args",
    [
        ("models.py:tensor_only",),
        ("models.py:named",),
        ("models.py:model", "--input", "5x4"),
        ("models:make",),
        ("models.py:make", "--input", "2x4:float32"),
        ("demo:digits-mlp,seed=3",),
        ("demo:digits-cnn",),
        ("demo:digits-tanh",),
    ],
)
def test_ways_to_name_a_model(run: Runner, valid: Valid, args: tuple[str, ...]) -> None:
    assert len(valid(run("inspect", *args, "--format", "json"))["units"]) == 2


def test_symmetry_file_round_trip(run: Runner, home: Path, valid: Valid) -> None:
    done = run("inspect", "models.py:make", "-o", "group.json", "--format", "json")
    assert valid(done)["symmetry"] == "group.json"
    written, before = (json.loads((home / name).read_text()) for name in ("group.json", "symmetry.json"))
    assert {k: v for k, v in written.items() if k not in ("diagnostics", "notes")} == {
        k: v for k, v in before.items() if k not in ("diagnostics", "notes")
    }
    again = valid(run("inspect", "--symmetry", "group.json", "--format", "json"))
    assert again["units"] == valid(done)["units"] and again["fixed"] == valid(done)["fixed"]


# twin ---------------------------------------------------------------------------------------------------------------


def outputs(state: dict[str, torch.Tensor]) -> torch.Tensor:
    net = network(0).double()
    net.load_state_dict(state)
    return net(torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(5, 4))


def test_twin_without_model_code(run: Runner, home: Path, valid: Valid) -> None:
    done = run(
        "twin",
        "--symmetry",
        "symmetry.json",
        "--weights",
        "a.safetensors",
        "-o",
        "t.safetensors",
        "--seed",
        "4",
    )
    assert done.code == 0 and done.out.startswith("written  t.safetensors, a twin of a.safetensors (seed 4)")
    before, after = load_file(home / "a.safetensors"), load_file(home / "t.safetensors")
    assert [*after] == [*before] and any(not torch.equal(before[n], after[n]) for n in before)
    torch.testing.assert_close(outputs(before), outputs(after), rtol=1e-12, atol=1e-12)
    with safe_open(home / "t.safetensors", "pt") as file:
        assert file.metadata() == METADATA | {"note": "a"}
    first = (home / "t.safetensors").read_bytes()
    run(
        "twin",
        "--symmetry",
        "symmetry.json",
        "--weights",
        "a.safetensors",
        "-o",
        "t.safetensors",
        "--seed",
        "4",
    )
    assert (home / "t.safetensors").read_bytes() == first, "the same seed, the same file"


def test_twin_compares_outputs_when_it_can(run: Runner, valid: Valid) -> None:
    body = valid(run("twin", "models.py:make", "--weights", "a.safetensors", "-o", "t.safetensors", "--format", "json"))
    assert body["verification"]["equal"] and body["chosen"] == "seed 0" and body["output"] == "t.safetensors"
    assert body["element"]["format"] == "orbitope element"


@pytest.mark.parametrize("name", ["attentive", "normed", "make"])
def test_a_twin_of_all_parts_computes_the_same(run: Runner, home: Path, valid: Valid, name: str) -> None:
    model = f"models.py:{name}"
    assert run("twin", model, "-o", "first.safetensors").code == 0
    drawn = ("--parts", "all", "--strength", "1.5", "--format", "json")
    body = valid(run("twin", model, "--weights", "first.safetensors", "-o", "t.safetensors", *drawn))
    assert body["verification"]["equal"] and body["verification"]["sensitive"] and body["values"]
    assert all(tensor.dtype == torch.float32 for tensor in load_file(home / "t.safetensors").values() if tensor.dim())
    verify = ("verify", model, "--weights", "first.safetensors")
    done = valid(run(*verify, "--other", "t.safetensors", "--format", "json"))
    assert done["equal"] and done["verification"]["tolerance"] < 1e-4
    done = valid(run(*verify, *drawn))
    assert done["equal"] and done["rounding"] is None and done["verification"]["tolerance"] == 1e-9
    state = load_file(home / "t.safetensors")
    weight = max(state, key=lambda name: state[name].numel())
    state[weight] = state[weight] * (1 + 1e-4)  # little, and far more than rounding
    save_file(state, home / "near.safetensors")
    assert run(*verify, "--other", "near.safetensors").code == 1


def test_parts_are_for_random_elements(run: Runner) -> None:
    model = ("twin", "models.py:make", "-o", "t.safetensors")
    assert run(*model, "--parts", "colours").code == 2
    assert run(*model, "--parts", ",").code == 2
    assert run(*model, "--parts", "signs", "--swap", "0", "0", "1").code == 2
    assert run(*model, "--strength", "-1").code == 2


def test_the_strength_bounds_scales(run: Runner, valid: Valid) -> None:
    args = ("twin", "models.py:make", "--parts", "scales", "--strength", "0.5", "-o", "t.safetensors", "--format=json")
    (item,) = valid(run(*args))["values"]
    assert item["part"] == "scales" and item["numbers"] == 11 and 0.6 < item["least"] < item["most"] < 1.65


def test_swap_moves_two(run: Runner, home: Path, valid: Valid) -> None:
    args = (
        "twin",
        "models.py:make",
        "--weights",
        "a.safetensors",
        "--swap",
        "2",
        "0",
        "3",
        "-o",
        "t.safetensors",
    )
    body = valid(run(*args, "--format", "json"))
    assert body["units_moved"] == [{"name": "2", "moved": 2, "of": 5}]
    assert body["tensors_moved"] == ["2.bias", "2.weight", "4.weight"] or {*body["tensors_moved"]} == {
        "2.bias",
        "2.weight",
        "4.weight",
    }
    assert body["entries_moved"] == 2 * 6 + 2 + 2 * 3
    a, t = load_file(home / "a.safetensors"), load_file(home / "t.safetensors")
    assert torch.equal(t["2.bias"], a["2.bias"][[3, 1, 2, 0, 4]])


def test_a_swap_of_one_with_itself_is_the_same_point(run: Runner) -> None:
    done = run(
        "twin",
        "--symmetry",
        "symmetry.json",
        "--weights",
        "a.safetensors",
        "-o",
        "t.safetensors",
        "--swap",
        "0",
        "1",
        "1",
    )
    assert done.code == 0 and "The element moves nothing" in done.out


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_are_kept(run: Runner, home: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in load_file(home / "a.safetensors").items()}
    save_file(state, home / "w.safetensors")
    assert run("twin", "models.py:make", "--weights", "w.safetensors", "-o", "t.safetensors").code == 0
    after = load_file(home / "t.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {dtype}
    assert all(
        torch.equal(a.sort().values, b.sort().values)
        for n in state
        for a, b in [(state[n].flatten(), after[n].flatten())]
    )


def test_sharded_and_pytorch_files(run: Runner, home: Path) -> None:
    state = load_file(home / "a.safetensors")
    names = [*state]
    save_file({n: state[n] for n in names[:3]}, home / "m-00001-of-00002.safetensors")
    save_file({n: state[n] for n in names[3:]}, home / "m-00002-of-00002.safetensors")
    homes = {n: f"m-0000{1 + (k >= 3)}-of-00002.safetensors" for k, n in enumerate(names)}
    (home / "m.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    torch.save(state, home / "w.pt")
    torch.save({"epoch": 1, "state_dict": state}, home / "nested.pth")
    written = set()
    for source in ("a.safetensors", "m.safetensors.index.json", "w.pt", "nested.pth"):
        assert run("twin", "--symmetry", "symmetry.json", "--weights", source, "-o", "t.safetensors").code == 0, source
        found = load_file(home / "t.safetensors")
        written.add(tuple(found[n].sum().item() + found[n].flatten()[0].item() for n in names))
    assert len(written) == 1


def test_tied_tensors_stay_right(run: Runner, home: Path) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("tied_models", home / "models.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    model, (x,) = module.tied()
    torch.save(model.state_dict(), home / "tied.pt")
    save_model(model, str(home / "tied.safetensors"))
    for source, names in (("tied.pt", 4), ("tied.safetensors", 3)):
        done = run("twin", "models.py:tied", "--weights", source, "-o", "t.safetensors")
        assert done.code == 0, done.err
        assert len(load_file(home / "t.safetensors")) == names, "no name is dropped that was there"
        twin, _ = module.tied()
        if source == "tied.pt":
            twin.load_state_dict(load_file(home / "t.safetensors"))
        else:
            load_model(twin, str(home / "t.safetensors"))
        assert twin.head.weight is twin.embed.weight
        assert not torch.equal(twin.hidden.weight, model.hidden.weight)
        torch.testing.assert_close(twin.double()(x), model.double()(x), rtol=1e-12, atol=1e-12)
        model.float()


def test_own_weights_are_the_default(run: Runner, home: Path) -> None:
    done = run("twin", "demo:digits-mlp,seed=5", "-o", "t.safetensors")
    assert done.code == 0 and "note  no --weights: using those that come with demo:digits-mlp,seed=5" in done.err
    assert run("verify", "demo:digits-mlp", "--weights", "demo:digits-mlp,seed=5", "--other", "t.safetensors").code == 0


# verify -------------------------------------------------------------------------------------------------------------


def test_verify_finds_twins_equal_and_others_not(run: Runner, home: Path, valid: Valid) -> None:
    run("twin", "--symmetry", "symmetry.json", "--weights", "a.safetensors", "-o", "t.safetensors")
    args = ("verify", "models.py:make", "--weights", "a.safetensors")
    done = run(*args, "--other", "t.safetensors")
    assert done.code == 0 and done.out.startswith("equal  a.safetensors and t.safetensors compute the same outputs\n")
    done = run(*args, "--other", "b.safetensors")
    assert done.code == 1 and done.out.startswith("NOT EQUAL  a.safetensors and b.safetensors differ")
    body = valid(run(*args, "--other", "b.safetensors", "--format", "json"))
    assert not body["equal"] and body["guarantee"] == "numeric"
    body = valid(run(*args, "--seed", "7", "--format", "json"))
    assert body["equal"] and body["verification"]["sensitive"] and body["verification"]["max_rel"] < 1e-12


def test_verify_notices_one_entry(run: Runner, home: Path) -> None:
    state = load_file(home / "a.safetensors")
    state["2.weight"][0, 0] += 1e-4
    save_file(state, home / "near.safetensors")
    assert run("verify", "models.py:make", "--weights", "a.safetensors", "--other", "near.safetensors").code == 1


def test_verify_an_element(run: Runner, home: Path) -> None:
    group = orbitope.SymmetryGroup.from_json(json.loads((home / "symmetry.json").read_text()))
    (home / "g.json").write_text(json.dumps(group.sample(3).to_json()))
    done = run("verify", "models.py:make", "--weights", "a.safetensors", "--element", "g.json")
    assert done.code == 0 and "its image under g.json" in done.out.replace("\n       ", " ")
    assert run("verify", "models.py:make", "--element", "g.json", "--seed", "1").code == 2


def test_a_normed_network(run: Runner) -> None:
    assert run("verify", "models.py:normed", "--format", "quiet").code == 0
