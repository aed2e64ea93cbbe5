"""Files and data sets of requests → files of calls, on one machine or a Ray cluster."""
