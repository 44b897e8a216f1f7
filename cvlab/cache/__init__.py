"""Files that are whole or not there, under a key of their content.

Everything the course can make again lies in one cache folder. Processes that share it never see half a
file, and a full disk or a killed process leaves nothing that looks finished.
"""
