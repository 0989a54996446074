"""Disk access: atomic writes, the directory walk, the journal and its moves."""
