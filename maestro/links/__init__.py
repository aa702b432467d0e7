"""The data path between processes: typed messages over Unix-domain sockets in a folder of the data folder.

Systems dial; ingress, cascade and the main process listen under fixed names. Imports the messages, the settings and
the metrics of Maestro, and nothing of thespian.
"""
