"""The services inside the actors: plain asyncio objects that carry out what the rules order.

May import `maestro.broker`, `maestro.platform`, `maestro.store`, `maestro.reprocessing` and below; knows no actor.
"""
