"""A Hugging Face folder names a model: its architecture without its weights, and without any code of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.cli.conftest import Runner
from torch import nn

VOCABULARY, WIDTH, HIDDEN = 11, 6, 5


class Language(nn.Module):
    """As a class of transformers: made from a configuration, with tied embeddings and computed frequencies."""

    main_input_name = "input_ids"

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.register_buffer("scale", torch.tensor([1.0, 1, 1, 2, 2]), persistent=False)
        self.tie_weights()

    def tie_weights(self) -> None:
        self.head.weight = self.embed.weight

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool = True) -> Any:
        assert not use_cache and input_ids.is_meta
        h = self.embed(input_ids) * attention_mask[..., None]
        return {"logits": self.head(h + self.down(torch.relu(self.up(h)) * self.scale))}


def library() -> ModuleType:
    """What is used of the package."""

    def from_pretrained(folder: str, local_files_only: bool, trust_remote_code: bool) -> Any:
        assert local_files_only and not trust_remote_code
        described = json.loads(Path(folder, "config.json").read_text())
        if described["model_type"] != "language":
            raise ValueError(f"no model type {described['model_type']}")
        return SimpleNamespace(**described, dtype=torch.float32)

    module = ModuleType("transformers")
    module.AutoConfig = SimpleNamespace(from_pretrained=from_pretrained)
    module.AutoModel = SimpleNamespace(from_config=lambda config, trust_remote_code: Language(config))
    module.LanguageForCausalLM = Language
    return module


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sys.modules, "transformers", library())
    place = home / "model"
    place.mkdir()
    (place / "config.json").write_text(
        json.dumps(
            {"model_type": "language", "architectures": ["LanguageForCausalLM"], "auto_map": {"AutoModel": "x.Y"}}
        )
    )
    (place / "x.py").write_text("raise SystemExit('code of the folder')")
    return place


def weights(place: Path, **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    state = Language(SimpleNamespace()).state_dict()
    state = {name: tensor.clone() for name, tensor in state.items() if name != "head.weight"} | changes
    save_file(state, place / "model.safetensors")
    return state


class TestFolders:
    @pytest.mark.parametrize("architectures", [["LanguageForCausalLM"], ["Unheard"], None])
    def test_the_symmetries_of_a_folder(self, run: Runner, folder: Path, architectures: list[str] | None) -> None:
        """3! · 2! of the hidden units, as the frequencies tell; the frequencies have values although no weight has."""
        (folder / "config.json").write_text(json.dumps({"model_type": "language", "architectures": architectures}))
        weights(folder)
        done = run("inspect", folder, "--format", "json")
        assert done.code == 0, done.err
        assert round(10 ** done.json["log10_order"]) == 6 * 2 * 720
        assert any("without weights" in note for note in done.json["notes"])
        assert any("input_ids [2, 7]" in note and "[3, 11]" in note for note in done.json["notes"])

    def test_weights_are_not_needed(self, run: Runner, folder: Path) -> None:
        assert run("inspect", folder).code == 0

    def test_shards_that_are_elsewhere(self, run: Runner, folder: Path) -> None:
        names = dict.fromkeys(["embed.weight", "up.weight", "up.bias", "down.weight", "gone"], "part-1.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
        done = run("inspect", folder)
        assert done.code == 0
        assert "1 tensors of the model are not in the weights: down.bias" in done.err
        assert "1 tensors in the weights are not the model's: gone" in done.err

    def test_a_twin_of_the_weights_in_the_folder(self, run: Runner, folder: Path, home: Path) -> None:
        state = weights(folder)
        assert run("inspect", folder, "-o", "found.json").code == 0
        done = run("twin", "--symmetry", "found.json", "--weights", folder / "model.safetensors", "-o", "t.safetensors")
        assert done.code == 0, done.err
        assert state.keys() == weights(folder).keys()


class TestRefusals:
    def refused(self, run: Runner, folder: Path, *parts: str) -> None:
        done = run("inspect", folder)
        assert done.code == 2 and done.out == "" and "Traceback" not in done.err
        assert done.err.startswith("error[E") and all(part in done.err for part in parts), done.err

    def test_the_package_is_missing(self, run: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "transformers", None)
        self.refused(run, folder, "transformers is not installed", "orbitope[hf]", "  why  ")

    def test_no_configuration(self, run: Runner, folder: Path) -> None:
        (folder / "config.json").unlink()
        self.refused(run, folder, "config.json", "No such file")

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_type": 3}'])
    def test_a_broken_configuration(self, run: Runner, folder: Path, text: str) -> None:
        (folder / "config.json").write_text(text)
        self.refused(run, folder, "config.json")

    def test_an_unknown_type(self, run: Runner, folder: Path) -> None:
        (folder / "config.json").write_text('{"model_type": "remote", "auto_map": {"AutoConfig": "x.Y"}}')
        self.refused(run, folder, "no model type remote", "code that comes with a folder is not run")

    def test_weights_of_another_shape(self, run: Runner, folder: Path) -> None:
        weights(folder, **{"up.weight": torch.zeros(4, WIDTH)})
        self.refused(run, folder, "are not those of Language", "up.weight is [4, 6], the model has [5, 6]")

    def test_weights_of_other_names(self, run: Runner, folder: Path) -> None:
        save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
        self.refused(run, folder, "tensors of other names")

    @pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json"])
    def test_damaged_weights(self, run: Runner, folder: Path, name: str) -> None:
        (folder / name).write_text("{")
        self.refused(run, folder, f"cannot read {folder / name}")


class TestPaths:
    def test_a_branch_on_the_data(self, run: Runner) -> None:
        done = run("inspect", "models.py:branching")
        assert done.code == 2 and "  at   models.py:" in done.err and "if x.sum() > 0" in done.err
        assert "--specialise" in done.err
        done = run("inspect", "models.py:branching", "--specialise", "--format", "json")
        assert done.code == 0 and any("one path only" in note for note in done.json["notes"])
