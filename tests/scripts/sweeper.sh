#!/bin/sh
# sweeper.sh FOLDER [DAYS]
# The plain convention, sweeping: what is older than 7 days goes.
find "$1" -type f -mtime +"${2:-7}" -exec rm -f {} +
find "$1" -mindepth 1 -type d -empty -delete
