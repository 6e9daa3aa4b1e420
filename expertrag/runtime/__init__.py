"""What a running program needs, whatever it does.

bridge.py          events of an answer, from a worker thread to an event loop
stop.py            deadlines and cancellation
meter.py           seconds by stage, and counters
error_mapping.py   errors of the lower packages, as those of the public API
logs.py, memory.py, threads.py   logging, the allocator, numerical threads
"""
