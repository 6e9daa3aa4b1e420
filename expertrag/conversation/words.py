"""Word lists of English, for reading a question without a tagger."""

from __future__ import annotations

APOSTROPHE = "\u2019"
"""The typographic one; the lists have the other."""

_FUNCTION_WORDS = """
    a an the this that these those some any each every no all both either neither such other
    another same own more most less least much many few several enough about above across after
    against along among around as at before behind below beneath beside besides between beyond
    by despite down during except for from in inside into like near of off on onto out outside
    over past per since than through throughout till to toward towards under until up upon via
    with within without and or but nor so yet if unless because while though although whether i
    you he she it we they me him her us them my your his its our their mine yours hers ours
    theirs myself yourself itself himself herself themselves who whom whose which what when
    where why how there here then now just only also too very really quite still even ever never
    always often usually sometimes again already not is are was were be been being am do does
    did done doing has have had having can could may might must shall should will would ought
    isn't aren't wasn't weren't don't doesn't didn't can't couldn't won't wouldn't shouldn't
    hasn't haven't hadn't what's who's where's it's that's there's how's when's i'm you're we're
    they're please yes ok okay well one ones thing things anything something everything nothing
    kind sort different exactly instead else versus vs
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that cannot be part of a noun phrase."""

_VERBS = """
    tell give show list name describe explain define compare find get got make made making take
    took taken use used using go goes went gone going come came know knew known mean meant need
    needed want wanted work worked working happen happened cause caused call called become
    became say said ask asked see saw seen look looked keep kept let put run ran set start
    started stop stopped begin began begun end ended help helped try tries tried turn turned
    live lived die died born affect affected differ include included contain contained hold held
    prevent prevented treat treated diagnose diagnosed relate related compose composed base
    based locate located create created creating write wrote written build built establish
    established invent invented discover discovered win won lose lost play played lead led rule
    ruled believe believed think thought require required allow allowed provide provided produce
    produced change changed increase increased exist existed occur occurred form formed eat
    direct directed star starred serve served join joined receive received permit permitted
    refer referred consider considered involve involved support supported enable enabled disable
    disabled configure configured install installed delete deleted remove removed add added drop
    dropped restore restored reload connect connected check checked defined grow grown sold
    bought paid sent given shown drawn thrown broken chosen brought taught caught spent told
    felt met read fed flown frozen hidden beaten eaten risen driven worn spoken limit print open
    close copy move rename convert compress extract download search count sort kill export
    import send avoid measure reset crash fail
"""
VERBS = frozenset(_VERBS.split())
"""Frequent verbs, in the forms that questions use."""

_RELATIONS = """
    type types kind kinds sort sorts way ways example examples characteristics characteristic
    advantage advantages disadvantage disadvantages benefit benefits symptom symptoms treatment
    treatments cause causes effect effects role purpose function functions difference
    differences history number name names meaning definition importance list structure part
    parts use uses risk risks reason reasons result results impact significance implication
    implications cost price size age date year time place point goal aim breed breeds form forms
    overview description summary requirement requirements method methods area areas amount level
    rate changes people research trials population capital author director genre country city
    occupation outlook prognosis signs sign complications complication side limits limit
    drawbacks drawback options option steps step alternatives alternative details detail
"""
RELATIONS = frozenset(_RELATIONS.split())
"""Nouns that are of something else: "the symptoms of measles" are about measles."""

_BE = """
    is are was were be been being am s 's 're
"""
BE = frozenset(_BE.split())
"""Forms of "be"."""

_BEFORE_THAT = """
    is are was were be been being am s 's 're do does did can could will would should may might
    must has have had about of for to in on with at from by why how after before like than and
    or as into without what where when who
"""
BEFORE_THAT = frozenset(_BEFORE_THAT.split())
"""Words after which "that" points back; after others, it begins a clause."""

_NOT_NOUNS = """
    mean means work works happen happens make makes take takes affect affects become becomes
    compare compares do apply applies change changes help helps true possible safe legal normal
    important so necessary correct right wrong better worse good bad common free required
"""
NOT_NOUNS = frozenset(_NOT_NOUNS.split())
"""Words that follow "this" without being its noun: "how does this work"."""

_TIMES = """
    year month week day time morning evening century decade weekend
"""
TIMES = frozenset(_TIMES.split())
"""Nouns whose "this" points to the present, not to the conversation."""

_POLITE = """
    ok okay great perfect cool nice good awesome excellent wonderful alright right yes no ah oh
    well now so and but please sorry hm hmm thanks thx cheers
"""
POLITE = frozenset(_POLITE.split())
"""Words of assent and courtesy."""

_REFERS = """
    one ones other others first second third fourth fifth last latter former next meant mean means
    actually rather not no
"""
REFERS = frozenset(_REFERS.split())
"""Words that point into the conversation, or correct the last question."""
