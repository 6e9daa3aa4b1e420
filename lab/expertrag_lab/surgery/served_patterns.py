"""Patterns at run time: for each domain of a profile, the experts that answer its questions.

PreMoe (Pei et al. 2025, arXiv 2505.17639) keeps a pattern of each task's important experts, and
retrieves a query's pattern before it loads the model (task-adaptive expert retrieval). Here the
model stays, a question's domain retrieves the pattern, and routers choose among its experts.

L layers with routed experts, E experts of a layer, null ones included
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from expertrag.api.errors import InvalidArgument
from expertrag.llm.base import WhiteBox
from expertrag.llm.expert_pattern import ExpertPattern
from expertrag.llm.fingerprint import source_fingerprint
from expertrag.llm.load.loading import model_files
from expertrag_kernels.router import Router
from expertrag_lab.surgery.changes.selection import ExpertCounts, best_experts
from expertrag_lab.surgery.profiling.importance import ExpertProfile
from expertrag_lab.surgery.profiling.profile_folder import (
    PATTERN_METHOD,
    check_model,
    load_profile,
)

_log = logging.getLogger(__name__)
_CURE = "; raise the share (lab.expert_share)"


def serve_patterns(model: WhiteBox, source: str, folder: Path, share: float) -> None:
    """Answer the questions of each domain of a profile with its most important experts.

    :param source: folder or hub id of the model, packed or not.
    :param folder: profile of the checkpoint, from ``expertrag llm profile``.
    :param share: of the experts of a layer that a pattern has.
    :raises InvalidArgument: routers of the model do not choose experts by token, ``folder`` is not
        a profile, or the share is not possible.
    :raises NotFound: there is no such folder.
    :raises Conflict: the profile was made of another model.
    :raises ServerError: the profile is damaged.
    """
    routers = model.token_routers
    profile, files = load_profile(folder), model_files(source)
    check_model(profile, source_fingerprint(files.folder, files.gguf))
    patterns = patterns_of(profile, routers, share)
    model.use_patterns(patterns)
    kept = ExpertCounts.of_router(routers[0]).count(share)
    names = ", ".join(patterns)
    _log.info("expert patterns: %s; %d of %d experts", names, kept, routers[0].experts)


def patterns_of(
    profile: ExpertProfile, routers: Sequence[Router], share: float
) -> Mapping[str, ExpertPattern]:
    """Return the pattern of each domain of a profile, by its name.

    It has the experts that matter most to the domain, the same number in every layer and in every
    group of a router. They are as ``prune`` would keep them: super experts are among them, and null
    experts are not counted.

    :param routers: of the model, in the order of the layers.
    :raises InvalidArgument: the share is not possible, or the profile has other layers or experts.
    """
    supers = profile.super_experts()
    kinds = {(r.experts, r.nulls, r.top_k, r.light, r.groups, r.top_groups) for r in routers}
    if supers.shape != (len(routers), routers[0].experts) or len(kinds) > 1:
        raise InvalidArgument(
            f"the profile has {supers.shape[0]} layers of {supers.shape[1]} experts, and the model "
            f"{len(routers)} of {routers[0].experts}: profile this model (expertrag llm profile)"
        )
    counts = ExpertCounts.of_router(routers[0])
    own, count = slice(counts.experts), counts.count(share)
    patterns = {}
    for name in profile.domains:
        scores = profile.importance(PATTERN_METHOD, [name])
        best = best_experts(scores[:, own], count, counts.groups, supers[:, own], _CURE)
        is_open = torch.zeros_like(supers).scatter_(1, best, value=True)
        is_open[:, counts.experts :] = True  # null experts
        patterns[name] = ExpertPattern(name, is_open)
    return patterns
