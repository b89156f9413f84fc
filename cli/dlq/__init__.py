"""Dead letters: what could not be processed, byte for byte, with its reason; listed, shown, and replayed.

A replay is remembered by a marker record in the same `.dlq` topic, behind the letter: it lives at least as long as the
letter does, needs no other store, and every reader that asks for `dlq_*` source headers passes over it.
"""
