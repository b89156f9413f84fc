"""The contract, the plumbing, and the label arithmetic that two services need. Imports no service."""
