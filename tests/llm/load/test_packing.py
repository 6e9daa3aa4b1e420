"""Packed folders answer like their models; damaged and mismatched ones are rejected."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from file_helper import change_json
from model_families import FAMILIES
from model_fixtures import TinyFolder

from expertrag.api.errors import InvalidArgument, NotFound, ServerError
from expertrag.llm import load_generator
from expertrag.llm.backends.transformers_backend import TransformersGenerator
from expertrag.llm.engine.native_network import NativeNetwork
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.description import DESCRIPTION_FILE
from expertrag.llm.load.loading import PACKED_FILE
from expertrag.llm.load.packing import pack_folder, verify_folder
from expertrag_index.types import silent
from expertrag_kernels import load_packed, save_packed


def _pack(model: Path, dtype: str, out: Path) -> Path:
    pack_folder(str(model), dtype, out, silent)
    return out


def _loaded(folder: Path, dtype: str = "auto") -> tuple[torch.Tensor, str]:
    """Logits of the last of some tokens, and the fingerprint of the model."""
    generator = load_generator(str(folder), dtype=dtype)
    assert isinstance(generator, TransformersGenerator)
    network = generator._network
    assert isinstance(network, NativeNetwork)
    cache = network.new_cache()
    found = network.forward(list(range(3, 43)), cache).logits
    network.free(cache)
    return found, generator.fingerprint


@pytest.mark.parametrize(
    "kind",
    [
        "mixtral",
        "qwen2_moe",
        "qwen2_moe with null experts",
        "deepseek_v2",
        "gpt_oss",
        "llama",
        "deepseek_v3",
        "glm4_moe",
        "granitemoeshared",
        "phimoe",
    ],
)
def test_a_packed_folder_gives_the_logits_of_the_model(
    kind: str, tiny_folder: TinyFolder, tmp_path: Path
) -> None:
    fingerprints = set()
    for dtype in ("float32", "bfloat16", "int8", "int4"):
        folder = _pack(tiny_folder(kind), dtype, tmp_path / dtype)
        wanted, _ = _loaded(tiny_folder(kind), dtype)
        found, identity = _loaded(folder, dtype)
        assert torch.equal(found, wanted), dtype
        verify_folder(str(folder))
        fingerprints.add(identity)
    assert len(fingerprints) == 4
    if kind in ("deepseek_v2", "llama"):  # like those of earlier versions
        path = folder / DESCRIPTION_FILE
        body = json.loads(path.read_text())
        del body["program"]["polar"]
        path.write_text(json.dumps(body))
        assert torch.equal(_loaded(folder)[0], wanted)
    (folder / DESCRIPTION_FILE).unlink()  # like folders of earlier versions
    assert torch.equal(_loaded(folder)[0], wanted)
    # libraries may write the small files differently on other machines
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert fingerprint(folder) in fingerprints


def test_long_angles_are_packed(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_folder("phimoe"), tmp_path / "model")
    rope = FAMILIES["phimoe with long angles"][1]["rope_parameters"]
    rope = {**rope, "original_max_position_embeddings": 2048}
    change_json(model / "config.json", rope_parameters=rope)
    folder = _pack(model, "int8", tmp_path / "packed")
    wanted = _loaded(model, "int8")[0]
    assert not torch.equal(wanted, _loaded(tiny_folder("phimoe"), "int8")[0])
    assert torch.equal(_loaded(folder)[0], wanted)
    (folder / DESCRIPTION_FILE).unlink()  # planned by transformers, which writes into its angles
    assert torch.equal(_loaded(folder)[0], wanted)


@pytest.mark.slow
def test_a_packed_folder_answers_in_four_bits_without_transformers(
    smollm_path: Path, tmp_path: Path
) -> None:
    out = _pack(smollm_path, "int4", tmp_path / "packed")
    ask = """
import sys
from expertrag.llm import Message, load_generator
from expertrag.api.types import Constraint, Sampling

generator = load_generator(sys.argv[1])
chat = [Message("system", "Be brief."), Message("user", "Which <|im_end|> colour has the sky?")]
for constraint in (None, Constraint(choices=("blue", "green"))):
    session = generator.begin(chat, Sampling(max_tokens=8, constraint=constraint))
    print(session.prompt_tokens, repr("".join(session.stream())))
    session.close()
japan = [Message("user", "What is the capital of Japan?")]  # France sits on a tie
print("".join(generator.begin(japan, Sampling(max_tokens=30)).stream()))
print(sorted({"transformers", "sklearn", "torch._dynamo"} & set(sys.modules)))
"""
    run = [sys.executable, "-c", ask, str(out)]
    light = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    (out / DESCRIPTION_FILE).unlink()
    heavy = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    assert light[:3] == heavy[:3]
    assert light[2] == "The capital of Japan is Tokyo."
    assert light[3] == "[]" and "transformers" in heavy[3]


def test_a_damaged_program_is_one_typed_line(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    folder = _pack(tiny_folder("mixtral"), "int8", tmp_path / "packed")
    path = folder / DESCRIPTION_FILE
    whole = json.loads(path.read_text())

    def changed(name: str, arguments: list[Any], **options: Any) -> str:
        body = json.loads(json.dumps(whole))
        place = next(n for n, step in enumerate(body["program"]["steps"]) if step[0] == name)
        body["program"]["steps"][place][1:] = [arguments, options]
        return json.dumps(body)

    view = {"view": [0, 0, 0]}
    for text, why in (
        ("{", f"{DESCRIPTION_FILE} is damaged"),
        (json.dumps({**whole, "program": {}}), f"{DESCRIPTION_FILE} is damaged"),
        (changed("keep", [view, 10**6]), "step 'keep' exceeds its slots"),
        (changed("keep", [{"view": [99, 0, 0]}, 1]), "there is no slot 99"),
        (changed("linear", [view]), "step 'linear' has invalid arguments"),
        (
            changed("linear", [view, view, {"weight": "angles"}]),
            "step 'linear' has invalid arguments",
        ),
        (changed("route", [view, 4, 9]), "cannot choose 9 of 4 experts"),
        (changed("route", [view, 4, 2], groups=3), "cannot part 4 experts into 3 groups"),
        (
            changed("route", [view, 4, 2], correction={"weight": "norm"}),
            "a correction of 32 values for 4 experts",
        ),
        (
            changed("norm", [view, view, {"weight": "norm"}, 0.1], bias={"weight": "angles"}),
            "a norm's bias differs",
        ),
        (changed("mix", [view, view, {"weight": "layers.0.experts"}, 1]), "not routed to"),
        (json.dumps(whole).replace('["norm"', '["absorb"'), "unknown step 'absorb'"),
    ):
        path.write_text(text)
        with pytest.raises(ServerError, match=why) as caught:
            load_generator(str(folder))
        assert "\n" not in caught.value.message
        assert "run: expertrag llm pack" in caught.value.message
    path.write_text(json.dumps({**whole, "version": 0}))  # planned by transformers
    assert load_generator(str(folder)).context_tokens


def test_programs_of_earlier_versions_have_no_windows(
    tiny_folder: TinyFolder, tmp_path: Path
) -> None:
    folder = _pack(tiny_folder("mixtral"), "bfloat16", tmp_path / "packed")
    wanted, _ = _loaded(folder)
    path = folder / DESCRIPTION_FILE
    body = json.loads(path.read_text())
    for name, _, options in body["program"]["steps"]:
        if name == "attend":
            assert (options.pop("window"), options.pop("sinks")) == (0, None)
    path.write_text(json.dumps(body))
    assert torch.equal(_loaded(folder)[0], wanted)
    for option, value in (("window", -1), ("sinks", {"weight": "norm"})):
        for name, _, options in body["program"]["steps"]:
            if name == "attend":
                options[option] = value
        path.write_text(json.dumps(body))
        with pytest.raises(ServerError, match="invalid window, or sinks of other heads"):
            load_generator(str(folder))
        for _, _, options in body["program"]["steps"]:
            options.pop(option, None)


def test_progress_is_reported(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    reported: list[tuple[str, int, int | None]] = []
    pack_folder(
        str(tiny_folder("mixtral")), "int8", tmp_path / "out", lambda *step: reported.append(step)
    )
    packed = [(done, total) for stage, done, total in reported if stage.startswith("pack ")]
    assert len(packed) == 4 and packed[-1][0] == packed[-1][1]  # words, two layers, a norm
    assert [step[1:] for step in reported[-2:]] == [(0, 1), (1, 1)]
    assert (tmp_path / "out" / "README.md").read_text().count("int8") == 2


def test_another_dtype_is_rejected(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    folder = _pack(tiny_folder("mixtral"), "int4", tmp_path / "packed")
    with pytest.raises(InvalidArgument, match=r"packed in int4, and cannot be run in bfloat16"):
        load_generator(str(folder), dtype="bfloat16")
    with pytest.raises(InvalidArgument, match="is packed for our engine on the CPU"):
        TransformersGenerator.load(str(folder), native=False)
    with pytest.raises(InvalidArgument, match="is packed already"):
        _pack(folder, "int8", tmp_path / "again")


def test_unsupported_models_cannot_be_packed(
    tiny_folder: TinyFolder, left_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=r"cannot be packed .position encoding dynamic"):
        _pack(left_folder, "int8", tmp_path / "out")
    with pytest.raises(NotFound):
        _pack(tmp_path / "none", "int8", tmp_path / "out")
    with pytest.raises(InvalidArgument, match=r"is not packed.*pack it"):
        verify_folder(str(tiny_folder("llama")))
    assert not list(tmp_path.iterdir())


def test_damaged_folders_are_one_typed_line(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    folder = _pack(tiny_folder("mixtral"), "int8", tmp_path / "packed")
    path = folder / PACKED_FILE
    whole = path.read_bytes()
    weights = load_packed(path)
    without = {name: item for name, item in weights.items() if name != "layers.1.experts"}

    for damage, why in (
        (lambda: path.write_bytes(whole[:-1000]), "its size"),
        (lambda: save_packed(without, path), r"layers\.1\.experts is missing"),
        (lambda: save_packed({**weights, "norm": torch.ones(3)}, path), r"norm is \(3,\)"),
    ):
        damage()
        with pytest.raises(ServerError, match=why) as caught:
            load_generator(str(folder))
        assert "\n" not in caught.value.message
        assert "run: expertrag llm pack" in caught.value.message
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ServerError, match=r"the checksum of .* does not match"):
        verify_folder(str(folder))
    path.write_bytes(whole)
    verify_folder(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(ServerError, match="its files are damaged"):
        verify_folder(str(folder))


def test_a_killed_pack_leaves_nothing_that_loads(tiny_folder: TinyFolder, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "expertrag", "llm", "pack", str(tiny_folder("llama"))]
    command += ["--dtype", "int8", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(tmp_path.glob(".out.*/*.json")):
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    for left in tmp_path.iterdir():
        if left.name != "out":  # published at the last moment, complete
            with pytest.raises((NotFound, ServerError)):
                load_generator(str(left))
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    _pack(tiny_folder("llama"), "int8", tmp_path / "out")
