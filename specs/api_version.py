"""The version of the language that documents are written in."""

API_VERSION = "rackwright/v1alpha1"
