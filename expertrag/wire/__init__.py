"""Wire messages to value objects and back: the only place that touches both.

One file per proto file. ``*_to_proto`` raises ``InvalidArgument`` for a value that does not fit
the wire; ``*_from_proto`` for a message that holds no value, such as an unknown enum number.
"""
