"""monitor: what flows, how well people and models agree, and which labels deserve another round.

Reads items, predictions, shadow predictions, routes, annotations, labels, quality, erasures, projects and models;
writes quality and relabels. Owns one row of facts per item (bits and numbers, no content), integer counters, and the
relabels made. It judges the records of labels, quality, routes and shadow predictions.

Every counter is a function of the facts, so the same events give the same counts in any interleaving of the topics and
with any repeats. Prometheus shows the database's counters, so that a restart or a replica never skews a figure.
"""
