"""The API of A1111's web interface with what SD.Next added, `/sdapi/v1`, to core values and back."""
