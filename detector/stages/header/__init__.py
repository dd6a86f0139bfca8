"""Learnt headers and time stamps: what a plain line begins with."""
