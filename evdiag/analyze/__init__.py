"""Every decision evdiag takes: nouns to nouns, without touching the outside."""
