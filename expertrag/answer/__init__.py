"""Answer a question: read, gate, search, generate, ground, or abstain.

pipeline.py       the steps in order, over one generation of the store
context.py        what the steps of one answer share

1  read.py        the question as it stands alone, embedded and routed
   follow_up.py, rewriting_check.py   a message that continues a conversation
   canonical.py   the canonical form of a question
2  gate.py        the decision, and its reason (verdict.py)
   gate_signals.py, drafts.py         what the gate measures
   internal.py    questions about the asker's own organisation
3  search.py      passages of one or several searches
   rerank.py      the reranker of a process
4  generate.py    the answer, closed book or open book, as events
   sessions.py    sessions of the language model
   portions.py    reads passages until they are likely to hold the answer
   correction.py  answers again if a passage calls the value former
   reply.py, refusals.py              abstentions and citation markers
   scan/          reads documents one by one, for a question about a set of them
5  ground.py      support, citations, and the probability that the answer is right
   abstain.py     when an answer is withheld

assemble.py, pipeline_models.py, reading_policy.py, served_gate.py   build a pipeline
collections.py    the stores of a server by name
local_search.py   a search without a server
"""
