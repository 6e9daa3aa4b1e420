"""The way of a question: route, decide, retrieve, generate, ground, or abstain.

pipeline.py       the steps in order, over one generation of the store
assemble.py       a pipeline from the configuration
decide.py         the gate's signals and its decision
retrieve.py       passages of one search, or of several
generate.py       the answer, closed book or from passages
best_passage.py   passages read one at a time
reply.py, refusals.py                an answer told from an abstention
ground.py, evidence.py, wording.py   sentences tied to the spans that support them
drafts.py         what a gate reads of a closed-book draft
served_gate.py, served_index.py      what is exchanged while answers are given
"""
