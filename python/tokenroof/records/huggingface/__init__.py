"""Hugging Face configurations, read into the fields of a model."""
