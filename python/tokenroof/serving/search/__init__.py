"""Search over systems: plans, drafts, pools, and the bounds that leave most of them out."""
