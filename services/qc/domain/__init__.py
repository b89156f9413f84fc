"""Pure decisions of qc: values in, a decision out. Time, ids and parameters are arguments."""
