"""haiga: one self-hosted server for text, vision and images over models you hold yourself."""
