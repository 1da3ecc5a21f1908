"""What the checker promises about itself, and the container that certificates are stored in."""

import ast
import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from tests.proof import examples, oracle
from tests.proof.checking import SOURCE, certificate, checker

from orbitope.errors import CertificateError, FileError
from orbitope.proof.certificate import Certificate, decode_array, encode_array

pytestmark = pytest.mark.usefixtures("precise")


# what the checker promises about itself -------------------------------------------------------------------------------
def test_the_checker_needs_nothing_but_the_standard_library():
    tree = ast.parse(SOURCE.read_text())
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        allowed = {*sys.stdlib_module_names, "flint"}  # python-flint is optional
        assert all(name.split(".")[0] in allowed for name in names), names
        assert not isinstance(node, ast.Assert)  # -O must change nothing
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            assert node.value == 0  # no tolerance


@pytest.mark.parametrize("flags", [["-I"], ["-I", "-OO"]])
def test_the_bare_file_is_a_command(tmp_path, flags):
    good, bad, broken = (tmp_path / f"{name}.orbitope" for name in ("good", "bad", "broken"))
    parts = examples.absolute_value()
    certificate(parts).save(good)
    certificate(parts, enclosures={**oracle.enclosures(parts), "average": (5.0, 6.0)}).save(bad)
    broken.write_bytes(good.read_bytes()[:-9])

    def run(*arguments):
        command = [sys.executable, *flags, str(SOURCE), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert not done.stderr
        return done.returncode, done.stdout

    code, text = run(good)
    assert code == 0
    assert text.startswith("ACCEPTED") and "exact integers" in text
    code, text = run(good, "--format", "json")
    assert code == 0
    assert json.loads(text)["accepted"] is True
    code, text = run(bad)
    assert code == 1
    assert text.startswith("REJECTED") and text.count("\n") == 1
    assert run(good, "--limit", 3)[0] == 1
    for path in (broken, tmp_path / "missing", tmp_path):
        code, text = run(path)
        assert code == 2
        assert text.startswith("UNREADABLE") and text.count("\n") == 1


# the container ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_arrays_are_stored_exactly(dtype):
    values = torch.tensor([[0, 1, 3], [2, 5, 1]]).to(getattr(torch, dtype))
    if values.is_floating_point():
        values = values / 7 * torch.tensor(1e-3, dtype=values.dtype)
    for tensor in (values, values.T, values[:, ::2], values[0, 1]):
        stored = encode_array(tensor)
        assert stored["dtype"] == dtype
        back = decode_array(stored)
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor)
        read = checker.array(stored, [1 << 20], "test")
        assert read.shape == tuple(tensor.shape)
        want = [Fraction(x) for x in tensor.double().flatten().tolist()]
        assert [Fraction(n, read.den) for n in read.v] == want
    if dtype != "bfloat16":
        array = values.numpy()
        assert encode_array(array) == encode_array(array.astype(array.dtype.newbyteorder(">"))) == encode_array(values)


def test_extreme_floats_are_exact():
    for dtype in (np.float64, np.float32, np.float16):
        info = np.finfo(dtype)
        array = np.array([info.max, -info.max, info.smallest_subnormal, 0, info.tiny], dtype=dtype)
        read = checker.array(encode_array(array), [1 << 20], "test")
        assert [Fraction(n, read.den) for n in read.v] == [Fraction(float(x)) for x in array]


def test_arrays_of_zeros_and_of_one_number_are_stored_in_little_space():
    sparse = torch.zeros(5000, 40)
    sparse[[3, 4999]] = torch.randn(2, 40)
    for tensor, form in (
        (sparse, "rows"),
        (torch.zeros(7, 9, dtype=torch.bfloat16), "fill"),
        (torch.full((5, 2, 3), 0.1, dtype=torch.bfloat16), "fill"),
        (torch.full((5, 2), True), "fill"),
        (torch.full((5, 2), -(2**62), dtype=torch.int64), "fill"),
        (torch.full((3,), 1e-320, dtype=torch.float64), "fill"),
        (torch.tensor([-0.0, 0.0]), "data"),
        (torch.tensor(0.0), "data"),
        (torch.full((4,), -0.0), "fill"),
        (torch.ones(3, 1, 2), "fill"),
    ):
        stored = encode_array(tensor)
        assert form in stored
        assert len(str(stored)) < 1000
        back = decode_array(stored)
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor)
        assert form == "rows" or torch.equal(torch.signbit(back.double()), torch.signbit(tensor.double()))
        read = checker.array(json.loads(json.dumps(stored)), [1 << 24], "test")
        assert len(read.v) <= 80
        full = read.over(range(tensor.shape[0]) if tensor.ndim else range(1), [1 << 40])
        assert [Fraction(n, full.den) for n in full.v] == [Fraction(x) for x in tensor.double().flatten().tolist()]


@pytest.mark.parametrize(
    "value",
    [
        np.array([np.nan]),
        np.array([np.inf], dtype=np.float32),
        torch.tensor([float("nan")]),
        np.array([1j]),
        np.array(["a"]),
    ],
)
def test_what_is_no_real_number_is_not_stored(value):
    with pytest.raises(CertificateError):
        encode_array(value)


def test_a_certificate_is_stored_whole_or_not_at_all(tmp_path, monkeypatch):
    proof, path = certificate(examples.absolute_value()), tmp_path / "proof.orbitope"
    proof.save(path)
    again = Certificate.load(path)
    assert again == proof
    assert again
    assert again.to_bytes() == path.read_bytes() == proof.to_bytes()
    assert again.claim == "midpoint"
    assert again.variables == ("w", "v")
    assert torch.equal(again.parameters["v"], torch.ones(1, 2, dtype=torch.float64))
    assert again.enclosures["average"][0] <= 1 <= again.enclosures["average"][1]
    assert 0.99 < again.gap < 1
    other = certificate({**examples.absolute_value(), "agreement": {"note": "another"}})

    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(FileError):
            other.save(path)
    assert Certificate.load(path) == proof
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileError):
        proof.save(tmp_path / "missing" / "proof.orbitope")
    with pytest.raises(FileError):
        Certificate.load(tmp_path / "missing")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CertificateError):
        Certificate.load(path)


def test_parts_that_make_no_certificate_are_refused():
    parts = examples.absolute_value()
    bounds = oracle.enclosures(parts)
    for wrong in (
        {"enclosures": {**bounds, "points": []}},
        {"enclosures": {"points": bounds["points"]}},
        {"enclosures": {**bounds, "start": (0.0, 1.0)}},
        {"enclosures": {**bounds, "average": (float("nan"), 1.0)}},
        {"times": [0, 1, 2, 3]},
        {"points": [{"w": np.array([np.inf])}]},
        {"violated": 3, "claim": "orbit-average"},
        {"agreement": {"a": [1]}},
        {"data": {}},
    ):
        with pytest.raises(CertificateError):
            certificate({**parts, "enclosures": bounds, **wrong})
