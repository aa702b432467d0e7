"""The types of what clients send and get: queries and decisions are checked against them, the API described by them.

One module for each subject, and `shared` for what several need. Fields that the platform adds to an event or a document
pass through; the types name those that Maestro knows.
"""
