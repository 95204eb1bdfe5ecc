"""Contributions in fewer bytes: differences, coded, with what was left out sent later."""
