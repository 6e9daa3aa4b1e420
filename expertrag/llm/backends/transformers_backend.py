"""Any causal language model that transformers loads, in this process.

The families of lowering.py run on our own engine with continuous batching; all others run in
transformers, with their mixtures of experts on ``expertrag_kernels``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.api.types import Sampling
from expertrag.api.validation import routing_of
from expertrag.llm import prompt as prompts
from expertrag.llm.adapters.loaded import LoadedAdapters
from expertrag.llm.adapters.served import ServedAdapters
from expertrag.llm.backends.precision import device_of, dtype_of
from expertrag.llm.backends.routing import by_token, check_contrast, check_routing, weak_prompt
from expertrag.llm.backends.transformers_loading import (
    check_packed,
    load_network,
    reader_of,
    runs_on_engine,
)
from expertrag.llm.backends.transformers_session import TransformersSession
from expertrag.llm.base import (
    BASE,
    Generator,
    Message,
    Session,
    ShouldStop,
    WhiteBox,
    never_stop,
)
from expertrag.llm.constraints import Matcher
from expertrag.llm.engine.native_network import CacheRoom, NativeNetwork
from expertrag.llm.engine.native_session import NativeSession
from expertrag.llm.expert_pattern import ExpertPattern, fingerprint_with
from expertrag.llm.fingerprint import fingerprint
from expertrag.llm.load.chat import ChatTokenizer, continues
from expertrag.llm.load.loading import model_errors, model_files
from expertrag.llm.load.packed_loading import QUANTISED, load_packed_network
from expertrag.llm.local_session import LocalPrompt
from expertrag.llm.network import Limits, Network
from expertrag.llm.probe import STRICT_FROM, Owner, Probe
from expertrag.llm.sampling import Abstention
from expertrag.llm.scoring import MOST_READ_TOKENS, ScoredText
from expertrag.llm.sequence_policy import SequencePolicy
from expertrag.llm.watching import Watched
from expertrag.llm.weights import WeightUse
from expertrag_kernels import Format, Routing
from expertrag_kernels.router import Router
from expertrag_kernels.routing import AS_THE_MODEL

_log = logging.getLogger(__name__)


class TransformersGenerator(Generator):
    """A loaded model and its tokenizer, shared by all sessions and never changed by them."""

    def __init__(
        self,
        name: str,
        fingerprint: str,
        network: Network,
        chat: ChatTokenizer,
        doubt: prompts.Doubt | None = None,
        routing: str = "",
    ) -> None:
        """Take the loaded parts.

        :param doubt: scaling of a reader's doubt.
        :param routing: policy of requests that name none.
        :raises InvalidArgument: the model cannot follow ``routing``.
        """
        self.name = name
        self.fingerprint = fingerprint
        self.context_tokens = network.context_tokens
        self.experts = network.limits.experts
        trained = _reads_our_prompts(name, network.limits.reader_prompts)
        family = _family(network.limits, trained=trained, chats=chat.has_template)
        self.family = family.name
        self.reader = trained or family.replies
        self.doubt = doubt if trained and doubt else family.doubt
        """Scaling of the probability of an abstention."""
        self.strict_from, self.probe = self.doubt.strict_from, ""
        self._network = network
        self._routing = routing_of("routing", routing)
        check_routing(name, network, self._routing)
        self._chat = chat
        self._vocabulary = chat.vocabulary(network.end_tokens)
        space = " " if family.short else ""  # after the beginning of its turn
        said = chat.encode_text(space + prompts.NOT_FOUND)
        self._abstention = (
            Abstention(tuple(said), self.doubt, decides=trained) if self.reader else None
        )

    @classmethod
    def load(
        cls,
        name: str,
        *,
        dtype: str = "auto",
        device: str = "auto",
        cache_mib: int = 1024,
        reuse_mib: int = 64,
        weights_mib: int = 0,
        native: bool = True,
        adapters: ServedAdapters | None = None,
        routing: str = "",
    ) -> TransformersGenerator:
        """Load a folder, GGUF file or hub id; see :func:`expertrag.llm.load_generator`.

        :param native: run on our engine if it supports the model; False: always in transformers.
        """
        target = device_of(device)
        rounded = Format(dtype) if dtype in QUANTISED else None
        precision = dtype_of("auto" if rounded else dtype, target)
        files = model_files(name)
        room = CacheRoom(cache_mib << 20, reuse_mib << 20)
        identity = fingerprint(files.folder, files.gguf)
        if adapters := reader_of(files, adapters):
            identity = adapters.fingerprint(identity)
        network: Network
        with model_errors(name):
            if files.is_packed:
                check_packed(name, device, native=native)
                network, tokenizer = load_packed_network(
                    name, files, dtype, room, adapters, weights_mib=weights_mib
                )
            elif weights_mib:
                raise InvalidArgument(
                    f"lab.weights_mib needs a packed model, and {name} is none: pack it first "
                    "(expertrag llm pack)"
                )
            else:
                on_engine = native and runs_on_engine(target, precision, rounded)
                own = room if on_engine else None
                given = name, files, rounded, precision, target, own, adapters
                network, tokenizer = load_network(*given, as_stored=dtype == "auto")
        return cls(
            files.name if Path(name).expanduser().exists() else name,
            identity,
            network,
            ChatTokenizer(tokenizer),
            adapters.doubt if adapters else None,
            routing,
        )

    @property
    def white_box(self) -> WhiteBox:
        """See :attr:`Generator.white_box`."""
        return self

    @property
    def token_routers(self) -> Sequence[Router]:
        """See :attr:`WhiteBox.token_routers`."""
        return by_token("expert_patterns", self.name, self._network).token_routers

    def use_patterns(self, patterns: Mapping[str, ExpertPattern]) -> None:
        """See :meth:`WhiteBox.use_patterns`."""
        by_token("expert_patterns", self.name, self._network).patterns = patterns
        self.patterns = tuple(patterns)
        self.fingerprint = fingerprint_with(self.fingerprint, patterns.values())

    def probe_with(self, probe: Probe) -> None:
        """See :meth:`WhiteBox.probe_with`."""
        family = prompts.FAMILIES[self.family]
        own = Owner(self.name, self.fingerprint, prompts.fingerprint(family))
        if self._abstention is None or replace(own, generator=probe.owner.generator) != probe.owner:
            raise Conflict(
                f"the probe was trained on {probe.owner.generator}, but {self.name} is another "
                "model, or has other prompts: train a probe on it (`expertrag train probe`), or "
                "set the probe to none",
                reason="PROBE_OF_ANOTHER_MODEL",
            )
        self._abstention = replace(self._abstention, probe=probe)
        self.strict_from, self.probe = STRICT_FROM, probe.digest

    @property
    def problem(self) -> str:
        """See :attr:`Generator.problem`."""
        return self._network.problem

    @property
    def healthy(self) -> bool:
        """See :attr:`Generator.healthy`."""
        return not self._network.problem

    @property
    def adapters(self) -> LoadedAdapters:
        """See :attr:`Generator.adapters`."""
        if isinstance(self._network, NativeNetwork):
            return self._network.adapters
        return super().adapters

    def counters(self) -> Mapping[str, int]:
        """See :meth:`Generator.counters`."""
        return self._network.counters()

    def weights(self) -> WeightUse | None:
        """See :meth:`Generator.weights`."""
        return self._network.weights()

    def reset_prefix_cache(self) -> None:
        """See :meth:`Generator.reset_prefix_cache`."""
        self._network.reset_prefix_cache()

    def check(self, sampling: Sampling, should_stop: ShouldStop = never_stop) -> None:
        """See :meth:`Generator.check`; compiling takes milliseconds, so ``begin`` repeats it."""
        super().check(sampling, should_stop)
        if (matcher := self._matcher(sampling, should_stop)) is not None:
            matcher.close()
        self._check_routing(sampling)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Length of the prompt in tokens, chat template included."""
        return len(self._chat.encode(messages))

    def begin(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        should_stop: ShouldStop = never_stop,
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
        without_passages: Sequence[Message] | None = None,
    ) -> Session:
        """Open a session; see :meth:`Generator.begin`."""
        self._check_routing(sampling)
        policy = self._policy_of(sampling, policy, from_passages=from_passages)
        network, tokens = self._network, self._encode(messages, sampling)
        bare = None if without_passages is None else self._encode(without_passages, sampling)
        goes_on = continues(messages)
        prompt = LocalPrompt(
            tokens,
            sampling,
            self._chat.decode,
            should_stop,
            self._matcher(sampling, should_stop),
            self._abstains(policy, goes_on=goes_on) if from_passages else None,
            goes_on,
        )
        if isinstance(network, NativeNetwork):
            weak = weak_prompt(sampling, network, policy, bare)
            return NativeSession(network, prompt, policy, weak)
        return TransformersSession(network, prompt, policy)

    def make_policy(
        self, sampling: Sampling, domain: str | None = None, salt: str = ""
    ) -> SequencePolicy:
        """See :meth:`Generator.make_policy`."""
        adapter = self.adapters.find(sampling.adapter) if sampling.adapter else None
        if BASE in self.experts and domain == BASE:
            domain = None
        if BASE in self.experts and adapter:
            domain = BASE  # an adapter replaces the expert
        routing = self._routing_of(sampling)
        return self._network.make_policy(domain, routing=routing, adapter=adapter, salt=salt)

    def _policy_of(
        self, sampling: Sampling, policy: SequencePolicy | None, *, from_passages: bool
    ) -> SequencePolicy:
        """Return the policy of a prompt: without passages, the expert ``BASE`` answers."""
        policy = policy or self.make_policy(sampling)
        if from_passages or BASE not in self.experts:
            return policy
        return replace(policy, expert=self.experts.index(BASE))

    def _abstains(self, policy: SequencePolicy, *, goes_on: bool) -> Abstention | None:
        """Return how a reader abstains from a prompt with passages; None if it does not."""
        if prompts.FAMILIES[self.family].short and not goes_on:
            return None  # constrained: doubt was fitted on turns that were begun
        if policy.adapter and self._abstention and self._abstention.decides:
            return None  # the expert that an adapter replaces was trained to abstain
        return self._abstention

    def _check_routing(self, sampling: Sampling) -> None:
        check_routing(self.name, self._network, self._routing_of(sampling))
        check_contrast(self.name, self._network, sampling)

    def _routing_of(self, sampling: Sampling) -> Routing:
        return routing_of("routing", sampling.routing) if sampling.routing else self._routing

    def _matcher(self, sampling: Sampling, should_stop: ShouldStop) -> Matcher | None:
        if sampling.constraint is None:
            return None
        return self._vocabulary.matcher(sampling.constraint, should_stop)

    def _encode(self, messages: Sequence[Message], sampling: Sampling) -> list[int]:
        """Return the tokens of a prompt; check that they and ``max_tokens`` fit the context."""
        prompt = self._chat.encode(messages)
        if not prompt or sampling.max_tokens < 1:
            raise InvalidArgument(
                "a prompt and max_tokens of at least 1 are needed; "
                f"got {len(prompt)} prompt tokens and max_tokens {sampling.max_tokens}"
            )
        if len(prompt) + sampling.max_tokens > self.context_tokens:
            raise InvalidArgument(
                f"the prompt's {len(prompt)} tokens and max_tokens {sampling.max_tokens} exceed "
                f"{self._network.limit}; shorten the prompt or lower max_tokens",
                reason="CONTEXT_EXCEEDED",
                metadata={
                    "prompt_tokens": str(len(prompt)),
                    "max_tokens": str(sampling.max_tokens),
                    "context_tokens": str(self.context_tokens),
                },
            )
        return prompt

    def watch(self, messages: Sequence[Message]) -> tuple[Watched, float]:
        """See :meth:`WhiteBox.watch`."""
        network = self._network
        tokens = self._chat.encode(messages)
        cache = network.new_cache()
        try:
            step = network.forward(tokens, cache, watched=True)
        finally:
            network.free(cache)
        assert step.watched is not None, "it was requested"
        assert self._abstention is not None, "only readers are watched"
        first = self._abstention.tokens[0]
        return step.watched, float(step.logits.float().softmax(-1)[first])

    def read(
        self,
        items: Sequence[tuple[Sequence[Message], str]],
        policy: SequencePolicy | None = None,
        *,
        from_passages: bool = False,
    ) -> Iterator[tuple[int, ScoredText]]:
        """See :meth:`WhiteBox.read`.

        Texts are cut to ``MOST_READ_TOKENS`` tokens; the end token after them is scored as well.
        """
        end = min(self._network.end_tokens)
        encoded = [
            (
                self._chat.encode(messages)[: self.context_tokens - MOST_READ_TOKENS - 1],
                [*self._chat.encode_text(text)[:MOST_READ_TOKENS], end],
            )
            for messages, text in items
        ]
        policy = self._policy_of(Sampling(), policy, from_passages=from_passages)
        return self._network.read(encoded, replace(policy, routing=AS_THE_MODEL))


def _reads_our_prompts(name: str, trained_with: str) -> bool:
    """Whether a model was trained with this version's prompts; warns of a reader of others."""
    if trained_with and trained_with != prompts.fingerprint():
        _log.warning(
            "the reader %s was trained with other prompts (%s) than this version's (%s) and is "
            "served as a plain model: train it again with `expertrag train reader`, or use the "
            "version of expertrag that it was trained with",
            name,
            trained_with,
            prompts.fingerprint(),
        )
    return trained_with == prompts.fingerprint()


def _family(limits: Limits, *, trained: bool, chats: bool) -> prompts.Family:
    """Choose a model's prompts: a reader gets the prompts that it was trained with."""
    follows = chats and limits.parameters >= prompts.INSTRUCTED_FROM
    return prompts.INSTRUCT if follows and not trained else prompts.PLAIN
