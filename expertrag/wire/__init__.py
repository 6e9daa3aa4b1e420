"""Convert protobuf messages to value objects and back; no other package uses both.

One file per proto file. ``*_to_proto`` raises ``InvalidArgument`` for a value that does not fit the
message. ``*_from_proto`` for a message with an invalid value, such as an unknown enum number.
"""
