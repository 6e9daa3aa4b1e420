"""Compare an embedder on a server with the same model in this process.

    python -m llama_cpp.server --model minilm.gguf --embedding true --port 8089
    python lab/benchmarks/bench_embedding_server.py --data ../shared/data \
        --embedder openai:http://127.0.0.1:8089/v1#all-minilm-l6-v2 \
        --json lab/results/embedding_server.json

``--gguf FILE`` writes the model as such a file first, in float32, and ends. The texts are English
paragraphs of XQuAD that the model reads whole. The speed is in texts per second; that of one query
is the median in milliseconds.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import results_file
from bench_nano_e5 import per_second, read_texts
from safetensors.numpy import load_file

from expertrag import models
from expertrag_retriever.base import Embedder
from expertrag_retriever.encoder import load_embedder
from expertrag_retriever.remote.embedder import connect_embedder

LOCAL = "all-minilm-l6-v2"
QUERIES = 50
CODE = ("retriever/expertrag_retriever/remote", "retriever/expertrag_retriever/encoder.py")

_CONTROL = 3  # llama.cpp's type of a token such as [CLS]


def main() -> None:
    """Measure, print the figures, and optionally write JSON."""
    parser = results_file.parser(__doc__, "--data")
    parser.add_argument("--embedder", default="", help="name of the embedder on the server")
    parser.add_argument("--gguf", type=Path, help="file to write the model to")
    given = parser.parse_args()
    if given.gguf:
        write_gguf(Path(models.ensure(LOCAL)), given.gguf)
        return
    local = load_embedder(models.ensure(LOCAL), device="cpu")
    remote = connect_embedder(given.embedder)
    every = read_texts(given.data / "xquad_en")
    lengths = local.count_tokens(every)
    texts = [text for text, n in zip(every, lengths, strict=True) if n <= local.max_tokens]
    cosines = (local.encode_documents(texts) * remote.encode_documents(texts)).sum(axis=1)
    body: dict[str, Any] = {
        "n": len(texts),
        "least_cosine": round(float(cosines.min()), 5),
        "texts_per_second": {
            "local": per_second(local.encode_documents, texts),
            "server": per_second(remote.encode_documents, texts),
        },
        "query_ms": {"local": query_ms(local, texts), "server": query_ms(remote, texts)},
    }
    print(json.dumps(body, indent=1))
    results_file.write(given.json, body, CODE)


def query_ms(embedder: Embedder, texts: list[str]) -> float:
    """Return the median time of a query of ten words, in milliseconds."""
    seconds = []
    for number in range(QUERIES):
        query = " ".join(texts[number % len(texts)].split()[:10])
        started = time.perf_counter()
        embedder.encode_query(query)
        seconds.append(time.perf_counter() - started)
    return round(1000 * statistics.median(seconds), 1)


def write_gguf(folder: Path, file: Path) -> None:
    """Write a BERT encoder with mean pooling for llama.cpp."""
    config = json.loads((folder / "config.json").read_bytes())
    writer = gguf.GGUFWriter(file, "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_tokenizer(writer, json.loads((folder / "tokenizer.json").read_bytes())["model"]["vocab"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, weights in load_file(folder / "model.safetensors").items():
        if "position_ids" not in name and "pooler" not in name:
            known = names.get_name(name.removeprefix("bert."), try_suffixes=(".weight", ".bias"))
            assert known, name
            writer.add_tensor(known, weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter, vocab: dict[str, int]) -> None:
    """Add a WordPiece vocabulary as llama.cpp writes it: beginnings of words are marked."""
    tokens = sorted(vocab, key=vocab.__getitem__)
    control = [token.startswith("[") and token.endswith("]") for token in tokens]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list(
        [
            token if special else token[2:] if token.startswith("##") else f"\u2581{token}"
            for token, special in zip(tokens, control, strict=True)
        ]
    )
    writer.add_token_types([_CONTROL if special else 1 for special in control])
    writer.add_bos_token_id(vocab["[CLS]"])
    writer.add_eos_token_id(vocab["[SEP]"])
    writer.add_sep_token_id(vocab["[SEP]"])
    writer.add_unk_token_id(vocab["[UNK]"])
    writer.add_pad_token_id(vocab["[PAD]"])
    writer.add_mask_token_id(vocab["[MASK]"])


if __name__ == "__main__":
    main()
