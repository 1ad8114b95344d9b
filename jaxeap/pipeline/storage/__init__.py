"""What a run leaves on the disk, and how that survives: whole files, checksums, one run at a time.

artifacts    files that are there whole or not at all
disk         a full one, said in one line
workdir      the lock, and where superseded results go
fingerprint  what a result depends on, as one hash
"""
