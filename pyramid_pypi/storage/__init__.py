"""Bytes on disk: release files by hash, and the published tree."""
