"""Convert protobuf messages to value objects and back; no other package uses both.

``common`` converts by the names of fields, which suffices for most messages. One file per proto
file has the others. ``request_of`` and ``*_to_proto`` raise ``InvalidArgument`` for a value that
does not fit the message. ``value_of`` and ``*_from_proto`` raise it for a message with an invalid
value, such as an unknown enum number.
"""
