"""`labelstream erase`: an item or a person is forgotten everywhere, with the proof and the dates."""
