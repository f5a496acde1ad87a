"""What the method computes from market state: features, regime, confluence."""
