"""The types of single fields: each knows its form, its normal form and its words."""
