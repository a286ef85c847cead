"""The paper's tables and figures, each one command.

`catalogue` says what the paper did and published, `profiles` at which size we
do it, `training` trains what is missing, `tables` and `figures` write results.
"""
