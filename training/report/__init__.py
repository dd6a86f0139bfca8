"""The training report and the closing words of a fit."""
