"""The source of a model: its configuration, tokenizer, modules without weights, and weights."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from expertrag.api.errors import InvalidArgument
from expertrag.llm.gguf_names import part_names
from expertrag.llm.load.checkpoint import Checkpoint, NotStreamed, Streamed
from expertrag.llm.load.light_file import attach_light
from expertrag.llm.load.loading import ModelFiles, damage_error
from expertrag.llm.load.low_rank_file import attach_low_rank
from expertrag.llm.load.mxfp4_file import Mxfp4Checkpoint, is_mxfp4
from expertrag.llm.load.packed_loading import QUANTISED
from expertrag.llm.load.safetensors_file import SafetensorsCheckpoint
from expertrag_kernels import Format

if TYPE_CHECKING:
    from expertrag.llm.load.gguf_file import GGUFFile


class ModelSource:
    """The files of a model; the small ones are read immediately."""

    def __init__(self, files: ModelFiles) -> None:
        self.files = files
        self.config: Any
        self.tokenizer: Any
        self.gguf: GGUFFile | None = None
        if files.gguf:
            from expertrag.llm.load.gguf_file import GGUFFile  # 70 MB that other models do not need

            self.gguf = GGUFFile(files.folder / files.gguf)
            self.config, self.tokenizer = self.gguf.config(), self.gguf.tokenizer()
        else:
            # False never asks at the terminal, as None does, whether code of the folder may run.
            self.config = AutoConfig.from_pretrained(files.folder, trust_remote_code=False)
            self.tokenizer = AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False)

    def outline(self, dtype: torch.dtype) -> Any:
        """Make the model on the meta device, without weights; only rotary values are computed."""
        from_config: Any = AutoModelForCausalLM.from_config  # without annotations
        with torch.device("meta"):
            model = from_config(self.config, dtype=dtype).eval()
        with contextlib.suppress(OSError):  # the file is optional
            model.generation_config = GenerationConfig.from_pretrained(self.files.folder)
        rotary = getattr(model.base_model, "rotary_emb", None)
        if rotary is not None:
            rotary = model.base_model.rotary_emb = type(rotary)(model.config)
            if self.gguf:
                self.gguf.scale_angles(rotary)
        packed = self.files.is_packed is not None
        attach_light(model, self.files.folder, packed=packed)
        attach_low_rank(model, self.files.folder, packed=packed)
        return model

    @property
    def mxfp4(self) -> bool:
        """Whether the experts are stored in MXFP4, all of them."""
        return self.gguf.mxfp4 if self.gguf else is_mxfp4(self.config)

    def formats(self, format: Format) -> tuple[Format, Format]:
        """Return the formats of a model's weights and of its routed experts.

        Experts in MXFP4 are not rounded again: of int8 and int4, they stay as they are.

        :param format: the one that is asked for; mxfp4 is a format of experts alone.
        :raises InvalidArgument: mxfp4 is asked for, and the experts are not stored in it.
        """
        if format is Format.MXFP4 and not self.mxfp4:
            raise InvalidArgument(
                f"{self.files.name} has no experts in MXFP4, which mxfp4 leaves as they are: "
                "use int4 or int8"
            )
        rest = Format.BF16 if format is Format.MXFP4 else format
        return rest, Format.MXFP4 if self.mxfp4 and format in QUANTISED else format

    def checkpoint(self, model: Any, *, kept: bool = False) -> Checkpoint:
        """Find the weights of an outline.

        :param kept: leave experts that are published in MXFP4 as they are.
        :raises NotStreamed: the weights can only be loaded whole.
        """
        if is_mxfp4(self.config):
            return Mxfp4Checkpoint(self.files.folder, kept=kept)
        if getattr(self.config, "quantization_config", None) is not None:
            raise NotStreamed("its weights are quantised")
        if self.gguf:
            return self.gguf.checkpoint(model)
        return SafetensorsCheckpoint(self.files.folder)

    def whole(self, name: str, dtype: torch.dtype, device: torch.device | str = "cpu") -> Any:
        """Load the model whole, by transformers; from a GGUF file in parts, by our own reader.

        :raises ServerError: weights are missing.
        """
        if self.files.gguf and len(part_names(self.files.gguf)) > 1:
            return self._fill(name, dtype).to(device).requires_grad_(False)
        load: Any = AutoModelForCausalLM.from_pretrained  # its annotation lacks the report
        with contextlib.redirect_stderr(io.StringIO()):  # the bar for GGUF files has no switch
            model, report = load(
                self.files.folder,
                config=self.config,
                trust_remote_code=False,
                dtype=dtype,
                gguf_file=self.files.gguf,
                use_safetensors=True,  # pickled weights could run code
                output_loading_info=True,
            )
        missing = sorted(report["missing_keys"])
        if missing:  # transformers would fill them with random numbers and only warn
            raise damage_error(name, f"{len(missing)} weights are missing, first {missing[0]}")
        if self.gguf and hasattr(model.base_model, "rotary_emb"):
            self.gguf.scale_angles(model.base_model.rotary_emb)
        attach_light(model, self.files.folder)
        attach_low_rank(model, self.files.folder)
        return model.to(device).eval().requires_grad_(False)

    def _fill(self, name: str, dtype: torch.dtype) -> Any:
        """Fill an outline; transformers reads no more than the first part of a file.

        :raises ServerError: weights are missing, or their names are unknown.
        """
        model = self.outline(dtype)
        try:
            Streamed(model, self.checkpoint(model)).fill()
            if any(buffer.is_meta for buffer in model.buffers()):
                raise NotStreamed(f"{self.config.model_type} has values of its own")
        except NotStreamed as reason:
            raise damage_error(
                name, f"{reason}; join its parts with `llama-gguf-split --merge`"
            ) from reason
        return model
