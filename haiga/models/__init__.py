"""Architectures as graphs: a checkpoint goes in, an OpenVINO model on paged attention comes out. No torch."""
