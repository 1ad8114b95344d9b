"""How a stage that runs models gets through its work: batches, memory that runs out, rates, signals, compiled programs.

batches            few sizes, the next one started before the last is written
out_of_memory      smaller portions where a device has no room
throughput         tokens and operations a second, against `peak_rates`
progress           bars on terminals
compilation_cache  compiled programs on disk
termination        SIGTERM as a clean end
environment        the machine and the code
"""
