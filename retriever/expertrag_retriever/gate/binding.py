"""Whether a fitted gate belongs to a language model."""

from __future__ import annotations

from expertrag_retriever.gate.bundle import GateBundle


def gate_problem(bundle: GateBundle, name: str, fingerprint: str) -> str:
    """Return why a gate's probabilities are not a model's, and the cure; empty if they are.

    A gate predicts the answers of the model that its rows were recorded with. Signals that come
    from another model mean something else, and need a new fit; otherwise a calibration is enough.

    :param name: of the model, for the commands.
    :param fingerprint: of the model.
    """
    needs, answered = bundle.needs, bundle.answer_models
    signals_fit = needs.generator_fingerprint in (None, fingerprint)
    if signals_fit and set(answered) == {fingerprint}:
        return ""
    record = f"expertrag eval record DATASET --index STORE --generator {name} --out ROWS"
    if not signals_fit:
        return (
            f"the gate {bundle.version} was fitted with another language model ({needs.generator}, "
            f"{str(needs.generator_fingerprint)[:8]}; this is {fingerprint[:8]}): record this "
            f"model's answers ({record}), then 'expertrag train gate ROWS --index STORE "
            f"--generator {name} --out NEW'"
        )
    others = ", ".join(sorted(other[:8] for other in answered))
    whose = (
        f"was fitted on the answers of other language models ({others}; this is {fingerprint[:8]})"
        if others
        else "does not say whose answers it was fitted on, as its rows do not"
    )
    return (
        f"the gate {bundle.version} {whose}: record this model's ({record}), then 'expertrag gate "
        "calibrate ROWS --gate GATE --out NEW'"
    )
