"""Whether a fitted retrieval gate belongs to a model whose experts were changed."""

from __future__ import annotations

from expertrag_retriever.gate.bundle import GateBundle


def gate_problem(bundle: GateBundle, name: str, fingerprint: str) -> str:
    """Return why a gate must not decide for a model, and the cure; empty if it may.

    A gate's probabilities are of the answers of the model that its rows were recorded with. Its
    signals name that model if they come from it. If they come from questions or the store alone,
    nothing in the gate says which model it was, so it does not count as this one's.

    :param name: of the model, for the commands.
    :param fingerprint: of the model.
    """
    needs = bundle.needs
    if needs.generator_fingerprint == fingerprint:
        return ""
    record = f"expertrag eval record DATASET --index STORE --generator {name} --out ROWS"
    if needs.generator_fingerprint is None:
        return (
            f"the gate {bundle.version} does not say whose answers it was fitted on, as its "
            f"signals need no language model: record this model's ({record}), then 'expertrag gate "
            "calibrate ROWS --gate GATE --out NEW'"
        )
    return (
        f"the gate {bundle.version} was fitted with another language model ({needs.generator}, "
        f"{needs.generator_fingerprint[:8]}; this is {fingerprint[:8]}): record this model's "
        f"answers ({record}), then 'expertrag train gate ROWS --index STORE --generator {name} "
        "--out NEW'"
    )
