"""What the seller configures: rules.yaml and the environment."""
