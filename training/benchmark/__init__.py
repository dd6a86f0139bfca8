"""The benchmark of detection quality: descriptions of data sets in, one table out."""
