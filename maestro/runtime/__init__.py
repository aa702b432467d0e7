"""The services that actors run: plain asyncio, no thespian; and the reliable link between them."""
