"""pyramid_pypi: a package index and mirror network whose public face is files."""
