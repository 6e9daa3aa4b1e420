"""What all packages share: durable files, checksums, cores, worker processes, extras."""
