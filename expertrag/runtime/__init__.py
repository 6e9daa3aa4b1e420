"""Runtime support for servers, clients and commands.

bridge.py          moves the events of an answer from a worker thread to an event loop
stop.py            deadlines and cancellation
meter.py           seconds by stage, and counters
error_mapping.py   converts errors of the lower packages to errors of the public API
descriptors.py     shares file descriptors between connections and files
hot_swap.py        replaces a served object when its file changes
logs.py, memory.py, threads.py   logging, the allocator, numerical threads
"""
