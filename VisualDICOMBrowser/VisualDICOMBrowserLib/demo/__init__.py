"""The embedded PACS and its sample studies."""
