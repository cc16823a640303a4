"""WHAT TO SHOW: an evaluation as pages that a person would rather look at than read. Pure data in, files out."""
