"""What Maestro's answers say, as far as the client looks. Fields not named here stay in the raw answer.

A module for each subject, as in `maestro.http.shapes`.
"""
