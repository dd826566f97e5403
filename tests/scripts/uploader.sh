#!/bin/sh
# uploader.sh OUTBOX HOST [OPTION OF SSH AND SCP...]
# The plain convention, sending: the lockfile, the recording, no lockfile any more, and only then the own copy goes.
set -u
outbox=$1 host=$2
shift 2
failed=0
for mp4 in "$outbox"/*.mp4; do
    [ -e "$mp4" ] || continue
    name=$(basename "$mp4" .mp4)
    : > "$outbox/$name.lockfile"
    scp "$@" "$outbox/$name.lockfile" "$host:" &&
        scp "$@" "$mp4" "$host:" &&
        ssh "$@" "$host" rm "$name.lockfile" &&
        rm "$mp4" || failed=1
    rm -f "$outbox/$name.lockfile"
done
exit $failed
