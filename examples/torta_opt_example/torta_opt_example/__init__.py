"""What another package can add to torta-opt: a policy, an importer, a bound, a problem family."""
