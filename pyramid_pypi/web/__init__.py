"""The face for people, installers and uploaders: HTTP, and nothing the domain decides."""
