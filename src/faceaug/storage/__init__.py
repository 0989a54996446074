"""What touches the disk: atomic writes, the directory walk, the journal and its moves."""
