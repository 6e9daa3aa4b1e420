"""Answer a question: route, decide, retrieve, generate, ground, or abstain.

pipeline.py       the steps in order, over one generation of the store
pipeline_models.py, reading_policy.py   its models, and how it reads questions and replies
assemble.py       builds a pipeline from the configuration
decide.py         the gate's signals and its decision
internal.py       questions about the asker's own organisation
versions.py, amendments.py           the newest version of a document, and what amends it
conflicts.py      what older versions say instead
canonical.py      the canonical form of a question
retrieve.py       passages of one or several searches
generate.py       the answer, closed book or open book
reading.py        reads passages until they are likely to hold the answer
correction.py, former.py             answers again if a passage calls the value former
agreement.py      whether two answers say the same
confidence.py, coverage.py           the probability that an answer is right
reply.py, refusals.py                detect abstentions, handle citation markers
ground.py, evidence.py, wording.py   match sentences to the spans that support them
drafts.py         features of a closed-book draft for the gate
served_gate.py, served_index.py      gate and store, replaced while they are in use
"""
